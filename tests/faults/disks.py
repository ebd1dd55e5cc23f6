"""Small disks under the state folders of daemons, which can be full: file systems in memory, so root only."""

import errno
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

_BALLAST = "ballast"
_STATE = "state"
_LEAST_BYTES = 4096


def why_no_disks(folder: Path) -> str:
    """Say why no file system can be mounted here; empty when one can. Tried, because root in a container often may not."""
    if os.geteuid() != 0:
        return "only root may mount a file system"
    if shutil.which("mount") is None:
        return "there is no mount command"
    probe = folder / "probe"
    probe.mkdir(parents=True)
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", probe], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            subprocess.run(["umount", probe], check=True, capture_output=True)
    finally:
        probe.rmdir()
    return "" if done.returncode == 0 else f"mount says: {done.stderr.strip()}"


class SmallDisk:
    """A file system of a few MiB with the state folder of one daemon on it.

    Args:
        folder: where it is mounted; it is made.
        state: the state folder, which does not exist yet: a link to the disk.
        size_bytes: how much it holds.
    """

    def __init__(self, folder: Path, state: Path, size_bytes: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        options = f"size={size_bytes},mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)
        (folder / _STATE).mkdir(mode=0o700)
        state.parent.mkdir(parents=True, exist_ok=True)
        state.symlink_to(folder / _STATE)

    def fill(self) -> None:
        """Leave no room."""
        with (self.folder / _BALLAST).open("wb") as ballast:
            length, step = 0, 64 * 1024 * 1024
            while step >= _LEAST_BYTES:
                try:
                    os.posix_fallocate(ballast.fileno(), length, step)
                    length += step
                except OSError as problem:
                    if problem.errno != errno.ENOSPC:
                        raise
                    step //= 2

    def free(self) -> None:
        """Give the room back."""
        with suppress(FileNotFoundError):
            (self.folder / _BALLAST).unlink()


def unmount_below(folder: Path) -> list[str]:
    """Unmount everything below a folder, lazily: what a daemon still holds there goes with it. Return what it was."""
    mounted = [line.split()[1].replace("\\040", " ") for line in Path("/proc/mounts").read_text().splitlines()]
    found = [place for place in mounted if Path(place).is_relative_to(folder)]
    for place in reversed(found):
        subprocess.run(["umount", "--lazy", place], check=True, capture_output=True)
    return found
