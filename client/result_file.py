"""``--out-file``: the whole document in one file instead of on stdout.

It is opened before a job is started, so that a place that cannot be written costs no run. What cannot be written in the end
costs no result: they are in the job cache.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from io import TextIOWrapper
from typing import Self

from ..core.errors import OutputError

_ADVICE = {
    errno.ENOENT: "make the folder first",
    errno.ENOTDIR: "part of the path is no folder",
    errno.EACCES: "choose a place that this account may write to",
    errno.EPERM: "choose a place that this account may write to",
    errno.EROFS: "choose a place that may be written to",
    errno.ENOSPC: "make room, or choose another disk",
    errno.EDQUOT: "make room, or choose another disk",
    errno.ENAMETOOLONG: "choose a shorter name",
}
#: A file that was not there before, of the caller alone, and no symbolic link.
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def advice(problem: OSError) -> str:
    """Say what to do when the system refuses to write."""
    return _ADVICE.get(problem.errno or 0, "choose another place")


@contextmanager
def cannot_write(path: str) -> Iterator[None]:
    """Turn a refusal of the system, before anything ran, into an error about this place."""
    try:
        yield
    except OSError as problem:
        raise OutputError(f"cannot write to {path!r}: {problem.strerror}", advice(problem)) from problem


class ResultFile:
    """A file; in its ``with`` block, what is printed on stdout goes there.

    It is written beside its place and takes it whole, in ``commit``: with mode 0600, or with mode and group of the file that it
    replaces. Without a commit nothing has happened.

    That file must be of the caller: who put another one there before would own the results. Its mode counts only in a folder
    where nobody else could have put it, and never lets others write.

    Raises:
        OutputError: it cannot be written there.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._name = os.path.basename(path)
        self._part = f".{self._name[:100]}.{os.urandom(4).hex()}.part"
        self._is_committed = False
        with cannot_write(path), ExitStack() as undo:
            self._folder = os.open(os.path.dirname(path) or ".", FOLDER)
            undo.callback(os.close, self._folder)
            replaced = self._replaced()
            descriptor = os.open(self._part, NEW_FILE, 0o600, dir_fd=self._folder)
            undo.callback(self._remove_part)
            self._file = TextIOWrapper(os.fdopen(descriptor, "wb"), "utf-8", "backslashreplace", newline="\n")
            undo.callback(self._close)
            if replaced is not None and not others_may_write(os.fstat(self._folder)):
                _take_over(descriptor, replaced, path)
            self._undo = undo.pop_all()
        self._stdout = redirect_stdout(self._file)

    def __enter__(self) -> Self:
        self._stdout.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._stdout.__exit__(None, None, None)
        self._undo.close()

    def commit(self) -> None:
        """Let the file take its place.

        Raises:
            OSError: it could not be written.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        os.rename(self._part, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._is_committed = True

    def _replaced(self) -> os.stat_result | None:
        """Look at the file that will be replaced; None when there is none."""
        try:
            found = os.lstat(self._name, dir_fd=self._folder) if self._name else os.fstat(self._folder)
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(found.st_mode):
            raise OutputError(f"cannot write to {self._path!r}: it is a symbolic link", "name the file itself")
        if stat.S_ISDIR(found.st_mode):
            raise OutputError(f"cannot write to {self._path!r}: it is a folder", "name a file in it, or say --out-dir")
        if not stat.S_ISREG(found.st_mode):
            problem = f"cannot write to {self._path!r}: it is no regular file, and would be replaced by one"
            raise OutputError(problem, "leave --out-file away, and redirect: > PATH")
        if found.st_uid != os.geteuid():
            raise OutputError(
                f"cannot write to {self._path!r}: the file that is there belongs to another account",
                "choose another file, in a folder of your own, or remove this one if it is not needed",
            )
        return found

    def _close(self) -> None:
        # What a full disk did not take has been told already, and closing would tell it again.
        with suppress(OSError):
            self._file.close()

    def _remove_part(self) -> None:
        if not self._is_committed:
            with suppress(OSError):
                os.unlink(self._part, dir_fd=self._folder)


def others_may_write(folder: os.stat_result) -> bool:
    """Tell whether accounts other than the caller and root may put files into a folder."""
    return folder.st_uid not in {os.geteuid(), 0} or bool(folder.st_mode & 0o022)


def _take_over(descriptor: int, replaced: os.stat_result, path: str) -> None:
    """Give a new file the group and the mode of the one that it will replace, but let nobody else write."""
    if os.fstat(descriptor).st_gid != replaced.st_gid:
        try:
            os.fchown(descriptor, -1, replaced.st_gid)
        except PermissionError as problem:
            raise OutputError(
                f"cannot write to {path!r}: it is of another group, which would lose it", "choose another file"
            ) from problem
    os.fchmod(descriptor, replaced.st_mode & 0o755)
