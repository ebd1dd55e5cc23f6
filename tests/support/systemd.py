"""A real systemd of a test's own: in namespaces, with a root that holds nothing of the machine's that could be written to.

It sees ``/usr`` and the installed package, both read-only, and one folder that it may write to. The units that a distribution brings
are not there: one of them empties ``/tmp`` at a start. Needs root, and a hierarchy of control groups, version 2.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.wait import wait_until

PROGRAM = Path("/lib/systemd/systemd")
#: Where systemd finds the installed package.
PACKAGE = Path("/opt/fleet")
#: The hierarchy alone, or beside those of version 1.
_HIERARCHIES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
#: Targets that units refer to; each is reached at once.
_TARGETS = ("basic", "sysinit", "shutdown", "network-online", "multi-user")
_BOUND_SECONDS = "100"
#: Arguments: the new root, an empty folder; the package; its Python; the folder to write to.
_BOOT = f"""\
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs "$1"
cd "$1"
mkdir -p usr etc/systemd/system proc sys/fs/cgroup dev/shm run tmp var/lib var/log root old ".{PACKAGE}"
show() {{ mkdir -p ".$2"; mount --bind "$1" ".$2"; mount -o remount,bind,ro ".$2"; }}
show /usr /usr
for link in bin sbin lib lib64; do ln -s "usr/$link" "$link"; done
for device in null zero full random urandom; do touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
for file in passwd group nsswitch.conf ld.so.cache; do cp "/etc/$file" etc/; done
echo 0123456789abcdef0123456789abcdef > etc/machine-id
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
show "$2" "{PACKAGE}"
show "$3" "$3"
mkdir -p ".$4"
mount --bind "$4" ".$4"
cp "$4"/units/* etc/systemd/system/
pivot_root . old
umount -l /old
exec env -i container=test PATH=/usr/sbin:/usr/bin LANG=C.UTF-8 SYSTEMD_UNIT_PATH=/etc/systemd/system \\
    SYSTEMD_GENERATOR_PATH=/nowhere SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/nowhere \\
    {PROGRAM} --system --unit=multi-user.target --log-target=console --log-level=info --show-status=no
"""


@dataclass(frozen=True, slots=True)
class OwnSystemd:
    """A systemd that runs.

    Attributes:
        pid: its process.
        folder: what it may write to.
    """

    pid: int
    folder: Path

    def systemctl(self, *words: str) -> str:
        """Run ``systemctl`` with it and return what that printed."""
        done = subprocess.run(
            [*self._inside(), "systemctl", "--no-pager", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"systemctl {words}: {done.stdout}{done.stderr}{self.log()}"
        return done.stdout

    def main_pid(self, unit: str) -> int:
        """The pid of a unit's main process, as systemd counts; 0 for none."""
        return int(self.systemctl("show", "-p", "MainPID", "--value", unit))

    def is_ready(self) -> bool:
        """Tell whether it takes orders."""
        return (
            subprocess.run(
                [*self._inside(), "systemctl", "is-system-running"], capture_output=True, check=False
            ).returncode
            == 0
        )

    def log(self) -> str:
        """What it has said."""
        return (self.folder / "systemd.log").read_text(errors="replace")

    def _inside(self) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-p", "-m", "-C", "-i", "-u", "env", "-i", "PATH=/usr/sbin:/usr/bin"]


@contextmanager
def own_systemd(folder: Path, units: dict[str, str]) -> Iterator[OwnSystemd]:
    """Run a systemd with these units, which names lead to texts, for the time of a block; skip the test where none can be had."""
    hierarchy = next(
        (each for each in _HIERARCHIES if (each / "cgroup.procs").exists() and not (each / "tasks").exists()), None
    )
    if os.geteuid() != 0 or hierarchy is None or not PROGRAM.exists() or shutil.which("unshare") is None:
        pytest.skip("no systemd can be run in namespaces here")
    targets = {f"{target}.target": "[Unit]\nDefaultDependencies=no\n" for target in _TARGETS}
    (folder / "units").mkdir()
    (folder / "root").mkdir()
    for name, text in (units | targets).items():
        (folder / "units" / name).write_text(text)
    group = hierarchy / f"fleet-test-{os.getpid()}"
    group.mkdir()
    words = ["timeout", "-s", "KILL", _BOUND_SECONDS, "unshare", "--kill-child=KILL", "--pid", "--mount", "--fork", "--ipc",
             "--uts", "--cgroup", "sh", "-c", _BOOT, "sh", str(folder / "root"), sys.prefix, sys.base_prefix, str(folder)]  # fmt: skip
    enter = ["sh", "-c", 'echo 0 > "$0/cgroup.procs"; exec "$@"', str(group), *words]
    try:
        with (folder / "systemd.log").open("wb") as log:
            process = subprocess.Popen(enter, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield _ready(process, folder)
        finally:
            (group / "cgroup.kill").write_text("1")
            process.wait(10)
    finally:
        _remove(group)


def _ready(process: subprocess.Popen[bytes], folder: Path) -> OwnSystemd:
    found: list[OwnSystemd] = []

    def is_ready() -> bool:
        assert process.poll() is None, (folder / "systemd.log").read_text()
        found[:] = [OwnSystemd(pid, folder) for pid in _below(process.pid) if _program(pid) == str(PROGRAM.resolve())]
        return bool(found) and found[0].is_ready()

    wait_until(is_ready, 20, "systemd to be ready")
    return found[0]


def _below(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [below for child in map(int, children) for below in (child, *_below(child))]


def _program(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except FileNotFoundError:
        return ""


def _remove(group: Path) -> None:
    """Remove the control groups, when all that was in them has ended."""

    def is_gone() -> bool:
        for below in (*sorted((each for each in group.rglob("*") if each.is_dir()), reverse=True), group):
            with suppress(OSError):  # busy: something in it ends just now
                below.rmdir()
        return not group.exists()

    wait_until(is_gone, 20, f"the processes of {group} to end")
