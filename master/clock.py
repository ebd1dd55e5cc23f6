"""The master's clock: one steady time for jobs, stamps and deadlines, whatever is done to the machine's wall clock.

It starts at the wall clock and counts with CLOCK_BOOTTIME. When the two part, because somebody set the wall clock, it follows at a
tenth of the elapsed time: a clock that jumps by hours expires no waiting job and makes no minion silent.
"""

import time

_SLEW = 10


class MasterClock:
    """Microseconds since 1970, never going back, never jumping."""

    def __init__(self) -> None:
        self._boot_us = _boottime_us()
        self._now_us = _wall_us()
        self.started_us = self._now_us

    def now_us(self) -> int:
        """The time now."""
        boot_us = _boottime_us()
        elapsed_us = boot_us - self._boot_us
        self._boot_us = boot_us
        self._now_us += elapsed_us
        apart_us = _wall_us() - self._now_us
        room_us = elapsed_us // _SLEW
        self._now_us += max(-room_us, min(room_us, apart_us))
        return self._now_us

    def apart_us(self) -> int:
        """The wall clock minus this one."""
        return _wall_us() - self._now_us


def _boottime_us() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def _wall_us() -> int:
    return time.time_ns() // 1000
