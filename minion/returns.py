"""Makes the return of a job, and the chunks of its output: from the job's folder, an instant result, or a verdict without a run."""

from collections.abc import Iterator

from ..core.crypto import digest, new_digest
from ..core.dataclass import dataclass
from ..core.from_minion import OutputChunk, Return, StreamSummary
from ..core.messages import CHUNK_LIMIT_BYTES, INLINE_LIMIT_BYTES, REASON_LIMIT_CHARACTERS, WINDOW_BYTES
from ..core.names import Jid
from ..core.outcome import Outcome, OutcomeKind
from .instant import Finished
from .job_folder import STREAMS, JobFolder
from .job_records import JobStatus
from .job_steps import Found, Remains

_READ_BYTES = 1024 * 1024
_FRAME_BYTES = 1024


@dataclass(frozen=True, slots=True)
class InstantResult:
    """The return of an instant function, held in memory until it is answered."""

    finished: Finished
    account: str
    started_us: int
    finished_us: int
    duration_us: int


def return_of_instant(jid: Jid, result: InstantResult) -> Return:
    """The return of an instant function."""
    nothing = _summary_of_bytes(b"")
    return _make(
        jid,
        result.finished.outcome,
        (_summary_of_bytes(result.finished.value), nothing, nothing),
        JobFacts(None, result.account, result.started_us, result.finished_us, result.duration_us, force_stopped=False),
    )


def return_of_verdict(jid: Jid, kind: OutcomeKind, message: str, now_us: int) -> Return:
    """The return of a job that never ran."""
    nothing = _summary_of_bytes(b"")
    facts = JobFacts(None, "", None, now_us, 0, force_stopped=False)
    return _make(jid, Outcome(kind, message), (nothing, nothing, nothing), facts)


def return_of_folder(jid: Jid, folder: JobFolder, lost: str | None, now_us: int, *, to_master_us: int) -> Return:
    """The return of a job that ran, from what its supervisor left.

    Args:
        jid: of the job.
        folder: its folder.
        lost: why it is lost, when it has no last status; its partial output is kept all the same.
        now_us: the master's time now, for a job without an end.
        to_master_us: what to add to times of this machine's wall clock.
    """
    status = folder.read_status()
    outcome = status.outcome if status is not None and lost is None else None
    if outcome is None:
        outcome = Outcome(OutcomeKind.LOST, lost or "its supervisor left no status")
    value, stdout, stderr = (_summary_of_file(folder, stream, status) for stream in ("value", "stdout", "stderr"))
    return _make(jid, outcome, (value, stdout, stderr), _facts_of(status, now_us, to_master_us))


@dataclass(frozen=True, slots=True)
class JobFacts:
    """Who, when and how long; times by the master's clock."""

    pid: int | None
    account: str
    started_us: int | None
    finished_us: int
    duration_us: int
    force_stopped: bool


def found_in(folder: JobFolder, remains: Remains) -> Found:
    """How much a job's return will take."""
    sizes = [folder.stream_size(stream) for stream in STREAMS]
    inline = sum(size for size in sizes if size <= INLINE_LIMIT_BYTES)
    return Found(remains, _FRAME_BYTES + inline, sum(sizes))


def chunks_of_folder(jid: Jid, folder: JobFolder, stream: str, offset: int) -> Iterator[OutputChunk]:
    """One window of a stream, in chunks."""
    end = offset + WINDOW_BYTES
    while offset < end:
        data = folder.read_stream(stream, offset, min(CHUNK_LIMIT_BYTES, end - offset))
        if not data:
            return
        yield OutputChunk(jid, stream, offset, data)
        offset += len(data)


def chunks_of_bytes(jid: Jid, whole: bytes, stream: str, offset: int) -> Iterator[OutputChunk]:
    """One window of a value that lies in memory, in chunks."""
    window = whole[offset : offset + WINDOW_BYTES]
    for start in range(0, len(window), CHUNK_LIMIT_BYTES):
        yield OutputChunk(jid, stream, offset + start, window[start : start + CHUNK_LIMIT_BYTES])


def _facts_of(status: JobStatus | None, now_us: int, to_master_us: int) -> JobFacts:
    if status is None:
        return JobFacts(None, "", None, now_us, 0, force_stopped=False)
    return JobFacts(
        pid=status.process.pid if status.process else None,
        account=status.account,
        started_us=None if status.started_us is None else status.started_us + to_master_us,
        finished_us=now_us if status.ended_us is None else status.ended_us + to_master_us,
        duration_us=status.duration_us,
        force_stopped=status.force_stopped,
    )


def _make(
    jid: Jid, outcome: Outcome, streams: tuple[StreamSummary, StreamSummary, StreamSummary], facts: JobFacts
) -> Return:
    value, stdout, stderr = streams
    return Return(
        jid=jid,
        kind=outcome.kind,
        message=outcome.message[:REASON_LIMIT_CHARACTERS],
        has_value=outcome.has_value,
        value_from=outcome.value_from,
        retcode=outcome.retcode,
        traceback=outcome.traceback,
        value=value,
        stdout=stdout,
        stderr=stderr,
        pid=facts.pid,
        account=facts.account,
        started_us=facts.started_us,
        finished_us=facts.finished_us,
        duration_us=max(0, facts.duration_us),
        force_stopped=facts.force_stopped,
    )


def _summary_of_bytes(data: bytes) -> StreamSummary:
    inline = data if len(data) <= INLINE_LIMIT_BYTES else None
    return StreamSummary(len(data), len(data), digest(data), inline)


def _summary_of_file(folder: JobFolder, stream: str, status: JobStatus | None) -> StreamSummary:
    size = folder.stream_size(stream)
    counted = {"stdout": status.stdout_bytes, "stderr": status.stderr_bytes}.get(stream, size) if status else size
    if size <= INLINE_LIMIT_BYTES:
        data = folder.read_stream(stream, 0, size)
        return StreamSummary(len(data), max(counted, len(data)), digest(data), data)
    running = new_digest()
    offset = 0
    while offset < size and (data := folder.read_stream(stream, offset, min(_READ_BYTES, size - offset))):
        running.update(data)
        offset += len(data)
    return StreamSummary(offset, max(counted, offset), running.digest(), None)
