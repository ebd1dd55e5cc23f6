"""What is handed to a minion about its open jobs, and repeated until the minion has answered; and the end of all that: deletion."""

from ..core.control_answers import TargetSilent
from ..core.from_master import Cancel, Inquiry
from ..core.job_states import TERMINAL, JobState, may_follow
from ..core.names import Jid, MinionId
from .job_actions import Commit, Dispatch, Emit, JobEnded, MasterJobAction, SendTo, Settle, Tell
from .job_events import end_of
from .open_jobs import RESEND_FIRST_US, RESEND_LIMIT_US, OpenJob, OpenJobs, OpenTarget
from .results import result_of_change
from .store import StateChange

#: Silence is judged by the missing acknowledgement of this very job (DESIGN §7). With the start of a command and a tick of the loop the
#: operator has been told who is missing when a second is over.
ACKNOWLEDGE_LEAST_US = 800_000
ACKNOWLEDGE_PER_TARGET_US = 500
#: While others of the job still answer, one that has not is waited for up to so many times as long: they are heard one after the other.
ACKNOWLEDGE_PATIENCE = 4
#: From a return's arrival to its end; as long as a minion waits at the most before it repeats one.
END_PATIENCE_US = 60_000_000
_TOO_OLD_FOR_STDIN = (
    "the job has a stdin, and the fleet-minion there is too old to be given one: upgrade it, or leave --stdin away"
)


class Deliveries(OpenJobs):
    """The part of ``MasterJobs`` that talks to minions; what they say in return is its own."""

    def deleted(self, jid: Jid, user: str, now_us: int) -> list[MasterJobAction]:
        """A job is no longer in the store: whoever watches it is told, whatever of it was open."""
        job = self._jobs.get(jid)
        emit = Emit(f"fleet/job/{jid}/deleted", {"jid": jid, "user": user})
        if job is None:
            return [emit]
        actions: list[MasterJobAction] = [emit]
        for minion, target in job.targets.items():
            if target.state not in TERMINAL:
                change = StateChange(jid, minion, JobState.ABANDONED, f"deleted by {user}", finished_us=now_us)
                actions.append(Tell(jid, result_of_change(change, target)))
        self._drop(job)
        return [*actions, JobEnded(jid)]

    def _expect_acknowledgement(self, job: OpenJob, minion: MinionId, now_us: int, allowance_us: int) -> None:
        wait_us = max(ACKNOWLEDGE_LEAST_US, 4 * self._presence(minion).round_trip_us) + allowance_us
        target = job.targets[minion]
        target.silent_us = target.resend_us = now_us + wait_us
        target.pause_us = RESEND_FIRST_US
        job.touch(target)

    def _expect_end(self, job: OpenJob, target: OpenTarget, now_us: int) -> None:
        """Its return is here, and is to be pulled and committed; should that fail, it is asked for again.

        The minion repeats a return as well, but not that of an instant function when it was restarted meanwhile.
        """
        target.silent_us = target.cancel_us = None
        target.resend_us = due_us = now_us + END_PATIENCE_US
        # As ``touch``, of which nothing else can be due.
        if due_us < job.due_us or target.is_ending_due:
            job.touch(target)

    def _hand_over(
        self, job: OpenJob, minion: MinionId, target: OpenTarget, now_us: int, *, is_known: bool
    ) -> list[MasterJobAction]:
        """Deliver a job that waited for its minion: `sent` is durable before the first byte leaves.

        One that the minion knows already was handed over by a master whose store was lost: it is sent again to learn where it stands.
        """
        presence = self._presence(minion)
        is_late = now_us >= job.stored.expires_us or target.is_cancelled
        if not presence.is_connected or job.deletions or (is_late and not is_known):
            return []  # The tick ends it; a minion that is back too late must not get it.
        if job.stored.job.stdin_bytes and not presence.takes_stdin:
            return self._end(job, minion, JobState.REFUSED, _TOO_OLD_FOR_STDIN, now_us)
        target.is_handing_over = True
        target.be_quiet()
        target.address = presence.address
        change = StateChange(job.jid, minion, JobState.SENT, address=target.address)
        dispatch = Dispatch(job.jid, job.document, job.stored.expires_us, frozenset({minion}))
        return [Commit((change,), (Settle(job.jid, minion, JobState.SENT), dispatch))]

    def _resend(self, job: OpenJob, minion: MinionId, target: OpenTarget, now_us: int) -> list[MasterJobAction]:
        """Repeat the order, or ask again where the job stands."""
        target.resend_us = None
        if target.is_ending:
            self._expect_end(job, target, now_us)
            return []
        presence = self._presence(minion)
        if not presence.is_connected:
            return []
        target.resend_us = now_us + target.pause_us
        target.pause_us = min(target.pause_us * 2, RESEND_LIMIT_US)
        job.touch(target)
        # A release before stdin, installed meanwhile, would run the job without it.
        if target.state is not JobState.SENT or (job.stored.job.stdin_bytes and not presence.takes_stdin):
            return [SendTo(minion, Inquiry(job.jid))]
        return [Dispatch(job.jid, job.document, job.stored.expires_us, frozenset({minion}))]

    def _send_cancel(self, job: OpenJob, minion: MinionId, target: OpenTarget, now_us: int) -> list[MasterJobAction]:
        target.cancel_us = None
        if not self._presence(minion).is_connected:
            return []
        target.cancel_us = now_us + target.cancel_pause_us
        target.cancel_pause_us = min(target.cancel_pause_us * 2, RESEND_LIMIT_US)
        job.touch(target)
        return [SendTo(minion, Cancel(job.jid, job.stored.expires_us))]

    def _tell_silence(self, job: OpenJob, minion: MinionId, target: OpenTarget, now_us: int) -> list[MasterJobAction]:
        """Name a minion that was waited for, when that is due."""
        if target.silent_us is None or now_us < target.silent_us:
            return []
        target.silent_us = None
        return [self._silence(job.jid, minion, target, now_us)]

    def _is_in_line(self, job: OpenJob, target: OpenTarget, now_us: int) -> bool:
        """Whether a target that is due to be called silent is only not heard yet, because others of its job are: put that off.

        Nine thousand that answer at once are heard over some seconds; those that came last were called silent, and sent the job again.
        """
        if target.state is not JobState.SENT or target.silent_us is None or now_us < target.silent_us:
            return False
        allowance_us = ACKNOWLEDGE_PATIENCE * ACKNOWLEDGE_PER_TARGET_US * len(job.targets)
        until_us = min(job.heard_us, job.sent_us + allowance_us) + ACKNOWLEDGE_LEAST_US
        if now_us >= until_us:
            return False
        target.silent_us = target.resend_us = until_us
        return True

    def _silence(self, jid: Jid, minion: MinionId, target: OpenTarget, now_us: int) -> Tell:
        return Tell(jid, TargetSilent(minion, target.state, self._presence(minion).reason(now_us, target.state)))

    def _end(self, job: OpenJob, minion: MinionId, state: JobState, reason: str, now_us: int) -> list[MasterJobAction]:
        """End a target by the master's word, durably before anybody is told."""
        target = job.targets[minion]
        if target.ending is not None or not may_follow(target.state, state, by_minion=False):
            return []
        target.ending, target.is_ending_due = (state, reason), False
        target.be_quiet()
        if target.is_ending:
            return []  # Its return is being committed; only if that fails is this its end.
        if job.deletions:
            target.is_ending_due = True
            return []  # So is its deletion: nobody is told of an end that is not stored.
        change = StateChange(job.jid, minion, state, reason, finished_us=now_us)
        result = result_of_change(change, target)
        tag = f"fleet/job/{job.jid}/state/{minion}"
        payload = {"jid": job.jid, "minion": minion, "state": state, "pid": target.pid, "reason": reason}
        told = (Emit(tag, payload), Tell(job.jid, result), Settle(job.jid, minion, state))
        return [Commit((change,), told)]

    def _closed(self, job: OpenJob, minion: MinionId, state: JobState) -> list[MasterJobAction]:
        if not self._close(job, minion, state):
            return []
        return [end_of(job.stored, (target.state for target in job.targets.values())), JobEnded(job.jid)]
