"""The master's clock, whatever is done to the machine's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.master import clock
from fleet.master.clock import MasterClock

HOUR = 3_600_000_000
START = 1_795_000_000_000_000


class _Machine:
    def __init__(self) -> None:
        self.boot_us, self.wall_us = 5_000_000, START


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> _Machine:
    simulated = _Machine()
    monkeypatch.setattr(clock, "_boottime_us", lambda: simulated.boot_us)
    monkeypatch.setattr(clock, "_wall_us", lambda: simulated.wall_us)
    return simulated


def test_it_counts_from_the_wall_clock_on(machine: _Machine) -> None:
    master = MasterClock()
    machine.boot_us += 1_000
    machine.wall_us += 1_000

    assert (master.started_us, master.now_us(), master.apart_us()) == (START, START + 1_000, 0)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_wall_clock_that_jumps_is_followed_slowly(machine: _Machine, jump: int) -> None:
    master = MasterClock()
    machine.wall_us += jump
    assert master.now_us() == START
    machine.boot_us += 10_000_000
    machine.wall_us += 10_000_000

    assert master.now_us() == START + 10_000_000 + (1_000_000 if jump > 0 else -1_000_000)


def test_after_ten_times_the_jump_they_agree(machine: _Machine) -> None:
    master = MasterClock()
    machine.wall_us -= 60_000_000
    for _ in range(601):
        machine.boot_us += 1_000_000
        machine.wall_us += 1_000_000
        master.now_us()

    assert master.apart_us() == 0


@given(st.lists(st.tuples(st.integers(0, HOUR), st.integers(-HOUR, HOUR)), max_size=30))
def test_it_never_goes_back_and_never_jumps(steps: list[tuple[int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        machine = _Machine()
        patch.setattr(clock, "_boottime_us", lambda: machine.boot_us)
        patch.setattr(clock, "_wall_us", lambda: machine.wall_us)
        master = MasterClock()
        before = master.now_us()
        for elapsed, jump in steps:
            machine.boot_us += elapsed
            machine.wall_us += elapsed + jump
            now = master.now_us()
            assert 0 <= now - before <= elapsed * 1.1
            before = now
