"""Where a daemon runs and logs: in the foreground on stderr or in its log file, or in the background with a pid file.

Going into the background takes two forks and a session of its own. The command that started it returns when the daemon is ready, or with its error: ``fleet-master -d && fleet '*' test.ping`` works.
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


def take_place(pid_file: Path, log_file: Path, *, detaches: bool, has_terminal: bool) -> Detached:
    """Put a daemon where its command line says: into the background, or where it is, with or without the terminal.

    Args:
        pid_file: written in the background.
        log_file: takes what is logged when stderr does not.
        detaches: into the background.
        has_terminal: stderr is the log, be it a terminal, a pipe or the journal; else it is as if there were no terminal.

    Raises:
        StateError: the folder of the log or pid file cannot be used.
    """
    if detaches:
        return detach(pid_file, log_file)
    if not has_terminal:
        _hand_over(_open_log(log_file))
    return Detached(-1, None)


def detach(pid_file: Path, log_file: Path) -> Detached:
    """Go on in the background; the calling process waits until the daemon is ready or has failed, and exits accordingly.

    What the daemon says until it is ready is shown by the calling process as well.

    Raises:
        StateError: the folder of the log or pid file cannot be used.
    """
    log = _open_log(log_file, pid_file.parent)
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
    _hand_over(log)
    return Detached(writer, pid_file)


def _open_log(log_file: Path, *other_folders: Path) -> int:
    """Open the log for appending, after its folder and these were made."""
    try:
        for folder in (*other_folders, log_file.parent):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        return os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as problem:
        raise StateError(
            f"cannot log into {log_file}: {problem}",
            "start it as the account that may write there, choose another --root, or set `log_file`",
        ) from problem


def _hand_over(log: int) -> None:
    """Let everything that this process and its libraries print go into the log, and nothing be read from a terminal."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(null)
    os.close(log)


def _wait_and_exit(reader: int, log_file: Path, start: int) -> None:
    """Wait in the calling process for the daemon's word; without it the log says why."""
    is_ready = os.read(reader, 1) == _READY
    if not is_ready:
        with log_file.open("rb") as log:
            log.seek(start)
            sys.stderr.write(log.read(16_384).decode("utf-8", "replace"))
    sys.stderr.flush()
    os._exit(0 if is_ready else 1)
