"""Processes of this machine: who one is beyond its number, whether it lives, its session, its title.

A pid says nothing after its process is gone: the kernel gives it to another. A process is named by the boot, the pid and
the start time together, and it is held by a pidfd, which never turns into another process.
"""

import os
import select
import signal
from collections.abc import Iterable

from ..core.dataclass import dataclass

# The fields of /proc/PID/stat that follow the name in parentheses, counted from there (man 5 proc, minus 3).
_STATE = 0
_SESSION = 3
_START_TICKS = 19
_ARGUMENTS_START = 45
_ARGUMENTS_END = 46


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process for good: no other one, now or later, has all three.

    Attributes:
        boot_id: the kernel's name for this boot; pids and start times begin anew at the next.
        pid: its number.
        start_ticks: when it was started, in clock ticks since the boot.
    """

    boot_id: str
    pid: int
    start_ticks: int


def read_boot_id() -> str:
    """Return the kernel's name for this boot."""
    # Not "ascii", whose codec each supervisor would load anew: 2 ms of the 10 that one may take.
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        return file.read().strip()


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of the process that has this pid now; None when it does not live (a zombie does not)."""
    fields = _stat_fields(pid)
    if not fields or fields[_STATE] in {b"Z", b"X"}:
        return None
    return ProcessIdentity(read_boot_id(), pid, int(fields[_START_TICKS]))


def open_process(identity: ProcessIdentity) -> int | None:
    """Open a pidfd of exactly this process; None when it is gone. The caller closes it.

    Raises:
        OSError: it lives but cannot be opened, such as for want of descriptors.
    """
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    # Looked at after it was opened: had the pid passed to another process before, the start time tells.
    if identify(identity.pid) != identity:
        os.close(descriptor)
        return None
    return descriptor


def has_ended(pidfd: int) -> bool:
    """Tell whether the process behind a pidfd has ended; it may still be a zombie."""
    return wait_for_end(pidfd, 0)


def wait_for_end(pidfd: int, seconds: float) -> bool:
    """Wait at most so long for the process behind a pidfd to end, and tell whether it has."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def send_signal(pidfd: int, number: int) -> None:
    """Signal the process behind a pidfd; nothing happens when it is gone or belongs to somebody else."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except (ProcessLookupError, PermissionError):
        return


def session_members(session: int) -> list[int]:
    """Return the pids of the living processes of a session."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _is_member(int(name), session)]


def signal_session(session: int, number: int) -> None:
    """Signal every process of a session, whatever process group it has moved to.

    ``timeout``, a shell with job control and others put what they run into a group of its own, which a signal to the
    first group would miss. The caller holds the session's leader (unreaped, or by a pidfd), so that its number is its own.
    """
    try:
        os.killpg(session, number)  # The first group at once: no member forks away in between.
    except (ProcessLookupError, PermissionError):
        signal_members(session, number, session_members(session))
        return
    signal_members(session, number, [pid for pid in session_members(session) if _group_of(pid) != session])


def signal_members(session: int, number: int, pids: Iterable[int]) -> None:
    """Signal those of these processes that are members of a session."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            # Looked at after it was opened: the pid may have passed to another process before.
            if _is_member(pid, session):
                send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def set_title(title: str) -> None:
    """Show ``title`` in the list of processes in place of the command line.

    The kernel shows what stands in the memory of the arguments, so it is written over them: cut to their length, and
    filled up with zero bytes, the last of which keeps the kernel from reading on into the environment.
    """
    try:
        fields = _stat_fields(os.getpid())
        start, end = int(fields[_ARGUMENTS_START]), int(fields[_ARGUMENTS_END])
        room = end - start
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            memory.write(title.encode(errors="replace")[: room - 1].ljust(room, b"\0"))
    except (OSError, IndexError, ValueError):
        return  # Only a name for people: a kernel that forbids it costs no job.


def _is_member(pid: int, session: int) -> bool:
    fields = _stat_fields(pid)
    return bool(fields) and int(fields[_SESSION]) == session and fields[_STATE] not in {b"Z", b"X"}


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


def _stat_fields(pid: int) -> list[bytes]:
    """Read what follows the name in /proc/PID/stat; empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name may hold spaces and parentheses, so the last parenthesis counts.
            return file.read().rpartition(b") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
