"""Returns whose output is still being pulled: what is missing, what to ask for next, and how much memory that may take."""

from collections import deque
from dataclasses import dataclass

from ..core.crypto import digest
from ..core.errors import ProtocolError
from ..core.messages import WINDOW_BYTES, Need, OutputChunk, Return, StreamSummary
from ..core.names import Jid, MinionId
from ..core.outcome import state_for
from .store import StoredReturn

STREAMS = ("value", "stdout", "stderr")
#: How much output may lie in memory between its first chunk and its commit; further returns wait for their turn.
INCOMING_LIMIT_BYTES = 64 * 1024 * 1024
#: A stream may be this long at the most, whatever a minion claims.
STREAM_LIMIT_BYTES = 32 * 1024 * 1024

Key = tuple[Jid, MinionId]


@dataclass(slots=True)
class _Pull:
    answer: Return
    received: dict[str, bytearray]
    wanted_bytes: int
    asked_until: int = 0


def summary_of(answer: Return, stream: str) -> StreamSummary:
    """The summary of one stream of a return."""
    return {"value": answer.value, "stdout": answer.stdout, "stderr": answer.stderr}[stream]


class IncomingReturns:
    """Assembles returns from their inline streams and pulled chunks.

    The master asks, so it decides how much is under way: one window for each pull, and pulls only while their bytes fit into
    ``INCOMING_LIMIT_BYTES``. Nothing is asked of a minion twice unless its connection was lost.
    """

    def __init__(self, limit_bytes: int = INCOMING_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._pulls: dict[Key, _Pull] = {}
        self._queue: deque[tuple[MinionId, Return]] = deque()
        self._queued: set[Key] = set()
        self._used_bytes = 0

    @property
    def waiting(self) -> int:
        """How many returns wait for memory."""
        return len(self._queue)

    def begin(self, minion: MinionId, answer: Return) -> StoredReturn | Need | None:
        """Take a return: complete at once, or what to ask for, or None when it waits for its turn.

        Raises:
            ProtocolError: it claims more than it may, or an inline stream is not what its digest says.
        """
        key = (answer.jid, minion)
        self.drop(key)
        wanted = 0
        for stream in STREAMS:
            summary = summary_of(answer, stream)
            if not 0 <= summary.length_bytes <= min(STREAM_LIMIT_BYTES, max(summary.total_bytes, 0)):
                raise ProtocolError(f"a {stream} of {summary.length_bytes} bytes")
            if summary.inline is None:
                wanted += summary.length_bytes
        if wanted and self._pulls and self._used_bytes + wanted > self._limit_bytes:
            self._queue.append((minion, answer))
            self._queued.add(key)
            return None
        self._pulls[key] = _Pull(answer, {stream: bytearray() for stream in STREAMS}, wanted)
        self._used_bytes += wanted
        return self._next(key)

    def chunk(self, minion: MinionId, chunk: OutputChunk) -> StoredReturn | Need | None:
        """Take a chunk: the return is complete, or what to ask for next, or None while more of this window comes.

        Raises:
            ProtocolError: nobody asked for it.
        """
        key = (chunk.jid, minion)
        pull = self._pulls.get(key)
        if pull is None or chunk.stream not in STREAMS:
            raise ProtocolError("output that nobody asked for")
        received = pull.received[chunk.stream]
        summary = summary_of(pull.answer, chunk.stream)
        is_next = chunk.offset == len(received) and summary.inline is None
        if not is_next or not chunk.data or len(received) + len(chunk.data) > summary.length_bytes:
            raise ProtocolError("output that nobody asked for")
        received += chunk.data
        if len(received) < min(pull.asked_until, summary.length_bytes):
            return None
        return self._next(key)

    def next_waiting(self) -> tuple[MinionId, Return] | None:
        """A return that may begin now; give it to ``begin``."""
        if not self._queue or (self._pulls and self._used_bytes >= self._limit_bytes // 2):
            return None
        minion, answer = self._queue.popleft()
        self._queued.discard((answer.jid, minion))
        return minion, answer

    def is_pulling(self, key: Key) -> bool:
        """Tell whether this return is being pulled or waits for its turn."""
        return key in self._pulls or key in self._queued

    def drop(self, key: Key) -> None:
        """Forget what came of one return: it was sent again, or is not wanted."""
        pull = self._pulls.pop(key, None)
        if pull is not None:
            self._used_bytes -= pull.wanted_bytes
        if key in self._queued:
            self._queued.discard(key)
            self._queue = deque(item for item in self._queue if (item[1].jid, item[0]) != key)

    def drop_minion(self, minion: MinionId) -> None:
        """The session of this minion is gone; after the next one it sends its returns again."""
        for key in [key for key in self._pulls.keys() | self._queued if key[1] == minion]:
            self.drop(key)

    def _next(self, key: Key) -> StoredReturn | Need:
        pull = self._pulls[key]
        for stream in STREAMS:
            summary = summary_of(pull.answer, stream)
            have = len(pull.received[stream])
            if summary.inline is None and have < summary.length_bytes:
                pull.asked_until = have + WINDOW_BYTES
                return Need(key[0], stream, have)
        answer = pull.answer
        whole: dict[str, bytes] = {}
        for stream in STREAMS:
            inline = summary_of(answer, stream).inline
            whole[stream] = bytes(pull.received[stream]) if inline is None else inline
        self.drop(key)
        for stream, data in whole.items():
            summary = summary_of(answer, stream)
            if len(data) != summary.length_bytes or digest(data) != summary.digest:
                raise ProtocolError(f"the {stream} is not what its digest says")
        return StoredReturn(key[1], answer, state_for(answer.kind), whole["stdout"], whole["stderr"], whole["value"])
