"""The loop rests after minions have spoken for as long as it takes for more of what is awaited to come, and never for long."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.master.pace import LONGEST_US, rest_us

COUNTS = st.integers(0, 20_000)


def test_nobody_is_waited_for_when_nothing_is_open() -> None:
    assert rest_us(1, 500, 0, 1) <= 10
    assert rest_us(10, 500, 0, 10) <= 100


def test_a_thousand_answers_are_taken_a_hundredth_of_a_second_together() -> None:
    assert rest_us(1, 500, 1_000, 1_000) == LONGEST_US


def test_the_last_of_ten_answers_is_not_waited_for_longer_than_it_takes_to_run_a_command() -> None:
    assert rest_us(1, 500, 9, 10) < 1_000


def test_heartbeats_of_a_large_fleet_are_taken_together_as_well() -> None:
    assert rest_us(1, 500, 0, 10_000) == LONGEST_US


@given(COUNTS, COUNTS)
def test_it_goes_on_at_once_when_no_minion_has_spoken_or_more_has_come_already(
    open_targets: int, sessions: int
) -> None:
    assert rest_us(0, 500, open_targets, sessions) == 0
    assert rest_us(500, 500, open_targets, sessions) == 0


@given(st.integers(1, 499), COUNTS, COUNTS)
def test_it_never_rests_longer_than_anybody_would_feel(taken: int, open_targets: int, sessions: int) -> None:
    assert 0 <= rest_us(taken, 500, open_targets, sessions) <= LONGEST_US
