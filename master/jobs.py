"""What happens to the open jobs of the master: a pure machine. What minions, operators and the clock say goes in, actions come out.

Only what is open is held here; the store has everything. After a hand-over only the minion's word ends a job on it (DESIGN D1),
and nothing is told to anybody before it is durable: a target changes its state for good when ``settled`` or ``committed`` says so.
"""

from collections.abc import Iterable, Iterator, Sequence

from ..core.errors import ProtocolError
from ..core.from_master import Discard, Need, Stored
from ..core.from_minion import InventoryItem, JobProgress, OutputChunk, Return
from ..core.job_states import TERMINAL, JobState, may_follow
from ..core.names import Jid, MinionId
from ..core.outcome import state_for
from .deliveries import ACKNOWLEDGE_PER_TARGET_US, Deliveries
from .job_actions import (
    AnswerReturn,
    Commit,
    CommitReturn,
    Dispatch,
    Emit,
    JobEnded,
    LookUpEnded,
    MasterJobAction,
    PartKept,
    SendTo,
    Settle,
)
from .job_events import end_of, progress_of
from .open_jobs import NEVER_US, RESEND_FIRST_US, OpenJob, OpenTarget
from .pulls import PullStep
from .store import Cancelled, Change, KeepPart, StateChange, StoredJob, StoredReturn
from .tamed_progress import tamed_progress
from .tamed_return import check_output

_TOLD_BY_MINIONS = frozenset({JobState.ACKED, JobState.RUNNING})


class MasterJobs(Deliveries):
    """Every job with a target that has not ended, and what becomes of it."""

    # Jobs come.

    def recover(self, stored: Iterable[StoredJob]) -> None:
        """Take up the open jobs of the store after a start; nothing is sent before a minion has said hello."""
        for job in stored:
            self._take(job)

    def created(self, stored: StoredJob, now_us: int) -> list[MasterJobAction]:
        """A job has been stored: hand it over to those that were there, name those that were not."""
        if not stored.is_new or stored.jid in self._jobs:
            return []
        new = Emit(
            f"fleet/job/{stored.jid}/new",
            {
                "jid": stored.jid,
                "function": stored.job.function,
                "target": stored.job.target,
                "target_kind": stored.job.target_kind,
                "user": stored.job.user,
                "minions": sorted(stored.targets),
            },
        )
        job = self._take(stored)
        if job is None:
            return [new, end_of(stored, stored.targets.values()), JobEnded(stored.jid)]
        job.sent_us = now_us
        sent = frozenset(minion for minion, target in job.targets.items() if target.state is JobState.SENT)
        allowance_us = ACKNOWLEDGE_PER_TARGET_US * len(sent)
        actions: list[MasterJobAction] = [new]
        if sent:
            actions.append(Dispatch(job.jid, job.document, stored.expires_us, sent))
        for minion, target in job.targets.items():
            # Some may have gone, and some come, while the job was being stored.
            presence = self._presence(minion)
            if minion in sent and presence.is_connected:
                self._expect_acknowledgement(job, minion, now_us, allowance_us)
            elif target.is_waiting and presence.is_connected:
                actions += self._hand_over(job, minion, target, now_us, is_known=False)
            elif target.is_waiting and self._reunion.expects(presence, now_us):
                target.silent_us = self._reunion.until_us
                job.touch(target)
            elif target.state not in TERMINAL:
                actions.append(self._silence(job.jid, minion, target, now_us))
        return actions

    def cancelled(self, jid: Jid, minions: Sequence[MinionId], now_us: int) -> list[MasterJobAction]:
        """The operator asks to stop a job on these minions (all when empty). Repeated until the minion has answered.

        The wish is stored for the whole job only; for some of its minions it is forgotten when the master restarts.
        """
        job = self._jobs.get(jid)
        if job is None:
            return []
        # Not after the commit: who stops a job because the disk is full must not wait for the disk.
        actions: list[MasterJobAction] = [] if minions else [Commit((Cancelled(jid),))]
        for minion in minions or list(job.targets):
            target = job.targets.get(minion)
            if target is None or not target.is_open:
                continue
            target.is_cancelled = True
            if target.is_waiting:
                actions += self._end(job, minion, JobState.CANCELLED, "cancelled before it was handed over", now_us)
            else:
                actions += self._send_cancel(job, minion, target, now_us)
        return actions

    # Minions speak.

    def joined(
        self, minion: MinionId, inventory: Sequence[InventoryItem], now_us: int, *, is_same_journal: bool
    ) -> list[MasterJobAction]:
        """A minion has opened a session: hand over what waits, ask about the rest (DESIGN D9)."""
        known = {item.jid: item.state for item in inventory}
        actions: list[MasterJobAction] = []
        for jid in sorted(self._of_minion.get(minion, ())):
            job = self._jobs[jid]
            target = job.targets[minion]
            if target.is_ending:
                self._expect_end(job, target, now_us)
            if target.is_handing_over or not target.is_open:
                continue
            if target.state is JobState.QUEUED:
                actions += self._hand_over(job, minion, target, now_us, is_known=jid in known)
            elif not is_same_journal:
                reason = "the minion came back with a new journal: what became of it is not known"
                actions += self._end(job, minion, JobState.LOST, reason, now_us)
            else:
                actions += self._reconcile(job, minion, known.get(jid), now_us)
        return actions

    def left(self, minion: MinionId, now_us: int) -> list[MasterJobAction]:
        """The session of a minion is gone: whoever waits for its acknowledgement need not."""
        self._incoming.drop_minion(minion)
        actions: list[MasterJobAction] = []
        for jid in sorted(self._of_minion.get(minion, ())):
            target = self._jobs[jid].targets[minion]
            is_awaited = target.silent_us is not None
            target.be_quiet()
            if is_awaited:
                actions.append(self._silence(jid, minion, target, now_us))
        return actions + self._begin_waiting(now_us)

    def removed(self, minion: MinionId, now_us: int) -> list[MasterJobAction]:
        """The key of a minion was deleted or rejected: its open jobs end by the operator's word."""
        self._incoming.drop_minion(minion)
        actions: list[MasterJobAction] = []
        for jid in sorted(self._of_minion.get(minion, ())):
            actions += self._end(self._jobs[jid], minion, JobState.ABANDONED, "the minion's key was removed", now_us)
        return actions

    def progressed(self, minion: MinionId, message: JobProgress, now_us: int) -> list[MasterJobAction]:
        """A minion has journaled or started a job.

        Raises:
            ProtocolError: it was never sent to this minion.
        """
        job = self._jobs.get(message.jid)
        target = job.targets.get(minion) if job else None
        if job is None or target is None or target.state is JobState.QUEUED:
            raise ProtocolError("progress of a job that is not open here")
        if message.state not in _TOLD_BY_MINIONS:
            raise ProtocolError("a progress that is an end")
        if target.state is JobState.SENT:
            job.heard_us = now_us
        return self._progress(job, minion, tamed_progress(message)) if target.is_open else []

    def unknown(self, minion: MinionId, jid: Jid, now_us: int) -> list[MasterJobAction]:
        """A minion was asked about a job and does not know it."""
        job = self._jobs.get(jid)
        target = job.targets.get(minion) if job else None
        if job is None or target is None or not target.is_open or target.state is JobState.QUEUED:
            return []
        return self._end(job, minion, JobState.LOST, "the minion does not know this job (any more)", now_us)

    def returned(self, minion: MinionId, answer: Return, now_us: int) -> Sequence[MasterJobAction]:
        """A return came.

        Raises:
            ProtocolError: it claims more than it may, or was never asked of this minion.
        """
        job = self._jobs.get(answer.jid)
        if job is None:
            return [_look_up(minion, answer)]
        target = job.targets.get(minion)
        if target is None or (target.state is JobState.QUEUED and not target.is_handing_over):
            raise ProtocolError("a return of a job that was not sent to this minion")
        if target.state in TERMINAL:
            return [_look_up(minion, answer)]
        if not target.is_open or target.state is JobState.QUEUED:
            return []  # A commit is under way; the answer follows it, or the next copy of this return.
        if not may_follow(target.state, state_for(answer.kind), by_minion=True):
            raise ProtocolError(f"a return ({state_for(answer.kind)}) of a job that is {target.state}")
        check_output(answer, job.stored.job.output_limit_bytes)
        if target.state is JobState.SENT:
            job.heard_us = now_us
        self._expect_end(job, target, now_us)
        step = self._incoming.begin(minion, answer, now_us)
        if isinstance(step, StoredReturn):
            target.is_ending = True
            return [CommitReturn(step), *self._begin_waiting(now_us)]
        return self._assembled(step, minion, now_us)

    def chunk(self, minion: MinionId, message: OutputChunk, now_us: int) -> list[MasterJobAction]:
        """A chunk of output came that was asked for.

        Raises:
            ProtocolError: nobody asked for it.
        """
        return self._assembled(self._incoming.chunk(minion, message), minion, now_us)

    # The store speaks.

    def part_kept(self, part: KeepPart, now_us: int) -> list[MasterJobAction]:
        """A part of a long output is durable: ask for more of it, or end its target."""
        return self._assembled(self._incoming.part_kept(part), part.minion, now_us)

    def all_committed(self, returned: Iterable[StoredReturn]) -> Iterator[MasterJobAction]:
        """These returns are durable, as ``committed``."""
        for stored in returned:
            yield from self.committed(stored)

    def committed(self, stored: StoredReturn) -> list[MasterJobAction]:
        """A return is durable: tell the minion, then everybody else."""
        jid, minion = stored.answer.jid, stored.minion
        job = self._jobs.get(jid)
        target = job.targets.get(minion) if job else None
        if job is None or target is None or target.state in TERMINAL:
            return [SendTo(minion, Stored(jid))]
        answer = AnswerReturn(stored, job.stored.job.function, target.address, target.host)
        return [answer, *self._closed(job, minion, stored.state)]

    def commit_failed(self, stored: StoredReturn) -> None:
        """The store could not take a return: it is not answered, so the minion sends it again."""
        job = self._jobs.get(stored.answer.jid)
        target = job.targets.get(stored.minion) if job else None
        if job is not None and target is not None:
            target.is_ending = False
            target.is_ending_due = target.ending is not None
            job.touch(target)

    def settled(self, change: Settle, now_us: int) -> list[MasterJobAction]:
        """A change that was committed by the master's word is durable."""
        job = self._jobs.get(change.jid)
        target = job.targets.get(change.minion) if job else None
        if job is None or target is None or target.state in TERMINAL:
            return []
        if change.state in TERMINAL:
            return self._closed(job, change.minion, change.state)
        target.is_handing_over = False
        if target.ending is None:
            job.move(target, change.state)
            self._expect_acknowledgement(job, change.minion, now_us, 0)
        # A cancel that came meanwhile may have been lost with the link; on its way before the order it leaves a tombstone.
        return self._send_cancel(job, change.minion, target, now_us) if target.is_cancelled and target.is_open else []

    def changes_failed(self, changes: Iterable[Change]) -> None:
        """The store could not take these changes: what they would have told is tried again by the next tick."""
        for change in changes:
            if isinstance(change, KeepPart):
                self._incoming.part_failed(change)
            job = self._jobs.get(change.jid) if isinstance(change, StateChange) else None
            target = job.targets.get(change.minion) if job and isinstance(change, StateChange) else None
            if job is None or target is None or not isinstance(change, StateChange):
                continue
            if target.is_handing_over and change.state is JobState.SENT:
                target.is_handing_over, target.resend_us = False, 0
            if target.ending is not None and target.ending[0] is change.state:
                target.is_ending_due = True
            job.touch(target)

    # The clock.

    def ticked(self, now_us: int) -> list[MasterJobAction]:
        """Name who did not acknowledge, send again, and end what waited too long."""
        actions: list[MasterJobAction] = []
        for job in list(self._jobs.values()):
            actions += progress_of(job, now_us)
            if now_us < job.due_us:
                continue
            for minion, target in job.targets.items():
                if now_us >= target.due_us(job.stored.expires_us) and target.state not in TERMINAL:
                    actions += self._due(job, minion, target, now_us)
            # What is due by now for nobody to do would be looked at again and again.
            due = (
                target.due_us(job.stored.expires_us) for target in job.targets.values() if target.state not in TERMINAL
            )
            job.due_us = min(due, default=NEVER_US)
        return actions + self._begin_waiting(now_us)

    # Inner steps.

    def _due(self, job: OpenJob, minion: MinionId, target: OpenTarget, now_us: int) -> list[MasterJobAction]:
        if target.is_ending_due and target.ending is not None:
            (state, reason), target.ending = target.ending, None
            return self._end(job, minion, state, reason, now_us)
        if target.is_waiting and target.is_cancelled:
            return self._end(job, minion, JobState.CANCELLED, "cancelled before it was handed over", now_us)
        if target.is_waiting and now_us < job.stored.expires_us:
            target.resend_us = None
            actions = self._tell_silence(job, minion, target, now_us)
            return actions + self._hand_over(job, minion, target, now_us, is_known=False)
        if target.is_waiting:
            reason = "its time to live passed before the minion was there"
            return self._end(job, minion, JobState.EXPIRED, reason, now_us)
        if self._is_in_line(job, target, now_us):
            return []
        actions = self._tell_silence(job, minion, target, now_us)
        if target.resend_us is not None and now_us >= target.resend_us:
            actions += self._resend(job, minion, target, now_us)
        if target.cancel_us is not None and now_us >= target.cancel_us:
            actions += self._send_cancel(job, minion, target, now_us)
        return actions

    def _reconcile(self, job: OpenJob, minion: MinionId, told: JobState | None, now_us: int) -> list[MasterJobAction]:
        """A minion is back that was given this job: what it says of it, or what it is to be asked."""
        target = job.targets[minion]
        actions: list[MasterJobAction] = []
        if told is not None:
            state = told if told in _TOLD_BY_MINIONS else JobState.ACKED
            actions += self._progress(job, minion, JobProgress(job.jid, state))
        else:
            if target.state is JobState.SENT:
                self._expect_acknowledgement(job, minion, now_us, 0)
            target.pause_us = RESEND_FIRST_US
            actions += self._resend(job, minion, target, now_us)
        if target.is_cancelled:
            target.cancel_pause_us = RESEND_FIRST_US
            actions += self._send_cancel(job, minion, target, now_us)
        return actions

    def _progress(self, job: OpenJob, minion: MinionId, message: JobProgress) -> list[MasterJobAction]:
        target = job.targets[minion]
        target.silent_us = target.resend_us = None
        if not may_follow(target.state, message.state, by_minion=True):
            return []
        job.move(target, message.state)
        target.pid, target.account, target.started_us = message.pid, message.account, message.started_us
        change = StateChange(
            job.jid,
            minion,
            message.state,
            pid=message.pid,
            started_us=message.started_us,
            account=message.account,
        )
        tag = f"fleet/job/{job.jid}/state/{minion}"
        payload = {"jid": job.jid, "minion": minion, "state": message.state, "pid": message.pid, "reason": ""}
        return [Commit((change,), (Emit(tag, payload),))]

    def _assembled(self, step: PullStep | None, minion: MinionId, now_us: int) -> list[MasterJobAction]:
        if step is None:
            return []
        if isinstance(step, Need):
            return [SendTo(minion, step)]
        if isinstance(step, KeepPart):
            return [Commit((step,), (PartKept(step),))]
        job = self._jobs.get(step.answer.jid)
        target = job.targets.get(minion) if job else None
        if target is None:
            return [SendTo(minion, Discard(step.answer.jid, "the job is not open")), *self._begin_waiting(now_us)]
        if not target.is_open:
            return self._begin_waiting(now_us)
        target.is_ending = True
        return [CommitReturn(step), *self._begin_waiting(now_us)]

    def _begin_waiting(self, now_us: int) -> list[MasterJobAction]:
        if not self._incoming.waiting:
            return []
        actions: list[MasterJobAction] = []
        while (waiting := self._incoming.next_waiting(now_us)) is not None:
            minion, answer = waiting
            step = self._incoming.begin(minion, answer, now_us)
            if step is None:
                break
            actions += self._assembled(step, minion, now_us)
        return actions


def _look_up(minion: MinionId, answer: Return) -> LookUpEnded:
    state = state_for(answer.kind)
    code = "" if answer.retcode is None else f", exit code {answer.retcode}"
    return LookUpEnded(
        minion, answer.jid, state, f"a return came afterwards: {state.value}{code}; {answer.message}"[:500]
    )
