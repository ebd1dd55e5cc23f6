"""The arithmetic of `make bench` and `make soak`."""

import json
import os
import subprocess
import sys

import pytest

from bench.figures import Figure, Machine, in_turn, this_machine
from scale.figures import children_processor_ms, family, processor_ms, pss_kibibytes, slope
from support.fleet import resident_kibibytes

MACHINE = Machine(2, "Some CPU", "3.11.7", 0.25)


def test_a_figure_is_the_median_of_its_runs_on_one_line() -> None:
    line = Figure("fleet --help", "s", (0.3, 0.1, 0.2004, 9.0)).line(MACHINE)
    assert "\n" not in line
    assert json.loads(line) == {
        "name": "fleet --help",
        "value": 0.25,
        "unit": "s",
        "runs": 4,
        "median": 0.25,
        "min": 0.1,
        "max": 9.0,
        "machine": {"cores": 2, "cpu": "Some CPU", "python": "3.11.7", "load": 0.25},
    }


def test_a_figure_stands_beside_its_floor() -> None:
    line = json.loads(Figure("returns", "/s", (4_000.0,), floor=21_000.12345).line(MACHINE))
    assert (line["value"], line["floor"]) == (4_000.0, 21_000.123)


def test_a_figure_without_runs_is_none() -> None:
    with pytest.raises(ValueError, match="median"):
        Figure("nothing", "s", ()).line(MACHINE)


def test_what_is_measured_takes_turns() -> None:
    assert in_turn(3, 2) == [0, 1, 2, 0, 1, 2]


def test_this_machine_says_what_it_is() -> None:
    machine = this_machine()
    assert machine.cores == len(os.sched_getaffinity(0))
    assert machine.cpu
    assert machine.python.startswith("3.")


def test_what_grows_has_a_slope_and_what_only_trembles_has_none() -> None:
    assert slope([100.0 + 7 * number for number in range(20)]) == pytest.approx(7)
    assert abs(slope([100.0, 108.0] * 50)) < 0.1
    # As memory is taken from the system: much at once, and then nothing for a while.
    assert slope([100.0 + 70 * (number // 10) for number in range(100)]) == pytest.approx(7, rel=0.1)


def test_the_memory_of_a_family_is_that_of_all_its_processes() -> None:
    alone = family(os.getpid())
    with subprocess.Popen(["sleep", "60"]) as child:
        both = family(os.getpid())
        assert set(both) - set(alone) == {child.pid}
        assert 0 < pss_kibibytes([os.getpid()]) < pss_kibibytes([os.getpid(), child.pid])
        assert pss_kibibytes([os.getpid()]) <= resident_kibibytes(os.getpid())
        child.kill()


def test_processor_time_is_that_of_a_process_or_of_the_children_that_it_has_reaped() -> None:
    own, children = processor_ms(os.getpid()), children_processor_ms(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(10**6))"], check=True)
    assert children_processor_ms(os.getpid()) > children
    assert processor_ms(os.getpid()) > own
