"""When a minion believes that it knows the master's time, and when it asks (DESIGN D6)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.master_time import (
    DOUBT_LIMIT_US,
    EXPIRY_FRESH_US,
    FRESH_LIMIT_US,
    is_expired,
    measure,
)

SECOND = 1_000_000


def test_a_measurement_takes_the_middle_of_the_round_trip() -> None:
    time = measure(1_000, 1_400, 9_000)

    assert (time.offset_us, time.uncertainty_us, time.measured_us) == (7_800, 200, 1_400)
    assert time.now(2_000) == 9_800


def test_an_estimate_is_doubtful_when_it_is_old_or_was_long_under_way() -> None:
    time = measure(0, 100, 0)

    assert not time.is_doubtful(100 + FRESH_LIMIT_US)
    assert time.is_doubtful(101 + FRESH_LIMIT_US)
    assert measure(0, 2 * DOUBT_LIMIT_US + 2, 0).is_doubtful(2 * DOUBT_LIMIT_US + 2)


def test_a_master_whose_clock_was_set_is_never_further_off_than_the_doubt() -> None:
    assert FRESH_LIMIT_US // 10 < DOUBT_LIMIT_US  # The master's clock follows at a tenth of the elapsed time.


def test_without_a_measurement_the_master_is_asked() -> None:
    assert is_expired(None, 10, 0) is None


def test_what_has_not_expired_may_be_told_from_a_good_estimate() -> None:
    assert is_expired(measure(0, 0, 0), 30 * SECOND, 20 * SECOND) is False


def test_what_looks_expired_is_asked_for_first() -> None:
    time = measure(0, 0, 0)

    assert is_expired(time, 5 * SECOND, 20 * SECOND) is None
    assert is_expired(time, 0, EXPIRY_FRESH_US) is True
    assert is_expired(time, 0, EXPIRY_FRESH_US + 1) is None


def test_after_a_stop_or_a_suspend_the_master_is_asked() -> None:
    assert is_expired(measure(0, 0, 0), 10**12, FRESH_LIMIT_US + 1) is None


def test_an_answer_that_was_long_under_way_tells_only_what_holds_at_both_ends() -> None:
    slow = measure(0, 20 * SECOND, 0)

    assert is_expired(slow, 21 * SECOND, 20 * SECOND) is False
    assert is_expired(slow, 10 * SECOND, 20 * SECOND) is None
    assert is_expired(slow, 0, 20 * SECOND) is True


@given(
    asked=st.integers(0, 10**9),
    there=st.integers(0, 10**8),
    back=st.integers(0, 10**8),
    later=st.integers(0, 10**9),
    offset=st.integers(-(10**12), 10**12),
    expires=st.integers(-(10**10), 10**10),
)
@settings(max_examples=200, deadline=None)
def test_a_verdict_about_a_steady_clock_is_right_up_to_the_doubt(
    asked: int, there: int, back: int, later: int, offset: int, expires: int
) -> None:
    time = measure(asked, asked + there + back, asked + there + offset)
    now = asked + there + back + later
    verdict = is_expired(time, expires + offset, now)

    assert verdict is None or verdict is (now >= expires) or abs(now - expires) <= DOUBT_LIMIT_US + 1
