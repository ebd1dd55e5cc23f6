"""The minion itself: which jobs it runs, and how to stop one."""

from ..core.functions import CommandFailedError, Context, RunningJob, function
from ..core.names import is_jid


@function(instant=True)
def running(context: Context) -> tuple[RunningJob, ...]:
    """List the jobs that have not ended on this minion, oldest first."""
    return context.running()


@function(instant=True)
def find_job(context: Context, jid: str) -> RunningJob | None:
    """Find a job that has not ended on this minion; null when there is none.

    Args:
        jid: the 20 digits of the job.
    """
    _check(jid)
    return next((job for job in context.running() if job.jid == jid), None)


@function(instant=True, changes=True, disruptive=True)
def kill_job(context: Context, jid: str) -> bool:
    """Stop a running job: TERM to all its processes, and KILL to those that do not go.

    Returns false when this minion runs no such job, which is no failure: what was wanted is so.

    Args:
        jid: the 20 digits of the job.
    """
    _check(jid)
    return context.cancel(jid)


def _check(jid: str) -> None:
    if not is_jid(jid):
        raise CommandFailedError(f"{jid[:40]!r} is no jid: a jid has 20 digits")
