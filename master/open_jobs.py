"""The open jobs of the master, and what may be asked about them. Decides nothing."""

from collections.abc import Callable, Mapping, Sequence

from ..core.control_answers import MinionJob, TargetResult, TargetSilent
from ..core.dataclass import dataclass, field, replace
from ..core.job_states import TERMINAL, JobState
from ..core.names import Jid, MinionId
from .incoming import IncomingReturns
from .presence import Presence
from .reunion import Reunion
from .store import StoredJob

RESEND_FIRST_US = 1_000_000
RESEND_LIMIT_US = 30_000_000
#: Later than any moment: nothing is due.
NEVER_US = 2**63


@dataclass(slots=True)
class OpenTarget:
    """One job on one minion.

    Attributes:
        silent_us: when it is told to those who wait that the minion did not acknowledge, or has not come back.
        resend_us: when the order, or the question where the job stands, is repeated.
        pause_us: between the last two of these.
        cancel_us: when a cancel is repeated.
        cancel_pause_us: likewise.
        is_cancelled: the operator has asked to stop it.
        is_handing_over: that it is handed over is being committed.
        is_ending: its return is being committed.
        ending: how it ends by the master's word, while that is being committed.
        is_ending_due: that could not be committed, and is to be tried again.
    """

    state: JobState
    address: str = ""
    host: str = ""
    started_us: int | None = None
    pid: int | None = None
    account: str = ""
    silent_us: int | None = None
    resend_us: int | None = None
    pause_us: int = RESEND_FIRST_US
    cancel_us: int | None = None
    cancel_pause_us: int = RESEND_FIRST_US
    is_cancelled: bool = False
    is_handing_over: bool = False
    is_ending: bool = False
    ending: tuple[JobState, str] | None = None
    is_ending_due: bool = False

    @property
    def is_open(self) -> bool:
        """Nothing has ended it, and nothing is about to."""
        return self.state not in TERMINAL and not self.is_ending and self.ending is None

    @property
    def is_waiting(self) -> bool:
        """It is queued, and nothing is about to happen to it."""
        return self.state is JobState.QUEUED and self.ending is None and not self.is_handing_over

    def be_quiet(self) -> None:
        """Nothing is to be repeated or told of it."""
        self.silent_us = self.resend_us = self.cancel_us = None

    def due_us(self, expires_us: int) -> int:
        """When the clock has something to do with it."""
        if self.is_ending_due:
            return 0
        if self.is_waiting:
            again_us = expires_us if self.resend_us is None else self.resend_us
            silent_us = expires_us if self.silent_us is None else self.silent_us
            return 0 if self.is_cancelled else min(expires_us, again_us, silent_us)
        times = (self.silent_us, self.resend_us, self.cancel_us)
        return min((due_us for due_us in times if due_us is not None), default=NEVER_US)


@dataclass(slots=True)
class OpenJob:
    """One job with a target that has not ended.

    Attributes:
        open_targets: how many have not.
        due_us: nothing is due on any target before.
        sent_us: when it was handed to those that were there.
        heard_us: when one of them had its first word of it.
        has_moved: a target has come further since ``told_us``, when it was last told how far the job is.
        deletions: how often the operator has asked to delete it, where that is still being committed.
    """

    stored: StoredJob
    document: bytes
    signature: bytes
    targets: dict[MinionId, OpenTarget] = field(default_factory=dict)
    open_targets: int = 0
    due_us: int = 0
    sent_us: int = 0
    heard_us: int = 0
    has_moved: bool = False
    told_us: int = 0
    deletions: int = 0

    @property
    def jid(self) -> Jid:
        """Its name."""
        return self.stored.jid

    def move(self, target: OpenTarget, state: JobState) -> None:
        """A target has come further."""
        target.state = state
        self.has_moved = True

    def touch(self, target: OpenTarget) -> None:
        """Something was set on a target: look at it when that is due."""
        self.due_us = min(self.due_us, target.due_us(self.stored.expires_us))


class OpenJobs:
    """Every job with a target that has not ended; ``MasterJobs`` decides what becomes of them.

    Attributes:
        targets_open: how many have not ended, of all jobs.

    Args:
        presence: what is known of a minion's link now.
        sign: makes the encoded document of a stored job, and its signature.
        reunion: who is waited for after the start of the master; nobody by default.
    """

    def __init__(
        self,
        presence: Callable[[MinionId], Presence],
        sign: Callable[[StoredJob], tuple[bytes, bytes]],
        reunion: Reunion = Reunion(),  # noqa: B008 - frozen
    ) -> None:
        self._reunion = reunion
        self._presence = presence
        self._sign = sign
        self._jobs: dict[Jid, OpenJob] = {}
        self._of_minion: dict[MinionId, set[Jid]] = {}
        self._incoming = IncomingReturns()
        self.targets_open = 0

    def counts(self) -> Mapping[str, int]:
        """Open jobs, open targets, and returns that wait for memory."""
        return {
            "jobs_open": len(self._jobs),
            "targets_open": self.targets_open,
            "returns_waiting": self._incoming.waiting,
        }

    @property
    def returns_put_off(self) -> int:
        """How many returns were left with their minions, there being not even room to wait."""
        return self._incoming.put_off

    def figures(self) -> Mapping[str, tuple[int, int]]:
        """How full what holds incoming returns is: each with its limit."""
        return self._incoming.figures()

    def newest_of(self, minion: MinionId, limit: int) -> tuple[MinionJob, ...]:
        """The newest open jobs of a minion, newest first."""
        newest = sorted(self._of_minion.get(minion, ()), reverse=True)[:limit]
        jobs = ((jid, self._jobs[jid]) for jid in newest)
        return tuple(MinionJob(jid, job.stored.job.function, job.targets[minion].state) for jid, job in jobs)

    def is_open(self, jid: Jid) -> bool:
        """Tell whether a target of this job has not ended."""
        return jid in self._jobs

    def open_jids(self) -> tuple[Jid, ...]:
        """Every job with a target that has not ended, oldest first."""
        return tuple(sorted(self._jobs))

    def expires_us(self, jid: Jid) -> int:
        """Until when an open job may be started; 0 when it is not open."""
        job = self._jobs.get(jid)
        return job.stored.expires_us if job else 0

    def targets_of(self, jid: Jid) -> tuple[MinionId, ...]:
        """The targets of an open job, sorted."""
        job = self._jobs.get(jid)
        return tuple(sorted(job.targets)) if job else ()

    def order_for(self, jid: Jid) -> tuple[bytes, bytes] | None:
        """The encoded document and signature of an open job."""
        job = self._jobs.get(jid)
        return (job.document, job.signature) if job else None

    def awaits_order(self, jid: Jid, minion: MinionId) -> bool:
        """Tell whether a job is to be handed to a minion that has said nothing of it."""
        target = self._target(jid, minion)
        return target is not None and target.is_open and target.state is JobState.SENT

    def has_stdin(self, jid: Jid) -> bool:
        """Tell whether an open job has a stdin: a minion of an earlier release must not get it."""
        job = self._jobs.get(jid)
        return job is not None and job.stored.job.stdin_bytes > 0

    def stdin_of(self, jid: Jid, minion: MinionId) -> int | None:
        """How long the stdin is that a minion may ask for; 0 when its job is not open there (any more), None when it never was given it."""
        job = self._jobs.get(jid)
        if job is None:
            return 0
        target = job.targets.get(minion)
        if target is None or target.state is JobState.QUEUED or not job.stored.job.stdin_bytes:
            return None
        return job.stored.job.stdin_bytes if target.is_open else 0

    def silences(self, jid: Jid, now_us: int) -> list[TargetSilent]:
        """What a new watcher must know at once: the targets that need not be waited for."""
        job = self._jobs.get(jid)
        if job is None:
            return []
        return [
            TargetSilent(minion, target.state, self._presence(minion).reason(now_us, target.state))
            for minion, target in job.targets.items()
            if target.silent_us is None and target.state in {JobState.QUEUED, JobState.SENT}
        ]

    def explained(self, jid: Jid, result: TargetResult, now_us: int) -> TargetResult:
        """A result of the store, with what is known here: why a target has not ended, such as ``running, not reachable since T``."""
        target = self._target(jid, result.minion)
        if target is None or result.state in TERMINAL or target.state in TERMINAL:
            return result
        reason = self._presence(result.minion).reason(now_us, target.state) or result.reason
        if target.is_cancelled:
            reason = "; ".join(part for part in (reason, "it was asked to stop") if part)
        return replace(result, state=target.state, reason=reason)

    def cancel_outcome(self, jid: Jid, minions: Sequence[MinionId]) -> tuple[tuple[MinionId, ...], ...]:
        """What a cancel would do now: the targets to ask, those that stop at once, and those that have ended."""
        asked: list[MinionId] = []
        stopped: list[MinionId] = []
        ended: list[MinionId] = []
        for minion in minions or self.targets_of(jid):
            target = self._target(jid, minion)
            if target is None or not target.is_open:
                ended.append(minion)
            elif target.is_waiting:
                stopped.append(minion)
            else:
                asked.append(minion)
        return tuple(asked), tuple(stopped), tuple(ended)

    def begin_deletion(self, jid: Jid) -> tuple[MinionId, ...]:
        """An open job is about to be deleted: hand it to nobody any more; return the minions that may hold something of it."""
        job = self._jobs.get(jid)
        if job is None:
            return ()
        job.deletions += 1
        return tuple(
            minion
            for minion, target in sorted(job.targets.items())
            if not target.is_waiting and target.state not in TERMINAL
        )

    def deletion_failed(self, jid: Jid) -> None:
        """It could not be deleted: go on with it, unless another deletion is under way."""
        job = self._jobs.get(jid)
        if job is None:
            return
        job.deletions, job.due_us = max(job.deletions - 1, 0), 0
        for target in job.targets.values():
            if target.is_waiting:
                target.resend_us = 0  # Its minion may have come meanwhile, and was given nothing.

    def _target(self, jid: Jid, minion: MinionId) -> OpenTarget | None:
        job = self._jobs.get(jid)
        return job.targets.get(minion) if job else None

    def _take(self, stored: StoredJob) -> OpenJob | None:
        """Take up a stored job; None when nothing of it is open."""
        document, signature = self._sign(stored)
        job = OpenJob(stored, document, signature, told_us=stored.created_us)
        places = {target.minion: (target.address, target.host) for target in stored.job.targets}
        for minion, state in stored.targets.items():
            address, host = places.get(minion, ("", ""))
            job.targets[minion] = OpenTarget(state, address, host, is_cancelled=stored.cancelled)
            if state not in TERMINAL:
                job.open_targets += 1
                self.targets_open += 1
                self._of_minion.setdefault(minion, set()).add(stored.jid)
        if not job.open_targets:
            return None
        self._jobs[stored.jid] = job
        return job

    def _close(self, job: OpenJob, minion: MinionId, state: JobState) -> bool:
        """The end of a target is durable; tell whether it was the last one of its job."""
        target = job.targets[minion]
        job.move(target, state)
        target.is_ending, target.ending, target.is_ending_due = False, None, False
        target.be_quiet()
        self._incoming.drop((job.jid, minion))
        open_jids = self._of_minion.get(minion, set())
        open_jids.discard(job.jid)
        if not open_jids:
            self._of_minion.pop(minion, None)
        job.open_targets -= 1
        self.targets_open -= 1
        if job.open_targets:
            return False
        del self._jobs[job.jid]
        return True

    def _drop(self, job: OpenJob) -> None:
        """An open job is no more: hold nothing of it."""
        self.targets_open -= job.open_targets
        for minion in job.targets:
            self._incoming.drop((job.jid, minion))
            open_jids = self._of_minion.get(minion, set())
            open_jids.discard(job.jid)
            if not open_jids:
                self._of_minion.pop(minion, None)
        del self._jobs[job.jid]
