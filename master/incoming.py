"""Returns whose output is still being pulled: whose turn it is, what to ask for next, and how much memory that may take."""

from collections.abc import Iterator, Mapping

from ..core.errors import ProtocolError
from ..core.from_minion import OutputChunk, Return
from ..core.names import Jid, MinionId
from .pulls import Key, Pull, PullStep, complete_return
from .store import KeepPart, StoredReturn
from .tamed_return import STREAMS, summary_of, tamed

#: How much output may lie in memory between its first chunk and its commit; further returns wait for their turn.
INCOMING_LIMIT_BYTES = 64 * 1024 * 1024
#: Returns that wait hold their inline streams; what does not fit is dropped, and the minion sends it again.
WAITING_LIMIT_BYTES = 32 * 1024 * 1024
_RETURN_BYTES = 2 * 1024
#: A pull that others wait for must have brought this much a second, after its first seconds; else it waits again, behind them. A
#: stolen key could otherwise keep everybody's output away by claiming much and sending little (DESIGN D8).
YIELD_AFTER_US = 2_000_000
YIELD_BYTES_PER_SECOND = 256 * 1024
#: Pulls that were cut off and lie in the job cache in part; what was begun before is begun anew. Each takes a few kilobytes.
PAUSED_LIMIT = 1_000


class IncomingReturns:
    """Assembles returns from their inline streams and pulled chunks.

    The master asks, so it decides how much is under way: one window for each pull, and pulls only while what they may hold fits into
    ``INCOMING_LIMIT_BYTES``. What waits is taken minion by minion in turn, so that one with a thousand returns delays nobody.

    Attributes:
        put_off: how many were not even kept waiting, for want of room; their minions repeat them.
    """

    def __init__(
        self,
        limit_bytes: int = INCOMING_LIMIT_BYTES,
        waiting_limit_bytes: int = WAITING_LIMIT_BYTES,
        paused_limit: int = PAUSED_LIMIT,
    ) -> None:
        self.put_off = 0
        self._limit_bytes = limit_bytes
        self._waiting_limit_bytes = waiting_limit_bytes
        self._paused_limit = paused_limit
        self._pulls: dict[Key, Pull] = {}
        self._paused: dict[Key, Pull] = {}
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

    def begin(self, minion: MinionId, answer: Return, now_us: int) -> PullStep | None:
        """Take a return: complete at once, or what comes next, or None when it waits: for its turn, or for the job cache.

        One that is being pulled goes on where it was: the minion repeats its return when nothing was asked of it for a while. So does
        one that was cut off, from what had become durable in the job cache.

        Raises:
            ProtocolError: it claims more than it may, or an inline stream is not what its digest says.
        """
        answer = tamed(answer)
        key = (answer.jid, minion)
        complete = complete_return(minion, answer)
        if complete is not None:
            # Nearly every return is one of these, and ten thousand of them may come in a second.
            if self._pulls or self._paused or self._queue:
                self.drop(key)
            return complete
        pull = self._pulls.get(key)
        if pull is not None and pull.is_of(answer):
            pull.answer = answer
            return self._next(key, pull)
        paused = self._paused.get(key)
        self.drop(key)
        pull = paused if paused is not None and paused.is_of(answer) else Pull(minion, answer, now_us)
        if pull is paused:
            self._paused[key] = pull
        if pull.wanted_bytes and self._pulls and self._used_bytes + pull.wanted_bytes > self._limit_bytes:
            self._wait(minion, answer)
            return None
        self._paused.pop(key, None)
        pull.go_on(answer, now_us)
        self._pulls[key] = pull
        self._pulled_of.setdefault(minion, set()).add(answer.jid)
        self._used_bytes += pull.wanted_bytes
        return self._next(key, pull)

    def chunk(self, minion: MinionId, chunk: OutputChunk) -> PullStep | None:
        """Take a chunk: the return is complete, or what comes next, or None while more of this window comes.

        A copy of what is here is ignored, and so is what comes after a gap: the minion repeats its return, and is asked again.

        Raises:
            ProtocolError: nobody asked for it.
        """
        key = (chunk.jid, minion)
        pull = self._pulls.get(key)
        if pull is None:
            raise ProtocolError("output that nobody asked for")
        return self._next(key, pull) if pull.take(chunk) else None

    def part_kept(self, part: KeepPart) -> PullStep | None:
        """A part of an output is durable: what comes next; None when nobody waits for it any more."""
        key = (part.jid, part.minion)
        pull = self._pulls.get(key) or self._paused.get(key)
        if pull is None or not pull.part_kept(part) or key in self._paused:
            return None
        return self._next(key, pull)

    def part_failed(self, part: KeepPart) -> None:
        """A part of an output could not be stored: it is tried again when the minion repeats its return."""
        key = (part.jid, part.minion)
        pull = self._pulls.get(key) or self._paused.get(key)
        if pull is None:
            return
        pull.part_failed(part)
        if key in self._paused:
            pull.pause()

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
        """Forget what came of one return: it was sent again, or is not wanted. What the job cache holds of it goes with its target."""
        self._remove(key)
        self._paused.pop(key, None)
        jid, minion = key
        if jid in self._queue.get(minion, ()):
            self._unwait(minion, jid)

    def drop_minion(self, minion: MinionId) -> None:
        """The session of this minion is gone; after the next one it sends its returns again."""
        for jid in {*self._pulled_of.get(minion, ()), *self._queue.get(minion, ())}:
            self._set_aside((jid, minion))

    def _set_aside(self, key: Key) -> None:
        """Hold nothing of one return that its minion can send again, and remember how much of it is durable."""
        pull = self._pulls.get(key) or self._paused.get(key)
        self.drop(key)
        if pull is None or not pull.is_kept:
            return
        pull.pause()
        self._paused[key] = pull
        if len(self._paused) > self._paused_limit:
            del self._paused[next(iter(self._paused))]

    def _remove(self, key: Key) -> None:
        jid, minion = key
        pull = self._pulls.pop(key, None)
        if pull is not None:
            self._used_bytes -= pull.wanted_bytes
            self._pulled_of[minion].discard(jid)
            if not self._pulled_of[minion]:
                del self._pulled_of[minion]

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

        A minion has those first seconds once, not for each of its returns; it is trusted again when it has delivered one. Where a part
        is on its way to the job cache, the disk is waited for and not the minion.
        """
        others_wait = any(minion not in self._slow for minion in self._queue)
        slow = []
        for key, pull in self._pulls.items():
            is_known = key[1] in self._slow
            is_slow = not pull.is_keeping and _is_slow(pull, now_us, 0 if is_known else YIELD_AFTER_US)
            if is_slow and (others_wait or not is_known):
                slow.append((key, pull))
        for (jid, minion), pull in slow:
            self._slow.add(minion)
            self._set_aside((jid, minion))
            self._wait(minion, pull.answer)

    def _next(self, key: Key, pull: Pull) -> PullStep | None:
        try:
            step = pull.next()
        except ProtocolError:
            self.drop(key)
            raise
        if isinstance(step, StoredReturn):
            if pull.wanted_bytes:
                self._slow.discard(key[1])
            self._set_aside(
                key
            )  # When it cannot be stored, its minion sends it again: what is durable is not pulled twice.
        return step


def _is_slow(pull: Pull, now_us: int, patience_us: int) -> bool:
    elapsed_us = now_us - pull.begun_us - patience_us
    return elapsed_us > 0 and pull.came_bytes < elapsed_us * YIELD_BYTES_PER_SECOND // 1_000_000


def _held_bytes(answer: Return) -> int:
    inline = sum(len(summary.inline) for summary in (summary_of(answer, each) for each in STREAMS) if summary.inline)
    return _RETURN_BYTES + inline + 4 * (len(answer.message) + len(answer.traceback))
