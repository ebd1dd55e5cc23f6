"""``fleet-master`` under a clock that a test sets: a file holds by how many seconds it is ahead."""

import os
import sys
import time
from pathlib import Path

from fleet.master import clock

FILE = "FLEET_TEST_CLOCK"


def ahead_us() -> int:
    """By how much the clock is ahead now."""
    file = Path(os.environ[FILE])
    return int(float(file.read_text()) * 1_000_000) if file.exists() else 0


if __name__ == "__main__":
    from fleet.master.command import main

    # Both, or it would look like a wall clock that somebody set, which the master follows but slowly.
    clock._wall_us = lambda: time.time_ns() // 1000 + ahead_us()
    clock._boottime_us = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000 + ahead_us()
    sys.exit(main())
