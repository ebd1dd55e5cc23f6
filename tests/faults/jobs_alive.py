"""The processes of jobs that run now, found in the list of processes as an operator would: by their titles."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.processes import MARK

_SUPERVISOR = b"fleet-minion: supervisor of "
_FORK_SERVER = b"fleet-minion: fork server"


@dataclass(frozen=True, slots=True)
class AliveJob:
    """A job that runs.

    Attributes:
        supervisor: its pid.
        command: the pid of the process that the supervisor has started.
    """

    minion: str
    jid: str
    supervisor: int
    command: int


def alive_jobs(folder: Path) -> list[AliveJob]:
    """Find the jobs of the minions whose root folders lie below ``folder``/minions."""
    prefix = f"{folder}/minions/"
    found = []
    for pid, title in _titles():
        if not title.startswith(_SUPERVISOR):
            continue
        path = title.removeprefix(_SUPERVISOR).decode(errors="replace")
        if path.startswith(prefix):
            minion, jid = path.removeprefix(prefix).split("/", 1)[0], path.rpartition("/")[2]
            found += [AliveJob(minion, jid, pid, child) for child in children(pid)[:1]]
    return found


def fork_servers(daemon: int) -> list[int]:
    """Find the fork server of a minion by the pid of the daemon."""
    own = set(children(daemon))
    return [pid for pid, title in _titles() if pid in own and title.startswith(_FORK_SERVER)]


def children(pid: int) -> list[int]:
    """The children of a process that live now."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return found
    return found


def _titles() -> Iterator[tuple[int, bytes]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                yield int(name), Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0", 1)[0]
            except (FileNotFoundError, ProcessLookupError):
                continue


def processes_of_minions(folder: Path) -> list[int]:
    """Everything that runs on the machines of the minions: daemons, fork servers, supervisors, and what the jobs have started."""
    mark, root = f"{MARK}={folder}".encode(), f"FLEET_ROOT={folder}/minions/".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            variables = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
            state = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
        if mark in variables and state not in "ZX" and any(variable.startswith(root) for variable in variables):
            found.append(int(name))
    return found
