"""Memory of processes, and what becomes of it over many rounds."""

import os
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path


def pss_kibibytes(pids: Iterable[int]) -> int:
    """The memory of these processes together: what is shared counts once, in equal parts (PSS)."""
    return sum(_field(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") for pid in pids)


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for parent in found:
        for task in os.listdir(f"/proc/{parent}/task"):
            found += map(int, Path(f"/proc/{parent}/task/{task}/children").read_text().split())
    return found


def slope(values: Sequence[float]) -> float:
    """How much is added in each round, by the straight line that fits best (least squares)."""
    return statistics.linear_regression(range(len(values)), values).slope


def _field(file: Path, name: str) -> int:
    return int(file.read_text().partition(name)[2].split()[0])
