"""Who is to be sent proof that broadcasts arrive, and when again: pure."""

from ..core.dataclass import dataclass, field
from ..core.names import MinionId

#: A minion that has not seen a probe by then has given up, or does not mean to: no broadcasts for it alone.
PROBE_FOR_US = 30_000_000
#: Until the next one, twice as long each time: the first may come before its subscription, and a slow machine has many before it.
PROBE_PAUSE_US = 100_000
PROBE_PAUSE_LIMIT_US = 1_000_000


@dataclass(slots=True)
class _Probed:
    until_us: int
    due_us: int
    pause_us: int = PROBE_PAUSE_US


@dataclass(slots=True)
class Probes:
    """The minions whose session is new: of nine thousand that is hardly ever one."""

    _waiting: dict[MinionId, _Probed] = field(default_factory=dict)

    def began(self, minion: MinionId, now_us: int) -> None:
        """A session has begun: what was sent in an earlier one counts no more."""
        self._waiting[minion] = _Probed(now_us + PROBE_FOR_US, now_us)

    def ended(self, minion: MinionId) -> None:
        """It has seen one, or has no session any more."""
        self._waiting.pop(minion, None)

    def waiting(self) -> tuple[MinionId, ...]:
        """Who has not been heard to have seen one."""
        return tuple(self._waiting)

    def due(self, now_us: int) -> list[MinionId]:
        """Who is to be sent one now; whoever does not say that it has come is due again, ever less often."""
        due: list[MinionId] = []
        for minion, probed in list(self._waiting.items()):
            if now_us >= probed.until_us:
                del self._waiting[minion]
            elif now_us >= probed.due_us:
                due.append(minion)
                probed.due_us = now_us + probed.pause_us
                probed.pause_us = min(2 * probed.pause_us, PROBE_PAUSE_LIMIT_US)
        return due
