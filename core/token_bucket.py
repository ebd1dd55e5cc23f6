"""A token bucket: how often something may happen, with a burst. Pure: the time comes in."""

from .dataclass import dataclass


@dataclass(slots=True)
class TokenBucket:
    """Allows ``rate_per_second`` in the long run and ``burst`` at once.

    Attributes:
        tokens: how much may be taken now; below zero before the first time, when the bucket is full.
    """

    rate_per_second: float
    burst: float
    tokens: float = -1.0
    refilled_us: int = 0

    def take(self, now_us: int, cost: float = 1.0) -> bool:
        """Take ``cost`` tokens if they are there."""
        if self.tokens < 0:
            self.tokens = self.burst
        else:
            elapsed_seconds = max(0, now_us - self.refilled_us) / 1e6
            self.tokens = min(self.burst, self.tokens + elapsed_seconds * self.rate_per_second)
        self.refilled_us = max(self.refilled_us, now_us)
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True
