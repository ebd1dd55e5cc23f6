"""What a command says to the person who typed it: all of it on stderr, so that stdout carries results only."""

import sys
from collections.abc import Callable
from errno import ENOSPC
from io import TextIOWrapper

from ..core.errors import FleetError, OutputError
from ..core.standard_streams import drop_output, mend_standard_streams, system_refusal
from ..core.visible import visible, visible_line
from .exit_codes import BROKEN_PIPE, INTERRUPTED, REQUEST_FAILED

LEVELS = ("debug", "info", "warning", "error")


class Report:
    """Errors, warnings and notes on stderr, as far as the level lets them through.

    Attributes:
        level: one of ``LEVELS``; ``info`` is what ``-v`` asks for, ``debug`` adds tracebacks.
    """

    def __init__(self, level: str = "warning") -> None:
        self.level = level

    @property
    def is_verbose(self) -> bool:
        """Whether details are asked for."""
        return self.level in {"debug", "info"}

    def error(self, problem: FleetError) -> None:
        """Say what went wrong and what to do."""
        _write(f"error: {visible(problem.message)}")
        if problem.hint:
            _write(f"hint: {visible(problem.hint)}")

    def warn(self, text: str) -> None:
        """Say something that the person should know although the command goes on."""
        if self.level != "error":
            _write(f"warning: {visible(text)}")

    def say(self, text: str) -> None:
        """Say something that belongs to the answer and is no result, such as which minion has none."""
        _write(visible(text))

    def detail(self, text: str) -> None:
        """Say something only to those who asked for details."""
        if self.is_verbose:
            _write(visible_line(text))


def _write(text: str) -> None:
    # Whatever stdout holds back comes first, so that both read in order on a terminal.
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def guarded(report: Report, command: Callable[[], int]) -> int:
    """Run a command; turn whatever ends it into a message and an exit code. No traceback for what is no bug."""
    has_output = mend_standard_streams()
    _prepare_output()
    try:
        try:
            if not has_output:
                raise FleetError(
                    "stdout is closed, so there is nowhere to print: nothing was done",
                    "whoever wants no output writes >/dev/null",
                )
            code = command()
            sys.stdout.flush()
        except FleetError as problem:
            if isinstance(problem, OutputError):
                # What stdout did not take, and holds, would fail again.
                drop_output()
            _tell(report, problem)
            if report.level == "debug":
                _print_traceback()
            return problem.exit_code
    except BrokenPipeError:
        drop_output()
        return BROKEN_PIPE
    except OSError as problem:
        drop_output()
        refusal = system_refusal(problem)
        kept = "what a job returned is kept: fleet jobs show last" if problem.errno == ENOSPC else ""
        _tell(report, FleetError(refusal.message, "; ".join(filter(None, (refusal.hint, kept)))))
        return REQUEST_FAILED
    except KeyboardInterrupt:
        # At once: nothing waits for a reader that does not read. The terminal has shown ^C, and the cursor stands behind it.
        drop_output()
        if sys.stderr.isatty():
            print(file=sys.stderr)
        return INTERRUPTED
    except Exception as problem:  # noqa: BLE001 -- the last border: whatever it is, it is a bug of ours, and told so
        report.error(
            FleetError(
                f"a bug in fleet: {type(problem).__name__}: {problem}",
                "please report it, with what -l debug prints" if report.level != "debug" else "",
            )
        )
        if report.level == "debug":
            _print_traceback()
        return REQUEST_FAILED
    return code


def _tell(report: Report, problem: FleetError) -> None:
    """Say what went wrong, if stderr takes it: it may lead to a full disk, and then the exit code must do."""
    try:
        report.error(problem)
    except BrokenPipeError:
        raise
    except OSError:
        drop_output(2)


def _prepare_output() -> None:
    """Let what the terminal's encoding has not be written as an escape, and not be an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _print_traceback() -> None:
    """Print the traceback of the error that is being handled."""
    from traceback import format_exc

    _write(visible(format_exc().rstrip()))
