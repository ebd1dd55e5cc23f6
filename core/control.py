"""What the commands and the console say to the master over its Unix socket, and what it answers.

A frame::

    byte 0-3    length of what follows, big-endian
    byte 4      protocol version
    byte 5      kind                 an index of ``REQUESTS`` or ``ANSWERS``
    byte 6-     body                 msgpack array of the fields

A client sends one request at a time. The master answers with one answer, or, where the table says *stream*, with answers until
``Done``; closing the connection ends a stream. ``Failure`` may stand in place of any answer and ends the request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from .function_spec import FunctionSpec
from .job_states import JobState
from .names import FunctionName, Jid, MinionId
from .values import Value

CONTROL_VERSION = 1
CONTROL_HEADER_BYTES = 6
#: A request carries at most one job's arguments.
REQUEST_LIMIT_BYTES = 2 * 1024 * 1024
#: An answer carries at most one result: two streams and a value at their caps.
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
#: Open jobs that the row of a minion names.
MINION_JOBS_LIMIT = 10


@dataclass(frozen=True, slots=True)
class Submit:
    """Run a function on a target. Answers: ``JobCreated``, then with ``watch`` the stream of ``Watch``.

    Attributes:
        request_id: 16 random bytes; the same id gets the same job, also after a restart of the master.
        words: command-line words; see ``core/arguments.py`` for these four.
        target_kind: a value of ``targets.TargetKind``.
        ttl_seconds: how long the job waits for a minion that is not there.
        timeout_seconds: the job's own limit; 0 for none.
        watch: stream what becomes of it.
    """

    request_id: bytes
    function: FunctionName
    words: tuple[str, ...]
    literals: tuple[str, ...]
    values: tuple[Value, ...]
    options: Mapping[str, Value]
    target: str
    target_kind: str
    ttl_seconds: float
    timeout_seconds: float
    watch: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """Stream what becomes of a job: ``JobCreated``, then a ``TargetResult`` or ``TargetSilent`` a target, ``Done`` when all ended."""

    jid: str


@dataclass(frozen=True, slots=True)
class PreviewTarget:
    """Which minions a target selects. Answer: ``TargetPreview``."""

    target: str
    target_kind: str


@dataclass(frozen=True, slots=True)
class ListJobs:
    """The newest jobs that fit. Answer: ``JobList``.

    Attributes:
        limit: how many at the most; 0 for all.
        before: only jobs older than this jid; empty for the newest.
        user: only those of this user; this and the following: empty, or 0, for any.
        function: glob over the function.
        target: glob over the target as it was written.
        minion: only those that have this minion among their targets.
        state: ``running``, ``finished`` or ``cancelled``; or the state of a target that the job must have.
        since_us: only those made at this moment or later.
        until_us: only those made before this moment.
    """

    limit: int
    before: str
    user: str = ""
    function: str = ""
    target: str = ""
    minion: str = ""
    state: str = ""
    since_us: int = 0
    until_us: int = 0


@dataclass(frozen=True, slots=True)
class ShowJob:
    """One job with its results. Stream: ``JobSummary``, then a ``TargetResult`` a target.

    Attributes:
        jid: a whole jid, an unambiguous end of one, or ``last``.
        minions: only these targets; all when empty.
        has_output: with stdout, stderr, value and traceback; without, their lengths alone are told.
    """

    jid: str
    minions: tuple[MinionId, ...] = ()
    has_output: bool = True


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Stop a job on some or (empty) all of its minions. Answer: ``JobCancelled``."""

    jid: str
    minions: tuple[MinionId, ...]


@dataclass(frozen=True, slots=True)
class DeleteJobs:
    """Remove jobs and their results, here and on the minions. Stream: ``JobsDeleted``, then a ``JobForgotten`` for each confirmation.

    All or none: a job that has not ended on some minion is an error, unless ``is_forced``.

    Attributes:
        jids: whole jids, unambiguous ends, or ``last``; empty for every job that has ended (with ``is_forced``: every job).
        is_forced: also what runs: connected minions stop it and forget it, the others when they come back.
    """

    jids: tuple[str, ...]
    is_forced: bool


@dataclass(frozen=True, slots=True)
class PurgeJobs:
    """Remove the oldest jobs that have ended, until what is left keeps these limits; 0 is no limit. Answer: ``JobsPurged``.

    Attributes:
        age_seconds: how long ago a job may have ended.
        count: how many jobs may be kept.
        size_bytes: how much the job cache may hold.
    """

    age_seconds: float
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PingMinion:
    """Measure the way to a minion's loop and back. Answer: ``MinionPinged``.

    Attributes:
        timeout_seconds: how long to wait for its answer; 0 for 1 s, or four times its last round trip where that is longer.
    """

    minion: MinionId
    timeout_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ListMinions:
    """Minions with an accepted key. Stream: a ``MinionRow`` each.

    Attributes:
        target: which of them; empty for all.
        target_kind: how that is written, a value of ``targets.TargetKind``.
        grains: names of grains, nested ones with ``:``, that each row is to hold.
    """

    target: str = ""
    target_kind: str = "glob"
    grains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShowGrains:
    """The grains of one minion as the master knows them. Answer: ``GrainsShown``."""

    minion: MinionId


@dataclass(frozen=True, slots=True)
class FollowEvents:
    """Events as they happen. Stream: ``EventNote``…, without end.

    Attributes:
        pattern: glob over tags.
        after: continue after this number; 0 for everything since the master's start; -1 for only what comes from now on.
    """

    pattern: str
    after: int


@dataclass(frozen=True, slots=True)
class AskStatus:
    """How the master is. Answer: ``MasterStatus``."""


@dataclass(frozen=True, slots=True)
class ShowFunctions:
    """The functions whose name fits one of the globs; all when empty. Answer: ``FunctionsShown``."""

    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListKeys:
    """All minion keys. Answer: ``KeyList``."""


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """One key, by the two things that name it."""

    minion: MinionId
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ChangeKeys:
    """Accept, reject or delete exactly these keys; all or none. Answer: ``KeyList`` of what changed."""

    action: str
    keys: tuple[KeyChoice, ...]


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
        finished_us: when the last target ended; None while one is open.
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
    """

    jobs: int
    freed_bytes: int


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
        since_us: since when it is in this state; None when it was never seen.
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


Request = (
    Submit
    | Watch
    | PreviewTarget
    | ListJobs
    | ShowJob
    | CancelJob
    | ListMinions
    | ShowGrains
    | FollowEvents
    | AskStatus
    | ShowFunctions
    | ListKeys
    | ChangeKeys
    | DeleteJobs
    | PurgeJobs
    | PingMinion
)
Answer = (
    Failure
    | Done
    | JobCreated
    | TargetSilent
    | TargetResult
    | TargetPreview
    | JobSummary
    | JobList
    | JobCancelled
    | MinionRow
    | GrainsShown
    | EventNote
    | MasterStatus
    | FunctionsShown
    | KeyList
    | JobsDeleted
    | JobForgotten
    | JobsPurged
    | MinionPinged
)

#: Append only: the position is the kind byte.
REQUESTS: Mapping[int, type[Request]] = MappingProxyType(
    {
        1: Submit,
        2: Watch,
        3: PreviewTarget,
        4: ListJobs,
        5: ShowJob,
        6: CancelJob,
        7: ListMinions,
        8: ShowGrains,
        9: FollowEvents,
        10: AskStatus,
        11: ShowFunctions,
        12: ListKeys,
        13: ChangeKeys,
        14: DeleteJobs,
        15: PurgeJobs,
        16: PingMinion,
    }
)
ANSWERS: Mapping[int, type[Answer]] = MappingProxyType(
    {
        1: Failure,
        2: Done,
        3: JobCreated,
        4: TargetSilent,
        5: TargetResult,
        6: TargetPreview,
        7: JobSummary,
        8: JobList,
        9: JobCancelled,
        10: MinionRow,
        11: GrainsShown,
        12: EventNote,
        13: MasterStatus,
        14: FunctionsShown,
        15: KeyList,
        16: JobsDeleted,
        17: JobForgotten,
        18: JobsPurged,
        19: MinionPinged,
    }
)
