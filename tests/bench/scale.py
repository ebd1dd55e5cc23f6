"""What `make bench-scale` runs: the figures of crowds, a line of JSON each, and for several numbers of minions their plots.

Each line goes to stdout, and nothing else there; `docs/performance.md` explains them.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.__main__ import end_by_signal, new_fleet
from bench.crowd import measure_crowd
from bench.figures import this_machine
from bench.plots import FOLDER, draw, read_points

DEFAULT_MINIONS = 9_000
#: With this many the memory of the master is watched over broadcasts: enough to see what is kept of each.
WATCHED_MINIONS = 1_000


def main(words: Sequence[str] | None = None) -> int:
    """Measure; 0 when there is every figure that was asked for."""
    parser = argparse.ArgumentParser(prog="make bench-scale", description=__doc__)
    parser.add_argument("minions", type=int, nargs="*", default=[DEFAULT_MINIONS], help="how many; several are plotted")
    parser.add_argument("--runs", type=int, default=6, help="of each command")
    parser.add_argument("--broadcasts", type=int, default=1_000, help=f"for memory over time, with {WATCHED_MINIONS}")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the plots go")
    options = parser.parse_args(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_by_signal)
    machine, lines = this_machine(), []
    for count in options.minions:
        broadcasts = options.broadcasts if count == WATCHED_MINIONS else 0
        with new_fleet() as fleet:
            figures = measure_crowd(machine, fleet, count, options.runs, broadcasts)
        lines += [figure.line(machine) for figure in figures]
    if len(options.minions) > 1:
        for file in draw(read_points(lines), options.folder):
            print(f"bench: drew {file.name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
