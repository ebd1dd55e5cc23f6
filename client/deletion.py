"""A deletion under way: what is removed at once, and which minions confirm that nothing is left on them."""

import time

from ..core.control_answers import Done, JobForgotten, JobsDeleted, TargetSilent
from ..core.control_requests import DeleteJobs
from ..core.dataclass import dataclass
from ..core.errors import ProtocolError
from ..core.names import MinionId
from .connection import Connection


@dataclass(frozen=True, slots=True)
class Deletion:
    """What has become of a deletion.

    Attributes:
        jobs: how many jobs are removed from the job cache.
        jid: the job, when it is one.
        owing: minions that are away and forget what they hold of them when they come back.
        unconfirmed: minions that are there and have not confirmed in time; the master asks them again.
    """

    jobs: int
    jid: str
    owing: tuple[MinionId, ...]
    unconfirmed: tuple[MinionId, ...]


def delete(connection: Connection, request: DeleteJobs, timeout_seconds: float) -> Deletion:
    """Send the request; wait for the master as long as it takes, and then so long for the minions to confirm.

    Raises:
        FleetError: what the master says; nothing is deleted then.
    """
    connection.send(request)
    deleted = connection.receive(None)
    if not isinstance(deleted, JobsDeleted):
        raise ProtocolError(f"the master answered a deletion with {type(deleted).__name__}")
    waiting = set(deleted.asked)
    owing = set(deleted.owing)
    left: dict[MinionId, int] = {}
    deadline = time.monotonic() + timeout_seconds
    while waiting:
        answer = connection.receive(max(deadline - time.monotonic(), 0.0))
        if isinstance(answer, Done):
            waiting.clear()
        elif isinstance(answer, TargetSilent):
            waiting.discard(answer.minion)
            owing.add(answer.minion)
        elif isinstance(answer, JobForgotten):
            left[answer.minion] = left.get(answer.minion, 0) + 1
        elif answer is None:
            # With several jobs on a minion, one confirmation is not all of them; only the end of the stream is.
            confirmed = set(left) if deleted.jid else set()
            return Deletion(deleted.jobs, deleted.jid, tuple(sorted(owing)), tuple(sorted(waiting - confirmed)))
    return Deletion(deleted.jobs, deleted.jid, tuple(sorted(owing)), ())
