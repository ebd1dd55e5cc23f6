"""What is alive of a job, and what it left: looked up in its folder and among the processes, never by a bare pid.

================  =============================  =====================================================
lock              status                         then
================  =============================  =====================================================
(not looked at)   the last one                   ``Ended``
held              none, or not the last          ``Supervised``: whoever holds it
free              none, or without a process     ``NeverRan``: a process is released only after it stands there
free              with a process that lives      ``Orphaned``: its supervisor was killed
free              with a process that is gone    ``Gone``: nobody saw how it ended
================  =============================  =====================================================

Whoever finds the lock free takes it and leaves the mark ``void``: a supervisor that comes late starts nothing.
"""

import os

from ..core.dataclass import dataclass
from ..core.errors import FleetError, StateError
from .job_folder import JobFolder
from .job_records import JobStatus
from .process import open_process, read_boot_id


@dataclass(frozen=True, slots=True)
class Ended:
    """The job has ended, and this is how."""

    status: JobStatus


@dataclass(frozen=True, slots=True)
class Supervised:
    """A supervisor lives.

    Attributes:
        pidfd: of the supervisor, for the caller to close; None when it has not written down yet who it is.
    """

    pidfd: int | None


@dataclass(frozen=True, slots=True)
class Orphaned:
    """The supervisor was killed, and the process that it started goes on.

    Attributes:
        pidfd: of that process, for the caller to close.
    """

    pid: int
    pidfd: int


@dataclass(frozen=True, slots=True)
class NeverRan:
    """Nothing was run, and nothing will be."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Something was run, and nobody can tell how it ended."""

    reason: str


JobRemains = Ended | Supervised | Orphaned | NeverRan | Gone


def find_remains(folder: JobFolder) -> JobRemains:
    """Find out what is alive of a job, and what it left.

    Raises:
        OSError: this could not be found out now, such as for want of descriptors.
    """
    status, damage = _read_status(folder)
    if status is not None and status.outcome is not None:
        return Ended(status)
    try:
        lock = folder.take_lock()
    except FileNotFoundError:
        return Gone("nothing is left of it")
    if lock is None:
        return Supervised(_open_owner(folder))
    try:
        folder.write_void()
        status, damage = _read_status(folder)  # Once more: the supervisor may have ended between the two looks.
    finally:
        os.close(lock)
    if damage:
        return Gone(damage)
    if status is None:
        return NeverRan()
    if status.outcome is not None:
        return Ended(status)
    return _look_for_process(status)


def _look_for_process(status: JobStatus) -> JobRemains:
    if status.process is None:
        return NeverRan()
    pidfd = open_process(status.process)
    if pidfd is not None:
        return Orphaned(status.process.pid, pidfd)
    if status.process.boot_id != read_boot_id():
        return Gone("the machine was started anew while it ran")
    return Gone("its supervisor was killed, so nobody saw how it ended")


def _read_status(folder: JobFolder) -> tuple[JobStatus | None, str]:
    """Return the status, and why it cannot be read."""
    try:
        return folder.read_status(), ""
    except FleetError as problem:
        return None, problem.message


def _open_owner(folder: JobFolder) -> int | None:
    try:
        owner = folder.read_owner()
    except StateError:
        return None  # It is just writing it down.
    return open_process(owner) if owner else None
