"""Who may still come back after a start of the master, and is not called silent before it could: pure."""

from collections.abc import Iterable

from ..core.dataclass import dataclass
from .presence import Presence, PresenceState

#: For a fleet whose minions all come back within ``window_seconds`` of a start: so many times that, within these bounds.
PATIENCE_WINDOWS = 2
PATIENCE_LEAST_US = 3_000_000
PATIENCE_LIMIT_US = 30_000_000
#: When minions were last heard is stored once a minute, so of a master that was killed it is known to two minutes.
HEARD_TOGETHER_US = 180_000_000


@dataclass(frozen=True, slots=True)
class Reunion:
    """The first seconds of a master.

    Attributes:
        until_us: when they are over.
        heard_after_us: who was heard later than this was there when the master before this one ended.
    """

    until_us: int = 0
    heard_after_us: int = 0

    def expects(self, presence: Presence, now_us: int) -> bool:
        """Tell whether a minion was there when the last master ended, and has not had the time to come back."""
        return (
            now_us < self.until_us
            and presence.state is PresenceState.DOWN
            and presence.since_us is None
            and presence.last_heard_us is not None
            and presence.last_heard_us > self.heard_after_us
        )


def reunion_of(started_us: int, heard_us: Iterable[int], window_seconds: float) -> Reunion:
    """Work out how long minions are waited for.

    Args:
        started_us: when this master was started.
        heard_us: when each minion was last heard by the master before; the latest of these is about when that one ended.
        window_seconds: over which minions spread their return.
    """
    patience_us = int(PATIENCE_WINDOWS * window_seconds * 1_000_000)
    until_us = started_us + min(max(patience_us, PATIENCE_LEAST_US), PATIENCE_LIMIT_US)
    return Reunion(until_us, max(heard_us, default=0) - HEARD_TOGETHER_US)
