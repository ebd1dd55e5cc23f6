"""The child of a supervisor: calls the function, and reports what came of it, or becomes the program that it returned."""

import os
import sys
import traceback
from collections.abc import Callable, Mapping

from ..core.dataclass import dataclass, replace
from ..core.errors import FleetError, NotFoundError
from ..core.function_spec import FunctionSpec
from ..core.functions import CommandFailedError, Program, RunningJob, UnavailableError, wants_context
from ..core.names import FunctionName, MinionId
from ..core.outcome import Outcome, OutcomeKind
from ..core.values import Value, plain
from .job_folder import JobFolder
from .job_records import JobRequest
from .program import become_program
from .report import Report, send_report

TRACEBACK_LIMIT_CHARACTERS = 16_000
MESSAGE_LIMIT_CHARACTERS = 2_000

Loader = Callable[[FunctionName], Callable[..., object]]


def call_function(request: JobRequest, folder: JobFolder, report: int, load: Loader) -> None:
    """Call the function of a job; the last report says how it ended. Returns unless the process becomes a program.

    Args:
        request: what to call.
        folder: takes the value.
        report: the descriptor for the report.
        load: finds the function.
    """
    # Prints are output of the job; what has no UTF-8 form must not turn a print into a crash.
    sys.stdout = open(1, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    try:
        has_stdin = _connect_stdin(folder)
        outcome = _call(request, folder, report, load, has_stdin=has_stdin)
    except BaseException as problem:  # noqa: BLE001 - whatever it is, also sys.exit: it is how the call ended
        outcome = _outcome_of(problem)
    if outcome is not None:
        send_report(report, Report(outcome))


def _connect_stdin(folder: JobFolder) -> bool:
    """Let stdin be what the job was given; what was given nothing has an empty one. Tell whether there is something."""
    descriptor = folder.open_stdin()
    if descriptor is not None:
        os.dup2(descriptor, 0)
        os.close(descriptor)
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    return descriptor is not None


def _call(request: JobRequest, folder: JobFolder, report: int, load: Loader, *, has_stdin: bool) -> Outcome | None:
    """Call the function; None when it returned a program that this process could not become, which is reported."""
    try:
        target = load(request.function)
    except NotFoundError as problem:
        # The daemon knew it: the package was replaced under it. Refused can no longer be what has begun.
        return _ended(OutcomeKind.UNAVAILABLE, problem.message)
    context = (JobContext(request),) if wants_context(target) else ()
    try:
        result = target(*context, *request.arguments, **request.options)
    except CommandFailedError as problem:
        kind = OutcomeKind.UNAVAILABLE if isinstance(problem, UnavailableError) else OutcomeKind.FAILED
        outcome = _ended(kind, problem.message, problem.retcode)
        return outcome if problem.value is None else _keep(problem.value, outcome, request, folder)
    if isinstance(result, Program):
        become_program(result, report, has_stdin=has_stdin)
        return None
    return _keep(result, Outcome(OutcomeKind.OK), request, folder)


@dataclass(frozen=True, slots=True)
class JobContext:
    """The ``Context`` of a function that runs beside the daemon: it sees what was known when the job started."""

    request: JobRequest

    @property
    def minion_id(self) -> MinionId:
        """The id of this minion."""
        return self.request.minion_id

    @property
    def grains(self) -> Mapping[str, Value]:
        """The grains of this minion when the job was started."""
        return self.request.grains

    def functions(self) -> Mapping[FunctionName, FunctionSpec]:
        """Every function that this minion has."""
        from ..modules.catalogue import function_specs

        return function_specs()

    def running(self) -> tuple[RunningJob, ...]:
        """The jobs that had not ended when this one was started."""
        return self.request.running

    def cancel(self, jid: str) -> bool:
        """Refuse: only an instant function runs where jobs can be stopped.

        Raises:
            CommandFailedError: always.
        """
        raise CommandFailedError(f"cannot stop job {jid} from here: the function that does so must be instant")

    def set_grain(self, key: str, value: Value) -> None:
        """Refuse: only an instant function runs where grains are kept.

        Raises:
            CommandFailedError: always.
        """
        raise CommandFailedError(
            f"cannot set grain {key!r} to {value!r} from here: the function that does so must be instant"
        )


def _keep(result: object, outcome: Outcome, request: JobRequest, folder: JobFolder) -> Outcome:
    """Write what the function returned into the folder, and return the outcome with that."""
    # Here and not above: msgpack would be in the memory of every supervisor, and most never need it.
    from ..core.packing import encode_value

    encoded = encode_value(plain(result))
    limit = request.value_limit_bytes
    problem = f"the value takes {len(encoded)} bytes, and the limit is {limit}" if len(encoded) > limit else ""
    if not problem:
        try:
            folder.write_value(encoded)
        except OSError as failure:
            problem = f"it ended, and its value could not be kept: {os.strerror(failure.errno or 0)}"
    if problem:
        return _ended(OutcomeKind.FAILED, f"{outcome.message}; {problem}".removeprefix("; "), outcome.retcode)
    return replace(outcome, has_value=True)


def _ended(kind: OutcomeKind, message: str, retcode: int | None = None) -> Outcome:
    return Outcome(kind, message[:MESSAGE_LIMIT_CHARACTERS], retcode=retcode)


def _outcome_of(problem: BaseException) -> Outcome:
    """Tell an error that is meant for people from a bug, which keeps its traceback."""
    if isinstance(problem, FleetError):
        return _ended(OutcomeKind.FAILED, problem.message)
    begin = problem.__traceback__
    while begin is not None and begin.tb_frame.f_code.co_filename == __file__:
        begin = begin.tb_next  # Our own frames tell the author of a function nothing.
    text = "".join(traceback.format_exception(type(problem), problem, begin))[-TRACEBACK_LIMIT_CHARACTERS:]
    message = f"{type(problem).__name__}: {problem}"
    return Outcome(OutcomeKind.CRASHED, message[:MESSAGE_LIMIT_CHARACTERS], traceback=text)
