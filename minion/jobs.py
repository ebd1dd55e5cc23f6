"""The jobs of a minion: a pure machine. Orders, cancels, ends and the time go in; a list of actions comes out.

Every job takes these steps, each in the journal before what it announces (DESIGN D3)::

    accepted ──▶ starting ──▶ started ──▶ ended ──▶ answered
        └──────────────────────────────────▲        (expired or cancelled while it waited)

``instant`` functions and refusals skip the journal: they change nothing, so after a crash they may be answered anew.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from ..core.job_states import JobState
from ..core.master_time import MasterTime
from ..core.messages import (
    Cancel,
    Discard,
    InventoryItem,
    JobDocument,
    JobProgress,
    Stored,
    UnknownJob,
)
from ..core.names import Jid
from ..core.outcome import OutcomeKind
from .job_steps import (
    AskTime,
    ForgetJob,
    Found,
    JobAction,
    JournalEntry,
    Limits,
    Remains,
    RunInstant,
    SendMessage,
    SendReturn,
    StartJob,
    Step,
    StopJob,
    WriteJournal,
)
from .outbox import Outbox

#: How long a jid is remembered after its job can no longer be started: clocks may differ by that much.
REMEMBER_US = 3_600_000_000
#: An expired-looking job is called expired only by a measurement of the master's clock that is younger than this.
EXPIRY_FRESH_US = 1_000_000


@dataclass(slots=True)
class _Job:
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
    held_bytes: int = 0
    has_waited: bool = False


class MinionJobs:
    """What this minion has been asked to do, and how far it is.

    Args:
        limits: what it takes on.
        refuse: says why a job cannot be run at all (unknown function, wrong arguments, not allowed), or None.
        is_instant: tells whether the function runs in the loop.
        decode: reads an encoded job document.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        refuse: Callable[[JobDocument], tuple[OutcomeKind, str] | None],
        is_instant: Callable[[JobDocument], bool],
        decode: Callable[[bytes], JobDocument],
    ) -> None:
        self._limits = limits
        self._refuse = refuse
        self._is_instant = is_instant
        self._decode = decode
        self._jobs: dict[Jid, _Job] = {}
        self._answered: dict[Jid, int] = {}
        self._tombstones: dict[Jid, int] = {}
        self._waiting: deque[Jid] = deque()
        self._running: set[Jid] = set()
        self._outbox = Outbox()
        self._held_bytes = 0
        self._time: MasterTime | None = None
        self._in_doubt: dict[Jid, tuple[bytes, bytes]] = {}

    # What others ask.

    def inventory(self) -> tuple[InventoryItem, ...]:
        """The journaled jobs without a final answer, for ``hello``."""
        return tuple(InventoryItem(job.jid, _state_of(job)) for job in self._jobs.values() if job.is_journaled)

    def load(self) -> tuple[int, int]:
        """How many jobs run, and how many wait."""
        return len(self._running), len(self._waiting)

    def open_jobs(self) -> Iterable[tuple[JobDocument, JobState, int | None, int | None]]:
        """The jobs that have not ended, oldest first: document, state, pid, started."""
        for job in self._jobs.values():
            if job.document is not None and job.step is not Step.ENDED:
                yield job.document, _state_of(job), job.pid, job.started_us

    def deadline_us(self) -> int | None:
        """When ``ticked`` has something to do, by CLOCK_BOOTTIME."""
        return self._outbox.deadline_us()

    # After a start of the daemon.

    def recover(self, entries: Mapping[Jid, JournalEntry], found: Mapping[Jid, Found]) -> list[JobAction]:
        """Take up what the journal remembers.

        Args:
            entries: the last line of every jid, with the document of its ``accepted``.
            found: what lies in each job's folder.
        """
        actions: list[JobAction] = []
        for jid, entry in entries.items():
            if entry.step is Step.TOMBSTONE:
                self._tombstones[jid] = entry.expires_us
            elif entry.step is Step.ANSWERED:
                self._answered[jid] = entry.expires_us
            else:
                actions += self._recover_job(entry, found.get(jid, Found(Remains.NOTHING)))
        return actions

    def _recover_job(self, entry: JournalEntry, found: Found) -> list[JobAction]:
        document = self._decode(entry.document) if entry.document else None
        job = _Job(entry.jid, entry.step, entry.expires_us, document, verdict=entry.verdict, message=entry.message)
        self._jobs[job.jid] = job
        if entry.step is Step.ENDED:
            self._hold(job, found.held_bytes)
            self._outbox.add(job.jid, found.frame_bytes)
            return []
        if found.remains is Remains.STATUS:
            return self._end(job, found, 0)
        if found.remains is Remains.ALIVE:
            job.step = Step.STARTED
            self._running.add(job.jid)
            return []
        if entry.step is Step.ACCEPTED:
            self._waiting.append(job.jid)
            return []
        reason = (
            "the minion was restarted and the process is gone; its output up to then is kept"
            if entry.step is Step.STARTED
            else "the minion was stopped while it started this; it may or may not have run"
        )
        return self._end(job, found, 0, OutcomeKind.LOST, reason)

    # The link.

    def joined(self, time: MasterTime, now_us: int) -> list[JobAction]:
        """A session is open: everything unanswered is sent again."""
        self._time = time
        self._outbox.open(job.jid for job in self._jobs.values() if job.step is Step.ENDED)
        return [*self._start_waiting(now_us), *self._send_due(now_us)]

    def left(self) -> None:
        """The session is gone: nothing is sent until the next one."""
        self._outbox.close()

    def time_learned(self, time: MasterTime, now_us: int) -> list[JobAction]:
        """The master's clock was measured: judge what waited for it."""
        self._time = time
        actions: list[JobAction] = []
        for encoded, signature in list(self._in_doubt.values()):
            actions += self.ordered(encoded, signature, now_us)
        self._in_doubt.clear()
        return actions + self._start_waiting(now_us)

    # Orders.

    def ordered(self, encoded: bytes, signature: bytes, now_us: int) -> list[JobAction]:
        """A job came; its signature has been verified.

        Raises:
            ProtocolError: the document cannot be read.
        """
        document = self._decode(encoded)
        jid = document.jid
        known = self._jobs.get(jid)
        if known is not None:
            return self._tell(known, now_us)
        if jid in self._answered:
            return self._verdict(
                document, OutcomeKind.LOST, "it ended before and its return was stored; nothing is held of it", now_us
            )
        if jid in self._tombstones:
            return self._verdict(document, OutcomeKind.CANCELLED, "cancelled before it arrived", now_us)
        refused = self._refuse(document)
        if refused is not None:
            return self._verdict(document, *refused, now_us)
        expired = self._is_expired(document.expires_us, now_us)
        if expired is None:
            self._in_doubt[jid] = (encoded, signature)
            return [AskTime()]
        if expired:
            return self._verdict(document, OutcomeKind.EXPIRED, "its time to live had passed when it arrived", now_us)
        if self._is_full():
            return self._verdict(document, OutcomeKind.SPOOL_FULL, self._full_reason(), now_us)
        if self._is_instant(document):
            self._jobs[jid] = _Job(jid, Step.STARTED, document.expires_us, document, is_journaled=False)
            return [RunInstant(document)]
        return self._accept(document, encoded, signature)

    def _accept(self, document: JobDocument, encoded: bytes, signature: bytes) -> list[JobAction]:
        jid = document.jid
        job = _Job(jid, Step.ACCEPTED, document.expires_us, document)
        self._jobs[jid] = job
        accepted = JournalEntry(jid, Step.ACCEPTED, document.expires_us, encoded, signature)
        acked = SendMessage(JobProgress(jid, JobState.ACKED))
        if self._waiting or not self._has_room(document):
            self._waiting.append(jid)
            return [WriteJournal((accepted,), (acked,))]
        job.step = Step.STARTING
        self._running.add(jid)
        starting = JournalEntry(jid, Step.STARTING, document.expires_us)
        return [WriteJournal((accepted, starting), (acked, StartJob(document)))]

    def journal_failed(self, jid: Jid, reason: str, now_us: int) -> list[JobAction]:
        """The journal could not take a line: what it would have announced does not happen.

        A new job is refused. One whose ``accepted`` is durable goes back to the head of the queue: refusing it would leave a line
        in the journal by which the next start would run it.
        """
        job = self._jobs.get(jid)
        if job is None or job.document is None or job.step not in {Step.ACCEPTED, Step.STARTING}:
            return []
        self._running.discard(jid)
        if job.has_waited:
            job.step = Step.ACCEPTED
            self._waiting.appendleft(jid)
            return []
        if jid in self._waiting:
            self._waiting.remove(jid)
        del self._jobs[jid]
        return self._verdict(job.document, OutcomeKind.SPOOL_FULL, reason, now_us)

    def cancelled(self, message: Cancel, now_us: int) -> list[JobAction]:
        """The master asks to stop a job; an unknown one must never start."""
        job = self._jobs.get(message.jid)
        if job is None:
            self._in_doubt.pop(message.jid, None)
            if message.jid in self._answered:
                return [SendMessage(UnknownJob(message.jid))]
            self._tombstones[message.jid] = message.expires_us
            entry = JournalEntry(message.jid, Step.TOMBSTONE, message.expires_us)
            ghost = _Job(
                message.jid,
                Step.ENDED,
                message.expires_us,
                verdict=OutcomeKind.CANCELLED,
                message="cancelled before it arrived",
                is_journaled=False,
            )
            self._jobs[message.jid] = ghost
            self._outbox.add(message.jid, 0)
            return [WriteJournal((entry,), tuple(self._send_due(now_us)))]
        if job.step is Step.ENDED:
            return self._tell(job, now_us)
        if job.step is Step.ACCEPTED:
            self._waiting.remove(job.jid)
            reason = "cancelled while it waited for its turn"
            return self._end(job, Found(Remains.NOTHING), now_us, OutcomeKind.CANCELLED, reason)
        job.is_cancelled = True
        return [StopJob(job.jid, "cancelled")]

    def inquired(self, jid: Jid, now_us: int) -> list[JobAction]:
        """The master asks where a job stands."""
        job = self._jobs.get(jid)
        if job is not None:
            return self._tell(job, now_us)
        return [SendMessage(UnknownJob(jid))]

    # What becomes of them.

    def started(self, jid: Jid, pid: int, account: str, started_us: int) -> list[JobAction]:
        """The supervisor says that the job runs."""
        job = self._jobs.get(jid)
        if job is None or job.step is not Step.STARTING:
            return []
        job.step, job.pid, job.account, job.started_us = Step.STARTED, pid, account, started_us
        running = SendMessage(JobProgress(jid, JobState.RUNNING, pid, started_us, account))
        return [WriteJournal((JournalEntry(jid, Step.STARTED, job.expires_us),), (running,))]

    def ended(self, jid: Jid, found: Found, now_us: int, lost_reason: str = "") -> list[JobAction]:
        """A supervisor has left its status, or is gone without one, which ``lost_reason`` then explains."""
        job = self._jobs.get(jid)
        if job is None or job.step is Step.ENDED:
            return []
        self._running.discard(jid)
        verdict = OutcomeKind.LOST if lost_reason else None
        return [*self._end(job, found, now_us, verdict, lost_reason), *self._start_waiting(now_us)]

    def instant_ended(self, jid: Jid, frame_bytes: int, now_us: int) -> list[JobAction]:
        """An instant function has returned; its return is held in memory."""
        self._jobs[jid].step = Step.ENDED
        self._outbox.add(jid, frame_bytes)
        return self._send_due(now_us)

    def answered(self, message: Stored | Discard, now_us: int) -> list[JobAction]:
        """The master has stored a return, or does not want it."""
        job = self._jobs.get(message.jid)
        if job is None or job.step is not Step.ENDED:
            return []
        del self._jobs[message.jid]
        self._outbox.remove(message.jid)
        self._held_bytes -= job.held_bytes
        actions: list[JobAction] = []
        if job.is_journaled:
            self._answered[job.jid] = job.expires_us
            actions.append(WriteJournal((JournalEntry(job.jid, Step.ANSWERED, job.expires_us),), ()))
        return [*actions, ForgetJob(job.jid), *self._start_waiting(now_us), *self._send_due(now_us)]

    def asked_for_output(self, jid: Jid, now_us: int) -> bool:
        """The master pulls a stream: the return has arrived, so its resend waits. False when the job is unknown."""
        job = self._jobs.get(jid)
        if job is None or job.step is not Step.ENDED:
            return False
        self._outbox.postpone(jid, now_us)
        return True

    def ticked(self, now_us: int) -> list[JobAction]:
        """Start what has room now, and send again what was not answered in time."""
        return [*self._start_waiting(now_us), *self._send_due(now_us)]

    def forgettable(self, now_us: int) -> list[Jid]:
        """Answered jobs and tombstones that no order can concern any more, and forget them."""
        if self._time is None:
            return []
        limit_us = self._time.now(now_us) - REMEMBER_US
        gone = [jid for jid, until in chain(self._answered.items(), self._tombstones.items()) if until < limit_us]
        for jid in gone:
            self._answered.pop(jid, None)
            self._tombstones.pop(jid, None)
        return gone

    # Inner steps.

    def _verdict(self, document: JobDocument, kind: OutcomeKind, message: str, now_us: int) -> list[JobAction]:
        """Answer a job that does not run; nothing is journaled, the same order would get the same answer."""
        if len(self._jobs) >= self._limits.spool_jobs + self._limits.instant_returns:
            return []  # The master asks again; an answer that could not be held would be an answer lost.
        self._jobs[document.jid] = _Job(
            document.jid,
            Step.ENDED,
            document.expires_us,
            document,
            verdict=kind,
            message=message,
            is_journaled=False,
        )
        self._outbox.add(document.jid, len(message))
        return self._send_due(now_us)

    def _end(
        self, job: _Job, found: Found, now_us: int, verdict: OutcomeKind | None = None, message: str = ""
    ) -> list[JobAction]:
        job.step, job.verdict, job.message = Step.ENDED, verdict, message
        self._hold(job, found.held_bytes)
        self._outbox.add(job.jid, found.frame_bytes)
        entry = JournalEntry(job.jid, Step.ENDED, job.expires_us, verdict=verdict, message=message)
        return [WriteJournal((entry,), ()), *self._send_due(now_us)]

    def _hold(self, job: _Job, held_bytes: int) -> None:
        job.held_bytes = held_bytes
        self._held_bytes += held_bytes

    def _tell(self, job: _Job, now_us: int) -> list[JobAction]:
        if job.step is Step.ENDED:
            self._outbox.repeat(job.jid)
            return self._send_due(now_us)
        if job.step is Step.STARTED:
            return [SendMessage(JobProgress(job.jid, JobState.RUNNING, job.pid, job.started_us, job.account))]
        return [SendMessage(JobProgress(job.jid, JobState.ACKED))]

    def _start_waiting(self, now_us: int) -> list[JobAction]:
        actions: list[JobAction] = []
        while self._waiting:
            job = self._jobs[self._waiting[0]]
            document = job.document
            if document is None or not self._has_room(document):
                break
            expired = self._is_expired(job.expires_us, now_us)
            if expired is None:
                return [*actions, AskTime()]
            self._waiting.popleft()
            if expired:
                reason = "its time to live passed while it waited for its turn"
                actions += self._end(job, Found(Remains.NOTHING), now_us, OutcomeKind.EXPIRED, reason)
                continue
            job.step, job.has_waited = Step.STARTING, True
            self._running.add(job.jid)
            entry = JournalEntry(job.jid, Step.STARTING, job.expires_us)
            actions.append(WriteJournal((entry,), (StartJob(document),)))
        return actions

    def _send_due(self, now_us: int) -> list[JobAction]:
        jobs = (self._jobs[jid] for jid in self._outbox.take(now_us))
        return [SendReturn(job.jid, job.verdict, job.message) for job in jobs]

    def _is_expired(self, expires_us: int, now_us: int) -> bool | None:
        """Tell whether a job may no longer start; None when the master must be asked first."""
        if self._time is None or self._time.is_doubtful(now_us):
            return None
        if self._time.now(now_us) < expires_us:
            return False
        return True if now_us - self._time.measured_us <= EXPIRY_FRESH_US else None

    def _reserved_bytes(self) -> int:
        running = sum(2 * job.document.output_limit_bytes for jid in self._running if (job := self._jobs[jid]).document)
        return running + self._held_bytes

    def _has_room(self, document: JobDocument) -> bool:
        if len(self._running) >= self._limits.running:
            return False
        return self._reserved_bytes() + 2 * document.output_limit_bytes <= self._limits.spool_bytes or not self._running

    def _is_full(self) -> bool:
        return len(self._jobs) >= self._limits.spool_jobs or self._held_bytes >= self._limits.spool_bytes

    def _full_reason(self) -> str:
        return f"the minion holds {len(self._jobs)} jobs that the master has not answered; its spool is full"


def _state_of(job: _Job) -> JobState:
    """The state that ``hello`` tells; how a job ended is in its return, which follows."""
    if job.step in {Step.STARTED, Step.ENDED}:
        return JobState.RUNNING
    return JobState.ACKED
