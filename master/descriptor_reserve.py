"""Descriptors held back, and given up to get rid of connections when the process has none left.

libzmq's thread spins on a connection that waits and cannot be accepted. With a few descriptors to spare it accepts what waits, and
the loop shuts that down at once (``loop.py``); those in question come again, and find room when there is some.
"""

import os

RESERVE = 8


class DescriptorReserve:
    """Holds descriptors of /dev/null.

    Args:
        count: how many.
    """

    def __init__(self, count: int = RESERVE) -> None:
        self._count = count
        self._held: list[int] = []

    def refill(self) -> bool:
        """Hold as many as there should be; False when the process has no descriptor left for that, or none beside them."""
        try:
            while len(self._held) < self._count:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Give them up."""
        while self._held:
            os.close(self._held.pop())
