"""What the options of a run say of the stdin of its job: read whole before anything is sent."""

import os
import sys
from typing import BinaryIO

from ..core.control import STDIN_LIMIT_MOST_BYTES
from ..core.errors import UsageError
from .invocation import Invocation
from .stdin_upload import check_stdin_length
from .verb_options import NO_STDIN, STDIN, STDIN_TEXT

_OWN = "-"


def read_job_stdin(call: Invocation) -> bytes:
    """Read what the command is to have as its stdin; nothing without an option that says so.

    Raises:
        UsageError: two options say it, or the file cannot be read.
        ArgumentError: it is longer than any master takes.
    """
    given = [option.name for option in (STDIN, STDIN_TEXT, NO_STDIN) if call.options.flag(option.name)]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} say different things", "a job has one stdin: leave the others away")
    if call.options.flag(STDIN_TEXT.name):
        return call.options.text(STDIN_TEXT.name).encode()
    if not call.options.flag(STDIN.name):
        return b""
    name = call.options.text(STDIN.name)
    if name == _OWN and sys.stdin is not None and sys.stdin.isatty():
        call.report.say("reading the stdin of the job from this terminal; Ctrl-D ends it")
    try:
        return _read_own() if name == _OWN else _read_file(name)
    except OSError as problem:
        source = "this command's own stdin" if name == _OWN else repr(name)
        raise UsageError(
            f"the stdin of the job cannot be read from {source}: {os.strerror(problem.errno or 0).lower()}",
            f"name a file that can be read, or {_OWN} for this command's own stdin; nothing was sent",
        ) from problem


def _read_own() -> bytes:
    return b"" if sys.stdin is None else _read(sys.stdin.buffer)


def _read_file(name: str) -> bytes:
    with open(name, "rb") as file:
        return _read(file)


def _read(file: BinaryIO) -> bytes:
    """Read to the end, but no more than a master takes: ``/dev/zero`` has none."""
    data = file.read(STDIN_LIMIT_MOST_BYTES + 1)
    check_stdin_length(len(data))
    return data
