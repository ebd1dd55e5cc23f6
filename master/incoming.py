"""Returns whose output is still being pulled: what is missing, what to ask for next, and how much memory that may take."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ..core.crypto import digest
from ..core.errors import ProtocolError
from ..core.from_master import Need
from ..core.from_minion import OutputChunk, Return, StreamSummary
from ..core.messages import INLINE_LIMIT_BYTES, REASON_LIMIT_CHARACTERS, WINDOW_BYTES
from ..core.msgpack_lengths import has_more_items
from ..core.names import Jid, MinionId
from ..core.outcome import OutcomeKind, state_for
from .store import StoredReturn

STREAMS = ("value", "stdout", "stderr")
VALUES_FROM = ("", "text", "stdout", "stderr")
#: How much output may lie in memory between its first chunk and its commit; further returns wait for their turn.
INCOMING_LIMIT_BYTES = 64 * 1024 * 1024
#: A stream may be this long at the most, whatever a minion claims.
STREAM_LIMIT_BYTES = 32 * 1024 * 1024
#: Returns that wait hold their inline streams; what does not fit is dropped, and the minion sends it again.
WAITING_LIMIT_BYTES = 32 * 1024 * 1024
_RETURN_BYTES = 2 * 1024
#: A pull that others wait for must have brought this much a second, after its first seconds; else it waits again, behind them. A
#: stolen key could otherwise keep everybody's output away by claiming much and sending little (DESIGN D8).
YIELD_AFTER_US = 2_000_000
YIELD_BYTES_PER_SECOND = 256 * 1024
#: 9999-12-31: what a minion's clock says beyond is nobody's date, and no program could show it.
MOMENT_LIMIT_US = 253_402_300_799_999_999
TEXT_LIMIT_CHARACTERS = 32_000
#: How many parts the value of a function may have.
VALUE_LIMIT_ITEMS = 200_000
ACCOUNT_LIMIT_CHARACTERS = 256

Key = tuple[Jid, MinionId]


@dataclass(slots=True)
class _Pull:
    answer: Return
    received: dict[str, bytearray]
    wanted_bytes: int
    begun_us: int
    asked_until: int = 0

    @property
    def received_bytes(self) -> int:
        return sum(map(len, self.received.values()))

    def is_slow(self, now_us: int, patience_us: int) -> bool:
        elapsed_us = now_us - self.begun_us - patience_us
        return elapsed_us > 0 and self.received_bytes < elapsed_us * YIELD_BYTES_PER_SECOND // 1_000_000


def summary_of(answer: Return, stream: str) -> StreamSummary:
    """The summary of one stream of a return."""
    return {"value": answer.value, "stdout": answer.stdout, "stderr": answer.stderr}[stream]


def tamed(answer: Return) -> Return:
    """A return as it may be believed: texts cut to their limits, moments that a calendar has.

    Raises:
        ProtocolError: it claims more than a minion may.
    """
    if answer.value_from not in VALUES_FROM or answer.kind is OutcomeKind.ABANDONED:
        raise ProtocolError("a return that no minion makes")
    for stream in STREAMS:
        summary = summary_of(answer, stream)
        if not 0 <= summary.length_bytes <= min(STREAM_LIMIT_BYTES, max(summary.total_bytes, 0)):
            raise ProtocolError(f"a {stream} of {summary.length_bytes} bytes")
        if summary.inline is not None and len(summary.inline) > INLINE_LIMIT_BYTES:
            raise ProtocolError(f"an inline {stream} of {len(summary.inline)} bytes")
        if summary.inline is not None:
            _check(stream, summary, summary.inline)
    return replace(
        answer,
        message=answer.message[:REASON_LIMIT_CHARACTERS],
        traceback=answer.traceback[-TEXT_LIMIT_CHARACTERS:],
        account=answer.account[:ACCOUNT_LIMIT_CHARACTERS],
        started_us=None if answer.started_us is None else _moment(answer.started_us),
        finished_us=_moment(answer.finished_us),
        duration_us=max(0, answer.duration_us),
    )


class IncomingReturns:
    """Assembles returns from their inline streams and pulled chunks.

    The master asks, so it decides how much is under way: one window for each pull, and pulls only while their bytes fit into
    ``INCOMING_LIMIT_BYTES``. What waits is taken minion by minion in turn, so that one with a thousand returns delays nobody.

    Attributes:
        put_off: how many were not even kept waiting, for want of room; their minions repeat them.
    """

    def __init__(self, limit_bytes: int = INCOMING_LIMIT_BYTES, waiting_limit_bytes: int = WAITING_LIMIT_BYTES) -> None:
        self.put_off = 0
        self._limit_bytes = limit_bytes
        self._waiting_limit_bytes = waiting_limit_bytes
        self._pulls: dict[Key, _Pull] = {}
        self._pulled_of: dict[MinionId, set[Jid]] = {}
        self._queue: dict[MinionId, dict[Jid, Return]] = {}
        self._slow: set[MinionId] = set()
        self._used_bytes = 0
        self._waiting_bytes = 0
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many returns wait for memory."""
        return self._waiting

    @property
    def used_bytes(self) -> int:
        """How much memory is promised to pulls."""
        return self._used_bytes

    def figures(self) -> Mapping[str, tuple[int, int]]:
        """How much memory is promised to pulls, and how much waiting returns hold; each with its limit."""
        return {
            "returns_pulled_bytes": (self._used_bytes, self._limit_bytes),
            "returns_waiting_bytes": (self._waiting_bytes, self._waiting_limit_bytes),
        }

    def begin(self, minion: MinionId, answer: Return, now_us: int) -> StoredReturn | Need | None:
        """Take a return: complete at once, or what to ask for, or None when it waits for its turn.

        One that is being pulled goes on where it was: the minion repeats its return when nothing was asked of it for a while.

        Raises:
            ProtocolError: it claims more than it may, or an inline stream is not what its digest says.
        """
        answer = tamed(answer)
        key = (answer.jid, minion)
        pull = self._pulls.get(key)
        if pull is not None and _is_same_output(pull.answer, answer):
            pull.answer = answer
            return self._next(key)
        self.drop(key)
        wanted = sum(summary.length_bytes for summary in _summaries(answer) if summary.inline is None)
        if wanted and self._pulls and self._used_bytes + wanted > self._limit_bytes:
            self._wait(minion, answer)
            return None
        self._pulls[key] = _Pull(answer, {stream: bytearray() for stream in STREAMS}, wanted, now_us)
        self._pulled_of.setdefault(minion, set()).add(answer.jid)
        self._used_bytes += wanted
        return self._next(key)

    def chunk(self, minion: MinionId, chunk: OutputChunk) -> StoredReturn | Need | None:
        """Take a chunk: the return is complete, or what to ask for next, or None while more of this window comes.

        A copy of what is here is ignored, and so is what comes after a gap: the minion repeats its return, and is asked again.

        Raises:
            ProtocolError: nobody asked for it.
        """
        key = (chunk.jid, minion)
        pull = self._pulls.get(key)
        if pull is None or chunk.stream not in STREAMS:
            raise ProtocolError("output that nobody asked for")
        received = pull.received[chunk.stream]
        summary = summary_of(pull.answer, chunk.stream)
        end = chunk.offset + len(chunk.data)
        if summary.inline is not None or chunk.offset < 0 or not chunk.data or end > summary.length_bytes:
            raise ProtocolError("output that nobody asked for")
        if chunk.offset != len(received):
            return None
        received += chunk.data
        if len(received) < min(pull.asked_until, summary.length_bytes):
            return None
        return self._next(key)

    def next_waiting(self, now_us: int) -> tuple[MinionId, Return] | None:
        """A return that may begin now; give it to ``begin``."""
        if not self._queue:
            return None
        if self._pulls and self._used_bytes >= self._limit_bytes // 2:
            self._yield_slow(now_us)
        if self._pulls and self._used_bytes >= self._limit_bytes // 2:
            return None
        minion, jid = next(self._waiting_keys())
        answer = self._unwait(minion, jid)
        if minion in self._queue:
            self._queue[minion] = self._queue.pop(minion)  # To the end: now it is the others' turn.
        return minion, answer

    def drop(self, key: Key) -> None:
        """Forget what came of one return: it was sent again, or is not wanted."""
        jid, minion = key
        pull = self._pulls.pop(key, None)
        if pull is not None:
            self._used_bytes -= pull.wanted_bytes
            self._pulled_of[minion].discard(jid)
            if not self._pulled_of[minion]:
                del self._pulled_of[minion]
        if jid in self._queue.get(minion, ()):
            self._unwait(minion, jid)

    def drop_minion(self, minion: MinionId) -> None:
        """The session of this minion is gone; after the next one it sends its returns again."""
        for jid in {*self._pulled_of.get(minion, ()), *self._queue.get(minion, ())}:
            self.drop((jid, minion))

    def _wait(self, minion: MinionId, answer: Return) -> None:
        size = _held_bytes(answer)
        if self._waiting_bytes + size > self._waiting_limit_bytes:
            self.put_off += 1
            return
        self._queue.setdefault(minion, {})[answer.jid] = answer
        self._waiting_bytes += size
        self._waiting += 1

    def _unwait(self, minion: MinionId, jid: Jid) -> Return:
        mine = self._queue[minion]
        answer = mine.pop(jid)
        if not mine:
            del self._queue[minion]
        self._waiting_bytes -= _held_bytes(answer)
        self._waiting -= 1
        return answer

    def _waiting_keys(self) -> Iterator[tuple[MinionId, Jid]]:
        """In turn; whoever was slow comes after all others."""
        for minion in sorted(self._queue, key=self._slow.__contains__):
            for jid in self._queue[minion]:
                yield minion, jid

    def _yield_slow(self, now_us: int) -> None:
        """Have pulls that hold much memory and bring little wait again, behind all others.

        A minion has those first seconds once, not for each of its returns; it is trusted again when it has delivered one.
        """
        others_wait = any(minion not in self._slow for minion in self._queue)
        slow = []
        for key, pull in self._pulls.items():
            is_known = key[1] in self._slow
            if pull.is_slow(now_us, 0 if is_known else YIELD_AFTER_US) and (others_wait or not is_known):
                slow.append((key, pull))
        for (jid, minion), pull in slow:
            self._slow.add(minion)
            self.drop((jid, minion))
            self._wait(minion, pull.answer)

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
            whole[stream] = bytes(pull.received.pop(stream)) if inline is None else inline
        self.drop(key)
        for stream, data in whole.items():
            _check(stream, summary_of(answer, stream), data)
        answer, whole["value"] = _with_a_value_to_show(answer, whole["value"])
        if pull.wanted_bytes:
            self._slow.discard(key[1])
        return StoredReturn(key[1], answer, state_for(answer.kind), whole["stdout"], whole["stderr"], whole["value"])


def check_output(answer: Return, limit_bytes: int) -> None:
    """See that no stream of a return is longer than its job allowed: three of them must fit into one answer to a command.

    Raises:
        ProtocolError: one is.
    """
    for stream in STREAMS:
        length_bytes = summary_of(answer, stream).length_bytes
        if length_bytes > limit_bytes:
            raise ProtocolError(f"a {stream} of {length_bytes} bytes of a job that allowed {limit_bytes}")


def _with_a_value_to_show(answer: Return, value: bytes) -> tuple[Return, bytes]:
    """Leave out a value of millions of parts, and say so: 30 MiB of empty lists cost whoever looked at them a minute and 5 GiB."""
    try:
        has_too_many = answer.has_value and has_more_items(value, VALUE_LIMIT_ITEMS)
    except ProtocolError:
        has_too_many = False  # Whoever reads it is told that it cannot be read.
    if has_too_many:
        why = f"its value has more than {VALUE_LIMIT_ITEMS:,} parts and is not kept"
        message = f"{why}; {answer.message}" if answer.message else why
        return replace(answer, has_value=False, message=message[:REASON_LIMIT_CHARACTERS]), b""
    return answer, value


def _check(stream: str, summary: StreamSummary, data: bytes) -> None:
    if len(data) != summary.length_bytes or digest(data) != summary.digest:
        raise ProtocolError(f"the {stream} is not what its digest says")


def _summaries(answer: Return) -> tuple[StreamSummary, StreamSummary, StreamSummary]:
    return answer.value, answer.stdout, answer.stderr


def _is_same_output(one: Return, other: Return) -> bool:
    """The same streams; times may differ, for they are by the master's clock as the minion knows it at each sending."""
    return _summaries(one) == _summaries(other)


def _held_bytes(answer: Return) -> int:
    inline = sum(len(summary.inline) for summary in _summaries(answer) if summary.inline is not None)
    return _RETURN_BYTES + inline + 4 * (len(answer.message) + len(answer.traceback))


def _moment(microseconds: int) -> int:
    return min(max(0, microseconds), MOMENT_LIMIT_US)
