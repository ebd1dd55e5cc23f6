"""The most memory that a process has had."""

import re
from pathlib import Path


def peak_kib(pid: int) -> int:
    """The most memory that a process has had since its start, or ``begin_peak``; 0 when it has ended."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def begin_peak(pid: int) -> int:
    """Measure the peak of a process anew; return what it holds now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak_kib(pid)
