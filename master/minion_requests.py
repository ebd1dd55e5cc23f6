"""What commands and the console ask about minions: which there are, what they say of themselves, how far away they are."""

from collections.abc import Mapping

from ..core.control import MINION_JOBS_LIMIT
from ..core.control_answers import GrainsShown, MinionPinged, MinionRow
from ..core.control_requests import ListMinions, PingMinion, ShowGrains
from ..core.dataclass import dataclass
from ..core.errors import ArgumentError
from ..core.from_master import Ping
from ..core.grain_path import find_grain
from ..core.names import MinionId
from ..core.values import Value
from ..keys.minion_key import KeyState
from ..keys.store import KeyStore
from .conductor import Conductor
from .control_port import Caller
from .facts import GRAIN_LIMIT_CHARACTERS
from .minion_choice import choose_minions, no_such_minion, nobody_matches
from .near_targets import near_names
from .replies import Replies

#: A ping is waited for as long as an acknowledgement (DESIGN §7), unless the request says how long.
PING_PATIENCE_US = 1_000_000
PING_ROUND_TRIPS = 4
PING_PATIENCE_LIMIT_SECONDS = 60.0


@dataclass(slots=True)
class MinionRequests:
    """Answers requests about minions."""

    conductor: Conductor
    keys: KeyStore
    replies: Replies

    def closed(self, connection: int) -> None:
        """A control connection has gone."""
        self.conductor.pings.closed(connection)

    def ticked(self, now_us: int) -> None:
        """Say of pings that have waited long enough that no answer came."""
        pings = self.conductor.pings.overdue(now_us)
        for minion in {ping.minion for ping in pings}:
            presence = self.conductor.sessions.presence(minion, now_us)
            reason = presence.absence(now_us) or f"connected, {presence.heard(now_us)}"
            self.conductor.give_up_pings([ping for ping in pings if ping.minion == minion], reason)

    def list_minions(self, connection: int, _caller: Caller, request: ListMinions) -> None:
        """The minions with an accepted key that a target selects; all without one."""
        accepted = self._accepted()
        chosen = frozenset(accepted)
        if request.target:
            chosen, _ = choose_minions(request.target, request.target_kind, accepted)
            if not chosen:
                raise nobody_matches(request.target, request.target_kind, accepted, self.keys.all())
        self._check_grains(request.grains)
        now_us = self.conductor.clock.now_us()
        keys = (key for key in self.keys.by_state(KeyState.ACCEPTED) if key.minion_id in chosen)
        rows = (self._row(key.minion_id, key.fingerprint, request.grains, now_us) for key in keys)
        self.replies.stream_several(connection, rows)
        self.replies.end(connection)

    def show_grains(self, connection: int, _caller: Caller, request: ShowGrains) -> None:
        """The grains of one minion."""
        self._check_accepted(request.minion)
        self.replies.answer(connection, GrainsShown(request.minion, self.conductor.facts.grains_of(request.minion)))

    def ping(self, connection: int, _caller: Caller, request: PingMinion) -> None:
        """Send a ping to a minion; it is answered when its pong comes, when the time is over, or at once when nothing can be sent."""
        minion = request.minion
        self._check_accepted(minion)
        now_us = self.conductor.clock.now_us()
        presence = self.conductor.sessions.presence(minion, now_us)
        reason = presence.absence(now_us)
        session = self.conductor.sessions.get(minion)
        if reason or session is None:
            self.replies.answer(connection, MinionPinged(minion, None, reason))
            return
        if not session.speaks(Ping):
            reason = f"fleet {session.hello.fleet_version}, which it runs, answers no pings: upgrade it"
            self.replies.answer(connection, MinionPinged(minion, None, reason))
            return
        timeout_us = max(PING_PATIENCE_US, PING_ROUND_TRIPS * presence.round_trip_us)
        if request.timeout_seconds > 0:
            timeout_us = int(min(request.timeout_seconds, PING_PATIENCE_LIMIT_SECONDS) * 1_000_000)
        ping = self.conductor.pings.begin(connection, minion, now_us, timeout_us)
        if not self.conductor.send_to_session(session, ping):
            self.conductor.give_up_pings(self.conductor.pings.left(minion), "its connection takes nothing more")

    # Inner steps.

    def _accepted(self) -> Mapping[MinionId, Mapping[str, Value]]:
        return self.conductor.facts.of_all(key.minion_id for key in self.keys.by_state(KeyState.ACCEPTED))

    def _check_accepted(self, minion: MinionId) -> None:
        if self.keys.accepted(minion) is None:
            raise no_such_minion(minion, self._accepted(), self.keys.all())

    def _check_grains(self, names: tuple[str, ...]) -> None:
        """Refuse a name that no minion has: a column of dashes would hide that it is misspelt."""
        facts = self.conductor.facts
        for name in names:
            if facts.has_grains() and not facts.has_grain(name):
                near = next(iter(near_names(name.partition(":")[0], sorted(facts.grain_names()), 1)), "")
                hint = f"did you mean {near}?" if near and near != name else "fleet minions show ID shows what there is"
                raise ArgumentError(f"no minion has a grain {name[:80]!r}", hint)

    def _row(self, minion: MinionId, fingerprint: str, names: tuple[str, ...], now_us: int) -> MinionRow:
        conductor = self.conductor
        presence = conductor.sessions.presence(minion, now_us)
        session = conductor.sessions.get(minion)
        grains = conductor.facts.grains_of(minion)
        system = grains.get("os", "")
        return MinionRow(
            minion=minion,
            state=presence.state,
            since_us=presence.since_us,
            last_seen_us=presence.last_heard_us,
            address=presence.address,
            version=conductor.sessions.version(minion),
            os=system[:GRAIN_LIMIT_CHARACTERS] if isinstance(system, str) else "",
            fingerprint=fingerprint,
            round_trip_us=presence.round_trip_us,
            skew_us=session.skew_us if session else 0,
            running=session.running if session else 0,
            waiting=session.waiting if session else 0,
            conflict=presence.conflict,
            grains={name: value for name in names for value in find_grain(grains, name)},
            host=conductor.facts.host_of(minion),
            protocol=session.hello.protocol_maximum if session else 0,
            jobs=conductor.jobs.newest_of(minion, MINION_JOBS_LIMIT),
        )
