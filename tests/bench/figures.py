"""The figures of `make bench` and `make bench-scale`: several runs become one line of JSON."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the figures were taken.

    Attributes:
        cores: processors that this process may use.
        cpu: their model.
        python: the version that ran everything.
        load: the load average of the minute before.
    """

    cores: int
    cpu: str
    python: str
    load: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure and the runs that it comes from.

    Attributes:
        name: what was measured.
        unit: ``s``, ``MiB``, ``ms``, ``KB``, ``kB``, ``%`` or ``/s``; empty for a count.
        values: one for each run.
        floor: what the same machine took for it in the same minutes without any product around it; None where there is no such thing.
        digits: how many after the point.
        minions: of how many light minions it is; None where that is not what it depends on.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    floor: float | None = None
    digits: int = 3
    minions: int | None = None

    def line(self, machine: Machine) -> str:
        """Write it as one line of JSON; the value is the median."""
        median = round(statistics.median(self.values), self.digits)
        floor = {} if self.floor is None else {"floor": round(self.floor, self.digits)}
        minions = {} if self.minions is None else {"minions": self.minions}
        return json.dumps(
            {
                "name": self.name,
                **minions,
                "value": median,
                "unit": self.unit,
                "runs": len(self.values),
                "median": median,
                "min": round(min(self.values), self.digits),
                "max": round(max(self.values), self.digits),
                **floor,
                "machine": asdict(machine),
            },
            ensure_ascii=False,
        )


def in_turn(count: int, length: int) -> Sequence[int]:
    """The order in which ``count`` things are measured ``length`` times each: by turns, so that a busy moment meets all of them."""
    return [number for _ in range(length) for number in range(count)]


def this_machine() -> Machine:
    """Describe the machine as it is now."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cpu=_cpu_model(Path("/proc/cpuinfo").read_text(encoding="utf-8")),
        python=platform.python_version(),
        load=round(os.getloadavg()[0], 2),
    )


def _cpu_model(cpuinfo: str) -> str:
    """Read the model from ``/proc/cpuinfo``; not every architecture says it."""
    models = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    return models[0] if models else platform.machine()
