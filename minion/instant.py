"""Runs an instant function in the daemon's own loop: bounded by its author's word, so nothing in it can hang."""

import traceback
from collections.abc import Callable

from ..core.dataclass import dataclass
from ..core.errors import FleetError
from ..core.functions import CommandFailedError, Context, Program, UnavailableError
from ..core.job_document import JobDocument
from ..core.outcome import Outcome, OutcomeKind
from ..core.packing import encode_value
from ..core.values import plain
from .functions_here import FunctionsHere

TRACEBACK_LIMIT_CHARACTERS = 16_000


@dataclass(frozen=True, slots=True)
class Finished:
    """How a call ended, with its value encoded.

    Attributes:
        value: empty when there is none.
    """

    outcome: Outcome
    value: bytes = b""


def run_instant(document: JobDocument, functions: FunctionsHere, context: Context) -> Finished:
    """Call the function of a job whose arguments are known to fit. Never raises."""
    bound = functions.bind(document)
    target = functions.ready(document.function, context)
    return finish(lambda: target(*bound.positional, **bound.keyword))


def finish(call: Callable[[], object]) -> Finished:
    """Make a call, and turn whatever comes of it into data: this is the one place where any exception is caught."""
    try:
        result = call()
        if isinstance(result, Program):
            raise TypeError("an instant function cannot run a program")
        value = plain(result)
        return Finished(Outcome(OutcomeKind.OK, has_value=True, value=value), encode_value(value))
    except CommandFailedError as problem:
        return _failed(problem)
    except FleetError as problem:  # Such as a grains file that cannot be written.
        return Finished(Outcome(OutcomeKind.FAILED, problem.message))
    except (Exception, SystemExit) as problem:  # noqa: BLE001 - a bug of an author is an outcome, with its traceback
        return _crashed(problem)


def _failed(problem: CommandFailedError) -> Finished:
    kind = OutcomeKind.UNAVAILABLE if isinstance(problem, UnavailableError) else OutcomeKind.FAILED
    try:
        value = plain(problem.value)
        encoded = encode_value(value)
    except (TypeError, ValueError, RecursionError) as second:
        return _crashed(second)
    has_value = value is not None
    outcome = Outcome(kind, _sendable(problem.message), has_value, value, retcode=problem.retcode)
    return Finished(outcome, encoded if has_value else b"")


def _crashed(problem: BaseException) -> Finished:
    lines = traceback.format_exception(problem)
    text = _sendable("".join(lines))[-TRACEBACK_LIMIT_CHARACTERS:]
    # Its last line, and not the exception's own text: making that may raise, and this must not.
    return Finished(Outcome(OutcomeKind.CRASHED, _sendable(lines[-1].strip()), traceback=text))


def _sendable(text: str) -> str:
    """Text that UTF-8 can carry: the message of an error may quote a file name that is none."""
    return str(plain(text))
