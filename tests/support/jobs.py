"""Jobs of the tests: requests with jids of their own, and supervisors run without a daemon."""

import os
import select
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

from fleet.core.names import FunctionName, Jid, MinionId, jid_from_microseconds
from fleet.core.values import Value
from fleet.minion.executor import Executor
from fleet.minion.job_changes import JobChange, JobEnded, JobLost
from fleet.minion.job_folder import JobFolder
from fleet.minion.job_records import JobRequest, JobStatus
from fleet.minion.supervisor import supervise
from support.wait import wait_until

_numbers = count(1_795_000_000_000_000)


def new_jid() -> Jid:
    """Return a jid that no other job of this run has."""
    return jid_from_microseconds(next(_numbers))


def request_for(function: str = "cmd.run", *arguments: Value, **changes: object) -> JobRequest:
    """Ask for a call of a function; ``changes`` are fields of the request."""
    request = JobRequest(new_jid(), FunctionName(function), MinionId("m"), arguments, account="tester")
    return replace(request, **changes)  # type: ignore[arg-type]


def start_supervisor(folder: JobFolder, function: Callable[..., object]) -> int:
    """Have a child of this process supervise the job of a folder, whose function is the one given; return its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            supervise(folder.path, lambda _: None, lambda _: function)
        finally:
            os._exit(0)
    return pid


def run_supervised(jobs: Path, function: Callable[..., object], request: JobRequest | None = None) -> JobFolder:
    """Supervise one call to its end, and return the folder that it left."""
    request = request or request_for()
    folder = JobFolder.of(str(jobs), request.jid)
    folder.create(request)
    os.waitpid(start_supervisor(folder, function), 0)
    return folder


def last_status(folder: JobFolder) -> JobStatus:
    """Return the status of a job that has one."""
    status = folder.read_status()
    assert status is not None
    return status


def collect_until(
    executor: Executor, is_enough: Callable[[list[JobChange]], bool], seconds: float = 20
) -> list[JobChange]:
    """Drive an executor as a daemon does, by its descriptors, until what it told is enough."""
    changes: list[JobChange] = []

    def step() -> bool:
        poller = select.poll()
        for descriptor in executor.descriptors():
            poller.register(descriptor, select.POLLIN)
        wait = executor.wait_seconds()
        poller.poll(1000 if wait is None else min(1000, wait * 1000 + 1))
        changes.extend(executor.collect())
        return is_enough(changes)

    wait_until(step, seconds, f"the executor to tell what was expected; it told {changes}")
    return changes


def run_to_end(executor: Executor, jid: Jid) -> JobEnded | JobLost:
    """Drive an executor until a job has ended or is lost."""
    changes = collect_until(executor, lambda told: any(_is_end(change, jid) for change in told))
    return next(change for change in changes if isinstance(change, JobEnded | JobLost) and change.jid == jid)


def is_alive(pid: int) -> bool:
    """Tell whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def _is_end(change: JobChange, jid: Jid) -> bool:
    return isinstance(change, JobEnded | JobLost) and change.jid == jid
