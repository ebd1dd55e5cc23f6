"""Gives minions the stdin of their jobs, as they ask for it: read by the job cache's own thread, sent over their own connections."""

import logging

from ..core.errors import ProtocolError, StoreFullError
from ..core.from_master import StdinChunk
from ..core.from_minion import NeedStdin
from ..core.messages import CHUNK_LIMIT_BYTES, WINDOW_BYTES
from ..core.names import MinionId
from .conductor import Conductor
from .sessions import Session
from .stdin_windows import StdinWindows, Window
from .store import JobStore

log = logging.getLogger(__name__)


class StdinService:
    """Answers ``NeedStdin``.

    Attributes:
        windows: what is under way.
    """

    def __init__(self, conductor: Conductor) -> None:
        self.windows = StdinWindows()
        self._conductor = conductor

    def asked(self, session: Session, message: NeedStdin, now_us: int) -> None:
        """A minion asks for a part of a stdin.

        Raises:
            ProtocolError: that job was never given to it, or its stdin is not so long (DESIGN T9).
        """
        length_bytes = self._conductor.jobs.stdin_of(message.jid, session.minion)
        if length_bytes is None or message.offset < 0 or 0 < length_bytes < message.offset:
            raise ProtocolError("a question for a stdin that is not this minion's")
        if not length_bytes:
            self._conductor.send_to_session(session, StdinChunk(message.jid, message.offset, b""))
        elif message.offset == length_bytes:
            self.windows.has_all(session.minion, message.jid)
        else:
            self.windows.asked(Window(session.minion, message.jid, message.offset))
        self._read_on(now_us)

    def left(self, minion: MinionId) -> None:
        """The session of a minion is gone."""
        self.windows.left(minion)
        self._read_on(self._conductor.clock.now_us())

    def ticked(self, now_us: int) -> None:
        """Let others have their turn where nobody answers."""
        self.windows.ticked(now_us)
        self._read_on(now_us)

    def _read_on(self, now_us: int) -> None:
        while (window := self.windows.next(now_us)) is not None:
            self._read(window)

    def _read(self, window: Window) -> None:
        def read(store: JobStore) -> bytes:
            return store.stdin(window.jid, window.offset, WINDOW_BYTES)

        def done(data: bytes | Exception) -> None:
            now_us = self._conductor.clock.now_us()
            if self.windows.was_read(window, now_us):
                self._send(window, data)
            self._read_on(now_us)

        self._conductor.store.read(read, done)

    def _send(self, window: Window, data: bytes | Exception) -> None:
        """Send a window, in chunks; what does not leave, or cannot be read for now, is asked for again."""
        if isinstance(data, Exception):
            if not isinstance(data, StoreFullError):
                log.error("the job cache could not read a stdin: %s", data)
            return
        for start in range(0, max(len(data), 1), CHUNK_LIMIT_BYTES):
            chunk = StdinChunk(window.jid, window.offset + start, data[start : start + CHUNK_LIMIT_BYTES])
            if not self._conductor.send(window.minion, chunk):
                return
