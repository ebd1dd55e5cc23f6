"""What a minion says to its master: one frozen dataclass a message."""

from collections.abc import Mapping

from .crypto import digest
from .dataclass import dataclass
from .job_states import JobState
from .names import Jid, MinionId
from .outcome import OutcomeKind
from .values import Value


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


#: A stream without a byte; the digest is that of none (BLAKE2b-256).
NO_STREAM = StreamSummary(0, 0, digest(b""), b"")


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
class LiveOutput:
    """A piece of the output of a job that somebody follows, as it is made: ``CHUNK_LIMIT_BYTES`` at the most."""

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
class NeedStdin:
    """Send the stdin of this job from this offset on, ``WINDOW_BYTES`` at most; then wait. Since version 2.

    Attributes:
        offset: what lies before it is here; the length of the stdin when all of it is, which asks for nothing more.
    """

    jid: Jid
    offset: int
