"""The master's clock as a minion knows it, and when to doubt it (DESIGN D6).

Only an answer with a measured round trip sets the estimate: the time in a job or a broadcast may have lain in a socket while the
minion was stopped, and would make an expired job look fresh. Local time is CLOCK_BOOTTIME, which counts on through suspend.
"""

from .dataclass import dataclass

#: Beyond this uncertainty a minion asks before it starts a job or calls one expired.
DOUBT_LIMIT_US = 5_000_000
#: An estimate older than this is in doubt. A master's clock that was set follows at a tenth of the elapsed time (``master/clock.py``),
#: so that after 45 s it may be off by 4.5 s: less than ``DOUBT_LIMIT_US``.
FRESH_LIMIT_US = 45_000_000
#: A job is called expired only by a measurement that is younger than this.
EXPIRY_FRESH_US = 1_000_000


@dataclass(frozen=True, slots=True)
class MasterTime:
    """One measurement.

    Attributes:
        offset_us: master's time minus local CLOCK_BOOTTIME.
        uncertainty_us: half the round trip.
        measured_us: local CLOCK_BOOTTIME of the measurement.
    """

    offset_us: int
    uncertainty_us: int
    measured_us: int

    def now(self, boottime_us: int) -> int:
        """The master's time now."""
        return boottime_us + self.offset_us

    def is_doubtful(self, boottime_us: int) -> bool:
        """Tell whether to ask the master before acting on this."""
        return self.uncertainty_us > DOUBT_LIMIT_US or boottime_us - self.measured_us > FRESH_LIMIT_US


def measure(sent_us: int, answered_us: int, master_time_us: int) -> MasterTime:
    """Make a measurement from a question and its answer.

    Args:
        sent_us: local CLOCK_BOOTTIME when the question left.
        answered_us: and when the answer was read.
        master_time_us: what the answer said.
    """
    half = max(0, answered_us - sent_us) // 2
    return MasterTime(master_time_us - (answered_us - half), half, answered_us)


def is_expired(time: MasterTime | None, expires_us: int, now_us: int) -> bool | None:
    """Tell whether a moment of the master's clock has passed, or None when the master must be asked first.

    One that has not passed may be told from a good estimate; one that has, only from a fresh measurement: calling a job expired that
    is not would be wrong for ever.

    Args:
        time: the last measurement, if there is one.
        expires_us: the moment, by the master's clock.
        now_us: local CLOCK_BOOTTIME.
    """
    if time is None:
        return None
    is_fresh = now_us - time.measured_us <= EXPIRY_FRESH_US
    is_doubtful = time.is_doubtful(now_us)
    if is_doubtful and not is_fresh:
        return None
    # Asked a moment ago, and still the answer was long under way: only what holds at both ends of the doubt is said.
    doubt_us = time.uncertainty_us if is_doubtful else 0
    if time.now(now_us) + doubt_us < expires_us:
        return False
    return True if is_fresh and time.now(now_us) - doubt_us >= expires_us else None
