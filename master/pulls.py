"""One return whose output is being pulled: what is here of each stream, and what comes next. Pure.

A stream of up to ``OUTPUT_PART_BYTES`` is held until its return is complete. A longer stdout or stderr goes to the job cache part by
part, and more is asked for when a part is durable: 100 MB hold no more memory than one part, and a slow disk slows the minion.
"""

from ..core.crypto import digest, new_digest
from ..core.dataclass import dataclass, field
from ..core.errors import ProtocolError
from ..core.from_master import Need
from ..core.from_minion import OutputChunk, Return, StreamSummary
from ..core.messages import OUTPUT_PART_BYTES, WINDOW_BYTES
from ..core.names import Jid, MinionId
from ..core.outcome import OUTPUT_STREAMS, state_for
from .store import KeepPart, KeptOutput, StoredReturn
from .tamed_return import STREAMS, check_stream, summary_of, with_a_value_to_show

Key = tuple[Jid, MinionId]
#: What comes next: the return is complete, or more is to be asked of the minion, or a part is to be made durable.
PullStep = StoredReturn | Need | KeepPart


class _Stream:
    """One stream: the beginning that is durable in the job cache, behind it what is on its way there, and then what is held.

    Attributes:
        is_in_parts: it goes to the job cache part by part.
        keeping: the part that is on its way there; while there is one nothing is held.
        asked_until: how far the minion was asked to send.
    """

    def __init__(self, name: str, summary: StreamSummary) -> None:
        self.name = name
        self.summary = summary
        self.is_in_parts = name != "value" and summary.inline is None and summary.length_bytes > OUTPUT_PART_BYTES
        self.keeping = b""
        self.asked_until = 0
        self.kept_bytes = 0
        self.held = bytearray(summary.inline or b"")
        self._running = new_digest() if self.is_in_parts else None

    @property
    def here_bytes(self) -> int:
        return self.kept_bytes + len(self.keeping) + len(self.held)

    @property
    def is_here(self) -> bool:
        return self.here_bytes == self.summary.length_bytes and not (self.is_in_parts and self.held)

    @property
    def is_keeping(self) -> bool:
        return bool(self.keeping)

    @property
    def is_part_whole(self) -> bool:
        is_last = self.here_bytes == self.summary.length_bytes
        return self.is_in_parts and bool(self.held) and (is_last or len(self.held) >= OUTPUT_PART_BYTES)

    @property
    def wanted_bytes(self) -> int:
        """How much memory it may take."""
        if self.summary.inline is not None:
            return 0
        return OUTPUT_PART_BYTES if self.is_in_parts else self.summary.length_bytes

    def keep(self) -> bytes:
        """Send what is held on its way to the job cache."""
        self.keeping = bytes(self.held)
        self.held.clear()
        return self.keeping

    def have_kept(self) -> None:
        """What was on its way to the job cache is durable."""
        if self._running is not None:
            self._running.update(self.keeping)
        self.kept_bytes += len(self.keeping)
        self.keeping = b""

    def hold_again(self) -> None:
        """What was on its way to the job cache could not be stored."""
        self.held, self.keeping = bytearray(self.keeping), b""

    def whole(self) -> bytes:
        """Give all of a stream that is held; one that came within the return was checked then (``tamed_return.py``).

        Raises:
            ProtocolError: it is not what its digest says.
        """
        if self.summary.inline is not None:
            return self.summary.inline
        whole = bytes(self.held)
        check_stream(self.name, self.summary, len(whole), digest(whole))
        return whole

    def finish(self) -> bytes | KeptOutput:
        """Give the whole, held or kept.

        Raises:
            ProtocolError: it is not what its digest says.
        """
        if self._running is None:
            return self.whole()
        check_stream(self.name, self.summary, self.kept_bytes, self._running.digest())
        return KeptOutput(self.kept_bytes, self.summary.digest)


def complete_return(minion: MinionId, answer: Return) -> StoredReturn | None:
    """A return all of whose streams came within it, and were checked then; None when something of it is to be pulled."""
    value, stdout, stderr = answer.value.inline, answer.stdout.inline, answer.stderr.inline
    if value is None or stdout is None or stderr is None:
        return None
    answer, value = with_a_value_to_show(answer, value)
    return StoredReturn(minion, answer, state_for(answer.kind), stdout, stderr, value)


@dataclass(slots=True)
class Pull:
    """What has come of one return.

    Attributes:
        answer: as it came last: its times are measured anew each time.
        begun_us: when it was begun, or gone on with.
        came_bytes: how much has come since.
    """

    minion: MinionId
    answer: Return
    begun_us: int
    came_bytes: int = 0
    _streams: dict[str, _Stream] = field(init=False)

    def __post_init__(self) -> None:
        self._streams = {name: _Stream(name, summary_of(self.answer, name)) for name in STREAMS}

    @property
    def wanted_bytes(self) -> int:
        """How much memory it may take."""
        return sum(stream.wanted_bytes for stream in self._streams.values())

    @property
    def is_kept(self) -> bool:
        """Tell whether something of it lies in the job cache, or is on its way there: worth going on with after a cut."""
        return any(stream.kept_bytes or stream.is_keeping for stream in self._streams.values())

    @property
    def is_keeping(self) -> bool:
        """Tell whether a part is on its way to the job cache."""
        return any(stream.is_keeping for stream in self._streams.values())

    def is_of(self, answer: Return) -> bool:
        """Tell whether this is the same output; times may differ, for they are by the master's clock as the minion knows it."""
        return all(stream.summary == summary_of(answer, name) for name, stream in self._streams.items())

    def take(self, chunk: OutputChunk) -> bool:
        """Take a chunk; True when its window has come, so that ``next`` has something to say.

        A copy of what is here is ignored, and so is what comes after a gap or beyond what was asked for.

        Raises:
            ProtocolError: nobody can have asked for it.
        """
        stream = self._streams.get(chunk.stream)
        end = chunk.offset + len(chunk.data)
        if (
            stream is None
            or stream.summary.inline is not None
            or chunk.offset < 0
            or not chunk.data
            or end > stream.summary.length_bytes
        ):
            raise ProtocolError("output that nobody asked for")
        if chunk.offset != stream.here_bytes or end > stream.asked_until or stream.is_keeping:
            return False
        stream.held += chunk.data
        self.came_bytes += len(chunk.data)
        return stream.here_bytes >= min(stream.asked_until, stream.summary.length_bytes)

    def next(self) -> PullStep | None:
        """What comes next; None while a part is on its way to the job cache.

        Raises:
            ProtocolError: all of it is here, and is not what its digests say.
        """
        for stream in self._streams.values():
            if stream.is_keeping:
                return None
            if stream.is_part_whole:
                return KeepPart(self.answer.jid, self.minion, stream.name, stream.kept_bytes, stream.keep())
            if not stream.is_here:
                stream.asked_until = stream.here_bytes + WINDOW_BYTES
                return Need(self.answer.jid, stream.name, stream.here_bytes)
        stdout, stderr = (self._streams[name].finish() for name in OUTPUT_STREAMS)
        answer, value = with_a_value_to_show(self.answer, self._streams["value"].whole())
        return StoredReturn(self.minion, answer, state_for(answer.kind), stdout, stderr, value)

    def part_kept(self, part: KeepPart) -> bool:
        """A part is durable; False when it is not the one that is waited for: the pull was begun anew meanwhile."""
        stream = self._streams[part.stream]
        if not stream.is_keeping or part.start != stream.kept_bytes:
            return False
        stream.have_kept()
        return True

    def part_failed(self, part: KeepPart) -> None:
        """A part could not be stored: it is offered again by ``next``."""
        stream = self._streams[part.stream]
        if stream.is_keeping and part.start == stream.kept_bytes:
            stream.hold_again()

    def pause(self) -> None:
        """Hold nothing that the minion can send again."""
        for stream in self._streams.values():
            stream.held = bytearray(b"" if stream.is_in_parts else stream.summary.inline or b"")
            stream.asked_until = 0

    def go_on(self, answer: Return, now_us: int) -> None:
        """It is pulled again, from where it was."""
        self.answer, self.begun_us, self.came_bytes = answer, now_us, 0
