"""The open jobs of the master: a pure machine. What minions, operators and the clock say goes in, a list of actions comes out.

Only what is open is held here; the store has everything. After a hand-over only the minion's word ends a job on it (DESIGN D1),
and nothing is told to anybody before it is durable.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..core.control import TargetResult, TargetSilent
from ..core.errors import ProtocolError
from ..core.job_states import TERMINAL, JobState, may_follow
from ..core.messages import (
    Cancel,
    Discard,
    Inquiry,
    InventoryItem,
    JobProgress,
    Need,
    OutputChunk,
    Return,
    Stored,
)
from ..core.names import Jid, MinionId
from ..core.outcome import state_for
from .incoming import IncomingReturns
from .job_actions import (
    Commit,
    CommitReturn,
    Dispatch,
    Emit,
    JobEnded,
    LookUpEnded,
    MasterJobAction,
    SendTo,
    Tell,
)
from .presence import Presence
from .results import result_of_change, result_of_return
from .store import StateChange, StoredJob, StoredReturn

#: Silence is judged by the missing acknowledgement of this very job (DESIGN §7).
ACKNOWLEDGE_LEAST_US = 1_000_000
ACKNOWLEDGE_PER_TARGET_US = 500
RESEND_FIRST_US = 1_000_000
RESEND_LIMIT_US = 30_000_000


@dataclass(slots=True)
class _Target:
    state: JobState
    address: str = ""
    started_us: int | None = None
    pid: int | None = None
    account: str = ""
    silent_us: int | None = None
    resend_us: int | None = None
    pause_us: int = RESEND_FIRST_US
    is_ending: bool = False


@dataclass(slots=True)
class _Job:
    stored: StoredJob
    document: bytes
    signature: bytes
    targets: dict[MinionId, _Target] = field(default_factory=dict)
    is_cancelled: bool = False

    @property
    def jid(self) -> Jid:
        return self.stored.jid


class MasterJobs:
    """Every job with a target that has not ended.

    Args:
        presence: what is known of a minion's link now.
        sign: makes the encoded document of a stored job, and its signature.
    """

    def __init__(
        self,
        presence: Callable[[MinionId], Presence],
        sign: Callable[[StoredJob], tuple[bytes, bytes]],
    ) -> None:
        self._presence = presence
        self._sign = sign
        self._jobs: dict[Jid, _Job] = {}
        self._of_minion: dict[MinionId, set[Jid]] = {}
        self._incoming = IncomingReturns()

    # What others ask.

    def counts(self) -> Mapping[str, int]:
        """Open jobs, open targets, and returns that wait for memory."""
        return {
            "jobs_open": len(self._jobs),
            "targets_open": sum(len(jids) for jids in self._of_minion.values()),
            "returns_waiting": self._incoming.waiting,
        }

    def is_open(self, jid: Jid) -> bool:
        """Tell whether a target of this job has not ended."""
        return jid in self._jobs

    def silences(self, jid: Jid, now_us: int) -> list[TargetSilent]:
        """What a new watcher must know at once: the targets that need not be waited for."""
        job = self._jobs.get(jid)
        if job is None:
            return []
        return [
            TargetSilent(minion, target.state, self._presence(minion).reason(now_us, target.state))
            for minion, target in job.targets.items()
            if target.state is JobState.QUEUED or (target.silent_us is None and target.state is JobState.SENT)
        ]

    def targets_of(self, jid: Jid) -> tuple[MinionId, ...]:
        """The targets of an open job, sorted."""
        job = self._jobs.get(jid)
        return tuple(sorted(job.targets)) if job else ()

    def explained(self, jid: Jid, result: TargetResult, now_us: int) -> TargetResult:
        """A result of the store, with what is known here: why a target has not ended, such as ``running, not reachable since T``."""
        job = self._jobs.get(jid)
        target = job.targets.get(result.minion) if job else None
        if target is None or result.state in TERMINAL:
            return result
        reason = self._presence(result.minion).reason(now_us, target.state)
        return replace(result, state=target.state, reason=reason or result.reason)

    def cancel_outcome(self, jid: Jid, minions: Sequence[MinionId]) -> tuple[tuple[MinionId, ...], ...]:
        """What a cancel would do now: the targets to ask, those that stop at once, and those that have ended."""
        job = self._jobs.get(jid)
        asked: list[MinionId] = []
        stopped: list[MinionId] = []
        ended: list[MinionId] = []
        for minion in (minions or sorted(job.targets)) if job else minions:
            target = job.targets.get(minion) if job else None
            if target is None or target.state in TERMINAL:
                ended.append(minion)
            elif target.state is JobState.QUEUED:
                stopped.append(minion)
            else:
                asked.append(minion)
        return tuple(asked), tuple(stopped), tuple(ended)

    # Jobs come.

    def recover(self, stored: Iterable[StoredJob]) -> None:
        """Take up the open jobs of the store after a start; nothing is sent before a minion has said hello."""
        for job in stored:
            self._take(job)

    def created(self, stored: StoredJob, now_us: int) -> list[MasterJobAction]:
        """A job has been stored: hand it over to those that were there, name those that were not."""
        if not stored.is_new or stored.jid in self._jobs:
            return []
        job = self._take(stored)
        sent = frozenset(minion for minion, target in job.targets.items() if target.state is JobState.SENT)
        allowance_us = ACKNOWLEDGE_PER_TARGET_US * len(sent)
        for minion in sent:
            self._expect_acknowledgement(job.targets[minion], minion, now_us, allowance_us)
        new = Emit(
            f"fleet/job/{job.jid}/new",
            {
                "jid": job.jid,
                "function": stored.job.function,
                "target": stored.job.target,
                "target_kind": stored.job.target_kind,
                "user": stored.job.user,
                "minions": sorted(job.targets),
            },
        )
        actions: list[MasterJobAction] = [new]
        if sent:
            actions.append(Dispatch(job.jid, job.document, stored.expires_us, sent))
        for minion, target in job.targets.items():
            if target.state is JobState.QUEUED:
                actions.append(self._silence(job.jid, minion, target, now_us))
        return actions

    def order_for(self, jid: Jid) -> tuple[bytes, bytes] | None:
        """The encoded document and signature of an open job."""
        job = self._jobs.get(jid)
        return (job.document, job.signature) if job else None

    def cancelled(self, jid: Jid, minions: Sequence[MinionId], now_us: int) -> list[MasterJobAction]:
        """The operator asks to stop a job on these minions (all when empty)."""
        job = self._jobs.get(jid)
        if job is None:
            return []
        chosen = [minion for minion in (minions or list(job.targets)) if minion in job.targets]
        if not minions:
            job.is_cancelled = True
        actions: list[MasterJobAction] = []
        for minion in chosen:
            target = job.targets[minion]
            if target.state is JobState.QUEUED:
                actions += self._end(job, minion, JobState.CANCELLED, "cancelled before it was handed over", now_us)
            elif target.state not in TERMINAL:
                actions.append(SendTo(minion, Cancel(jid, job.stored.expires_us)))
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
            if target.state is JobState.QUEUED:
                actions += self._hand_over(job, minion, target, now_us)
            elif not is_same_journal:
                reason = "the minion came back with a new journal: what became of it is not known"
                actions += self._end(job, minion, JobState.LOST, reason, now_us)
            elif jid in known:
                actions += self._progress(job, minion, JobProgress(jid, known[jid]))
                target.silent_us = target.resend_us = None
            elif target.state is JobState.SENT:
                self._expect_acknowledgement(target, minion, now_us, 0)
                actions += self._resend(job, minion, target, now_us)
            else:
                actions.append(SendTo(minion, Inquiry(jid)))
            if job.is_cancelled and target.state not in TERMINAL and target.state is not JobState.QUEUED:
                actions.append(SendTo(minion, Cancel(jid, job.stored.expires_us)))
        return actions

    def left(self, minion: MinionId, now_us: int) -> list[MasterJobAction]:
        """The session of a minion is gone: whoever waits for its acknowledgement need not."""
        self._incoming.drop_minion(minion)
        actions: list[MasterJobAction] = []
        for jid in self._of_minion.get(minion, ()):
            target = self._jobs[jid].targets[minion]
            target.resend_us = None
            if target.silent_us is not None:
                target.silent_us = None
                actions.append(self._silence(jid, minion, target, now_us))
        return actions + self._begin_waiting(now_us)

    def removed(self, minion: MinionId, now_us: int) -> list[MasterJobAction]:
        """The key of a minion was deleted or rejected: its open jobs end by the operator's word."""
        self._incoming.drop_minion(minion)
        actions: list[MasterJobAction] = []
        for jid in sorted(self._of_minion.get(minion, ())):
            actions += self._end(self._jobs[jid], minion, JobState.ABANDONED, "the minion's key was removed", now_us)
        return actions

    def progressed(self, minion: MinionId, message: JobProgress) -> list[MasterJobAction]:
        """A minion has journaled or started a job.

        Raises:
            ProtocolError: it was never sent to this minion.
        """
        job = self._jobs.get(message.jid)
        if job is None or minion not in job.targets:
            raise ProtocolError("progress of a job that is not open here")
        if message.state not in {JobState.ACKED, JobState.RUNNING}:
            raise ProtocolError("a progress that is an end")
        return self._progress(job, minion, message)

    def unknown(self, minion: MinionId, jid: Jid, now_us: int) -> list[MasterJobAction]:
        """A minion was asked about a job and does not know it."""
        job = self._jobs.get(jid)
        target = job.targets.get(minion) if job else None
        if job is None or target is None or target.state not in {JobState.SENT, JobState.ACKED, JobState.RUNNING}:
            return []
        return self._end(job, minion, JobState.LOST, "the minion does not know this job (any more)", now_us)

    def returned(self, minion: MinionId, answer: Return, now_us: int) -> list[MasterJobAction]:
        """A return came.

        Raises:
            ProtocolError: it claims more than it may, or was never asked of this minion.
        """
        job = self._jobs.get(answer.jid)
        if job is None:
            return [_look_up(minion, answer)]
        target = job.targets.get(minion)
        if target is None or target.state is JobState.QUEUED:
            raise ProtocolError("a return of a job that was not sent to this minion")
        if target.state in TERMINAL:
            return [_look_up(minion, answer)]
        target.silent_us = target.resend_us = None
        if target.is_ending:
            return []  # Its commit is under way; the answer follows it.
        return self._assembled(self._incoming.begin(minion, answer), minion, now_us)

    def chunk(self, minion: MinionId, message: OutputChunk, now_us: int) -> list[MasterJobAction]:
        """A chunk of output came that was asked for.

        Raises:
            ProtocolError: nobody asked for it.
        """
        return self._assembled(self._incoming.chunk(minion, message), minion, now_us)

    def committed(self, stored: StoredReturn) -> list[MasterJobAction]:
        """A return is durable: tell the minion, then everybody else."""
        jid, minion = stored.answer.jid, stored.minion
        answer = SendTo(minion, Stored(jid))
        job = self._jobs.get(jid)
        target = job.targets.get(minion) if job else None
        if job is None or target is None or target.state in TERMINAL:
            return [answer]
        result = result_of_return(stored, target.address)
        emit = Emit(
            f"fleet/job/{jid}/ret/{minion}",
            {
                "jid": jid,
                "minion": minion,
                "function": job.stored.job.function,
                "state": stored.state,
                "retcode": stored.answer.retcode,
                "reason": result.reason,
                "duration_ms": stored.answer.duration_us // 1000,
            },
        )
        return [answer, emit, Tell(jid, result), *self._close(job, minion, stored.state)]

    def commit_failed(self, stored: StoredReturn) -> None:
        """The store could not take a return: it is not answered, so the minion sends it again."""
        job = self._jobs.get(stored.answer.jid)
        if job is not None and stored.minion in job.targets:
            job.targets[stored.minion].is_ending = False

    # The clock.

    def ticked(self, now_us: int) -> list[MasterJobAction]:
        """Name who did not acknowledge, send again, and end what waited too long."""
        actions: list[MasterJobAction] = []
        for job in list(self._jobs.values()):
            for minion, target in list(job.targets.items()):
                if target.state is JobState.QUEUED and now_us >= job.stored.expires_us and not target.is_ending:
                    reason = "its time to live passed before the minion was there"
                    actions += self._end(job, minion, JobState.EXPIRED, reason, now_us)
                if target.silent_us is not None and now_us >= target.silent_us:
                    target.silent_us = None
                    actions.append(self._silence(job.jid, minion, target, now_us))
                if target.resend_us is not None and now_us >= target.resend_us:
                    actions += self._resend(job, minion, target, now_us)
        return actions + self._begin_waiting(now_us)

    # Inner steps.

    def _take(self, stored: StoredJob) -> _Job:
        document, signature = self._sign(stored)
        job = _Job(stored, document, signature, is_cancelled=stored.cancelled)
        addresses = {target.minion: target.address for target in stored.job.targets}
        for minion, state in stored.targets.items():
            job.targets[minion] = _Target(state, addresses.get(minion, ""))
            if state not in TERMINAL:
                self._of_minion.setdefault(minion, set()).add(stored.jid)
        self._jobs[stored.jid] = job
        return job

    def _expect_acknowledgement(self, target: _Target, minion: MinionId, now_us: int, allowance_us: int) -> None:
        wait_us = max(ACKNOWLEDGE_LEAST_US, 4 * self._presence(minion).round_trip_us) + allowance_us
        target.silent_us = now_us + wait_us
        target.resend_us = now_us + wait_us
        target.pause_us = RESEND_FIRST_US

    def _hand_over(self, job: _Job, minion: MinionId, target: _Target, now_us: int) -> list[MasterJobAction]:
        """Deliver a job that waited for its minion: `sent` is durable before the first byte leaves."""
        if now_us >= job.stored.expires_us or target.is_ending:
            return []  # The tick ends it; a minion that is back too late must not get it.
        target.state = JobState.SENT
        target.address = self._presence(minion).address
        self._expect_acknowledgement(target, minion, now_us, 0)
        change = StateChange(job.jid, minion, JobState.SENT, address=target.address)
        dispatch = Dispatch(job.jid, job.document, job.stored.expires_us, frozenset({minion}))
        return [Commit((change,), (dispatch,))]

    def _resend(self, job: _Job, minion: MinionId, target: _Target, now_us: int) -> list[MasterJobAction]:
        if not self._presence(minion).is_connected:
            target.resend_us = None
            return []
        target.resend_us = now_us + target.pause_us
        target.pause_us = min(target.pause_us * 2, RESEND_LIMIT_US)
        return [Dispatch(job.jid, job.document, job.stored.expires_us, frozenset({minion}))]

    def _silence(self, jid: Jid, minion: MinionId, target: _Target, now_us: int) -> Tell:
        return Tell(jid, TargetSilent(minion, target.state, self._presence(minion).reason(now_us, target.state)))

    def _progress(self, job: _Job, minion: MinionId, message: JobProgress) -> list[MasterJobAction]:
        target = job.targets[minion]
        target.silent_us = target.resend_us = None
        if not may_follow(target.state, message.state, by_minion=True):
            return []
        target.state = message.state
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
        return [Commit((change,)), Emit(tag, payload)]

    def _assembled(self, step: StoredReturn | Need | None, minion: MinionId, now_us: int) -> list[MasterJobAction]:
        if step is None:
            return []
        if isinstance(step, Need):
            return [SendTo(minion, step)]
        job = self._jobs.get(step.answer.jid)
        if job is None or minion not in job.targets:
            return [SendTo(minion, Discard(step.answer.jid, "the job is not open")), *self._begin_waiting(now_us)]
        job.targets[minion].is_ending = True
        return [CommitReturn(step), *self._begin_waiting(now_us)]

    def _begin_waiting(self, now_us: int) -> list[MasterJobAction]:
        actions: list[MasterJobAction] = []
        while (waiting := self._incoming.next_waiting()) is not None:
            minion, answer = waiting
            step = self._incoming.begin(minion, answer)
            if step is None:
                break
            actions += self._assembled(step, minion, now_us)
        return actions

    def _end(self, job: _Job, minion: MinionId, state: JobState, reason: str, now_us: int) -> list[MasterJobAction]:
        """End a target by the master's word, durably before anybody is told."""
        target = job.targets[minion]
        if target.state in TERMINAL or not (
            may_follow(target.state, state, by_minion=False) or may_follow(target.state, state, by_minion=True)
        ):
            return []
        change = StateChange(job.jid, minion, state, reason, finished_us=now_us)
        result = result_of_change(change, target.address, target.pid, target.account, target.started_us)
        tag = f"fleet/job/{job.jid}/state/{minion}"
        payload = {"jid": job.jid, "minion": minion, "state": state, "pid": target.pid, "reason": reason}
        closing = self._close(job, minion, state)
        return [Commit((change,), (Emit(tag, payload), Tell(job.jid, result), *closing))]

    def _close(self, job: _Job, minion: MinionId, state: JobState) -> list[MasterJobAction]:
        target = job.targets[minion]
        target.state, target.silent_us, target.resend_us = state, None, None
        self._incoming.drop((job.jid, minion))
        open_jids = self._of_minion.get(minion, set())
        open_jids.discard(job.jid)
        if not open_jids:
            self._of_minion.pop(minion, None)
        if any(other.state not in TERMINAL for other in job.targets.values()):
            return []
        del self._jobs[job.jid]
        return [JobEnded(job.jid)]


def _look_up(minion: MinionId, answer: Return) -> LookUpEnded:
    state = state_for(answer.kind)
    code = "" if answer.retcode is None else f", exit code {answer.retcode}"
    return LookUpEnded(
        minion, answer.jid, state, f"a return came afterwards: {state.value}{code}; {answer.message}"[:500]
    )
