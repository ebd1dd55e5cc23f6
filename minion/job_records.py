"""What a job's folder says in its files: the request, by the daemon, and what its supervisor knows of program and end."""

from collections.abc import Mapping

from ..core.dataclass import dataclass, field
from ..core.functions import RunningJob
from ..core.names import FunctionName, Jid, MinionId, check_function_name, check_jid, check_minion_id
from ..core.outcome import VALUE_LIMIT_BYTES, Outcome
from ..core.values import Value
from .json_form import Fields, outcome_from_json, outcome_to_json, value_to_json, write_json
from .process import ProcessIdentity

OUTPUT_LIMIT_BYTES = 16 * 1024 * 1024
KILL_AFTER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One call, ready to be run: the arguments fit the function.

    Attributes:
        minion_id: for functions that ask.
        arguments: by position.
        options: by keyword.
        user: who asked for it.
        account: the account that the minion runs as, by name.
        grains: for functions that ask.
        running: for functions that ask.
        timeout_seconds: after how long it is stopped; 0 for never.
        kill_after_seconds: from TERM to KILL.
        output_limit_bytes: how much of stdout, and of stderr, is kept.
    """

    jid: Jid
    function: FunctionName
    minion_id: MinionId
    arguments: tuple[Value, ...] = ()
    options: Mapping[str, Value] = field(default_factory=dict)
    user: str = ""
    account: str = ""
    grains: Mapping[str, Value] = field(default_factory=dict)
    running: tuple[RunningJob, ...] = ()
    timeout_seconds: float = 0.0
    kill_after_seconds: float = KILL_AFTER_SECONDS
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES

    @property
    def value_limit_bytes(self) -> int:
        """How long the value may be, encoded."""
        return min(self.output_limit_bytes, VALUE_LIMIT_BYTES)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How far a job is, by the word of its supervisor.

    Attributes:
        supervisor: the process that wrote this.
        process: the program, or the process that runs the function; None before there is one.
        account: which account that runs as.
        started_us: microseconds since 1970 by this machine's clock; None when nothing was started.
        ended_us: likewise; None while it runs.
        duration_us: by the monotonic clock.
        outcome: how it ended, without its value; None while it runs.
        stdout_bytes: how much there was in all: more than the file holds when the limit cut it.
        stderr_bytes: likewise.
        force_stopped: it was sent TERM, by the operator's wish or the limit of its time.
    """

    supervisor: ProcessIdentity
    process: ProcessIdentity | None = None
    account: str = ""
    started_us: int | None = None
    ended_us: int | None = None
    duration_us: int = 0
    outcome: Outcome | None = None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    force_stopped: bool = False


@dataclass(frozen=True, slots=True)
class StartedProgram:
    """The program that the process of a job has become.

    Attributes:
        pid: of the process.
        name: as it was named, with or without its folder.
        directory: where it was started.
        command_line: name and arguments as a shell would take them, cut when it is long; may hold secrets.
    """

    pid: int
    name: str
    directory: str
    command_line: str


def write_request(request: JobRequest) -> bytes:
    """Write a request as JSON."""
    return write_json(
        {
            "jid": request.jid,
            "function": request.function,
            "arguments": [value_to_json(argument) for argument in request.arguments],
            "options": value_to_json(request.options),
            "user": request.user,
            "account": request.account,
            "minion_id": request.minion_id,
            "grains": value_to_json(request.grains),
            "running": [_running_to_json(job) for job in request.running],
            "timeout_seconds": request.timeout_seconds,
            "kill_after_seconds": request.kill_after_seconds,
            "output_limit_bytes": request.output_limit_bytes,
        }
    )


def read_request(data: bytes, source: str) -> JobRequest:
    """Read a request.

    Raises:
        StateError: it is damaged.
        ArgumentError: a name in it is none.
    """
    fields = Fields(data, source)
    return JobRequest(
        jid=check_jid(fields.text("jid")),
        function=check_function_name(fields.text("function")),
        arguments=fields.values("arguments"),
        options=fields.mapping("options"),
        user=fields.text("user"),
        account=fields.text("account"),
        minion_id=check_minion_id(fields.text("minion_id")),
        grains=fields.mapping("grains"),
        running=tuple(_running_from_json(job) for job in fields.nested_items("running")),
        timeout_seconds=fields.real("timeout_seconds"),
        kill_after_seconds=fields.real("kill_after_seconds"),
        output_limit_bytes=fields.integer("output_limit_bytes"),
    )


def write_status(status: JobStatus) -> bytes:
    """Write a status as JSON."""
    return write_json(
        {
            "supervisor": _identity_to_json(status.supervisor),
            "process": None if status.process is None else _identity_to_json(status.process),
            "account": status.account,
            "started_us": status.started_us,
            "ended_us": status.ended_us,
            "duration_us": status.duration_us,
            "outcome": None if status.outcome is None else outcome_to_json(status.outcome),
            "stdout_bytes": status.stdout_bytes,
            "stderr_bytes": status.stderr_bytes,
            "force_stopped": status.force_stopped,
        }
    )


def read_status(data: bytes, source: str) -> JobStatus:
    """Read a status.

    Raises:
        StateError: it is damaged.
    """
    fields = Fields(data, source)
    process = fields.optional_nested("process")
    outcome = fields.optional_nested("outcome")
    return JobStatus(
        supervisor=_identity_from_json(fields.nested("supervisor")),
        process=None if process is None else _identity_from_json(process),
        account=fields.text("account"),
        started_us=fields.optional_integer("started_us"),
        ended_us=fields.optional_integer("ended_us"),
        duration_us=fields.integer("duration_us"),
        outcome=None if outcome is None else outcome_from_json(outcome),
        stdout_bytes=fields.integer("stdout_bytes"),
        stderr_bytes=fields.integer("stderr_bytes"),
        force_stopped=fields.flag("force_stopped"),
    )


def write_program(program: StartedProgram) -> bytes:
    """Write which program was started as JSON."""
    return write_json(program_to_json(program))


def read_program(data: bytes, source: str) -> StartedProgram:
    """Read which program was started.

    Raises:
        StateError: it is damaged.
    """
    return program_from_json(Fields(data, source))


def program_to_json(program: StartedProgram) -> Mapping[str, object]:
    """Give a started program the form that it has within a document."""
    return {
        "pid": program.pid,
        "name": program.name,
        "directory": program.directory,
        "command_line": program.command_line,
    }


def program_from_json(fields: Fields) -> StartedProgram:
    """Read a started program within a document.

    Raises:
        StateError: it is none.
    """
    return StartedProgram(
        pid=fields.integer("pid"),
        name=fields.text("name"),
        directory=fields.text("directory"),
        command_line=fields.text("command_line"),
    )


def write_identity(identity: ProcessIdentity) -> bytes:
    """Write who a process is as JSON."""
    return write_json(_identity_to_json(identity))


def read_identity(data: bytes, source: str) -> ProcessIdentity:
    """Read who a process is.

    Raises:
        StateError: it is damaged.
    """
    return _identity_from_json(Fields(data, source))


def _identity_to_json(identity: ProcessIdentity) -> Mapping[str, object]:
    return {"boot_id": identity.boot_id, "pid": identity.pid, "start_ticks": identity.start_ticks}


def _identity_from_json(fields: Fields) -> ProcessIdentity:
    return ProcessIdentity(fields.text("boot_id"), fields.integer("pid"), fields.integer("start_ticks"))


def _running_to_json(job: RunningJob) -> Mapping[str, object]:
    return {
        "jid": job.jid,
        "function": job.function,
        "arguments": [value_to_json(argument) for argument in job.arguments],
        "user": job.user,
        "state": job.state,
        "pid": job.pid,
        "started": job.started,
    }


def _running_from_json(fields: Fields) -> RunningJob:
    return RunningJob(
        jid=fields.text("jid"),
        function=fields.text("function"),
        arguments=fields.values("arguments"),
        user=fields.text("user"),
        state=fields.text("state"),
        pid=fields.optional_integer("pid"),
        started=fields.text("started"),
    )
