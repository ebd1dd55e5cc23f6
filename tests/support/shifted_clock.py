"""``fleet-master`` under a clock that a test sets: a file holds by how many seconds it is ahead."""

import os
import sys
import time
from pathlib import Path

from fleet.master import clock

FILE = "FLEET_TEST_CLOCK"


def put_ahead(file: Path, seconds: int) -> None:
    """Set the clock of a running master, which may read it at any moment: it finds the old time or the new one, never half of it."""
    new = file.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(file)


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
