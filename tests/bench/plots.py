"""Draws what the figures of `make bench-scale` say over the number of minions, from the lines of a run.

The same lines give the same bytes: no date is written, and the names inside of the drawing are not random.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.crowd import BROADCAST, CPU_BROADCAST, MEMORY, RESTART

FOLDER = Path(__file__).parents[2] / "docs" / "performance"


@dataclass(frozen=True, slots=True)
class Plot:
    """One drawing.

    Attributes:
        file: its name.
        figure: which lines it is drawn from.
        title: what it shows.
        label: of the vertical axis.
    """

    file: str
    figure: str
    title: str
    label: str


PLOTS: Sequence[Plot] = (
    Plot("broadcast.svg", BROADCAST, "fleet '*' test.ping, from outside", "seconds"),
    Plot("processor.svg", CPU_BROADCAST, "processor time of the master for one broadcast", "seconds"),
    Plot("memory.svg", MEMORY, "memory of the master (PSS)", "MiB"),
    Plot("restart.svg", RESTART, "until all are back after kill -9", "seconds"),
)


@dataclass(frozen=True, slots=True)
class Point:
    """One line of a run: its median, and its floor where it has one."""

    minions: int
    median: float
    least: float
    most: float
    floor: float | None


def read_points(lines: Iterable[str]) -> Mapping[str, Sequence[Point]]:
    """Read the lines of a run: the points of each figure by its name, in the order of the number of minions.

    Lines of other figures are left out. Of several of one figure and number the last counts.
    """
    found: dict[str, dict[int, Point]] = {}
    for line in lines:
        said = json.loads(line)
        if "minions" in said:
            point = Point(said["minions"], said["median"], said["min"], said["max"], said.get("floor"))
            found.setdefault(said["name"], {})[point.minions] = point
    return {name: [points[minions] for minions in sorted(points)] for name, points in found.items()}


def draw(points: Mapping[str, Sequence[Point]], folder: Path) -> list[Path]:
    """Draw each figure that has two points or more; return the files."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    # Text stays text: the drawings are small, and no font of this machine gets into them.
    mpl.rcParams.update({"svg.hashsalt": "fleet", "svg.fonttype": "none", "font.family": "sans-serif"})
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for plot in PLOTS:
        mine = points.get(plot.figure, ())
        if len(mine) < 2:
            continue
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes: Any = figure.add_subplot()
        minions = [point.minions for point in mine]
        axes.fill_between(minions, [one.least for one in mine], [one.most for one in mine], alpha=0.2, linewidth=0)
        axes.plot(minions, [one.median for one in mine], marker="o", label="fleet")
        bare = [one for one in mine if one.floor is not None]
        if bare:
            floors = [one.floor for one in bare]
            axes.plot([one.minions for one in bare], floors, marker=".", linestyle="--", label="floor")
            axes.legend()
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(minions)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter(NullFormatter())
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.set(title=plot.title, xlabel="minions", ylabel=plot.label)
        drawn.append(folder / plot.file)
        figure.savefig(drawn[-1], format="svg", metadata={"Date": None, "Creator": None})
    return drawn


def main(words: Sequence[str] | None = None) -> int:
    """Draw a saved run."""
    parser = argparse.ArgumentParser(prog="make plots", description=__doc__)
    parser.add_argument("lines", type=Path, help="a file with the lines of a run")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the drawings go")
    options = parser.parse_args(words)
    for file in draw(read_points(options.lines.read_text(encoding="utf-8").splitlines()), options.folder):
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
