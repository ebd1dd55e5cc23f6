"""The clocks of this machine: the one place of the minion where they are read."""

import time


def boottime_us() -> int:
    """CLOCK_BOOTTIME in microseconds: never set, counts on through suspend."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def wall_us() -> int:
    """The wall clock, microseconds since 1970."""
    return time.time_ns() // 1000
