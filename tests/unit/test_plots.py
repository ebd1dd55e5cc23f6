"""What the plots of `make bench-scale` are drawn from."""

import json
from pathlib import Path

import pytest

from bench.crowd import BROADCAST, MEMORY
from bench.figures import Figure, Machine
from bench.plots import Point, draw, read_points

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


def test_the_same_lines_are_drawn_as_the_same_bytes_and_one_point_is_not_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    lines = [line(BROADCAST, 0.1, 10, 0.05), line(BROADCAST, 0.4, 1_000, 0.3), line(MEMORY, 30.0, 10)]
    drawn = draw(read_points(lines), tmp_path / "once")
    again = draw(read_points(lines), tmp_path / "again")
    assert [file.name for file in drawn] == ["broadcast.svg"]
    assert drawn[0].read_bytes() == again[0].read_bytes()
    assert b"minions" in drawn[0].read_bytes()
