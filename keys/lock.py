"""The lock on a state folder: one daemon, one writer.

``flock`` on ``<folder>/lock``, which the kernel releases when its holder dies, however it dies. The file says who holds
it, for the message alone; it is never removed, for a lock on a removed file is no lock.

A process forked without exec inherits the lock and keeps it when its parent dies; such a child closes ``descriptor``.
"""

import fcntl
import os
from pathlib import Path
from typing import Self

from ..core.errors import StateError
from .state_folder import StateFolder, explained

_NAME = "lock"
_HOLDER_LIMIT_BYTES = 200


class FolderLock:
    """A lock that is held until ``close``; a context manager.

    Attributes:
        descriptor: what holds the lock; a forked child that lives longer must close it.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the lock."""
        os.close(self.descriptor)


def lock_state_folder(folder: Path, purpose: str) -> FolderLock:
    """Lock the state folder for this process; make it (0700) if it is missing. Does not wait.

    Args:
        folder: of a master or a minion.
        purpose: what this process is, such as ``fleet-master``, for the message of those who come later.

    Raises:
        StateError: another process holds it: the message names its pid. Or the folder is open to others or of another
            account.
    """
    with StateFolder.open(folder) as state:
        descriptor = state.open_file(_NAME, os.O_RDWR | os.O_CREAT)
        try:
            _lock(descriptor, folder)
            state.sweep()
            with explained(f"write {folder / _NAME}"):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()} {purpose}\n".encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
    return FolderLock(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    with explained(f"lock {folder}"):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            text = os.pread(descriptor, _HOLDER_LIMIT_BYTES, 0).decode("utf-8", "replace")
            pid, _, purpose = text.strip().partition(" ")
            holder = f"process {pid} ({purpose})" if pid.isdecimal() else "another process"
            raise StateError(
                f"{folder} is used by {holder}",
                "only one at a time may work on it: stop that process, or ask it",
            ) from problem
