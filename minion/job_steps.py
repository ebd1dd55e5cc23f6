"""What the job machine of a minion asks of its daemon, and the steps that its journal knows."""

from enum import StrEnum

from ..core.dataclass import dataclass
from ..core.job_document import JobDocument
from ..core.messages import FromMinion
from ..core.names import Jid
from ..core.outcome import OutcomeKind


class Step(StrEnum):
    """How far a job has come; also what the journal says."""

    ACCEPTED = "accepted"
    STARTING = "starting"
    STARTED = "started"
    ENDED = "ended"
    ANSWERED = "answered"
    TOMBSTONE = "tombstone"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of the journal, and the whole of what is remembered of a job.

    Attributes:
        document: the encoded job document; kept with ``accepted`` only.
        signature: the master's over it.
        expires_us: until when the job might be ordered again.
        verdict: why it ended without having run; None when it ran.
        message: the reason that goes with the verdict.
    """

    jid: Jid
    step: Step
    expires_us: int
    document: bytes = b""
    signature: bytes = b""
    verdict: OutcomeKind | None = None
    message: str = ""


class Remains(StrEnum):
    """What is left of a job's process."""

    NOTHING = "nothing"
    ALIVE = "alive"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in a job's folder.

    Attributes:
        frame_bytes: about how long the return's frame will be.
        held_bytes: how much output there is.
    """

    remains: Remains
    frame_bytes: int = 0
    held_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a minion takes on.

    Attributes:
        running: how many jobs run at once; the rest wait in order.
        spool_jobs: how many may be waiting, running or unanswered.
        spool_bytes: how much output may lie here unanswered, room for what runs included.
        instant_returns: how many returns of instant functions and refusals may be unanswered beside them.
    """

    running: int = 16
    spool_jobs: int = 2_000
    spool_bytes: int = 1024 * 1024 * 1024
    instant_returns: int = 2_000


@dataclass(frozen=True, slots=True)
class WriteJournal:
    """Make these lines durable with one fsync; then do ``then``. When that fails, tell ``journal_failed``."""

    entries: tuple[JournalEntry, ...]
    then: "tuple[JobAction, ...]"


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send this to the master when a session is open; it is repeated when it matters."""

    message: FromMinion


@dataclass(frozen=True, slots=True)
class StartJob:
    """Have a supervisor run this job."""

    document: JobDocument


@dataclass(frozen=True, slots=True)
class RunInstant:
    """Run this function here and now; its end is told by ``instant_ended``."""

    document: JobDocument


@dataclass(frozen=True, slots=True)
class StopJob:
    """Stop the process group of this job: TERM, then KILL."""

    jid: Jid
    reason: str


@dataclass(frozen=True, slots=True)
class SendReturn:
    """Make the return of this job from what its supervisor left behind (or from the verdict) and send it."""

    jid: Jid
    verdict: OutcomeKind | None
    message: str


@dataclass(frozen=True, slots=True)
class ForgetJob:
    """Delete what is held of this job: its folder, and its instant return."""

    jid: Jid


@dataclass(frozen=True, slots=True)
class AskTime:
    """Ask the master for its time: something waits for it."""


JobAction = WriteJournal | SendMessage | StartJob | RunInstant | StopJob | SendReturn | ForgetJob | AskTime
