"""What becomes of a job, as the executor tells it."""

from ..core.dataclass import dataclass
from ..core.names import Jid
from .job_records import JobStatus, StartedProgram


@dataclass(frozen=True, slots=True)
class JobStarted:
    """A job runs.

    Attributes:
        pid: of the program, or of the process that runs the function.
        account: which account that runs as, as far as is known before the end.
        started_us: microseconds since 1970 by this machine's clock.
    """

    jid: Jid
    pid: int
    account: str
    started_us: int


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job has ended: its last status is in its folder, which no process uses any more."""

    jid: Jid
    status: JobStatus


@dataclass(frozen=True, slots=True)
class JobLost:
    """Nothing of a job is alive, and it left no last status.

    Attributes:
        reason: what is known, for a person.
    """

    jid: Jid
    reason: str


@dataclass(frozen=True, slots=True)
class JobAlive:
    """A job that was started by an earlier daemon goes on, and is watched from now on.

    Attributes:
        pid: of the program, or of the process that runs the function; None when it has not come so far.
        started_us: likewise.
    """

    jid: Jid
    pid: int | None
    account: str
    started_us: int | None


@dataclass(frozen=True, slots=True)
class JobExecuting:
    """The process of a job has become a program; told at the latest right before the job's end.

    Attributes:
        is_adopted: an earlier daemon started the job, and may have told this before.
    """

    jid: Jid
    program: StartedProgram
    is_adopted: bool


JobChange = JobStarted | JobExecuting | JobEnded | JobLost
