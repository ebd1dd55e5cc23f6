"""Puts a daemon into the background: two forks, a session of its own, a log file and a pid file.

The command that started it returns when the daemon is ready, or with its error: ``fleet-master -d && fleet '*' test.ping`` works.
"""

import os
import sys
from pathlib import Path

from .errors import StateError

_READY = b"\x01"


class Detached:
    """The way from the daemon back to the command that started it."""

    def __init__(self, pipe: int, pid_file: Path | None) -> None:
        self._pipe = pipe
        self._pid_file = pid_file
        self._has_pid_file = False

    def ready(self) -> None:
        """The daemon works and has its lock: write the pid file, and let the command return with success."""
        if self._pid_file is not None:
            self._pid_file.write_text(f"{os.getpid()}\n")
            self._has_pid_file = True
        if self._pipe >= 0:
            os.write(self._pipe, _READY)
            os.close(self._pipe)
            self._pipe = -1

    def ended(self) -> None:
        """The daemon ends: remove the pid file."""
        if self._pid_file is not None and self._has_pid_file:
            self._pid_file.unlink(missing_ok=True)


def stay_in_foreground() -> Detached:
    """The daemon was not asked to detach."""
    return Detached(-1, None)


def detach(pid_file: Path, log_file: Path) -> Detached:
    """Go on in the background; the calling process waits until the daemon is ready or has failed, and exits accordingly.

    What the daemon says until it is ready is shown by the calling process as well.

    Raises:
        StateError: the folder of the log or pid file cannot be used.
    """
    try:
        for folder in (pid_file.parent, log_file.parent):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        log = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as problem:
        raise StateError(
            f"cannot detach: {problem}", "start it as the account that may write there, or choose another --root"
        ) from problem
    start = os.fstat(log).st_size
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        _wait_and_exit(reader, log_file, start)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(reader)
    os.set_inheritable(writer, False)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(null)
    os.close(log)
    return Detached(writer, pid_file)


def _wait_and_exit(reader: int, log_file: Path, start: int) -> None:
    """Wait in the calling process for the daemon's word; without it the log says why."""
    is_ready = os.read(reader, 1) == _READY
    if not is_ready:
        with log_file.open("rb") as log:
            log.seek(start)
            sys.stderr.write(log.read(16_384).decode("utf-8", "replace"))
    sys.stderr.flush()
    os._exit(0 if is_ready else 1)
