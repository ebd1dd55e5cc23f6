"""Returns that the master has not answered: which may be sent now, and which again."""

from collections import deque
from collections.abc import Iterable

from ..core.messages import WINDOW_BYTES
from ..core.names import Jid

RESEND_FIRST_US = 5_000_000
RESEND_LIMIT_US = 60_000_000
#: A return's frame without any output.
_LEAST_BYTES = 512


class Outbox:
    """The order in which returns leave, and how much of them is under way.

    At most ``WINDOW_BYTES`` are handed to the transport without an answer (DESIGN D8), one return at least. What is not answered in
    time is sent again, after 5 s, then ever later up to a minute.
    """

    def __init__(self) -> None:
        self._sizes: dict[Jid, int] = {}
        self._due: deque[Jid] = deque()
        self._due_us: dict[Jid, int] = {}
        self._pause_us: dict[Jid, int] = {}
        self._used_bytes = 0
        self._is_open = False

    def add(self, jid: Jid, frame_bytes: int) -> None:
        """Take a return of about this length."""
        self._sizes[jid] = max(frame_bytes, _LEAST_BYTES)
        self._due.append(jid)

    def remove(self, jid: Jid) -> None:
        """The return was answered."""
        self._land(jid)
        self._sizes.pop(jid, None)
        self._pause_us.pop(jid, None)

    def open(self, jids: Iterable[Jid]) -> None:
        """A session is open: all of these are due, nothing is under way."""
        self._is_open = True
        self._due_us.clear()
        self._pause_us.clear()
        self._used_bytes = 0
        self._due = deque(jids)

    def close(self) -> None:
        """The session is gone."""
        self._is_open = False

    def repeat(self, jid: Jid) -> None:
        """The master asked for this return once more."""
        if jid in self._sizes and jid not in self._due:
            self._land(jid)
            self._due.append(jid)

    def postpone(self, jid: Jid, now_us: int) -> None:
        """The master is pulling the output that belongs to this return: it has arrived."""
        if jid in self._due_us:
            self._due_us[jid] = now_us + self._pause_us[jid]

    def take(self, now_us: int) -> list[Jid]:
        """The returns to send now."""
        if not self._is_open:
            return []
        for jid in [jid for jid, due_us in self._due_us.items() if now_us >= due_us]:
            self._land(jid)
            self._due.append(jid)
        chosen: list[Jid] = []
        while self._due:
            size = self._sizes.get(self._due[0])
            if size is None:
                self._due.popleft()
                continue
            if self._used_bytes and self._used_bytes + size > WINDOW_BYTES:
                break
            jid = self._due.popleft()
            self._used_bytes += size
            pause_us = self._pause_us.get(jid, 0)
            self._pause_us[jid] = min(pause_us * 2, RESEND_LIMIT_US) or RESEND_FIRST_US
            self._due_us[jid] = now_us + self._pause_us[jid]
            chosen.append(jid)
        return chosen

    def deadline_us(self) -> int | None:
        """When the next return is to be sent again."""
        if not self._is_open:
            return None
        return min(self._due_us.values(), default=None)

    def _land(self, jid: Jid) -> None:
        if self._due_us.pop(jid, None) is not None:
            self._used_bytes -= self._sizes[jid]
