"""Whether the disk of the spool has room for one more job; where it has not, new jobs are refused and waiting ones wait."""

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

#: A job's arguments twice (in the journal and in its folder), the room kept for its status, and some output.
LEAST_FREE_BYTES = 4 * 1024 * 1024
#: Its folder, the files in it, and as much for what is just ending.
LEAST_FREE_FILES = 32


class DiskRoom:
    """Looks at the disk of a folder.

    Args:
        folder: on that disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._problem = ""

    def problem(self, owed_bytes: int = 0) -> str:
        """Say why no job may be taken on; empty when one may. The beginning and the end of it are logged.

        Args:
            owed_bytes: what is to come for accepted jobs, and for this one: their stdin.
        """
        # What one job with a long stdin is refused for is no news of the disk.
        if owed_bytes and not self._problem and (problem := self._look(owed_bytes)):
            return problem
        before, self._problem = self._problem, self._look(0)
        if self._problem and not before:
            log.error("%s: new jobs are refused until there is room; what has ended is kept", self._problem)
        elif before and not self._problem:
            log.info("there is room on the disk of %s again: jobs are taken on", self._folder)
        return self._problem

    def _look(self, owed_bytes: int) -> str:
        try:
            disk = os.statvfs(self._folder)
        except OSError as problem:
            return f"the disk of {self._folder} cannot be looked at: {os.strerror(problem.errno or 0)}"
        free_bytes = disk.f_bavail * disk.f_frsize
        if free_bytes < LEAST_FREE_BYTES + owed_bytes:
            needs = f"a job needs {LEAST_FREE_BYTES // 1024}"
            if owed_bytes:
                needs += f", and the stdin of those that are accepted {owed_bytes // 1024} more"
            return (
                f"the disk of the minion is full: {free_bytes // 1024} KiB are free where {self._folder} lies, and {needs}; "
                "free some space there"
            )
        # A file system without a fixed number of files says 0.
        if disk.f_files and disk.f_favail < LEAST_FREE_FILES:
            return f"the disk of the minion can hold no more files, where {self._folder} lies; remove some there"
        return ""
