"""``fleet ping``: the way from the master to a minion's loop and back, measured again and again."""

import sys
import time
from collections.abc import Sequence

from ..core.control_answers import MinionPinged
from ..core.dataclass import dataclass, field
from ..core.errors import UsageError
from ..core.visible import visible_line
from .documents import Document
from .exit_codes import INTERRUPTED, OK, SOME_SILENT
from .invocation import Invocation
from .moments import moments_here
from .output import print_document
from .verb_options import COUNT, INTERVAL, LIST_FORMS, TIMEOUT

DEFAULT_COUNT = 4
DEFAULT_INTERVAL_SECONDS = 1.0

#: What the system can count.
_LONGEST_PAUSE_SECONDS = 1e9


@dataclass(slots=True)
class Tally:
    """What became of the pings so far."""

    minion: str
    answers: list[MinionPinged] = field(default_factory=list)

    @property
    def trips_ms(self) -> list[float]:
        """Every round trip, shortest first."""
        return sorted(answer.round_trip_us / 1000 for answer in self.answers if answer.round_trip_us is not None)

    @property
    def lost(self) -> int:
        """How many were not answered."""
        return len(self.answers) - len(self.trips_ms)

    def summary(self) -> str:
        """Write the last line."""
        sent, trips = len(self.answers), self.trips_ms
        line = f"{sent} sent, {len(trips)} received, {self.lost} lost"
        if not trips:
            return line
        return f"{line}, min/median/max {trips[0]:.3f}/{median(trips):.3f}/{trips[-1]:.3f} ms"

    def document(self) -> Document:
        """Make the document of all of it."""
        trips = self.trips_ms
        return {
            "minion": self.minion,
            "replies": [
                {
                    "round_trip_ms": None if answer.round_trip_us is None else answer.round_trip_us / 1000,
                    "reason": answer.reason,
                }
                for answer in self.answers
            ],
            "sent": len(self.answers),
            "received": len(trips),
            "lost": self.lost,
            "min_ms": trips[0] if trips else None,
            "median_ms": median(trips) if trips else None,
            "max_ms": trips[-1] if trips else None,
        }


def median(ordered: Sequence[float]) -> float:
    """Give the middle one of these, or the mean of the two in the middle."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def ping(call: Invocation) -> int:
    """Ping a minion; Ctrl-C ends it with the summary.

    Raises:
        NoMatchError: no accepted key has this id.
    """
    form = call.form(LIST_FORMS, "text")
    words = call.words + call.literals
    if len(words) != 1:
        raise UsageError("which minion?", "fleet ping MINION")
    interval_seconds = call.options.seconds(INTERVAL.name)
    tally = Tally(words[0])
    is_interrupted = False
    try:
        _ping(
            call,
            tally,
            DEFAULT_INTERVAL_SECONDS if interval_seconds is None else interval_seconds,
            is_text=form == "text",
        )
    except KeyboardInterrupt:
        is_interrupted = True
    if form == "text":
        sys.stdout.write(f"{tally.summary()}\n")
    else:
        print_document(tally.document(), form)
    if is_interrupted:
        return INTERRUPTED
    return SOME_SILENT if tally.lost else OK


def _ping(call: Invocation, tally: Tally, interval_seconds: float, *, is_text: bool) -> None:
    count = call.options.count(COUNT.name, DEFAULT_COUNT)
    timeout_seconds = call.options.seconds(TIMEOUT.name) or 0.0
    client = call.client()
    begun = time.monotonic()
    while not count or len(tally.answers) < count:
        if tally.answers:
            # From one ping to the next, however long the answer took.
            time.sleep(min(max(0.0, begun + interval_seconds - time.monotonic()), _LONGEST_PAUSE_SECONDS))
            begun = time.monotonic()
        answer = client.ping(tally.minion, timeout_seconds)
        tally.answers.append(answer)
        if is_text:
            sys.stdout.write(_line(answer))
            sys.stdout.flush()


def _line(answer: MinionPinged) -> str:
    if answer.round_trip_us is not None:
        return f"Reply from {answer.minion} in {answer.round_trip_us / 1000:.3f} ms\n"
    waited = f" in {answer.waited_us / 1e6:.1f} s" if answer.waited_us else ""
    return f"No reply from {answer.minion}{waited}: {visible_line(moments_here(answer.reason))}\n"
