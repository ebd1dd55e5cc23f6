"""Events that are followed for as long as somebody looks: over restarts of the master, from where they were left."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..core.control_answers import EventNote
from ..core.control_requests import FollowEvents
from ..core.errors import UnreachableError
from .connection import Connection

#: How long to wait before the master is looked for again: at first, and at the most.
RETRY_FIRST_SECONDS = 0.1
RETRY_LIMIT_SECONDS = 2.0


class EventStream:
    """Yields events; when the master goes away it waits for it, and goes on after the last event that it has yielded.

    What happened meanwhile and cannot be had is told by the ``missed`` of the next event: -1 when the master was restarted, since
    nobody can tell how many there were.

    Args:
        socket: the master's control socket.
        pattern: glob over tags.
        after: go on after the event with this number.
        on_lost: told why the master cannot be reached any more; without, that error is raised.
        on_back: told when it can be reached again.
    """

    def __init__(
        self,
        socket: Path,
        pattern: str,
        after: int,
        on_lost: Callable[[UnreachableError], None] | None = None,
        on_back: Callable[[], None] | None = None,
    ) -> None:
        self.after = after
        self._socket = socket
        self._pattern = pattern
        self._on_lost = on_lost
        self._on_back = on_back

    def __iter__(self) -> Iterator[EventNote]:
        """Yield events without end.

        Raises:
            UnreachableError: the master is not there to begin with, or, without ``on_lost``, any more.
        """
        connection = Connection(self._socket)
        while True:
            try:
                with connection:
                    yield from self._follow(connection)
            except UnreachableError as problem:
                if self._on_lost is None:
                    raise
                self._on_lost(problem)
            connection = self._connect_again()
            if self._on_back is not None:
                self._on_back()

    def _follow(self, connection: Connection) -> Iterator[EventNote]:
        for answer in connection.stream(FollowEvents(self._pattern, self.after), timeout_seconds=None):
            if isinstance(answer, EventNote):
                self.after = answer.number
                yield answer

    def _connect_again(self) -> Connection:
        pause_seconds = RETRY_FIRST_SECONDS
        while True:
            time.sleep(pause_seconds)
            try:
                return Connection(self._socket)
            except UnreachableError:
                pause_seconds = min(pause_seconds * 2, RETRY_LIMIT_SECONDS)
