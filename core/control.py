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
from dataclasses import dataclass
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
    """The newest jobs. Answer: ``JobList``.

    Attributes:
        limit: how many at the most; 0 for all.
        before: only jobs older than this jid; empty for the newest.
    """

    limit: int
    before: str


@dataclass(frozen=True, slots=True)
class ShowJob:
    """One job with all its results. ``jid`` may be an unambiguous end of a jid, or ``last``. Stream: ``JobSummary``, then a ``TargetResult`` a target."""

    jid: str


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Stop a job on some or (empty) all of its minions. Answer: ``JobCancelled``."""

    jid: str
    minions: tuple[MinionId, ...]


@dataclass(frozen=True, slots=True)
class ListMinions:
    """All minions with an accepted key. Stream: a ``MinionRow`` each."""


@dataclass(frozen=True, slots=True)
class ShowGrains:
    """The grains of one minion as the master knows them. Answer: ``GrainsShown``."""

    minion: MinionId


@dataclass(frozen=True, slots=True)
class FollowEvents:
    """Events as they happen. Stream: ``EventNote``…, without end.

    Attributes:
        pattern: glob over tags.
        after: continue after this number; -1 for only what comes from now on.
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
    """A page of jobs, newest first."""

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
class MinionRow:
    """One minion.

    Attributes:
        state: ``up``, ``silent`` (connected, heartbeats missing) or ``down``.
        since_us: since when it is in this state; None when it was never seen.
        last_seen_us: when anything was last heard of it.
        skew_us: its wall clock minus the master's.
        conflict: why it gets no jobs although it is connected; empty when it does.
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


@dataclass(frozen=True, slots=True)
class GrainsShown:
    """The grains of a minion; empty when it has never reported any."""

    minion: MinionId
    grains: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class EventNote:
    """One event.

    Attributes:
        number: counts up by one with each event of this master process.
        missed: how many events before this one were asked for and no longer kept.
    """

    number: int
    tag: str
    time_us: int
    payload: Mapping[str, Value]
    missed: int


@dataclass(frozen=True, slots=True)
class MasterStatus:
    """How the master is; ``counters`` are named in ``docs/reference.md``."""

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
    }
)
