"""What the master answers on its Unix socket."""

from collections.abc import Mapping

from .dataclass import dataclass, field
from .function_spec import FunctionSpec
from .job_states import JobState
from .names import FunctionName, Jid, MinionId
from .values import Value


@dataclass(frozen=True, slots=True)
class Failure:
    """The request failed. ``kind`` is the class of the error, see ``core/errors.py``."""

    kind: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Done:
    """The stream has ended."""


@dataclass(frozen=True, slots=True)
class JobCreated:
    """The job is stored.

    Attributes:
        minions: its targets, sorted.
        unknown: ids that the target names and no accepted key has.
    """

    jid: Jid
    function: FunctionName
    minions: tuple[MinionId, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetSilent:
    """A target that need not be waited for; its job lives on and a ``TargetResult`` may still come."""

    minion: MinionId
    state: JobState
    reason: str


@dataclass(frozen=True, slots=True)
class TargetResult:
    """Where a job stands on one target; in a watch only when it has ended.

    Attributes:
        reason: why it ended so, or why it has not; empty when all went well.
        kind: the outcome kind; empty when it has not ended.
        value: the encoded value when ``has_value`` and not ``value_from``.
        value_from: ``text``, ``stdout`` or ``stderr``: the value is that stream, last newline stripped.
        stdout_total_bytes: more than ``len(stdout)`` when the cap cut it.
        address: of the minion when the job was handed over.
        notes: what came after the end and changed nothing.
        host: its host name then.
        long: ``stdout`` or ``stderr`` where it is too long for this answer, with how much of it is kept: ask for it with ``ReadOutput``.
    """

    minion: MinionId
    state: JobState
    reason: str
    kind: str
    retcode: int | None
    has_value: bool
    value: bytes
    value_from: str
    stdout: bytes
    stderr: bytes
    stdout_total_bytes: int
    stderr_total_bytes: int
    traceback: str
    pid: int | None
    account: str
    address: str
    started_us: int | None
    finished_us: int | None
    duration_us: int | None
    force_stopped: bool
    notes: tuple[str, ...] = ()
    host: str = ""
    long: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetPreview:
    """What a target selects now."""

    minions: tuple[MinionId, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One job of the job cache.

    Attributes:
        state: ``running``, ``finished`` or ``cancelled``.
        counts: how many targets are in each state.
        signed_by: fingerprint of the master identity that signed it.
        stdin_bytes: how long its stdin is, or was: what is kept of it goes when the job has ended everywhere.
        finished_us: when the last target ended; None while one is open.
        retry_of: the first job that this one repeats; empty for none.
    """

    jid: Jid
    function: FunctionName
    words: tuple[str, ...]
    literals: tuple[str, ...]
    values: tuple[Value, ...]
    options: Mapping[str, Value]
    target: str
    target_kind: str
    user: str
    created_us: int
    expires_us: int
    timeout_seconds: float
    finished_us: int | None
    state: str
    counts: Mapping[str, int]
    signed_by: str
    stdin_bytes: int = 0
    retry_of: str = ""


@dataclass(frozen=True, slots=True)
class JobList:
    """A page of jobs, newest first.

    Attributes:
        total: how many fit in all, however many are shown.
    """

    jobs: tuple[JobSummary, ...]
    total: int


@dataclass(frozen=True, slots=True)
class JobCancelled:
    """What became of a cancel: targets it was sent to, that it stopped at once, and that had ended before."""

    jid: Jid
    asked: tuple[MinionId, ...]
    stopped: tuple[MinionId, ...]
    ended: tuple[MinionId, ...]


@dataclass(frozen=True, slots=True)
class JobsDeleted:
    """What a deletion has removed from the job cache, durably.

    Attributes:
        jobs: how many.
        jid: the job, when it is one.
        asked: connected minions that still hold something of them; each confirms with ``JobForgotten``.
        owing: the others, which forget it when they come back.
    """

    jobs: int
    jid: str
    asked: tuple[MinionId, ...]
    owing: tuple[MinionId, ...]


@dataclass(frozen=True, slots=True)
class JobForgotten:
    """A minion holds nothing of a deleted job any more."""

    jid: Jid
    minion: MinionId


@dataclass(frozen=True, slots=True)
class JobsPurged:
    """What a purge has removed.

    Attributes:
        jobs: how many.
        freed_bytes: how much of the job cache that was.
        kept_open: jobs that go beyond the limits and stay, because they have not ended.
    """

    jobs: int
    freed_bytes: int
    kept_open: int = 0


@dataclass(frozen=True, slots=True)
class MinionPinged:
    """What became of a ping.

    Attributes:
        round_trip_us: from the master to the minion's loop and back; None when no answer came in time.
        reason: why there was none.
        waited_us: how long it was waited for; 0 when nothing was sent at all.
    """

    minion: MinionId
    round_trip_us: int | None
    reason: str = ""
    waited_us: int = 0


@dataclass(frozen=True, slots=True)
class MinionJob:
    """One open job of a minion."""

    jid: Jid
    function: FunctionName
    state: JobState


@dataclass(frozen=True, slots=True)
class MinionRow:
    """One minion.

    Attributes:
        state: ``up``, ``silent`` (connected, heartbeats missing) or ``down``.
        since_us: since when it is in this state; None when it has not been seen since the master's start.
        last_seen_us: when anything was last heard of it.
        skew_us: its wall clock minus the master's.
        conflict: why it gets no jobs although it is connected; empty when it does.
        grains: those that were asked for and that it has, by the name that was asked for.
        host: its host name, by its grains.
        protocol: the newest version of the fleet's ports that it speaks; 0 when it is not connected.
        jobs: its newest open jobs, newest first, ``MINION_JOBS_LIMIT`` at the most.
    """

    minion: MinionId
    state: str
    since_us: int | None
    last_seen_us: int | None
    address: str
    version: str
    os: str
    fingerprint: str
    round_trip_us: int
    skew_us: int
    running: int
    waiting: int
    conflict: str = ""
    grains: Mapping[str, Value] = field(default_factory=dict)
    host: str = ""
    protocol: int = 0
    jobs: tuple[MinionJob, ...] = ()


@dataclass(frozen=True, slots=True)
class GrainsShown:
    """The grains of a minion; empty when it has never reported any."""

    minion: MinionId
    grains: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class EventNote:
    """One event.

    Attributes:
        number: counts up by one with each event of a master process; those of a later process are higher.
        missed: how many events before this one were asked for and no longer kept; -1 when nobody can tell how many.
    """

    number: int
    tag: str
    time_us: int
    payload: Mapping[str, Value]
    missed: int


@dataclass(frozen=True, slots=True)
class QueueFigure:
    """How full one of the master's bounded queues is.

    Attributes:
        name: ends with ``_bytes`` where bytes are counted.
    """

    name: str
    now: int
    limit: int


@dataclass(frozen=True, slots=True)
class MasterStatus:
    """How the master is; ``docs/reference.md`` explains the names in its mappings, and ``counters``.

    Attributes:
        newest_event: the number of the newest event.
        job_cache: of the file, the jobs in it, and its disk.
        process: of the master's own process.
        machine: of the machine that it runs on.
        load: of that machine, over the last 1, 5 and 15 minutes.
    """

    version: str
    fingerprint: str
    pid: int
    started_us: int
    now_us: int
    user: str
    sockets: Mapping[str, str]
    minions: Mapping[str, int]
    keys: Mapping[str, int]
    counters: Mapping[str, int]
    newest_event: int = 0
    queues: tuple[QueueFigure, ...] = ()
    job_cache: Mapping[str, int] = field(default_factory=dict)
    process: Mapping[str, int] = field(default_factory=dict)
    machine: Mapping[str, int] = field(default_factory=dict)
    load: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputPart:
    """What a running job has written, in order and without gaps for each minion and stream; or what is kept of one that has ended.

    Attributes:
        stream: ``stdout`` or ``stderr``.
    """

    minion: MinionId
    stream: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class FunctionsShown:
    """Functions by the catalogues of the minions."""

    functions: tuple[FunctionSpec, ...]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One minion key.

    Attributes:
        pairing_code: one code over the master's and the minion's key.
    """

    minion: MinionId
    fingerprint: str
    pairing_code: str
    state: str
    address: str
    first_seen_us: int


@dataclass(frozen=True, slots=True)
class KeyList:
    """Minion keys, sorted by id."""

    keys: tuple[KeyRow, ...]
    master_fingerprint: str
    candidates_dropped: int
