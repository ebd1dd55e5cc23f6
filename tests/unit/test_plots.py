"""What the plots of `make bench-scale` are drawn from."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.crowd import BROADCAST, MEMORY
from bench.figures import Figure, Machine
from bench.plots import Point, read_points

TESTS = Path(__file__).parents[1]
MACHINE = Machine(2, "Some CPU", "3.11.7", 0.25)


def line(name: str, value: float, minions: int | None, floor: float | None = None) -> str:
    return Figure(name, "s", (value,), floor, minions=minions).line(MACHINE)


def test_a_figure_of_a_crowd_says_how_many_there_were() -> None:
    assert json.loads(line("ping", 0.5, 1_000))["minions"] == 1_000
    assert "minions" not in json.loads(line("ping", 0.5, None))


def test_points_are_those_of_one_figure_in_the_order_of_their_number() -> None:
    lines = [
        line("ping", 3.0, 9_000, 2.5),
        line("fleet --help", 0.04, None),
        line("back", 1.0, 10),
        line("ping", 0.5, 10),
    ]
    assert read_points(lines) == {
        "ping": [Point(10, 0.5, 0.5, 0.5, None), Point(9_000, 3.0, 3.0, 3.0, 2.5)],
        "back": [Point(10, 1.0, 1.0, 1.0, None)],
    }


def test_of_one_number_the_last_line_counts() -> None:
    assert [point.median for point in read_points([line("p", 1.0, 10), line("p", 2.0, 10)])["p"]] == [2.0]


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="only who draws has matplotlib: make bench-scale")
def test_the_same_lines_are_drawn_as_the_same_bytes_and_one_point_is_not_drawn(tmp_path: Path) -> None:
    """In processes of their own: matplotlib keeps its fonts open."""
    lines = [line(BROADCAST, 0.1, 10, 0.05), line(BROADCAST, 0.4, 1_000, 0.3), line(MEMORY, 30.0, 10)]
    (tmp_path / "run.jsonl").write_text("\n".join(lines))
    for folder in ("once", "again"):
        words = (tmp_path / "run.jsonl", "--folder", tmp_path / folder)
        environment = os.environ | {"PYTHONPATH": str(TESTS)}
        subprocess.run([sys.executable, "-P", "-m", "bench.plots", *words], check=True, env=environment)
    assert [file.name for file in (tmp_path / "once").iterdir()] == ["broadcast.svg"]
    drawn, again = ((tmp_path / folder / "broadcast.svg").read_bytes() for folder in ("once", "again"))
    assert drawn == again
    assert b"minions" in drawn
