"""What the master knows of a minion's link, and how it says so."""

from datetime import UTC, datetime
from enum import StrEnum

from ..core.dataclass import dataclass
from ..core.job_states import JobState


class PresenceState(StrEnum):
    """``up``; ``silent``: connected, but heartbeats are missing; ``down``: not connected."""

    UP = "up"
    SILENT = "silent"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Presence:
    """The link of one minion at one moment.

    Attributes:
        since_us: since when it is in this state; None when it has not been connected since this master's start, which cannot
            know when it went.
        last_heard_us: when anything came from it.
        conflict: why it gets no jobs although it is connected; empty when it does.
        takes_stdin: its release knows jobs that have a stdin, as far as that is known.
    """

    state: PresenceState
    since_us: int | None
    last_heard_us: int | None
    address: str
    round_trip_us: int = 0
    conflict: str = ""
    takes_stdin: bool = True

    @property
    def is_connected(self) -> bool:
        """A session is open and may be given jobs."""
        return self.state is not PresenceState.DOWN and not self.conflict

    def absence(self, now_us: int) -> str:
        """Why this minion cannot be spoken to now, for a person; empty when it can."""
        if self.conflict:
            return self.conflict
        if self.state is PresenceState.DOWN:
            return f"down since {moment(self.since_us)}" if self.since_us else self._unseen()
        if self.state is PresenceState.SILENT:
            return f"silent since {moment(self.since_us)}: heartbeats are missing, {self.heard(now_us)}"
        return ""

    def heard(self, now_us: int) -> str:
        """When anything came from it, for a person."""
        return f"last heard {ago(now_us - self.last_heard_us)} ago" if self.last_heard_us else "not heard yet"

    def reason(self, now_us: int, state: JobState) -> str:
        """Why a job on this minion has not ended, for a person; empty when nothing is wrong."""
        if self.conflict:
            return self.conflict
        if self.state is PresenceState.DOWN:
            if state in {JobState.RUNNING, JobState.ACKED}:
                away = f"not reachable since {moment(self.since_us)}" if self.since_us else self._unseen()
                return f"{state.value}, {away}"
            return self.absence(now_us)
        heard = self.heard(now_us)
        if state is JobState.SENT:
            return f"connected, did not acknowledge, {heard}"
        if self.state is PresenceState.SILENT:
            return f"{state.value}, but heartbeats are missing, {heard}"
        return ""

    def _unseen(self) -> str:
        if self.last_heard_us is None:
            return "never connected to this master"
        return f"not seen since this master's start; last heard {moment(self.last_heard_us)}"


def moment(microseconds: int | None) -> str:
    """Write a moment as RFC 3339, UTC, to the second."""
    if microseconds is None:
        return "an unknown time"
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%dT%H:%M:%SZ}"


def ago(microseconds: int) -> str:
    """Write a span for a person: ``0.4 s``, ``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    seconds = max(microseconds, 0) / 1e6
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
