"""The control socket as a file: made with its final mode, never beside a master that lives, removed only by the one that made it."""

import errno
import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path

from ..core.errors import TransportError

SOCKET_MODE = 0o600
FOLDER_MODE = 0o755
#: ``sun_path`` has 108 bytes with its final zero, see unix(7).
SOCKET_PATH_LIMIT_BYTES = 107
_BACKLOG = 64
# struct ucred of socket(7): pid, uid, gid.
_CREDENTIALS = struct.Struct("iII")


def listen(path: Path) -> socket.socket:
    """Make the control socket and listen on it; without blocking.

    It is bound under a name of its own and then renamed, so at no moment is there a socket of another mode under this name, nor a
    moment without one when a stale one is replaced.

    Raises:
        TransportError: another master listens there, the path is too long, the folder is open to others, or it cannot be made.
    """
    temporary = path.with_name(f".{os.getpid():x}.sock")
    length = max(len(os.fsencode(path)), len(os.fsencode(temporary)))
    if length > SOCKET_PATH_LIMIT_BYTES:
        raise TransportError(
            f"the path of the control socket needs {length} bytes, a Unix socket allows {SOCKET_PATH_LIMIT_BYTES}: {path}",
            "choose a shorter folder with --root",
        )
    try:
        _make_folder(path.parent)
        _check_place(path)
        with suppress(FileNotFoundError):
            temporary.unlink()
        return _bind(temporary, path)
    except OSError as problem:
        raise TransportError(
            f"the control socket {path} cannot be made: {problem.strerror}",
            "see who owns its folder, and whether that disk is full or read-only",
        ) from problem


def identity_of(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of the same name; None when there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def peer_of(connection: socket.socket) -> tuple[int, int, int]:
    """The pid, uid and gid of the process at the other end, by the kernel's word, at the moment when it connected."""
    pid, uid, gid = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid, gid


def _make_folder(folder: Path) -> None:
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        # Not left to the umask: in a folder that others may write to, they could put a socket of theirs in our place.
        with suppress(FileExistsError):
            missing.mkdir(FOLDER_MODE)
    status = folder.stat()
    if status.st_uid not in {0, os.geteuid()} or status.st_mode & 0o022:
        raise TransportError(
            f"the folder {folder} is open to other accounts (mode {stat.S_IMODE(status.st_mode):04o}, uid {status.st_uid})",
            f"give it to the account of the master, then: chmod 0755 {folder}",
        )


def _check_place(path: Path) -> None:
    """See that nobody is in the place: no master that answers, and no file that is not a socket."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise TransportError(f"{path} is no socket", "look who made it, then remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        code = probe.connect_ex(os.fsencode(path))
    # EAGAIN: its backlog is full, so somebody holds it who is only busy or stopped.
    if code in {0, errno.EAGAIN, errno.EINPROGRESS}:
        raise TransportError(
            f"another master listens on {path}", "stop it first, or give this one a folder of its own with --root"
        )
    if code not in {errno.ECONNREFUSED, errno.ENOENT}:
        raise OSError(code, os.strerror(code))


def _bind(temporary: Path, path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        # Linux gives the file the mode of the descriptor (less the umask), so it is never more open than this.
        os.fchmod(listener.fileno(), SOCKET_MODE)
        listener.bind(os.fsencode(temporary))
        temporary.chmod(SOCKET_MODE)
        listener.listen(_BACKLOG)
        temporary.rename(path)
    except BaseException:
        listener.close()
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    return listener
