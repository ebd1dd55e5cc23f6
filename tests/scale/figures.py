"""Memory of processes, and what becomes of it over many rounds."""

import os
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path


def pss_kibibytes(pids: Iterable[int]) -> int:
    """The memory of these processes together: what is shared counts once, in equal parts (PSS)."""
    return sum(_field(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") for pid in pids)


def processor_ms(pid: int) -> float:
    """The processor time that a process has used itself."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def process_cpu_seconds(pid: int) -> float:
    """The processor time of all threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # utime and stime of proc(5), counted from the field after the name.
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def children_processor_ms(pid: int) -> float:
    """The processor time of the children that it has reaped, and of those that they have."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # cutime and cstime of proc(5), counted from the field after the name.
    return sum(map(int, fields[13:15])) * 1000 / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for parent in found:
        found += children(parent)
    return found


def children(pid: int) -> list[int]:
    """What a process has started and not reaped."""
    tasks = os.listdir(f"/proc/{pid}/task")
    return [int(child) for task in tasks for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]


def slope(values: Sequence[float]) -> float:
    """How much is added in each round, by the straight line that fits best (least squares)."""
    return statistics.linear_regression(range(len(values)), values).slope


def _field(file: Path, name: str) -> int:
    return int(file.read_text().partition(name)[2].split()[0])
