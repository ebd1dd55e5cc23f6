"""How often something may happen."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.core.token_bucket import TokenBucket


def test_a_bucket_starts_full_and_fills_at_its_rate() -> None:
    bucket = TokenBucket(2.0, 3.0)

    assert [bucket.take(0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(500_000), bucket.take(500_000)] == [True, False]


def test_what_costs_more_than_the_burst_never_happens() -> None:
    assert not TokenBucket(1.0, 2.0).take(10**9, cost=3.0)


@given(st.lists(st.integers(0, 10_000_000), max_size=60))
def test_whatever_the_clock_does_no_more_than_burst_and_rate_is_given(times: list[int]) -> None:
    bucket = TokenBucket(1.0, 3.0)
    taken = sum(bucket.take(now_us) for now_us in times)

    assert taken <= 3 + (max(times, default=0) - min(times, default=0)) / 1e6 + 1e-6
