"""A minion's word about the progress of a job, as it may be believed. Pure."""

from ..core.dataclass import replace
from ..core.from_minion import JobProgress
from .tamed_return import ACCOUNT_LIMIT_CHARACTERS, MOMENT_LIMIT_US

#: The kernel's own limit is 2 ** 22.
PID_LIMIT = 2**31 - 1


def tamed_progress(message: JobProgress) -> JobProgress:
    """Cut the account to the limit that returns have, and the numbers to those that the store and a calendar have."""
    return replace(
        message,
        pid=None if message.pid is None else min(max(0, message.pid), PID_LIMIT),
        started_us=None if message.started_us is None else min(max(0, message.started_us), MOMENT_LIMIT_US),
        account=message.account[:ACCOUNT_LIMIT_CHARACTERS],
    )
