"""The events that tell of a job as a whole: how far it has come, and that it has ended. Pure."""

from collections import Counter
from collections.abc import Iterable

from ..core.job_states import JobState
from ..core.values import Value
from .job_actions import Emit
from .open_jobs import OpenJob
from .store import StoredJob

#: A job on ten thousand minions comes further ten thousand times; nobody reads that.
PROGRESS_PAUSE_US = 1_000_000


def progress_of(job: OpenJob, now_us: int) -> list[Emit]:
    """Tell how far a job has come, when it has come further and that was not told a moment ago."""
    if not job.has_moved or now_us < job.told_us + PROGRESS_PAUSE_US:
        return []
    job.has_moved, job.told_us = False, now_us
    if len(job.targets) < 2:
        return []  # Each step of its one target is an event already.
    return [_counts(job.stored, "prog", (target.state for target in job.targets.values()))]


def end_of(stored: StoredJob, states: Iterable[JobState]) -> Emit:
    """Tell that a job has ended on the last of its targets."""
    return _counts(stored, "end", states)


def _counts(stored: StoredJob, action: str, states: Iterable[JobState]) -> Emit:
    counts = dict(sorted(Counter(state.value for state in states).items()))
    payload: dict[str, Value] = {"jid": stored.jid, "function": stored.job.function, "counts": counts}
    return Emit(f"fleet/job/{stored.jid}/{action}", payload)
