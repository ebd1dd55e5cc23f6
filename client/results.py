"""What became of a job on one minion, and on all of them, as the callers of the client see it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from ..core.control_answers import JobSummary, TargetResult, TargetSilent
from ..core.dataclass import dataclass, field, replace
from ..core.errors import NotFoundError, ProtocolError
from ..core.job_states import TERMINAL, JobState, Result, result_of
from ..core.msgpack_lengths import has_more_items
from ..core.names import FunctionName, Jid, MinionId, check_minion_id
from ..core.packing import decode_value
from ..core.values import Value
from .exit_codes import exit_code_of

#: Each part of a value costs a few microseconds and 200 bytes to read and to show, and a minion may return thirty millions of them.
_PARTS_LIMIT = 200_000


@dataclass(frozen=True, slots=True)
class MinionResult:
    """What became of one job on one minion.

    Attributes:
        jid: the job.
        minion: the minion.
        state: where the job stands there.
        reason: why it ended so, or why it has not; empty when all went well.
        is_silent: nobody waits for it: it did not acknowledge in time, or is down. Its job lives on.
        kind: the outcome kind, see ``core/outcome.py``; empty while it has not ended.
        retcode: the exit code of the program, where there was one; minus the number of the signal that ended it.
        has_value: whether there is a value at all (``None`` is one).
        value: what the function returned; of a command its text, the last newline stripped.
        value_from: ``text``, ``stdout`` or ``stderr`` when the value is that stream of a program.
        stdout: what the program wrote, byte-exact; ``stdout_total_bytes`` is more than its length when the cap cut it.
        stderr: likewise.
        traceback: of a bug in the function.
        account: the account that it ran as.
        address: of the minion when the job was handed over.
        host: its host name then.
        started_us: microseconds since 1970; None when it has not started.
        finished_us: likewise, when it ended.
        force_stopped: it was killed.
        notes: what came after the end and changed nothing.
        long: how much is kept of ``stdout`` or ``stderr`` where it was left with the master, and is empty here.
    """

    jid: Jid
    minion: MinionId
    state: JobState
    reason: str = ""
    is_silent: bool = False
    kind: str = ""
    retcode: int | None = None
    has_value: bool = False
    value: Value = None
    value_from: str = ""
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_total_bytes: int = 0
    stderr_total_bytes: int = 0
    traceback: str = ""
    pid: int | None = None
    account: str = ""
    address: str = ""
    host: str = ""
    started_us: int | None = None
    finished_us: int | None = None
    duration_us: int | None = None
    force_stopped: bool = False
    notes: tuple[str, ...] = ()
    long: Mapping[str, int] = field(default_factory=dict)

    @property
    def result(self) -> Result:
        """``success``, ``failure`` or, while nothing has run to its end, ``n/a``."""
        return result_of(self.state)

    @property
    def has_succeeded(self) -> bool:
        """Whether it ran to its end and succeeded."""
        return self.state is JobState.SUCCEEDED

    @property
    def has_ended(self) -> bool:
        """Whether the state is final."""
        return self.state in TERMINAL

    @property
    def duration_ms(self) -> float | None:
        """How long it ran, in milliseconds."""
        return None if self.duration_us is None else self.duration_us / 1000


def read_result(jid: Jid, answer: TargetResult) -> MinionResult:
    """Decode what the master sent about one target.

    The value is as the minion sent it: when that cannot be read, or has too many parts, the reason says so, and the other targets
    are shown all the same.
    """
    value: Value = None
    has_value, reason = answer.has_value, answer.reason
    if has_value:
        streams = {
            "text": answer.stdout + answer.stderr,
            "stdout": answer.stdout,
            "stderr": answer.stderr,
        }
        try:
            value = _text(streams[answer.value_from]) if answer.value_from in streams else _decoded(answer.value)
        except ProtocolError as problem:
            has_value = False
            reason = f"the value that the minion returned cannot be read: {problem.message}" + (
                reason and f"; {reason}"
            )
    return MinionResult(
        jid=jid,
        minion=answer.minion,
        state=answer.state,
        reason=reason,
        kind=answer.kind,
        retcode=answer.retcode,
        has_value=has_value,
        value=value,
        value_from=answer.value_from,
        stdout=answer.stdout,
        stderr=answer.stderr,
        stdout_total_bytes=answer.stdout_total_bytes,
        stderr_total_bytes=answer.stderr_total_bytes,
        traceback=answer.traceback,
        pid=answer.pid,
        account=answer.account,
        address=answer.address,
        host=answer.host,
        started_us=answer.started_us,
        finished_us=answer.finished_us,
        duration_us=answer.duration_us,
        force_stopped=answer.force_stopped,
        notes=answer.notes,
        long=answer.long,
    )


def read_silence(jid: Jid, answer: TargetSilent) -> MinionResult:
    """Turn the word that a target need not be waited for into a result without a value."""
    return MinionResult(jid, answer.minion, answer.state, answer.reason, is_silent=True)


def _decoded(value: bytes) -> Value:
    if has_more_items(value, _PARTS_LIMIT):
        raise ProtocolError(f"it has more than {_PARTS_LIMIT:,} parts, too many to show; it is kept in the job cache")
    return decode_value(value)


def _text(stream: bytes) -> str:
    return stream.decode("utf-8", "replace").removesuffix("\n")


@dataclass(frozen=True, slots=True, eq=False)
class RunResult(Mapping[MinionId, MinionResult]):
    """What became of a job on each of its targets, when the wait was over: a mapping by minion id, sorted.

    Attributes:
        jid: the job.
        function: what was called.
        results: by minion id, one for each target.
        unknown: ids that the target names and no accepted key has.
        duration_seconds: how long the client waited.
        more_unknown: how many such ids a node file names; they are counted and not kept.
    """

    jid: Jid
    function: FunctionName
    results: Mapping[MinionId, MinionResult]
    unknown: tuple[str, ...] = ()
    duration_seconds: float = 0.0
    more_unknown: int = 0

    def __getitem__(self, minion: MinionId) -> MinionResult:
        return self.results[minion]

    def __iter__(self) -> Iterator[MinionId]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @property
    def silent(self) -> Mapping[MinionId, str]:
        """The targets that have no answer yet, each with the reason."""
        return {minion: result.reason for minion, result in self.results.items() if not result.has_ended}

    @property
    def failed(self) -> tuple[MinionId, ...]:
        """The targets on which the job ran and failed, timed out, was lost or cancelled."""
        return tuple(minion for minion, result in self.results.items() if result.result is Result.FAILURE)

    @property
    def exit_code(self) -> int:
        """What ``fleet`` would exit with, see ``client/exit_codes.py``."""
        has_unknown = bool(self.unknown or self.more_unknown)
        return exit_code_of([result.state for result in self.results.values()], has_unknown=has_unknown)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job of the job cache with its results.

    Attributes:
        summary: what was asked, by whom, when, and how it stands.
        results: by minion id, sorted.
    """

    summary: JobSummary
    results: Mapping[MinionId, MinionResult]

    def narrowed(self, names: Sequence[str]) -> Self:
        """Keep only what became of it on these minions, in their order; all when none is named.

        Raises:
            NotFoundError: one is no target of the job.
            ArgumentError: one is no minion id.
        """
        if not names:
            return self
        chosen = [check_minion_id(name) for name in names]
        for minion in chosen:
            if minion not in self.results:
                jid = self.summary.jid
                raise NotFoundError(f"{minion} is no target of job {jid}", f"fleet jobs show {jid} lists them")
        return replace(self, results={minion: self.results[minion] for minion in chosen})
