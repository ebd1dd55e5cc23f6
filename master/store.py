"""The job cache as the master sees it: what goes in, what comes out, and the interface of a store.

Every write is one transaction, durable when it returns. Nothing here says where the data lies: a store over PostgreSQL, shared
by several masters, must be able to answer the same questions (DESIGN D10).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from ..core.control_answers import JobSummary, TargetResult
from ..core.control_requests import ListJobs
from ..core.dataclass import dataclass
from ..core.from_minion import Return
from ..core.function_spec import FunctionSpec
from ..core.job_states import JobState
from ..core.names import FunctionName, Jid, MinionId
from ..core.values import Value


@dataclass(frozen=True, slots=True)
class NewTarget:
    """One target of a new job: ``sent`` when it is handed over right after the commit, else ``queued``.

    Attributes:
        host: the host name of the minion, as far as it is known.
    """

    minion: MinionId
    state: JobState
    address: str
    reason: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be stored; the store gives it its jid.

    Attributes:
        request_id: 16 bytes of the client; a second job with the same one is not stored, the first is given back.
        ttl_seconds: added to the moment of creation.
        stdin_bytes: how long its stdin is, which is not held in here; 0 for none.
        stdin_digest: of that; empty for none.
        retry_of: the first job that this one repeats; empty for none.
    """

    request_id: bytes
    function: FunctionName
    words: tuple[str, ...]
    literals: tuple[str, ...]
    values: tuple[Value, ...]
    options: Mapping[str, Value]
    target: str
    target_kind: str
    user: str
    ttl_seconds: float
    timeout_seconds: float
    output_limit_bytes: int
    signed_by: str
    targets: tuple[NewTarget, ...]
    stdin_bytes: int = 0
    stdin_digest: bytes = b""
    retry_of: str = ""


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job that is in the store.

    Attributes:
        is_new: False when the request id was known and this is the job of then.
        targets: every target with its state as stored; of a known job, as it is now.
    """

    jid: Jid
    job: NewJob
    created_us: int
    expires_us: int
    is_new: bool
    targets: Mapping[MinionId, JobState]
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class StateChange:
    """A step of one job on one minion that is not its end by a return."""

    jid: Jid
    minion: MinionId
    state: JobState
    reason: str = ""
    pid: int | None = None
    started_us: int | None = None
    account: str = ""
    finished_us: int | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class KeepPart:
    """A part of a long output of an open target, to be kept until its return comes, or until the target ends otherwise.

    Parts follow one another without a gap; one that begins at 0 replaces all that was kept of this output. A start of the master
    forgets them, for nobody knows any more what they belong to.
    """

    jid: Jid
    minion: MinionId
    stream: str
    start: int
    data: bytes


@dataclass(frozen=True, slots=True)
class KeptOutput:
    """An output all of whose parts are in the store."""

    length_bytes: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class StoredReturn:
    """A return with all of its output, to be committed as the end of (jid, minion).

    ``stdout``, ``stderr`` and ``value`` are complete, here or in parts in the store; their digests were checked against the return's.
    """

    minion: MinionId
    answer: Return
    state: JobState
    stdout: bytes | KeptOutput
    stderr: bytes | KeptOutput
    value: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """Something about (jid, minion) that came after its end and changes nothing, such as a late return."""

    jid: Jid
    minion: MinionId
    time_us: int
    text: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The operator asked for this job to stop; the job's own state is ``cancelled`` from now on when it has ended."""

    jid: Jid


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Remove a job with its targets, outputs and notes. One that has not ended stays, unless ``is_forced``.

    Attributes:
        owing: minions that may still hold something of it; each is remembered until it has forgotten it.
    """

    jid: Jid
    is_forced: bool = False
    owing: tuple[MinionId, ...] = ()


@dataclass(frozen=True, slots=True)
class Shrink:
    """Give room that is free again back to the disk: a part of it, so that others need not wait."""


@dataclass(frozen=True, slots=True)
class Owed:
    """A minion may still hold something of a deleted job, whose order may be on its way until ``expires_us``."""

    jid: Jid
    minion: MinionId
    expires_us: int


@dataclass(frozen=True, slots=True)
class Forgot:
    """A minion holds nothing of a deleted job any more."""

    jid: Jid
    minion: MinionId


@dataclass(frozen=True, slots=True)
class Keep:
    """How much of the past is kept: the oldest jobs that have ended go first; 0 is no limit (DESIGN D7).

    Attributes:
        age_seconds: how long ago a job may have ended.
        count: how many jobs there may be.
        size_bytes: how much the job cache may hold.
    """

    age_seconds: float = 0.0
    count: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class MinionFacts:
    """What a minion said about itself, kept over restarts.

    Digests name grains and catalogue; each is kept once, however many minions share it.
    """

    minion: MinionId
    version: str
    address: str
    journal_id: bytes
    boot_id: str
    last_seen_us: int
    grains_digest: bytes
    catalogue_digest: bytes


@dataclass(frozen=True, slots=True)
class LastSeen:
    """When something was last heard of these minions, microseconds since 1970; one that has no facts is left out."""

    moments: tuple[tuple[MinionId, int], ...]


@dataclass(frozen=True, slots=True)
class KeepGrains:
    """Grains of one digest, to be kept."""

    digest: bytes
    grains: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class KeepCatalogue:
    """A catalogue of one digest, to be kept."""

    digest: bytes
    functions: tuple[FunctionSpec, ...]


@dataclass(frozen=True, slots=True)
class ForgetMinion:
    """The key of this minion was deleted: forget its facts; its jobs stay."""

    minion: MinionId


Change = (
    StateChange
    | KeepPart
    | StoredReturn
    | Note
    | Cancelled
    | DeleteJob
    | Shrink
    | Forgot
    | MinionFacts
    | LastSeen
    | KeepGrains
    | KeepCatalogue
    | ForgetMinion
)


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of jobs, newest first, and how many fit in all."""

    jobs: tuple[JobSummary, ...]
    total: int


class JobStore(Protocol):
    """A job cache."""

    def incarnation(self) -> bytes:
        """16 random bytes made with the store; another one means a store restored from a copy or made anew."""

    def submit(self, job: NewJob, now_us: int, stdin: bytes = b"") -> StoredJob:
        """Store a job durably, with its stdin; its jid is max(now, last + 1 µs), allocated in the transaction."""

    def apply(self, changes: Sequence[Change], now_us: int) -> None:
        """Commit all of these durably in one transaction, in order.

        A change that the transition table does not allow (the end was recorded before) is left out and kept as a note:
        terminal states are final, resends are idempotent.
        """

    def open_jobs(self) -> tuple[StoredJob, ...]:
        """Every job with a target that has not ended, oldest first, with the states of all its targets."""

    def stdin(self, jid: Jid, offset: int, limit_bytes: int) -> bytes:
        """At most so many bytes of the stdin of a job; none beyond its end, nor when the job has ended or is not there."""

    def is_ended(self, jid: Jid, minion: MinionId) -> JobState | None:
        """The terminal state of (jid, minion), or None when it is open or unknown."""

    def resolve_jid(self, text: str) -> Jid:
        """Find the job that a whole jid, an unambiguous end of one, or ``last`` names.

        Raises:
            NotFoundError: none, or several; the hint lists them.
        """

    def job(self, jid: Jid) -> JobSummary:
        """One job, without results.

        Raises:
            NotFoundError: there is none.
        """

    def results(self, jid: Jid) -> Iterator[TargetResult]:
        """The targets of a job, sorted by minion id, each with its output."""

    def results_of(
        self, jid: Jid, minions: Sequence[MinionId], limit_bytes: int, *, has_output: bool = True
    ) -> tuple[TargetResult, ...]:
        """The first of these targets of a job, in this order and as they were at one moment.

        Args:
            jid: the job.
            minions: its targets; one that is none of them is left out.
            limit_bytes: no more are read when those before it have so many bytes of output.
            has_output: with the outputs, or only the lengths of them.
        """

    def targets(self, jid: Jid) -> tuple[MinionId, ...]:
        """The targets of a job, sorted by minion id; none when there is no such job."""

    def given_up(self, jid: Jid) -> tuple[MinionId, ...]:
        """The targets that ended as lost or abandoned by the master's word alone: something of the job may still be on them."""

    def result(self, jid: Jid, minion: MinionId, *, has_output: bool = True) -> TargetResult:
        """One target of a job, with its output or only the lengths of it.

        Raises:
            NotFoundError: there is none.
        """

    def output(self, jid: Jid, minion: MinionId, stream: str, offset: int, limit_bytes: int) -> bytes:
        """At most so many bytes of the stdout or stderr that a target has kept; none beyond its end.

        Raises:
            NotFoundError: there is no such target.
        """

    def jobs(self, query: ListJobs) -> JobPage:
        """The newest jobs that fit, as many as are asked for."""

    def expendable(self, keep: Keep, now_us: int) -> tuple[Jid, ...]:
        """Some jobs that have ended and go beyond what is kept, the oldest first; none when the limits are kept."""

    def kept_open(self, keep: Keep, now_us: int) -> int:
        """How many jobs go beyond what is kept and stay, because they have not ended; ask when nothing is expendable any more."""

    def ended_jobs(self) -> tuple[Jid, ...]:
        """Some jobs that have ended, the oldest first: as many as one transaction should remove."""

    def size_bytes(self) -> int:
        """How much the store holds, room that is free again not counted."""

    def free_bytes(self) -> int:
        """How much room is free again, and not yet given back to the disk."""

    def owed(self) -> tuple[Owed, ...]:
        """What minions have not yet been heard to have forgotten."""

    def minions(self) -> tuple[MinionFacts, ...]:
        """What is known of every minion."""

    def grains(self) -> Mapping[bytes, Mapping[str, Value]]:
        """All grains by digest."""

    def catalogues(self) -> Mapping[bytes, tuple[FunctionSpec, ...]]:
        """All catalogues by digest."""

    def close(self) -> None:
        """Close the store; what was committed stays."""
