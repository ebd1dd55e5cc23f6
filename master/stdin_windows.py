"""Which minion is sent the next part of a stdin, and when: in turn, one window each, so much in all. Pure.

A minion asks, and asks again where the part before ended: that is the answer to it. So one window of ``WINDOW_BYTES`` is under way for
each minion (DESIGN D8); who asks for anything else first waits ``REPEAT_US``, and who does not answer keeps nobody else from his.
"""

from collections.abc import Mapping

from ..core.dataclass import dataclass
from ..core.messages import WINDOW_BYTES
from ..core.names import Jid, MinionId

#: What may be handed to the transport for all minions together, unanswered.
SENDING_LIMIT_BYTES = 64 * 1024 * 1024
#: How many parts are read from the job cache at a time: whoever asks it something else waits behind these.
READS_LIMIT = 8
#: How soon a minion may ask for what it was sent, or for another job before it has answered; an honest one waits longer.
REPEAT_US = 2_000_000
#: After this long without an answer others have their turn.
PATIENCE_US = 5_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the stdin of a job, asked for by a minion."""

    minion: MinionId
    jid: Jid
    offset: int


@dataclass(slots=True)
class _UnderWay:
    window: Window
    since_us: int
    is_read: bool = False


class StdinWindows:
    """What was asked for and waits, and what is under way.

    Args:
        limit_bytes: how much may be under way in all.
    """

    def __init__(self, limit_bytes: int = SENDING_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._waiting: dict[MinionId, Window] = {}
        self._under_way: dict[MinionId, _UnderWay] = {}
        self._reads = 0

    def asked(self, window: Window) -> None:
        """A minion asks: it has what was under way for it, if that is what comes before. Only its last wish counts."""
        before = self._under_way.get(window.minion)
        if before is not None and before.is_read and _follows(window, before.window):
            del self._under_way[window.minion]
        if before is None or before.window != window or before.is_read:
            self._waiting[window.minion] = window

    def has_all(self, minion: MinionId, jid: Jid) -> None:
        """A minion has the whole stdin of a job: nothing of it is under way any more."""
        before = self._under_way.get(minion)
        if before is not None and before.is_read and before.window.jid == jid:
            del self._under_way[minion]

    def left(self, minion: MinionId) -> None:
        """The session of a minion is gone: it asks again in the next one. What is just being read for it comes for nothing."""
        self._waiting.pop(minion, None)
        before = self._under_way.get(minion)
        if before is not None and before.is_read:
            del self._under_way[minion]

    def next(self, now_us: int) -> Window | None:
        """What is to be read and sent now; tell ``was_read`` when that is done."""
        if self._reads >= READS_LIMIT or (len(self._under_way) + 1) * WINDOW_BYTES > self._limit_bytes:
            return None
        for minion, window in self._waiting.items():
            before = self._under_way.get(minion)
            if before is None or (before.is_read and now_us - before.since_us >= REPEAT_US):
                del self._waiting[minion]
                self._under_way[minion] = _UnderWay(window, now_us)
                self._reads += 1
                return window
        return None

    def was_read(self, window: Window, now_us: int) -> bool:
        """A part has been read, or could not be: tell whether it is still wanted. It is under way from now on, until it is answered."""
        self._reads -= 1
        if window.minion in self._waiting:
            del self._under_way[window.minion]
            return False
        self._under_way[window.minion] = _UnderWay(window, now_us, is_read=True)
        return True

    def ticked(self, now_us: int) -> None:
        """Give up waiting for those who do not answer."""
        late = [
            minion for minion, each in self._under_way.items() if each.is_read and now_us - each.since_us >= PATIENCE_US
        ]
        for minion in late:
            del self._under_way[minion]

    def figures(self) -> Mapping[str, tuple[int, int]]:
        """How much is under way, with its limit, in bytes."""
        return {"stdin_sent_bytes": (len(self._under_way) * WINDOW_BYTES, self._limit_bytes)}


def _follows(window: Window, before: Window) -> bool:
    return window.jid == before.jid and window.offset == before.offset + WINDOW_BYTES
