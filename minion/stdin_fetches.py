"""Which part of which stdin a minion asks its master for, and when again: pure.

One window is under way at a time, whatever waits (DESIGN D8): the next one is asked for when it is here. What does not come is asked for
again, after 5 s, then ever later up to a minute, and meanwhile the other jobs have their turn.
"""

from collections.abc import Iterable

from ..core.dataclass import dataclass
from ..core.from_master import StdinChunk
from ..core.from_minion import NeedStdin
from ..core.messages import WINDOW_BYTES
from ..core.names import Jid

ASK_AGAIN_FIRST_US = 5_000_000
ASK_AGAIN_LIMIT_US = 60_000_000


@dataclass(slots=True)
class _Fetch:
    """One stdin.

    Attributes:
        have_bytes: how much of it is here, from its beginning on.
        due_us: not to be asked for before.
        pause_us: how long to wait for an answer.
    """

    length_bytes: int
    have_bytes: int
    due_us: int = 0
    pause_us: int = ASK_AGAIN_FIRST_US


@dataclass(slots=True)
class _Window:
    jid: Jid
    until_bytes: int
    due_us: int


class StdinFetches:
    """Every stdin that is not here whole, in the order in which their jobs came."""

    def __init__(self) -> None:
        self._fetches: dict[Jid, _Fetch] = {}
        self._window: _Window | None = None
        self._is_open = False

    def __contains__(self, jid: Jid) -> bool:
        return jid in self._fetches

    def open(self) -> None:
        """A session is open: everything is due, nothing is under way."""
        self._is_open = True
        self._window = None
        for fetch in self._fetches.values():
            fetch.due_us, fetch.pause_us = 0, ASK_AGAIN_FIRST_US

    def close(self) -> None:
        """The session is gone."""
        self._is_open = False
        self._window = None

    def begin(self, jid: Jid, length_bytes: int, have_bytes: int) -> None:
        """Fetch a stdin, of which so much is here."""
        self._fetches[jid] = _Fetch(length_bytes, have_bytes)

    def keep_only(self, jids: Iterable[Jid]) -> list[Jid]:
        """Leave out all but these: the others are not wanted any more. Return which those were."""
        gone = list(self._fetches.keys() - set(jids))
        for jid in gone:
            self.end(jid)
        return gone

    def end(self, jid: Jid) -> None:
        """A stdin is here whole, or not wanted any more."""
        self._fetches.pop(jid, None)
        if self._window is not None and self._window.jid == jid:
            self._window = None

    def fits(self, chunk: StdinChunk) -> bool:
        """Tell whether a chunk is what comes next: a copy, what follows a gap, and what nobody asked for are left out."""
        fetch = self._fetches.get(chunk.jid)
        is_asked = self._window is not None and self._window.jid == chunk.jid
        if fetch is None or not is_asked or chunk.offset != fetch.have_bytes:
            return False
        return fetch.have_bytes + len(chunk.data) <= fetch.length_bytes

    def arrived(self, jid: Jid, data_bytes: int, now_us: int) -> bool:
        """So many bytes more are on the disk; tell whether that is all."""
        fetch = self._fetches[jid]
        fetch.have_bytes += data_bytes
        fetch.due_us, fetch.pause_us = now_us, ASK_AGAIN_FIRST_US
        if self._window is not None and fetch.have_bytes < min(self._window.until_bytes, fetch.length_bytes):
            self._window.due_us = now_us + fetch.pause_us
        else:
            self._window = None
        return fetch.have_bytes == fetch.length_bytes

    def failed(self, jid: Jid, have_bytes: int, now_us: int) -> None:
        """What came could not be kept, or is wrong: ask again later, from there on."""
        fetch = self._fetches[jid]
        fetch.have_bytes = have_bytes
        self._window = None
        self._postpone(jid, fetch)
        fetch.due_us = now_us + fetch.pause_us

    def take_due(self, now_us: int) -> NeedStdin | None:
        """What to ask for now."""
        if not self._is_open:
            return None
        if self._window is not None and now_us >= self._window.due_us:
            jid, self._window = self._window.jid, None
            self._postpone(jid, self._fetches[jid])
        if self._window is not None:
            return None
        for jid, fetch in self._fetches.items():
            if now_us >= fetch.due_us:
                self._window = _Window(jid, fetch.have_bytes + WINDOW_BYTES, now_us + fetch.pause_us)
                return NeedStdin(jid, fetch.have_bytes)
        return None

    def deadline_us(self) -> int | None:
        """When ``take_due`` has something to do."""
        if not self._is_open or not self._fetches:
            return None
        if self._window is not None:
            return self._window.due_us
        return min(fetch.due_us for fetch in self._fetches.values())

    def _postpone(self, jid: Jid, fetch: _Fetch) -> None:
        """It comes after all others, and waits longer for its next answer."""
        fetch.pause_us = min(fetch.pause_us * 2, ASK_AGAIN_LIMIT_US)
        self._fetches[jid] = self._fetches.pop(jid)
