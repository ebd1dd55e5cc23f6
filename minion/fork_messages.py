"""What the daemon, its fork server and its supervisors say to each other: one datagram of JSON a message."""

from ..core.dataclass import dataclass
from ..core.errors import StateError
from .json_form import Fields, write_json

#: More than the longest path in its longest form: a datagram beyond it would be cut.
DATAGRAM_LIMIT_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class Start:
    """The daemon to the fork server: have a supervisor run the job of this folder."""

    path: str


@dataclass(frozen=True, slots=True)
class Forked:
    """The fork server to the daemon: there is a supervisor. Its pidfd travels beside this, so it is surely the right one."""

    path: str


@dataclass(frozen=True, slots=True)
class Running:
    """A supervisor to the daemon: the job runs.

    Attributes:
        path: of the job's folder.
        pid: of the program, or of the process that runs the function.
        started_us: microseconds since 1970 by this machine's clock.
    """

    path: str
    pid: int
    started_us: int


@dataclass(frozen=True, slots=True)
class Executing:
    """A supervisor to the daemon: the job has become a program, which the job's folder tells."""

    path: str


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The fork server or a supervisor to the daemon: the job was not started, and why."""

    path: str
    reason: str


ForkMessage = Start | Forked | Running | Executing | NotStarted


def write_message(message: ForkMessage) -> bytes:
    """Write a message."""
    match message:
        case Start(path):
            return write_json({"kind": "start", "path": path})
        case Forked(path):
            return write_json({"kind": "forked", "path": path})
        case Running(path, pid, started_us):
            return write_json({"kind": "running", "path": path, "pid": pid, "started_us": started_us})
        case Executing(path):
            return write_json({"kind": "executing", "path": path})
        case NotStarted(path, reason):
            return write_json({"kind": "not started", "path": path, "reason": reason[:1000]})


def read_message(data: bytes) -> ForkMessage:
    """Read a message.

    Raises:
        StateError: it is none.
    """
    fields = Fields(data, "a message of the fork server")
    path = fields.text("path")
    match fields.text("kind"):
        case "start":
            return Start(path)
        case "forked":
            return Forked(path)
        case "running":
            return Running(path, fields.integer("pid"), fields.integer("started_us"))
        case "executing":
            return Executing(path)
        case "not started":
            return NotStarted(path, fields.text("reason"))
        case kind:
            raise StateError(f"{kind!r} is no message of the fork server")
