from hypothesis import given
from hypothesis import strategies as st

from fleet.core.log_limit import LineLimiter

SECOND_US = 1_000_000


def test_the_first_line_of_a_peer_is_written() -> None:
    assert LineLimiter(60).allow("192.0.2.1", 0) == 0


def test_further_lines_are_kept_back_and_counted_in_the_next_one() -> None:
    limiter = LineLimiter(60)
    limiter.allow("192.0.2.1", 0)
    assert [limiter.allow("192.0.2.1", second * SECOND_US) for second in (0, 1, 59)] == [None, None, None]
    assert limiter.allow("192.0.2.1", 60 * SECOND_US) == 3
    assert limiter.allow("192.0.2.1", 120 * SECOND_US) == 0


def test_one_peer_does_not_silence_another() -> None:
    limiter = LineLimiter(60)
    limiter.allow("192.0.2.1", 0)
    assert limiter.allow("192.0.2.2", 0) == 0


def test_peers_beyond_the_bound_share_one_line() -> None:
    limiter = LineLimiter(60, keys_limit=3)
    written = [limiter.allow(f"192.0.2.{number}", 0) for number in range(200)]
    assert sum(answer is not None for answer in written) == 4
    assert len(limiter) == 3
    assert limiter.allow("192.0.2.250", 60 * SECOND_US) == 0


def test_the_shared_line_says_how_many_were_kept_back() -> None:
    limiter = LineLimiter(60, keys_limit=1)
    limiter.allow("first", 0)
    limiter.allow("second", 10 * SECOND_US)
    limiter.allow("third", 20 * SECOND_US)
    limiter.allow("first", 61 * SECOND_US)
    assert limiter.allow("fourth", 71 * SECOND_US) == 1


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 30 * SECOND_US)), max_size=200))
def test_no_flood_gets_more_lines_than_the_bound_allows(lines: list[tuple[str, int]]) -> None:
    limiter = LineLimiter(60, keys_limit=3)
    now_us = 0
    written: list[int] = []
    for key, pause_us in lines:
        now_us += pause_us
        if limiter.allow(key, now_us) is not None:
            written.append(now_us)
        assert len(limiter) <= 3
    for at_us in written:
        assert sum(at_us <= other_us < at_us + 60 * SECOND_US for other_us in written) <= 4
