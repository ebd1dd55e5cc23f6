"""The requests of the control socket: a literal table from request to the method that answers it.

Whoever reaches this file has been told by the kernel who it is (``control_port.py``); until roles exist that is root or the master's
own account, which may do everything.
"""

from collections.abc import Callable, Mapping

from ..core.control import Request
from ..core.control_requests import (
    AskStatus,
    CancelJob,
    ChangeKeys,
    DeleteJobs,
    FollowEvents,
    ListJobs,
    ListKeys,
    ListMinions,
    PingMinion,
    PreviewTarget,
    PurgeJobs,
    ReadOutput,
    ShowFunctions,
    ShowGrains,
    ShowJob,
    Submit,
    UploadStdin,
    Watch,
)
from ..core.dataclass import dataclass
from .control_port import Caller
from .delete_requests import DeleteRequests
from .fleet_requests import FleetRequests
from .job_requests import JobRequests
from .minion_requests import MinionRequests
from .replies import Replies
from .status_requests import StatusRequests


@dataclass(frozen=True, slots=True)
class Requests:
    """Answers every request of a control connection."""

    jobs: JobRequests
    minions: MinionRequests
    fleet: FleetRequests
    status: StatusRequests
    deletes: DeleteRequests
    replies: Replies

    def take(self, connection: int, caller: Caller, request: Request) -> None:
        """Handle one request; its answers follow, now or later."""
        try:
            handler, owner = self._handler(type(request))
            handler(owner, connection, caller, request)
        except Exception as problem:  # noqa: BLE001 - told to the caller, and logged when it is a bug of ours
            self.replies.fail(connection, problem)

    def closed(self, connection: int) -> None:
        """A control connection has gone: what it watched or followed ends."""
        self.jobs.conductor.watchers.remove(connection)
        self.jobs.conductor.live.closed(connection)
        self.jobs.streams.closed(connection)
        self.jobs.uploads.drop(connection)
        self.minions.closed(connection)
        self.fleet.closed(connection)
        self.status.closed(connection)
        self.deletes.closed(connection)

    def ticked(self, now_us: int) -> None:
        """Answer what has waited long enough."""
        self.minions.ticked(now_us)
        self.status.ticked(now_us)

    def _handler(self, kind: type[Request]) -> tuple[Callable[..., None], object]:
        for handlers, owner in (
            (JOB_HANDLERS, self.jobs),
            (DELETE_HANDLERS, self.deletes),
            (MINION_HANDLERS, self.minions),
            (STATUS_HANDLERS, self.status),
            (FLEET_HANDLERS, self.fleet),
        ):
            if kind in handlers:
                return handlers[kind], owner
        raise KeyError(kind)


JOB_HANDLERS: Mapping[type[Request], Callable[..., None]] = {
    UploadStdin: JobRequests.upload_stdin,
    Submit: JobRequests.submit,
    Watch: JobRequests.watch,
    PreviewTarget: JobRequests.preview,
    ListJobs: JobRequests.list_jobs,
    ShowJob: JobRequests.show_job,
    ReadOutput: JobRequests.read_output,
    CancelJob: JobRequests.cancel,
}
DELETE_HANDLERS: Mapping[type[Request], Callable[..., None]] = {
    DeleteJobs: DeleteRequests.delete,
    PurgeJobs: DeleteRequests.purge,
}
MINION_HANDLERS: Mapping[type[Request], Callable[..., None]] = {
    ListMinions: MinionRequests.list_minions,
    ShowGrains: MinionRequests.show_grains,
    PingMinion: MinionRequests.ping,
}
STATUS_HANDLERS: Mapping[type[Request], Callable[..., None]] = {AskStatus: StatusRequests.ask}
FLEET_HANDLERS: Mapping[type[Request], Callable[..., None]] = {
    FollowEvents: FleetRequests.follow_events,
    ShowFunctions: FleetRequests.show_functions,
    ListKeys: FleetRequests.list_keys,
    ChangeKeys: FleetRequests.change_keys,
}
