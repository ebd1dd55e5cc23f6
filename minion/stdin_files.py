"""The stdin of jobs that wait for it, on the disk of the spool: ``jobs/<jid>.stdin``, mode 0600.

Beside the folder of its job and not in it: that there is a folder means that the job may have been started. It moves there when the job
is started (``job_folder.py``), and goes with it.
"""

import os
from contextlib import suppress

from ..core.crypto import new_digest
from ..core.names import Jid, check_jid, is_jid

_SUFFIX = ".stdin"
_READ_BYTES = 1024 * 1024


class StdinFiles:
    """The files of one spool. What fails on the disk raises OSError.

    Args:
        jobs_folder: holds the folders of the jobs.
    """

    def __init__(self, jobs_folder: str) -> None:
        self._jobs_folder = jobs_folder

    def path(self, jid: Jid) -> str:
        """Where the stdin of a job lies while it waits; nothing is created.

        Raises:
            ArgumentError: the jid is none, so it must not become a path.
        """
        return os.path.join(self._jobs_folder, check_jid(jid) + _SUFFIX)

    def size(self, jid: Jid) -> int:
        """How much of it is here."""
        try:
            return os.stat(self.path(jid)).st_size
        except FileNotFoundError:
            return 0

    def append(self, jid: Jid, offset: int, data: bytes) -> None:
        """Keep what comes at an offset, which is where the file ends. What was only partly written is asked for again."""
        descriptor = os.open(self.path(jid), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(data)
            while view:
                written = os.pwrite(descriptor, view, offset)
                view, offset = view[written:], offset + written
        finally:
            os.close(descriptor)

    def is_whole(self, jid: Jid, digest: bytes) -> bool:
        """Tell whether what is here has this digest."""
        running = new_digest()
        try:
            with open(self.path(jid), "rb", buffering=0) as file:
                while data := file.read(_READ_BYTES):
                    running.update(data)
        except FileNotFoundError:
            return False
        return running.digest() == digest

    def remove(self, jid: Jid) -> None:
        """Delete it; nothing happens when there is none. What the disk keeps all the same is deleted by the next daemon."""
        with suppress(OSError):
            os.unlink(self.path(jid))

    def jids(self) -> list[Jid]:
        """The jobs of which something is here."""
        names = (name.removesuffix(_SUFFIX) for name in os.listdir(self._jobs_folder) if name.endswith(_SUFFIX))
        return [Jid(name) for name in names if is_jid(name)]
