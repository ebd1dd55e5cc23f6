"""Pings that wait for their answer: when each was sent, by whom it was asked for, and when it is given up. Pure."""

from collections.abc import Callable

from ..core.dataclass import dataclass
from ..core.errors import FleetError
from ..core.from_master import Ping
from ..core.names import MinionId

#: Under way at once. A control connection has one, so this is far beyond what there can be.
PINGS_LIMIT = 2_000


@dataclass(frozen=True, slots=True)
class PendingPing:
    """One ping that was sent.

    Attributes:
        connection: the control connection that waits for it.
    """

    connection: int
    minion: MinionId
    number: int
    sent_us: int
    deadline_us: int


class Pings:
    """Every ping under way. A number is used once; only the minion that was sent it can answer it.

    Attributes:
        refused: how many were asked for while too many were under way.
    """

    def __init__(self, limit: int = PINGS_LIMIT) -> None:
        self.refused = 0
        self._limit = limit
        self._pending: dict[int, PendingPing] = {}
        self._last = 0

    def figures(self) -> tuple[int, int]:
        """How many there are, and may be."""
        return len(self._pending), self._limit

    def begin(self, connection: int, minion: MinionId, now_us: int, timeout_us: int) -> Ping:
        """Begin one; what is to be sent.

        Raises:
            FleetError: too many are under way.
        """
        if len(self._pending) >= self._limit:
            self.refused += 1
            raise FleetError(f"{self._limit} pings are under way already", "wait a moment")
        self._last += 1
        self._pending[self._last] = PendingPing(connection, minion, self._last, now_us, now_us + timeout_us)
        return Ping(self._last)

    def answered(self, minion: MinionId, number: int) -> PendingPing | None:
        """A minion has answered; None when nobody waits for that (any more)."""
        ping = self._pending.get(number)
        return self._pending.pop(number) if ping is not None and ping.minion == minion else None

    def left(self, minion: MinionId) -> list[PendingPing]:
        """The session of a minion is gone: what was sent over it gets no answer."""
        return self._end(lambda ping: ping.minion == minion)

    def closed(self, connection: int) -> None:
        """Nobody waits at this connection any more."""
        self._end(lambda ping: ping.connection == connection)

    def overdue(self, now_us: int) -> list[PendingPing]:
        """Those that need not be waited for any longer."""
        return self._end(lambda ping: now_us >= ping.deadline_us)

    def _end(self, is_meant: Callable[[PendingPing], bool]) -> list[PendingPing]:
        ended = [ping for ping in self._pending.values() if is_meant(ping)]
        for ping in ended:
            del self._pending[ping.number]
        return ended
