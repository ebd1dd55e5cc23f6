"""stdin, stdout and stderr as a process finds them: closed, full or gone. Commands and daemons mend them before anything else."""

import errno
import os
import sys
from io import UnsupportedOperation
from types import MappingProxyType

from .errors import FleetError

_HINTS = MappingProxyType(
    {
        errno.ENOSPC: "the disk that the output goes to is full: free some space",
        errno.EDQUOT: "the quota of the disk that the output goes to is used up",
        errno.EACCES: "run the command as root, or as the account that owns this",
        errno.EPERM: "run the command as root, or as the account that owns this",
        errno.ENAMETOOLONG: "choose a shorter path",
        errno.EMFILE: "raise the limit of open files: ulimit -n",
        errno.ENFILE: "the machine has no descriptors left: see what holds them",
        errno.ENOMEM: "the machine has no memory left",
    }
)


def mend_standard_streams() -> bool:
    """Put /dev/null where a standard descriptor is closed; tell whether stdout was there.

    Else the next file or socket that is opened gets the number, and what is printed goes into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given, and those below are taken by now.
            os.open(os.devnull, os.O_RDWR)
    # Python leaves None where it found nothing.
    had_output = sys.stdout is not None
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    return had_output


def system_refusal(problem: OSError) -> FleetError:
    """Make what the system refuses into an error for a person."""
    name = f": {problem.filename!s:.200}" if problem.filename else ""
    why = os.strerror(problem.errno) if problem.errno else str(problem)
    return FleetError(f"the system refuses: {why}{name}", _HINTS.get(problem.errno or 0, ""))


def print_or_fail(text: str) -> None:
    """Write a text to stdout, all of it.

    Raises:
        FleetError: stdout takes it not.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as problem:
        drop_output()
        raise system_refusal(problem) from problem


def drop_output(number: int = 1) -> None:
    """Keep Python from complaining at exit, when it flushes what stdout (1) or stderr (2) does not take."""
    try:
        descriptor = (sys.stdout if number == 1 else sys.stderr).fileno()
    except UnsupportedOperation:
        return  # no file stands behind it
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
