"""The events that tell of a job: its returns, how far it has come as a whole, and that it has ended. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping

from ..core.dataclass import dataclass
from ..core.job_states import JobState
from ..core.names import FunctionName, Jid, MinionId
from ..core.values import Value
from .job_actions import Emit
from .open_jobs import OpenJob
from .store import StoredJob, StoredReturn

#: A job on ten thousand minions comes further ten thousand times; nobody reads that.
PROGRESS_PAUSE_US = 1_000_000
#: Seven fields, two numbers and a jid of its own.
_RETURN_BYTES = 250


def progress_of(job: OpenJob, now_us: int) -> list[Emit]:
    """Tell how far a job has come, when it has come further and that was not told a moment ago."""
    if not job.has_moved or now_us < job.told_us + PROGRESS_PAUSE_US:
        return []
    job.has_moved, job.told_us = False, now_us
    if len(job.targets) < 2:
        return []  # Each step of its one target is an event already.
    return [_counts(job.stored, "prog", (target.state for target in job.targets.values()))]


@dataclass(frozen=True, slots=True, eq=False)
class ReturnEvent:
    """A return was stored. Ten thousand may be in a second, and nobody may want to know: what is told is made when it is read."""

    jid: Jid
    minion: MinionId
    function: FunctionName
    state: JobState
    retcode: int | None
    reason: str
    duration_us: int

    @property
    def tag(self) -> str:
        """What has happened."""
        return f"fleet/job/{self.jid}/ret/{self.minion}"

    @property
    def payload(self) -> Mapping[str, Value]:
        """What is to be known of it."""
        return {
            "jid": self.jid,
            "minion": self.minion,
            "function": self.function,
            "state": self.state,
            "retcode": self.retcode,
            "reason": self.reason,
            "duration_ms": self.duration_us // 1000,
        }

    @property
    def memory_bytes(self) -> int:
        """About how much memory it takes; the names are shared with what else knows of job and minion."""
        return _RETURN_BYTES + len(self.reason)


def return_of(stored: StoredReturn, function: FunctionName) -> ReturnEvent:
    """Tell that a return was stored."""
    answer = stored.answer
    jid, reason, retcode, duration_us = answer.jid, answer.message, answer.retcode, answer.duration_us
    return ReturnEvent(jid, stored.minion, function, stored.state, retcode, reason, duration_us)


def end_of(stored: StoredJob, states: Iterable[JobState]) -> Emit:
    """Tell that a job has ended on the last of its targets."""
    return _counts(stored, "end", states)


def _counts(stored: StoredJob, action: str, states: Iterable[JobState]) -> Emit:
    counts = dict(sorted(Counter(state.value for state in states).items()))
    payload: dict[str, Value] = {"jid": stored.jid, "function": stored.job.function, "counts": counts}
    return Emit(f"fleet/job/{stored.jid}/{action}", payload)
