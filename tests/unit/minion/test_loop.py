"""How long the minion's loop sleeps."""

import pytest

from fleet.minion.loop import REST_MS, TICK_MS, sleep_ms

NOW = 1_000_000_000


@pytest.mark.parametrize(
    ("deadlines", "longest_ms", "expected"),
    [
        ((), REST_MS, REST_MS),
        ((None, None), TICK_MS, TICK_MS),
        ((NOW + 10_000_000, None), REST_MS, 10_000),
        ((NOW + 10_000_000, NOW + 3_000), REST_MS, 3),
        ((NOW + 10_000_000,), TICK_MS, TICK_MS),
        ((NOW + 1,), REST_MS, 1),
        ((NOW,), REST_MS, 0),
        ((NOW - 5_000_000,), REST_MS, 0),
    ],
)
def test_it_sleeps_until_something_is_due_and_never_a_moment_less(
    deadlines: tuple[int | None, ...], longest_ms: int, expected: int
) -> None:
    assert sleep_ms(deadlines, NOW, longest_ms) == expected
