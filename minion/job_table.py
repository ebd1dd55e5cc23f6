"""What a minion knows of jobs, and how many more it can take on: records, memory of what is over, room. Decides nothing."""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain

from ..core.dataclass import dataclass
from ..core.from_minion import InventoryItem
from ..core.job_document import JobDocument
from ..core.job_states import JobState
from ..core.master_time import MasterTime
from ..core.names import Jid
from ..core.outcome import OUTPUT_STREAMS, VALUE_LIMIT_BYTES, OutcomeKind
from .job_steps import Limits, Step
from .outbox import Outbox

#: How long a jid is remembered after its job can no longer be started: clocks may differ by that much.
REMEMBER_US = 3_600_000_000
#: How often it is looked whether something can be forgotten.
FORGET_PAUSE_US = 60_000_000
#: Refusals and instant functions that are over, remembered in memory for copies of their order that come late.
SETTLED_LIMIT = 2_000
#: What the arguments of waiting jobs may take in memory, and those of orders in doubt; more is refused, or asked for again.
DOCUMENTS_LIMIT_BYTES = 64 * 1024 * 1024
IN_DOUBT_LIMIT_BYTES = 8 * 1024 * 1024


@dataclass(slots=True)
class KnownJob:
    """One job without a final answer.

    Attributes:
        document: None when its journal line is lost, and for a cancel that came before its job.
        verdict: why it ended without having run; None when it ran.
        is_journaled: its journal line outlives the daemon; refusals and instant functions have none.
        is_cancelled: it must not be started any more.
        is_forgotten: the master has deleted it: when it has ended, nothing of it is kept.
        held_bytes: how much output of it lies here.
        document_bytes: how long its document is.
        has_waited: its ``accepted`` is durable, so that it can no longer be refused.
        stdin_bytes: how long its stdin is, which lies here or is to come.
        lacks_stdin: that is not here whole: others may start before it.
    """

    jid: Jid
    step: Step
    expires_us: int
    document: JobDocument | None = None
    pid: int | None = None
    account: str = ""
    started_us: int | None = None
    verdict: OutcomeKind | None = None
    message: str = ""
    is_journaled: bool = True
    is_cancelled: bool = False
    is_forgotten: bool = False
    held_bytes: int = 0
    document_bytes: int = 0
    has_waited: bool = False
    stdin_bytes: int = 0
    lacks_stdin: bool = False

    @property
    def state(self) -> JobState:
        """What may be said of it before its return: how it ended is told by that alone, which may follow any state told before."""
        return JobState.RUNNING if self.step is Step.STARTED else JobState.ACKED


class JobTable:
    """All jobs that a minion knows; ``MinionJobs`` decides what becomes of them."""

    def __init__(self, limits: Limits, no_room: Callable[[int], str]) -> None:
        self._limits = limits
        self._no_room = no_room
        self._jobs: dict[Jid, KnownJob] = {}
        self._answered: dict[Jid, int] = {}
        self._tombstones: dict[Jid, int] = {}
        self._waiting: deque[Jid] = deque()
        # Those whose ``accepted`` is being written by the actions of the last event: not to be built upon before the next one.
        self._fresh: set[Jid] = set()
        self._running: set[Jid] = set()
        self._in_doubt: dict[Jid, tuple[bytes, bytes]] = {}
        self._outbox = Outbox()
        self._settled: dict[Jid, None] = {}
        self._held_bytes = 0
        self._document_bytes = 0
        self._stdin_bytes = 0
        self._forget_us = 0
        self._time: MasterTime | None = None

    @property
    def is_at_rest(self) -> bool:
        """Whether there is nothing to go on with: no job without a final answer, and no order that is held in doubt."""
        return not self._jobs and not self._in_doubt

    def inventory(self) -> tuple[InventoryItem, ...]:
        """The journaled jobs without a final answer, for ``hello``."""
        return tuple(InventoryItem(job.jid, job.state) for job in self._jobs.values() if job.is_journaled)

    def document(self, jid: Jid) -> JobDocument | None:
        """What is to be run for a job without a final answer; None when that is not known (any more)."""
        job = self._jobs.get(jid)
        return job.document if job else None

    def lacking_stdin(self) -> list[JobDocument]:
        """The accepted jobs whose stdin is not here whole, in order."""
        if not self._stdin_bytes:
            return []
        jobs = (self._jobs[jid] for jid in self._waiting if jid not in self._fresh)
        return [job.document for job in jobs if job.lacks_stdin and job.document is not None]

    def load(self) -> tuple[int, int]:
        """How many jobs run, and how many wait."""
        return len(self._running), len(self._waiting)

    def open_jobs(self) -> Iterable[tuple[JobDocument, JobState, int | None, int | None]]:
        """The jobs that have not ended, oldest first: document, state, pid, started."""
        for job in self._jobs.values():
            if job.document is not None and job.step is not Step.ENDED:
                yield job.document, job.state, job.pid, job.started_us

    def deadline_us(self) -> int | None:
        """When ``ticked`` has something to do, by CLOCK_BOOTTIME."""
        return self._outbox.deadline_us()

    def forgettable(self, now_us: int) -> list[Jid]:
        """Answered jobs and tombstones that no order can concern any more, and forget them."""
        if self._time is None or now_us < self._forget_us or self._time.is_doubtful(now_us):
            return []
        self._forget_us = now_us + FORGET_PAUSE_US
        limit_us = self._time.now(now_us) - REMEMBER_US
        gone = [jid for jid, until in chain(self._answered.items(), self._tombstones.items()) if until < limit_us]
        for jid in gone:
            self._answered.pop(jid, None)
            self._tombstones.pop(jid, None)
        return gone

    # Records.

    def _add(self, job: KnownJob, document_bytes: int) -> None:
        self._jobs[job.jid] = job
        job.document_bytes = document_bytes
        self._document_bytes += document_bytes
        job.stdin_bytes = job.document.stdin_bytes if job.document else 0
        self._stdin_bytes += job.stdin_bytes

    def _drop(self, job: KnownJob) -> None:
        del self._jobs[job.jid]
        self._document_bytes -= job.document_bytes
        self._held_bytes -= job.held_bytes
        self._stdin_bytes -= job.stdin_bytes

    def _remember(self, job: KnownJob) -> None:
        """It is answered: a copy of its order that comes late must find it."""
        if job.is_journaled:
            self._answered[job.jid] = job.expires_us
            return
        self._settled[job.jid] = None
        if len(self._settled) > SETTLED_LIMIT:
            del self._settled[next(iter(self._settled))]

    def _unremember(self, jid: Jid) -> None:
        """Its last line could not be written: it is remembered here alone, and is not for the journal to forget.

        A tombstone that could not be written is none: whoever asked for it asks again.
        """
        self._tombstones.pop(jid, None)
        if self._answered.pop(jid, None) is not None:
            self._settled[jid] = None

    def _is_answered(self, jid: Jid) -> bool:
        return jid in self._answered or jid in self._settled

    def _doubt(self, jid: Jid, encoded: bytes, signature: bytes) -> None:
        """Keep an order until the master's time is known; where there is no room the master sends it again."""
        waiting_bytes = sum(len(document) for document, _ in self._in_doubt.values())
        if waiting_bytes + len(encoded) <= IN_DOUBT_LIMIT_BYTES and len(self._in_doubt) < self._limits.spool_jobs:
            self._in_doubt[jid] = (encoded, signature)

    # How much more may be taken on.

    def _hold(self, job: KnownJob, held_bytes: int) -> None:
        job.held_bytes = held_bytes
        self._held_bytes += held_bytes

    def _reserved_bytes(self) -> int:
        documents = (self._jobs[jid].document for jid in self._running)
        return self._held_bytes + sum(_most_bytes(document) for document in documents if document)

    def _has_room(self, document: JobDocument) -> bool:
        """Tell whether this may start now: room for all that it may write is reserved (DESIGN D8)."""
        if len(self._running) >= self._limits.running or self._no_room(self._owed_bytes()):
            return False
        reserved = self._reserved_bytes()
        # One that could never fit runs when there is nothing beside it.
        return not reserved or reserved + _most_bytes(document) <= self._limits.spool_bytes

    def _owed_bytes(self) -> int:
        """What the disk must still take of accepted jobs, as if nothing had come of a stdin that is not whole."""
        if not self._stdin_bytes:
            return 0
        waiting = (self._jobs[jid] for jid in self._waiting)
        return sum(job.stdin_bytes for job in waiting if job.lacks_stdin)

    def _is_full(self, stdin_bytes: int = 0) -> bool:
        """Tell whether nothing more can be taken on, such as a job with a stdin of that length."""
        spooled_bytes = self._held_bytes + self._stdin_bytes
        return (
            len(self._jobs) >= self._limits.spool_jobs
            or spooled_bytes >= self._limits.spool_bytes
            or (stdin_bytes > 0 and spooled_bytes + stdin_bytes > self._limits.spool_bytes)
            or self._document_bytes >= DOCUMENTS_LIMIT_BYTES
        )

    def _is_full_of_verdicts(self) -> bool:
        return len(self._jobs) >= self._limits.spool_jobs + self._limits.instant_returns

    def _full_reason(self) -> str:
        return (
            f"the spool of the minion is full: it holds {len(self._jobs)} jobs and {self._held_bytes} bytes of output "
            f"that the master has not answered"
            + (f", and {self._stdin_bytes} bytes of stdin" * bool(self._stdin_bytes))
        )


def _most_bytes(document: JobDocument) -> int:
    """How much a job may write: stdout and stderr up to its output limit, and a value."""
    limit_bytes = document.output_limit_bytes
    return len(OUTPUT_STREAMS) * limit_bytes + min(limit_bytes, VALUE_LIMIT_BYTES)
