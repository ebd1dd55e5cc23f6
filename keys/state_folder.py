"""The state folder of a daemon: private to one account, its small files complete or absent.

A file is written under a temporary name with its final mode, fsynced, and then linked (never over another file) or
renamed (over the old one) into place, and the folder is fsynced: a reader, another process or a kill at any moment finds
the old content or the new one. Files are opened below the descriptor of the checked folder, never through a link.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from ..core.errors import StateError

FOLDER_MODE = 0o700
PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
#: More than any key file or pin; a file beyond it is not ours.
FILE_LIMIT_BYTES = 64 * 1024

_ACCOUNT_HINT = "run this as the account that the daemon runs as, or as root; --root DIR keeps everything below a folder of your own"
_HINTS = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some space: the quota is used up",
    errno.EROFS: "the disk is mounted read-only: look into the kernel's log for why",
    errno.EACCES: _ACCOUNT_HINT,
    errno.EPERM: _ACCOUNT_HINT,
    errno.EISDIR: "it is a folder where a file is expected: look who made it, then remove it",
    errno.ELOOP: "it is a symbolic link where a plain file is expected: look who made it, then remove it",
    errno.ENOTDIR: "something on this path is no folder: move it away",
}


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn an OSError within the block into a StateError ``cannot DOING: why``, with what to do about it."""
    try:
        yield
    except OSError as problem:
        hint = _HINTS.get(problem.errno or 0, "")
        raise StateError(f"cannot {doing}: {os.strerror(problem.errno or 0)}", hint) from problem


class StateFolder:
    """A state folder that was checked once and is held open; a context manager, closed at its end.

    Attributes:
        path: where it is, for messages and for libraries that want a path.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: Path) -> Self:
        """Make the folder (0700) if it is missing, open and check it.

        A link to a folder is followed, since state is moved to larger disks; what counts is whose the folder is.

        Raises:
            StateError: it belongs to another account, others may enter it, or it cannot be made or opened.
        """
        with explained(f"make the folder {path}"):
            _make_folder(path)
        state = cls.open_existing(path)
        if state is None:
            raise StateError(f"{path} was removed while it was made", "start again")
        return state

    @classmethod
    def open_existing(cls, path: Path) -> Self | None:
        """Open and check the folder, making nothing; None when there is none.

        Raises:
            StateError: as for ``open``.
        """
        with explained(f"open the folder {path}"):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
        try:
            _check(path, os.fstat(descriptor), 0o077)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._descriptor)

    def open_file(self, name: str, flags: int = os.O_RDONLY, *, public: bool = False) -> int:
        """Open a file and return its descriptor, checked: a regular file of this account that others cannot use.

        Args:
            name: within the folder.
            flags: of ``os.open``; with O_CREAT the file is made with mode 0600.
            public: others may read it, though not write it.

        Raises:
            FileNotFoundError: there is none.
            StateError: it is a link, a device or a pipe, belongs to another account, or others may use it.
        """
        path = self.path / name
        with explained(f"open {path}"):
            try:
                # Without O_NONBLOCK a pipe put in the file's place would hold the daemon for ever.
                flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(name, flags, PRIVATE_MODE, dir_fd=self._descriptor)
            except FileNotFoundError:
                descriptor = -1
        if descriptor < 0:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StateError(f"{path} is no regular file", "look who made it, then remove it")
            _check(path, status, 0o022 if public else 0o077)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def read(self, name: str, *, public: bool = False) -> bytes | None:
        """Return the content of a file, or None when there is none.

        Raises:
            StateError: as for ``open_file``, or it holds more than ``FILE_LIMIT_BYTES``.
        """
        try:
            descriptor = self.open_file(name, public=public)
        except FileNotFoundError:
            return None
        with explained(f"read {self.path / name}"), open(descriptor, "rb") as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
        if len(content) > FILE_LIMIT_BYTES:
            raise StateError(f"{self.path / name} is longer than any file of its kind", "look who made it")
        return content

    def create(self, name: str, content: bytes, mode: int = PRIVATE_MODE) -> bool:
        """Make a file, unless there is anything of that name.

        Returns:
            whether it was made; False when another process came first, or the file was there.

        Raises:
            StateError: it cannot be written.
        """
        with explained(f"write {self.path / name}"), self._temporary(name, content, mode) as temporary:
            try:
                os.link(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
            except FileExistsError:
                return False
            os.fsync(self._descriptor)
            return True

    def replace(self, name: str, content: bytes, mode: int = PRIVATE_MODE) -> None:
        """Write a file, in place of the one of that name if there is one.

        Raises:
            StateError: it cannot be written.
        """
        with explained(f"write {self.path / name}"), self._temporary(name, content, mode) as temporary:
            os.rename(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
            os.fsync(self._descriptor)

    @contextmanager
    def _temporary(self, name: str, content: bytes, mode: int) -> Iterator[str]:
        """Write the content durably under a name of its own, which is gone at the end."""
        temporary = f".{name}.{os.getpid()}.{os.urandom(8).hex()}"
        try:
            descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=self._descriptor
            )
            with open(descriptor, "wb") as file:
                # The umask may have taken bits away; it never adds any, so the file was at no time more open than this.
                os.fchmod(descriptor, mode)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            yield temporary
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=self._descriptor)

    def sweep(self) -> None:
        """Remove what killed processes left half written; call it under the lock of the folder."""
        with explained(f"clean {self.path}"):
            for name in os.listdir(self._descriptor):
                parts = name.rsplit(".", 2)
                if name.startswith(".") and len(parts) == 3 and parts[1].isdecimal() and not _is_alive(int(parts[1])):
                    with suppress(FileNotFoundError, IsADirectoryError):
                        os.unlink(name, dir_fd=self._descriptor)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        # Somebody else's process, or no pid at all: not ours to remove.
        return True
    return True


def _make_folder(path: Path) -> None:
    """Make the folder with its final mode, and its missing parents so that others may pass through them only."""
    missing = [parent for parent in path.parents if not parent.exists()]
    for parent in reversed(missing):
        # Not left to the umask: with a umask of 0 anybody could put a folder of his own in the place of ours.
        with suppress(FileExistsError):
            parent.mkdir(0o755)
    with suppress(FileExistsError):
        path.mkdir(FOLDER_MODE)


def _check(path: Path, status: os.stat_result, forbidden: int) -> None:
    if status.st_uid != os.geteuid():
        raise StateError(
            f"{path} belongs to the account with uid {status.st_uid}, and this process runs as {os.geteuid()}",
            "run this as the account that the daemon runs as, or give the folder and all in it to this one (chown)",
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & forbidden:
        raise StateError(
            f"{path} is open to other accounts (mode {mode:04o})",
            f"see who could have read or changed it, then: chmod {mode & ~forbidden:04o} {path}",
        )
