"""What master and minion say to each other: one frozen dataclass a message, and the append-only table of kinds.

A message on the request port is one frame::

    byte 0      protocol version           in which this kind came, see ``SINCE``; checked before anything else
    byte 1      kind                       an index of ``FROM_MINION`` or ``FROM_MASTER``
    byte 2-17   session token              sixteen zero bytes in Hello, Welcome and Rejoin
    byte 18-    body                       msgpack array of the fields, in the order written here

Fields are only ever appended, with a default: a shorter array is filled up, what is too long is ignored. The same names stand
in code, logs and ``docs/protocol.md``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .function_spec import FunctionSpec
from .job_states import JobState
from .names import FunctionName, Jid, MinionId
from .outcome import OutcomeKind
from .values import Value

#: The newest version that this release speaks.
PROTOCOL_VERSION = 2
#: The oldest version that this release still serves; a peer below it is told so and refused.
PROTOCOL_MINIMUM = 1
#: The first version. What it had is written under its number for ever, so that both neighbours of a release read it.
PROTOCOL_FIRST = 1

TOKEN_BYTES = 16
NO_TOKEN = bytes(TOKEN_BYTES)
HEADER_BYTES = 2 + TOKEN_BYTES

#: What a minion may send in one frame. Output chunks are 32 KiB, inline streams 16 KiB each: nothing needs more, and
#: a stolen minion key can fill no more than this times the high-water mark.
REQUEST_FRAME_LIMIT_BYTES = 128 * 1024
#: What the master may send in one frame: a job with its arguments.
JOB_FRAME_LIMIT_BYTES = 4 * 1024 * 1024
CHUNK_LIMIT_BYTES = 32 * 1024
INLINE_LIMIT_BYTES = 16 * 1024
#: What is handed to the transport for one minion, or by one minion, without an answer (DESIGN D8).
WINDOW_BYTES = 256 * 1024
ARGUMENTS_LIMIT_BYTES = 1024 * 1024
REASON_LIMIT_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class JobDocument:
    """One function call as it is signed, journaled and run.

    Attributes:
        jid: its name.
        function: what to call.
        words: command-line words, coerced by the minion; ``name=value`` may be a keyword argument.
        literals: words after ``--``: always by position.
        values: typed values, checked and never coerced.
        options: typed keyword arguments.
        user: who asked, for the log.
        created_us: microseconds since 1970 by the master's clock.
        expires_us: not to be started after this moment of the master's clock.
        timeout_seconds: the job's own limit; 0 for none.
        output_limit_bytes: how much of stdout, and of stderr, is kept.
    """

    jid: Jid
    function: FunctionName
    words: tuple[str, ...]
    literals: tuple[str, ...]
    values: tuple[Value, ...]
    options: Mapping[str, Value]
    user: str
    created_us: int
    expires_us: int
    timeout_seconds: float
    output_limit_bytes: int


@dataclass(frozen=True, slots=True)
class InventoryItem:
    """One job that a minion knows and has no final answer for."""

    jid: Jid
    state: JobState


@dataclass(frozen=True, slots=True)
class Hello:
    """First word of a minion on a new connection; ZAP has proved its key.

    Attributes:
        minion_id: what it calls itself; believed only if the key is accepted under this id.
        protocol_minimum: the oldest version it speaks.
        protocol_maximum: the newest.
        fleet_version: its release, for people.
        journal_id: random, made with its journal; another one means that its memory is gone.
        boot_id: the kernel's.
        grains_digest: of what it would send as grains.
        catalogue_digest: of what it would send as catalogue.
        inventory: the jobs it has no final answer for.
        is_first: the first hello of this process.
        wall_clock_us: what its own clock says, to show the skew.
    """

    minion_id: MinionId
    protocol_minimum: int
    protocol_maximum: int
    fleet_version: str
    journal_id: bytes
    boot_id: str
    grains_digest: bytes
    catalogue_digest: bytes
    inventory: tuple[InventoryItem, ...]
    is_first: bool
    wall_clock_us: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The minion has seen a probe: what is broadcast from now on reaches it."""

    epoch: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The minion's loop is alive.

    Attributes:
        number: echoed in the answer.
        round_trip_us: of the heartbeat before; 0 when unknown.
        skew_us: its wall clock minus the master's.
        running: jobs that run.
        waiting: jobs that wait for their turn.
    """

    number: int
    round_trip_us: int
    skew_us: int
    running: int
    waiting: int


@dataclass(frozen=True, slots=True)
class GrainsReport:
    """All grains of this minion."""

    digest: bytes
    grains: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class CatalogueReport:
    """All functions of this minion, deflated msgpack of ``FunctionSpec``; sent when the master lacks the digest."""

    digest: bytes
    deflated: bytes


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job is journaled (``acked``) or has started (``running``).

    Attributes:
        pid: of the program, or of the process that runs the function; None when none.
        started_us: by the master's clock as the minion knows it; None before the start.
    """

    jid: Jid
    state: JobState
    pid: int | None = None
    started_us: int | None = None
    account: str = ""


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """One output stream of one job.

    Attributes:
        length_bytes: how much was kept.
        total_bytes: how much there was; more than ``length_bytes`` when the cap cut it.
        digest: BLAKE2b-256 of what was kept.
        inline: the bytes themselves when they are few; else None, and the master asks for them.
    """

    length_bytes: int
    total_bytes: int
    digest: bytes
    inline: bytes | None


@dataclass(frozen=True, slots=True)
class Return:
    """How one job ended on this minion; sent again until it is answered.

    Attributes:
        has_value: whether there is a value; it lies encoded in the stream ``value`` unless ``value_from`` derives it.
        value_from: ``""``, ``text``, ``stdout`` or ``stderr``.
        started_us: None when it never started.
        force_stopped: KILL was needed, or TERM was sent: the operator's stop or the time limit.
    """

    jid: Jid
    kind: OutcomeKind
    message: str
    has_value: bool
    value_from: str
    retcode: int | None
    traceback: str
    value: StreamSummary
    stdout: StreamSummary
    stderr: StreamSummary
    pid: int | None
    account: str
    started_us: int | None
    finished_us: int
    duration_us: int
    force_stopped: bool


@dataclass(frozen=True, slots=True)
class OutputChunk:
    """Bytes of one stream of one job, from ``offset`` on; sent only when asked for."""

    jid: Jid
    stream: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class MinionEvent:
    """Something that happened on the minion; the tag is below its own prefix."""

    tag: str
    payload: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Renewed:
    """The minion holds the broadcast key of this epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class UnknownJob:
    """The minion was asked about a job that its journal does not know."""

    jid: Jid


@dataclass(frozen=True, slots=True)
class Pong:
    """The minion's loop has seen a ``Ping``. Since version 2."""

    number: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Nothing of this job is on the minion any more, and it will not be started. Since version 2."""

    jid: Jid


@dataclass(frozen=True, slots=True)
class Welcome:
    """The session: everything a minion may believe about where it stands.

    Attributes:
        token: opens every further message of the session, both ways.
        epoch: of the broadcast key.
        broadcast_key: 32 bytes, never written to disk.
        sequence: broadcasts up to this one are not for this session.
        master_time_us: the master's clock.
        heartbeat_seconds: how often to say that the loop lives.
        reconnect_window_seconds: over how long to spread reconnects, by the size of the fleet.
        wants_grains: the digest in hello is not known.
        wants_catalogue: likewise.
        master_version: its release, for people.
        incarnation: random, made with the master's store; another one means a store restored or made anew.
    """

    token: bytes
    epoch: int
    broadcast_key: bytes
    sequence: int
    master_time_us: int
    heartbeat_seconds: float
    reconnect_window_seconds: float
    wants_grains: bool
    wants_catalogue: bool
    master_version: str
    incarnation: bytes


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """The master's loop is alive."""

    number: int
    master_time_us: int


@dataclass(frozen=True, slots=True)
class JobOrder:
    """A job for this minion over its own connection.

    Attributes:
        document: encoded ``JobDocument``, as signed.
        signature: by the master's identity over label and document.
    """

    document: bytes
    signature: bytes
    master_time_us: int


@dataclass(frozen=True, slots=True)
class Stored:
    """The return is committed; the minion may forget it."""

    jid: Jid


@dataclass(frozen=True, slots=True)
class Discard:
    """The return is not wanted; the minion may forget it."""

    jid: Jid
    reason: str


@dataclass(frozen=True, slots=True)
class Need:
    """Send this stream from this offset on, ``WINDOW_BYTES`` at most; then wait."""

    jid: Jid
    stream: str
    offset: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop this job; when it is unknown, do not start it later."""

    jid: Jid
    expires_us: int


@dataclass(frozen=True, slots=True)
class Renewal:
    """A new broadcast key; the old one is dead."""

    epoch: int
    broadcast_key: bytes
    sequence: int
    master_time_us: int


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Say where this job stands: by its progress, its return, or that it is unknown."""

    jid: Jid


@dataclass(frozen=True, slots=True)
class Rejoin:
    """This connection has no session (any more): say hello.

    Attributes:
        reason: for the log.
        retry_seconds: how long to wait before.
    """

    reason: str
    retry_seconds: float


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer with ``Pong``. Since version 2."""

    number: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop everything of this job, its return included; stop it when it runs, never start it when it does not. Since version 2.

    Attributes:
        expires_us: until when its order may still be on its way.
    """

    jid: Jid
    expires_us: int


@dataclass(frozen=True, slots=True)
class Probe:
    """In a broadcast: no job, only proof that broadcasts arrive."""

    number: int


FromMinion = (
    Hello
    | Ready
    | Heartbeat
    | GrainsReport
    | CatalogueReport
    | JobProgress
    | Return
    | OutputChunk
    | MinionEvent
    | Renewed
    | UnknownJob
    | Pong
    | Forgotten
)
FromMaster = (
    Welcome | HeartbeatAnswer | JobOrder | Stored | Discard | Need | Cancel | Renewal | Inquiry | Rejoin | Ping | Forget
)

#: Append only: the position is the kind byte.
FROM_MINION: Mapping[int, type[FromMinion]] = MappingProxyType(
    {
        1: Hello,
        2: Ready,
        3: Heartbeat,
        4: GrainsReport,
        5: CatalogueReport,
        6: JobProgress,
        7: Return,
        8: OutputChunk,
        9: MinionEvent,
        10: Renewed,
        11: UnknownJob,
        12: Pong,
        13: Forgotten,
    }
)
FROM_MASTER: Mapping[int, type[FromMaster]] = MappingProxyType(
    {
        1: Welcome,
        2: HeartbeatAnswer,
        3: JobOrder,
        4: Stored,
        5: Discard,
        6: Need,
        7: Cancel,
        8: Renewal,
        9: Inquiry,
        10: Rejoin,
        11: Ping,
        12: Forget,
    }
)
#: The version in which a kind came, where that was not the first. A peer that speaks an older one must not be sent it.
SINCE: Mapping[type[FromMinion | FromMaster], int] = MappingProxyType({Pong: 2, Forgotten: 2, Ping: 2, Forget: 2})


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The functions of a minion, as one document: what ``CatalogueReport`` carries deflated."""

    functions: tuple[FunctionSpec, ...]
