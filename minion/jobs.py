"""The jobs of a minion: a pure machine. Orders, cancels, ends and the time go in; a list of actions comes out.

Every job takes these steps, each in the journal before what it announces (DESIGN D3)::

    accepted ──▶ starting ──▶ started ──▶ ended ──▶ answered
        └──────────────────────────────────▲        (expired or cancelled while it waited)

``instant`` functions and refusals skip the journal: they change nothing, so after a crash they may be answered anew.
"""

from collections.abc import Callable, Mapping

from ..core.errors import ProtocolError
from ..core.from_master import Discard, Stored
from ..core.from_minion import JobProgress, UnknownJob
from ..core.job_document import JobDocument
from ..core.job_states import JobState
from ..core.master_time import MasterTime, is_expired
from ..core.names import Jid
from ..core.outcome import OutcomeKind
from .job_steps import (
    AskTime,
    Found,
    JobAction,
    JournalEntry,
    Limits,
    Remains,
    RunInstant,
    SendMessage,
    StartJob,
    Step,
    WriteJournal,
)
from .job_stops import JobStops
from .job_table import KnownJob

#: How a job that was accepted may end without having been started.
_WITHOUT_A_START = frozenset({OutcomeKind.EXPIRED, OutcomeKind.CANCELLED, OutcomeKind.UNAVAILABLE})


class MinionJobs(JobStops):
    """What this minion has been asked to do, and how far it is.

    Args:
        limits: what it takes on.
        refuse: says why a job cannot be run at all (unknown function, wrong arguments, not allowed), or None.
        is_instant: tells whether the function runs in the loop.
        decode: reads an encoded job document.
        no_room: says why the disk can take no job, with so many bytes owed to others; empty when it can.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        refuse: Callable[[JobDocument], tuple[OutcomeKind, str] | None],
        is_instant: Callable[[JobDocument], bool],
        decode: Callable[[bytes], JobDocument],
        no_room: Callable[[int], str] = lambda _owed_bytes: "",
    ) -> None:
        super().__init__(limits, no_room)
        self._refuse = refuse
        self._is_instant = is_instant
        self._decode = decode

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
        document = self._read_document(entry)
        job = KnownJob(entry.jid, entry.step, entry.expires_us, document, verdict=entry.verdict, message=entry.message)
        self._add(job, len(entry.document))
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
        if entry.step is Step.ACCEPTED and document is not None:
            job.has_waited, job.lacks_stdin = True, document.stdin_bytes > 0
            self._waiting.append(job.jid)
            return []
        if entry.step is Step.ACCEPTED:
            reason = "the journal does not say (any more) what was to be run; it was not started"
            return self._end(job, found, 0, OutcomeKind.LOST, reason)
        reason = (
            "the minion was restarted and the process is gone; its output up to then is kept"
            if entry.step is Step.STARTED
            else "the minion was stopped while it started this; it may or may not have run"
        )
        return self._end(job, found, 0, OutcomeKind.LOST, reason)

    def _read_document(self, entry: JournalEntry) -> JobDocument | None:
        try:
            return self._decode(entry.document) if entry.document else None
        except ProtocolError:
            return None

    # The link.

    def joined(self, time: MasterTime, now_us: int) -> list[JobAction]:
        """A session is open: everything unanswered is sent again."""
        self._time = time
        self._fresh.clear()
        self._outbox.open(job.jid for job in self._jobs.values() if job.step is Step.ENDED)
        return [*self._start_waiting(now_us), *self._send_due(now_us)]

    def left(self) -> None:
        """The session is gone: nothing is sent until the next one."""
        self._outbox.close()

    def time_learned(self, time: MasterTime, now_us: int) -> list[JobAction]:
        """The master's clock was measured: judge what waited for it."""
        self._time = time
        self._fresh.clear()
        actions: list[JobAction] = []
        in_doubt, self._in_doubt = self._in_doubt, {}
        for encoded, signature in in_doubt.values():
            actions += self.ordered(encoded, signature, now_us)
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
        if self._is_answered(jid):
            return [SendMessage(UnknownJob(jid))]  # A late copy, or a master restored from a copy asks.
        if jid in self._tombstones:
            return self._verdict(document, OutcomeKind.CANCELLED, "cancelled before it arrived", now_us)
        refused = self._refuse(document)
        if refused is not None:
            return self._verdict(document, *refused, now_us)
        expired = is_expired(self._time, document.expires_us, now_us)
        if expired is None:
            self._doubt(jid, encoded, signature)
            return [AskTime()]
        if expired:
            return self._verdict(document, OutcomeKind.EXPIRED, "its time to live had passed when it arrived", now_us)
        if self._is_full(document.stdin_bytes):
            return self._verdict(document, OutcomeKind.SPOOL_FULL, self._full_reason(), now_us)
        if self._is_instant(document):
            self._jobs[jid] = KnownJob(jid, Step.STARTED, document.expires_us, document, is_journaled=False)
            return [RunInstant(document)]
        if no_room := self._no_room(self._owed_bytes() + document.stdin_bytes):
            return self._verdict(document, OutcomeKind.SPOOL_FULL, no_room, now_us)
        return self._accept(document, encoded, signature)

    def _accept(self, document: JobDocument, encoded: bytes, signature: bytes) -> list[JobAction]:
        jid = document.jid
        job = KnownJob(jid, Step.ACCEPTED, document.expires_us, document, lacks_stdin=document.stdin_bytes > 0)
        self._add(job, len(encoded))
        accepted = JournalEntry(jid, Step.ACCEPTED, document.expires_us, encoded, signature)
        acked = SendMessage(JobProgress(jid, JobState.ACKED))
        is_behind = any(not self._jobs[other].lacks_stdin for other in self._waiting)
        if is_behind or job.lacks_stdin or not self._has_room(document):
            self._waiting.append(jid)
            self._fresh.add(jid)
            return [WriteJournal((accepted,), (acked,))]
        job.step = Step.STARTING
        self._running.add(jid)
        starting = JournalEntry(jid, Step.STARTING, document.expires_us)
        return [WriteJournal((accepted, starting), (acked, StartJob(document)))]

    def journal_failed(self, jid: Jid, reason: str, now_us: int) -> list[JobAction]:
        """The journal could not take a line: what it would have announced does not happen.

        A new job is refused. One whose ``accepted`` is durable goes back to the head of the queue, also when its end was what could
        not be written: that line would have the next start run it.
        """
        job = self._jobs.get(jid)
        if job is None:
            self._unremember(jid)
            return []
        if job.step is Step.ENDED and not job.is_journaled and job.document is None:
            self._forget_ghost(job)  # The master repeats a cancel until it is answered.
            return []
        if job.step is Step.ENDED and job.verdict in _WITHOUT_A_START and job.is_journaled:
            self._outbox.remove(jid)
            job.step, job.verdict, job.message = Step.ACCEPTED, None, ""
            self._waiting.appendleft(jid)
            return []
        is_refused = job.step is Step.STARTING and not job.has_waited
        if job.step is Step.STARTING and job.has_waited:
            self._running.discard(jid)
            job.step = Step.ACCEPTED
            self._waiting.appendleft(jid)
        elif job.step is Step.ACCEPTED and jid in self._fresh:
            is_refused = True
            self._waiting.remove(jid)
        if not is_refused or job.document is None:
            return []
        self._running.discard(jid)
        self._drop(job)
        return self._verdict(job.document, OutcomeKind.SPOOL_FULL, reason, now_us)

    def inquired(self, jid: Jid, now_us: int) -> list[JobAction]:
        """The master asks where a job stands."""
        job = self._jobs.get(jid)
        if job is not None:
            return self._tell(job, now_us)
        if jid in self._in_doubt:
            return []  # It may still start, so it is not unknown; the master asks again.
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
        self._fresh.clear()
        if job.is_forgotten:
            return [*self._forget(job), *self._start_waiting(now_us)]
        verdict = OutcomeKind.LOST if lost_reason else None
        return [*self._end(job, found, now_us, verdict, lost_reason), *self._start_waiting(now_us)]

    def instant_ended(self, jid: Jid, frame_bytes: int, now_us: int) -> list[JobAction]:
        """An instant function has returned; its return is held in memory."""
        job = self._jobs.get(jid)
        if job is None or job.step is Step.ENDED:
            return []
        job.step = Step.ENDED
        self._outbox.add(jid, frame_bytes)
        return self._send_due(now_us)

    def answered(self, message: Stored | Discard, now_us: int) -> list[JobAction]:
        """The master has stored a return, or does not want it."""
        job = self._jobs.get(message.jid)
        if job is None or job.step is not Step.ENDED:
            return []
        self._fresh.clear()
        return [*self._let_go(job), *self._start_waiting(now_us), *self._send_due(now_us)]

    def stdin_arrived(self, jid: Jid, now_us: int) -> list[JobAction]:
        """The stdin of a job is here whole: it waits for its turn as any other."""
        job = self._jobs.get(jid)
        if job is None or not job.lacks_stdin:
            return []
        job.lacks_stdin = False
        return self._start_waiting(now_us)

    def stdin_gone(self, jid: Jid, reason: str, now_us: int) -> list[JobAction]:
        """The stdin of a job is not to be had (any more): it ends without having run."""
        job = self._jobs.get(jid)
        if job is None or job.step is not Step.ACCEPTED:
            return []
        self._waiting.remove(jid)
        message = f"it was not started: {reason}"
        return self._end(job, Found(Remains.NOTHING), now_us, OutcomeKind.UNAVAILABLE, message)

    def asked_for_output(self, jid: Jid, now_us: int) -> bool:
        """The master pulls a stream: the return has arrived, so its resend waits. False when the job is unknown."""
        job = self._jobs.get(jid)
        if job is None or job.step is not Step.ENDED:
            return False
        self._outbox.postpone(jid, now_us)
        return True

    def ticked(self, now_us: int) -> list[JobAction]:
        """Start what has room now, and send again what was not answered in time."""
        self._fresh.clear()
        return [*self._start_waiting(now_us), *self._send_due(now_us)]

    # Inner steps.

    def _start_waiting(self, now_us: int) -> list[JobAction]:
        """Start what has room, in order; who lacks his stdin lets the others pass."""
        actions: list[JobAction] = []
        for jid in list(self._waiting):
            job = self._jobs[jid]
            if job.is_cancelled:
                self._waiting.remove(jid)
                actions += self._cancel_waiting(job, now_us)
                break  # By now it may be back at the head: its end could not be written.
            if job.lacks_stdin and jid in self._fresh:
                continue
            document = job.document
            if document is None or jid in self._fresh or not (job.lacks_stdin or self._has_room(document)):
                break
            expired = is_expired(self._time, job.expires_us, now_us)
            if expired is None:
                return [*actions, AskTime()]
            if expired:
                self._waiting.remove(jid)
                reason = f"its time to live passed while it waited for its {'stdin' if job.lacks_stdin else 'turn'}"
                actions += self._end(job, Found(Remains.NOTHING), now_us, OutcomeKind.EXPIRED, reason)
                continue
            if job.lacks_stdin:
                continue
            self._waiting.remove(jid)
            job.step, job.has_waited = Step.STARTING, True
            self._running.add(jid)
            entry = JournalEntry(jid, Step.STARTING, job.expires_us)
            actions.append(WriteJournal((entry,), (StartJob(document),)))
        return actions
