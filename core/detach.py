"""Where a daemon runs and logs: in the foreground on stderr or in its log file, or in the background with a pid file.

Going into the background takes two forks and a session of its own. The command that started it returns when the daemon is ready, or with its error: ``fleet-master -d && fleet '*' test.ping`` works.
"""

import errno
import os
import stat
import sys
from pathlib import Path

from .errors import StateError

_READY = b"\x01"
#: What a daemon of root makes must not be open to everybody because of the shell or the unit that started it.
_UMASK = 0o022
_START_HINT = "start it as the account that may write there, choose another --root, or set `log_file`"


class Detached:
    """The way from the daemon back to the command that started it."""

    def __init__(self, pipe: int, pid_file: Path | None) -> None:
        self._pipe = pipe
        self._pid_file = pid_file
        self._has_pid_file = False

    def ready(self) -> None:
        """The daemon works and has its lock: write the pid file, and let the command return with success.

        Raises:
            StateError: the pid file cannot be written.
        """
        if self._pid_file is not None:
            _write_pid(self._pid_file)
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

    Whatever mask of file modes it was started with, others can write to nothing that it makes from here on.

    Raises:
        StateError: the folder of the log or pid file cannot be used, or the log is not this account's alone to write.
    """
    os.umask(os.umask(_UMASK) | _UMASK)
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
    # Without O_NONBLOCK a pipe put in the file's place would hold the daemon for ever.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        for folder in (*other_folders, log_file.parent):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        log = os.open(log_file, flags, 0o640)
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            raise StateError(
                f"cannot log into {log_file}: it is a symbolic link",
                "look who made it, then remove it; `log_file` may name the file that it leads to",
            ) from problem
        raise StateError(f"cannot log into {log_file}: {problem}", _START_HINT) from problem
    try:
        _check_log(log_file, os.fstat(log))
    except StateError:
        os.close(log)
        raise
    return log


def _check_log(log_file: Path, status: os.stat_result) -> None:
    """Refuse a file through which another account could write the log, or be written to as this one."""
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise StateError(f"cannot log into {log_file}: it is no regular file", "name a file of its own in `log_file`")
    if status.st_uid != os.geteuid():
        raise StateError(
            f"cannot log into {log_file}: it belongs to the account with uid {status.st_uid}, "
            f"and this process runs as {os.geteuid()}",
            f"look who made it, then move it away, or give it to this account (chown {os.geteuid()} {log_file})",
        )
    if mode & 0o022:
        raise StateError(
            f"cannot log into {log_file}: others may write to it (mode {mode:04o})",
            f"see who could have changed it, then: chmod {mode & ~0o022:04o} {log_file}",
        )


def _write_pid(pid_file: Path) -> None:
    """Write the pid file, never through a link, and so that others may read it only."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(pid_file, flags, 0o644)
        with open(descriptor, "w", encoding="ascii") as file:
            # One that was left by a daemon that was killed keeps its mode, and a narrow umask hides a new one.
            os.fchmod(descriptor, 0o644)
            file.write(f"{os.getpid()}\n")
    except OSError as problem:
        raise StateError(
            f"cannot write {pid_file}: {os.strerror(problem.errno or 0)}", "look who made it, then remove it"
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
