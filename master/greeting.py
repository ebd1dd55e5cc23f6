"""What a minion is told when its session is opened."""

from ..core.from_master import Welcome
from ..core.from_minion import Hello
from .conductor import Conductor

#: Reconnects are spread over this much for each minion. A master on two cores greets some 600 a second; were they more, those who wait
#: longer than a handshake may take would begin again, and nobody would be served but them.
RECONNECT_SPREAD_SECONDS = 0.002


def welcome_to(
    conductor: Conductor,
    hello: Hello,
    token: bytes,
    *,
    heartbeat_seconds: float,
    fleet_size: int,
    version: str,
    incarnation: bytes,
) -> Welcome:
    """Answer a hello: the key of this epoch, the master's time, and what is not known yet of the minion.

    Args:
        conductor: has what is told.
        hello: which is answered.
        token: of the new session.
        heartbeat_seconds: how often the minion is to say that its loop lives.
        fleet_size: accepted keys, and not who is connected: those who came first when it was small would all be back at once.
        version: the release of this master.
        incarnation: of its job cache.
    """
    epoch = conductor.epochs.current
    return Welcome(
        token=token,
        epoch=epoch.number,
        broadcast_key=epoch.key,
        sequence=epoch.sequence,
        master_time_us=conductor.clock.now_us(),
        heartbeat_seconds=heartbeat_seconds,
        reconnect_window_seconds=fleet_size * RECONNECT_SPREAD_SECONDS,
        wants_grains=conductor.facts.wants_grains(hello.grains_digest),
        wants_catalogue=conductor.facts.wants_catalogue(hello.catalogue_digest),
        master_version=version,
        incarnation=incarnation,
    )
