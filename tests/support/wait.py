"""Wait for conditions instead of sleeping: a test says what it waits for, and a failure says how far it came."""

import time
from collections.abc import Callable
from typing import TypeVar

Anything = TypeVar("Anything")

#: The first pause, and the longest: each look may cost the processor that what is waited for needs.
_FIRST_SECONDS, _LAST_SECONDS = 0.005, 0.05


def wait_until(condition: Callable[[], Anything], seconds: float, what: str) -> Anything:
    """Call ``condition`` until it returns something true, and return that.

    Args:
        condition: returns something false until what is waited for has happened.
        seconds: how long at most; generous, because a slow machine is no failure.
        what: what is waited for, for the message.

    Raises:
        AssertionError: the time is over; the message holds the last thing that ``condition`` returned.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_SECONDS
    while True:
        state = condition()
        if state:
            return state
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}; last state: {state!r}")
        time.sleep(pause)
        pause = min(pause * 1.3, _LAST_SECONDS)
