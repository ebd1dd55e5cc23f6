"""How a job of a minion ends otherwise than by itself: a verdict without a run, a cancel, a deletion; and how its return leaves.

Decides as the rest of the job machine does: what happened goes in, actions come out.
"""

from ..core.from_master import Cancel, Forget
from ..core.from_minion import Forgotten, JobProgress, UnknownJob
from ..core.job_document import JobDocument
from ..core.master_time import is_expired
from ..core.outcome import OutcomeKind
from .job_steps import (
    ForgetJob,
    Found,
    JobAction,
    JournalEntry,
    Remains,
    SendMessage,
    SendReturn,
    Step,
    StopJob,
    WriteJournal,
)
from .job_table import REMEMBER_US, JobTable, KnownJob


class JobStops(JobTable):
    """The part of ``MinionJobs`` that stops jobs and lets go of them."""

    # The master's word.

    def cancelled(self, message: Cancel, now_us: int) -> list[JobAction]:
        """The master asks to stop a job; an unknown one must never start."""
        job = self._jobs.get(message.jid)
        if job is None:
            return self._cancel_unknown(message, now_us)
        job.is_cancelled = True
        if job.step is Step.ENDED:
            return self._tell(job, now_us)
        if job.step is Step.ACCEPTED:
            self._waiting.remove(job.jid)
            return self._cancel_waiting(job, now_us)
        return [StopJob(job.jid, "cancelled")]

    def _cancel_unknown(self, message: Cancel, now_us: int) -> list[JobAction]:
        """Leave a tombstone that the job meets, and answer for it: the master waits for the minion's word."""
        jid = message.jid
        self._in_doubt.pop(jid, None)
        if self._is_answered(jid):
            return [SendMessage(UnknownJob(jid))]
        reason = "cancelled before it arrived"
        ghost = KnownJob(jid, Step.ENDED, message.expires_us, verdict=OutcomeKind.CANCELLED, message=reason)
        ghost.is_journaled = False
        self._add(ghost, 0)
        self._outbox.add(jid, 0)
        if jid in self._tombstones:
            return self._send_due(now_us)
        self._tombstones[jid] = message.expires_us
        entry = JournalEntry(jid, Step.TOMBSTONE, message.expires_us)
        return [WriteJournal((entry,), tuple(self._send_due(now_us)))]

    def _forget_ghost(self, ghost: KnownJob) -> None:
        self._outbox.remove(ghost.jid)
        self._drop(ghost)
        del self._tombstones[ghost.jid]

    def _cancel_waiting(self, job: KnownJob, now_us: int) -> list[JobAction]:
        reason = "cancelled while it waited for its turn"
        return self._end(job, Found(Remains.NOTHING), now_us, OutcomeKind.CANCELLED, reason)

    def forgot(self, message: Forget, now_us: int) -> list[JobAction]:
        """A job was deleted: stop it, drop what it left, and say so; an unknown one must never start."""
        job = self._jobs.get(message.jid)
        if job is None:
            return self._forget_unknown(message, now_us)
        if job.step in {Step.STARTING, Step.STARTED} and job.is_journaled:
            # What it leaves is dropped when its supervisor says that it has ended; the master asks again until then.
            job.is_cancelled = job.is_forgotten = True
            return [StopJob(job.jid, "deleted")]
        if job.step is Step.ACCEPTED:
            # Its end is written before anything is forgotten: else the next start would run it. The master does not want its return,
            # and takes that for a confirmation.
            return self.cancelled(Cancel(message.jid, message.expires_us), now_us)
        return self._forget(job)

    def _forget_unknown(self, message: Forget, now_us: int) -> list[JobAction]:
        """Leave a tombstone where its order may still be on its way."""
        jid = message.jid
        self._in_doubt.pop(jid, None)
        forgotten = SendMessage(Forgotten(jid))
        is_over = is_expired(self._time, message.expires_us + REMEMBER_US, now_us)
        if is_over or self._is_answered(jid) or jid in self._tombstones:
            return [forgotten]
        self._tombstones[jid] = message.expires_us
        return [WriteJournal((JournalEntry(jid, Step.TOMBSTONE, message.expires_us),), (forgotten,))]

    def _forget(self, job: KnownJob) -> list[JobAction]:
        """Drop a job that runs no more, whether its return has left or not."""
        return self._let_go(job, SendMessage(Forgotten(job.jid)))

    def _let_go(self, job: KnownJob, *then: JobAction) -> list[JobAction]:
        """Nobody waits for a job any more: remember that it is over, delete what it left, then do ``then``."""
        self._drop(job)
        self._outbox.remove(job.jid)
        self._remember(job)
        after = (ForgetJob(job.jid), *then)
        if not job.is_journaled:
            return list(after)
        # Where the line cannot be written the folder stays, and after a restart the return is made from it again.
        return [WriteJournal((JournalEntry(job.jid, Step.ANSWERED, job.expires_us),), after)]

    # How it ends.

    def _verdict(self, document: JobDocument, kind: OutcomeKind, message: str, now_us: int) -> list[JobAction]:
        """Answer a job that does not run; nothing is journaled, the same order would get the same answer."""
        if self._is_full_of_verdicts():
            return []  # The master asks again; an answer that could not be held would be an answer lost.
        self._jobs[document.jid] = KnownJob(
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
        self, job: KnownJob, found: Found, now_us: int, verdict: OutcomeKind | None = None, message: str = ""
    ) -> list[JobAction]:
        job.step, job.verdict, job.message = Step.ENDED, verdict, message
        self._hold(job, found.held_bytes)
        self._outbox.add(job.jid, found.frame_bytes)
        entry = JournalEntry(job.jid, Step.ENDED, job.expires_us, verdict=verdict, message=message)
        return [WriteJournal((entry,), tuple(self._send_due(now_us)))]

    def _tell(self, job: KnownJob, now_us: int) -> list[JobAction]:
        if job.step is Step.ENDED:
            self._outbox.repeat(job.jid)
            return self._send_due(now_us)
        return [SendMessage(JobProgress(job.jid, job.state, job.pid, job.started_us, job.account))]

    def _send_due(self, now_us: int) -> list[JobAction]:
        jobs = (self._jobs[jid] for jid in self._outbox.take(now_us))
        return [SendReturn(job.jid, job.verdict, job.message) for job in jobs]
