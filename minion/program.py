"""Run one program: a process turns into it, and its end is judged.

The process that ran the function becomes the program by ``exec``: one fork less, and one pid for the whole of a job.
"""

import errno
import os
import shlex
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from ..core.dataclass import dataclass, replace
from ..core.functions import CommandFailedError, Program, UnavailableError
from ..core.outcome import Outcome, OutcomeKind
from .child import Child, Ending, Limits
from .job_records import StartedProgram
from .report import Report, send_report

if TYPE_CHECKING:
    from pwd import struct_passwd

#: What a shell says of a program that it cannot find, and of one that it cannot run.
NOT_FOUND_RETCODE = 127
NOT_EXECUTABLE_RETCODE = 126

#: What is told of a program for the log: a name and a folder as long as Linux allows, and of the rest enough to know it again.
_NAME_LIMIT_CHARACTERS = 4096
_COMMAND_LINE_LIMIT_CHARACTERS = 8192

#: Meant for the minion itself: a program that answered its service manager would speak for the minion, and the folder
#: that the minion was started in is not the program's.
_OWN_VARIABLES = (
    "PWD",
    "OLDPWD",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
)


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """How a program ended, with its output.

    Attributes:
        outcome: with its value in it, except where ``value_from`` derives it from the output.
        stdout: what was kept.
        stderr: what was kept.
        stdout_bytes: how much there was; more than was kept when the limit cut it.
        stderr_bytes: likewise.
    """

    outcome: Outcome
    stdout: bytes
    stderr: bytes
    stdout_bytes: int
    stderr_bytes: int


def run_program(program: Program, limits: Limits | None = None) -> ProgramResult:
    """Run a program here and wait for its end, its output in memory: for ``fleet-call``. A minion has supervisors.

    Raises:
        OSError: no process is to be had.
    """
    limits = limits or Limits()
    stdout, stderr = bytearray(), bytearray()
    child = Child(lambda report: become_program(program, report))
    ending = child.watch(stdout.extend, stderr.extend, limits)
    streams = {"stdout": stdout, "stderr": stderr}
    outcome = judge(ending, lambda stream: bytes(streams[stream]))
    return ProgramResult(outcome, bytes(stdout), bytes(stderr), ending.stdout_bytes, ending.stderr_bytes)


def become_program(program: Program, report: int, *, has_stdin: bool = False) -> None:
    """Turn this process into the program. Returns only when that failed, which is then the last report.

    Args:
        program: what to become.
        report: a descriptor that closes on exec; takes what the watcher must know.
        has_stdin: descriptor 0 is what the program is to read: the stdin of the job.
    """
    try:
        if has_stdin and program.stdin:
            raise CommandFailedError(
                "the job has a stdin, and its function gives the program another one; leave one of them away"
            )
        account = _own_account() if not program.runas else _account(program.runas)
        said = Report(None, account.pw_name, program.timeout_seconds, program.success_retcodes, program.answer)
        send_report(report, said)
        _connect_stdin(program.stdin)
        if program.runas and account.pw_uid != os.geteuid():
            if has_stdin:
                os.fchown(0, account.pw_uid, account.pw_gid)  # So that it may open /dev/stdin as well.
            _change_account(account)
        environment = _environment(program, account)
        directory = _change_folder(program.cwd, account.pw_dir)
        send_report(report, replace(said, program=_describe(program.words, directory)))
        _execute(program.words, environment)
    except CommandFailedError as problem:
        kind = OutcomeKind.UNAVAILABLE if isinstance(problem, UnavailableError) else OutcomeKind.FAILED
        send_report(report, Report(Outcome(kind, problem.message, retcode=problem.retcode)))
    except OSError as problem:
        send_report(report, Report(Outcome(OutcomeKind.FAILED, f"cannot run {program.words[0]!r}: {_reason(problem)}")))


def judge(ending: Ending, read: Callable[[str], bytes]) -> Outcome:
    """Say how a child ended that ran a function, a program, or one and then the other.

    Args:
        ending: of the child.
        read: returns what was kept of ``stdout`` or ``stderr``; asked only by a program whose answer is all.
    """
    report = ending.report
    if report is not None and report.outcome is not None:
        return report.outcome
    if ending.stopped is not None:
        return Outcome(ending.stopped, _stop_message(ending), retcode=ending.exit_code if report else None)
    code = ending.exit_code
    if report is None or code is None:
        return Outcome(OutcomeKind.CRASHED, f"the process of the function {_end_words(code)} before it could return")
    value_from = report.answer if report.answer in {"text", "stdout", "stderr"} else ""
    is_success = code in report.success_retcodes
    return Outcome(
        kind=OutcomeKind.OK if is_success else OutcomeKind.FAILED,
        message="" if is_success else _failure_words(code),
        has_value=True,
        value=code if report.answer == "retcode" else _all_of(ending, read) if report.answer == "all" else None,
        value_from=value_from,
        retcode=code,
    )


def _all_of(ending: Ending, read: Callable[[str], bytes]) -> dict[str, int | str | None]:
    return {
        "pid": ending.pid,
        "retcode": ending.exit_code,
        "stdout": read("stdout").decode(errors="replace"),
        "stderr": read("stderr").decode(errors="replace"),
    }


def _stop_message(ending: Ending) -> str:
    words = "cancelled"
    if ending.stopped is OutcomeKind.TIMED_OUT:
        words = f"stopped after its limit of {ending.limit_seconds:g} s"
    if ending.exit_code is None:
        words += f"; process {ending.pid} could not be killed and is left behind"
    return words


def _failure_words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"ended by signal {_signal_name(-code)}"


def _end_words(code: int | None) -> str:
    if code is None:
        return "is stuck"
    return f"ended with exit code {code}" if code >= 0 else f"was ended by signal {_signal_name(-code)}"


def _signal_name(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)


def _own_account() -> "struct_passwd":
    import pwd

    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        # A container may run as a number that has no entry.
        return pwd.struct_passwd((str(uid), "", uid, os.getegid(), "", os.environ.get("HOME", "/"), "/bin/sh"))


def _account(name: str) -> "struct_passwd":
    import pwd

    try:
        return pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise CommandFailedError(f"cannot run as {name!r}: there is no such account") from None


def _change_account(account: "struct_passwd") -> None:
    try:
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    except PermissionError:
        raise CommandFailedError(
            f"cannot run as {account.pw_name!r}: the minion runs as {_own_account().pw_name!r}, and only root may change"
        ) from None


def _environment(program: Program, account: "struct_passwd") -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _OWN_VARIABLES}
    own = {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name, "SHELL": account.pw_shell}
    # A service manager may give the minion no HOME, and many programs fail without one.
    environment = {**environment, **own} if program.runas else {**own, **environment}
    return {**environment, **dict(program.env)}


def _change_folder(cwd: str, home: str) -> str:
    """Enter the folder, after the account has changed: what it may not enter it may not use. Return which one it was."""
    if cwd:
        try:
            folder = cwd if cwd.startswith("/") else os.path.join(os.getcwd(), cwd)
            os.chdir(folder)
        except (OSError, ValueError) as problem:
            raise CommandFailedError(f"cannot run in {cwd!r}: {_reason(problem)}") from None
        return folder
    try:
        os.chdir(home)
    except OSError:
        os.chdir("/")  # An account without a home, such as nobody, may run programs all the same.
        return "/"
    return home


def _describe(words: tuple[str, ...], directory: str) -> StartedProgram:
    name = words[0] if words else ""
    return StartedProgram(
        pid=os.getpid(),
        name=name[:_NAME_LIMIT_CHARACTERS],
        directory=directory[:_NAME_LIMIT_CHARACTERS],
        command_line=shlex.join(words)[:_COMMAND_LINE_LIMIT_CHARACTERS],
    )


def _connect_stdin(data: bytes) -> None:
    """Let stdin be a file in memory: nobody has to feed it, so nothing can dead-lock. Without data it stays empty."""
    if not data:
        return
    descriptor = os.memfd_create("stdin")
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.dup2(descriptor, 0)
    finally:
        os.close(descriptor)


def _execute(words: tuple[str, ...], environment: dict[str, str]) -> NoReturn:
    if not words or not words[0]:
        raise CommandFailedError("there is no program to run: its name is empty")
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these, and a program would inherit that: `yes | head` would not end.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    name = words[0]
    try:
        os.execvpe(name, words, environment)  # noqa: S606 - a shell runs only where a function asks for one
    except (FileNotFoundError, NotADirectoryError):
        reason = "it, or the interpreter that it names, is missing" if "/" in name else "it is not in PATH"
        raise UnavailableError(f"cannot run {name!r}: {reason}", retcode=NOT_FOUND_RETCODE) from None
    except (OSError, ValueError) as problem:
        message = f"cannot run {name!r}: {_reason(problem)}"
        raise CommandFailedError(message, retcode=NOT_EXECUTABLE_RETCODE) from None


def _reason(problem: OSError | ValueError) -> str:
    if not isinstance(problem, OSError):
        return str(problem)
    if problem.errno == errno.ENOEXEC:
        return "it is no program, nor a script that names its interpreter in its first line"
    return os.strerror(problem.errno or 0).lower()
