"""How the machine is doing: uptime, load, memory, processors, disks, processes, who is logged in.

Sizes are in bytes, times in RFC 3339, UTC.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ..core.dataclass import dataclass
from ..core.functions import CommandFailedError, UnavailableError, function
from ..core.values import plain

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Uptime:
    """How long the machine has been up; ``time`` is days, hours and minutes, ``users`` counts logins."""

    seconds: int
    since_iso: str
    since_t: int
    days: int
    time: str
    users: int


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of the machine, in bytes; ``available_bytes`` is what programs can have without swapping."""

    total_bytes: int
    available_bytes: int
    used_bytes: int
    free_bytes: int
    buffers_bytes: int
    cached_bytes: int
    swap_total_bytes: int
    swap_used_bytes: int
    swap_free_bytes: int


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """One file system, in bytes; ``available`` is what an unprivileged program can have."""

    total: int
    used: int
    available: int
    percent: float


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process; ``cmd`` is its command line, or its name in brackets where it has none."""

    user: str
    cmd: str


@dataclass(frozen=True, slots=True)
class Login:
    """One login; ``host`` is where from, empty for this machine's own console."""

    user: str
    tty: str
    host: str
    login: str


@dataclass(frozen=True, slots=True)
class InterfaceCounters:
    """What went through a network interface since it came up."""

    received_bytes: int
    received_packets: int
    received_errors: int
    received_dropped: int
    sent_bytes: int
    sent_packets: int
    sent_errors: int
    sent_dropped: int


@function(reads=True)
def uptime() -> Uptime:
    """Return how long the machine has been up, since when, and how many logins there are."""
    import time

    import psutil

    seconds = int(time.clock_gettime(time.CLOCK_BOOTTIME))
    return uptime_from(seconds, int(time.time()), len(psutil.users()))


def uptime_from(seconds: int, now: int, users: int) -> Uptime:
    """Write an uptime of ``seconds``, as of ``now`` (seconds since 1970), the way people read it."""
    days, rest = divmod(seconds, 86_400)
    hours, minutes = rest // 3600, rest % 3600 // 60
    since = now - seconds
    since_iso = _rfc3339(since)
    return Uptime(seconds, since_iso, since, days, f"{days} days, {hours:02d}:{minutes:02d}", users)


@function(instant=True)
def loadavg() -> dict[str, float]:
    """Return the mean number of processes that ran or waited to run in the last 1, 5 and 15 minutes."""
    import os

    try:
        one, five, fifteen = os.getloadavg()
    except OSError as problem:
        raise UnavailableError("the kernel tells no load") from problem
    return {"1-min": round(one, 2), "5-min": round(five, 2), "15-min": round(fifteen, 2)}


@function(reads=True)
def meminfo() -> Memory:
    """Return how much memory and swap there is and how much is in use, in bytes."""
    import psutil

    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return Memory(
        total_bytes=memory.total,
        available_bytes=memory.available,
        used_bytes=memory.used,
        free_bytes=memory.free,
        buffers_bytes=memory.buffers,
        cached_bytes=memory.cached,
        swap_total_bytes=swap.total,
        swap_used_bytes=swap.used,
        swap_free_bytes=swap.free,
    )


@function(reads=True)
def cpuinfo() -> dict[str, str | list[str]]:
    """Return what the kernel says about the first processor; status.nproc counts them."""
    try:
        return parse_cpuinfo(_CPUINFO.read_text("utf-8", "replace"))
    except OSError as problem:
        raise UnavailableError(f"the kernel tells nothing about the processor: {problem}") from problem


def parse_cpuinfo(text: str) -> dict[str, str | list[str]]:
    """Parse ``/proc/cpuinfo``: the fields of the first processor and those that stand after the last, such as ``Model``.

    The fields ``flags`` and ``Features`` become lists.
    """
    fields: dict[str, str | list[str]] = {}
    for line in text.splitlines():
        name, colon, content = line.partition(":")
        name, content = name.strip(), content.strip()
        if colon and name not in fields:
            fields[name] = content.split() if name in {"flags", "Features"} else content
    return fields


@function(instant=True)
def nproc() -> int:
    """Return how many processors the machine has."""
    import os

    return os.cpu_count() or 1


@function(reads=True)
def diskusage(*paths: str) -> dict[str, DiskUsage]:
    """Return how full file systems are, in bytes, by the path that was asked for.

    Args:
        paths: any path in the file system that is meant; every disk of the machine when none is given.
    """
    import psutil

    wanted = paths or tuple(dict.fromkeys(partition.mountpoint for partition in psutil.disk_partitions()))
    found: dict[str, DiskUsage] = {}
    problems = []
    for path in wanted:
        try:
            usage = psutil.disk_usage(path)
        except (OSError, ValueError) as problem:  # ValueError: a NUL character in the path
            problems.append(f"{path!r}: {getattr(problem, 'strerror', '') or problem}")
        else:
            found[path] = DiskUsage(usage.total, usage.used, usage.free, usage.percent)
    if problems:
        raise CommandFailedError(f"cannot look at {'; '.join(problems)}", value=plain(found))
    return found


@function(reads=True)
def procs() -> dict[str, ProcessRow]:
    """Return the processes of the machine by pid: account and command line."""
    import psutil

    rows: dict[str, ProcessRow] = {}
    for process in psutil.process_iter(["username", "cmdline", "name"]):
        facts: Mapping[str, object] = process.info
        rows[str(process.pid)] = process_row(facts)
    return rows


def process_row(facts: Mapping[str, object]) -> ProcessRow:
    """Build a row from what psutil tells: ``username``, ``cmdline`` and ``name``, each ``None`` when it may not be seen."""
    words = facts.get("cmdline")
    line = " ".join(map(str, words)) if isinstance(words, list) else ""
    return ProcessRow(str(facts.get("username") or ""), line.strip() or f"[{facts.get('name') or ''}]")


@function(reads=True)
def w() -> list[Login]:
    """List who is logged in: account, terminal, from where and since when."""
    import psutil

    return [
        Login(found.name, found.terminal or "", found.host or "", _rfc3339(int(found.started)))
        for found in psutil.users()
    ]


@function(reads=True)
def netdev() -> dict[str, InterfaceCounters]:
    """Return what went through each network interface, in bytes and packets."""
    import psutil

    return {
        name: InterfaceCounters(
            received_bytes=found.bytes_recv,
            received_packets=found.packets_recv,
            received_errors=found.errin,
            received_dropped=found.dropin,
            sent_bytes=found.bytes_sent,
            sent_packets=found.packets_sent,
            sent_errors=found.errout,
            sent_dropped=found.dropout,
        )
        for name, found in sorted(psutil.net_io_counters(pernic=True).items())
    }


@function(instant=True, name="time")
def current_time() -> str:
    """Return the time of the machine's own clock: RFC 3339, UTC, microseconds."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _rfc3339(seconds: int) -> str:
    """Write seconds since 1970 the way all times are written."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat() + "Z"
