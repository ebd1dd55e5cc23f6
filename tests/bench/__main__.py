"""What `make bench` runs: each figure as a line of JSON on stdout, and nothing else there. `docs/performance.md` explains them.

Commands are timed as whole processes, from outside, by turns; a figure is the median of its runs.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from bench.client_jobs import measure_client_jobs
from bench.figures import this_machine
from bench.job_cache import measure_full, measure_growth
from bench.light_minions import CROWD, measure_light
from bench.many_keys import measure_keys
from bench.measuring import Bench
from bench.outputs import measure_outputs
from bench.real_minions import measure_many, measure_minions
from bench.resolution import measure_resolution
from bench.rest import measure_rest
from bench.returns import measure_returns
from support.fleet import Fleet

#: Each step has a fleet of its own.
GROUPS: Mapping[str, Sequence[Callable[[Bench, Fleet], None]]] = {
    "minions": (measure_minions, measure_many),
    "client": (measure_client_jobs,),
    "outputs": (measure_outputs,),
    "rest": (measure_rest,),
    "keys": (measure_keys,),
    "jobs": (measure_growth, measure_full),
    "targets": (measure_resolution,),
    "returns": (measure_returns,),
    "light": (partial(measure_light, count=100), partial(measure_light, count=CROWD)),
}


@contextmanager
def new_fleet() -> Iterator[Fleet]:
    """A fleet in a folder of its own, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="fleet-bench-"))
    try:
        with Fleet(folder) as fleet:
            yield fleet
    finally:
        shutil.rmtree(folder)


def end_by_signal(number: int, _: FrameType | None) -> None:
    """Turn a signal into the end of the program, so that everything is cleaned up."""
    raise SystemExit(128 + number)


def main(words: Sequence[str] | None = None) -> int:
    """Measure; 0 when there is every figure that was asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="of each command")
    parser.add_argument("groups", nargs="*", help=f"of figures: {', '.join(GROUPS)}; all by default")
    options = parser.parse_args(words)
    unknown = set(options.groups) - set(GROUPS)
    if unknown:
        parser.error(f"there is no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_by_signal)
    bench = Bench(this_machine(), options.runs)
    for group in options.groups or GROUPS:
        for step in GROUPS[group]:
            with new_fleet() as fleet:
                step(bench, fleet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
