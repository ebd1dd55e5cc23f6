"""What the kernel counts of this process and its machine. It reads ``/proc`` itself: the master loads no library for a few numbers."""

import os
import resource
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def process_figures() -> Mapping[str, int]:
    """Memory, threads, descriptors and processor time of this process; what the kernel does not tell is left out."""
    status = _read("self/status")
    rollup = _read("self/smaps_rollup")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _known(
        {
            "rss_bytes": number_after(status, "VmRSS:", 1024),
            "pss_bytes": number_after(rollup, "Pss:", 1024),
            "threads": number_after(status, "Threads:"),
            "descriptors": len(os.listdir(_PROC / "self/fd")),
            "descriptors_limit": soft,
            "cpu_user_ms": round(usage.ru_utime * 1000),
            "cpu_system_ms": round(usage.ru_stime * 1000),
        }
    )


def machine_figures() -> Mapping[str, int]:
    """Processors and memory of the machine; what the kernel does not tell is left out."""
    memory = _read("meminfo")
    return _known(
        {
            "cpus": os.cpu_count(),
            "memory_bytes": number_after(memory, "MemTotal:", 1024),
            "memory_available_bytes": number_after(memory, "MemAvailable:", 1024),
        }
    )


def load_average() -> tuple[float, ...]:
    """Processes that run or wait to, over the last 1, 5 and 15 minutes; empty where the kernel does not tell."""
    with suppress(OSError):
        return os.getloadavg()
    return ()


def number_after(text: str, name: str, factor: int = 1) -> int | None:
    """Find the number behind a name at the beginning of a line, times a factor; None when there is none."""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name and words[1].isdecimal():
            return int(words[1]) * factor
    return None


def _known(figures: Mapping[str, int | None]) -> Mapping[str, int]:
    return {name: number for name, number in figures.items() if number is not None}


def _read(name: str) -> str:
    """Read a file of ``/proc``; some kernels and containers lack one."""
    try:
        return (_PROC / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
