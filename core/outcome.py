"""How a function call ended, as data: a value never stands where an error belongs, nor the reverse."""

from enum import StrEnum

from .dataclass import dataclass
from .job_states import JobState
from .values import Value

#: What a program writes to.
OUTPUT_STREAMS = ("stdout", "stderr")
#: The longest stdout, or stderr, that a master may be set to keep.
OUTPUT_LIMIT_MOST_BYTES = 1024 * 1024 * 1024
#: The longest value, encoded: whoever makes, stores or reads one holds it whole.
VALUE_LIMIT_BYTES = 20 * 1024 * 1024


class OutcomeKind(StrEnum):
    """Why a call ended as it did. Append only: it is on the wire and in the job cache."""

    OK = "ok"
    FAILED = "failed"
    CRASHED = "crashed"
    UNAVAILABLE = "unavailable"
    UNKNOWN_FUNCTION = "unknown_function"
    BAD_ARGUMENT = "bad_argument"
    NOT_ALLOWED = "not_allowed"
    SPOOL_FULL = "spool_full"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"
    EXPIRED = "expired"
    ABANDONED = "abandoned"


_STATES = {
    OutcomeKind.OK: JobState.SUCCEEDED,
    OutcomeKind.FAILED: JobState.FAILED,
    OutcomeKind.CRASHED: JobState.FAILED,
    OutcomeKind.UNAVAILABLE: JobState.FAILED,
    OutcomeKind.UNKNOWN_FUNCTION: JobState.REFUSED,
    OutcomeKind.BAD_ARGUMENT: JobState.REFUSED,
    OutcomeKind.NOT_ALLOWED: JobState.REFUSED,
    OutcomeKind.SPOOL_FULL: JobState.REFUSED,
    OutcomeKind.TIMED_OUT: JobState.TIMED_OUT,
    OutcomeKind.CANCELLED: JobState.CANCELLED,
    OutcomeKind.LOST: JobState.LOST,
    OutcomeKind.EXPIRED: JobState.EXPIRED,
    OutcomeKind.ABANDONED: JobState.ABANDONED,
}


def state_for(kind: OutcomeKind) -> JobState:
    """The terminal state that an outcome of this kind means."""
    return _STATES[kind]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one call of one function ended.

    Attributes:
        kind: why it ended as it did.
        message: the reason, for a person; empty when all went well.
        has_value: whether there is a value at all (``None`` is one).
        value: what the function returned; for programs ``value_from`` may say how to derive it.
        value_from: ``""``, or ``text``, ``stdout``, ``stderr``: the value is that stream, last newline stripped, so
            that the same bytes do not travel and lie twice.
        retcode: the exit code of the program, where there was one; minus the signal's number when a signal ended it.
        traceback: only when ``crashed``: a bug.
    """

    kind: OutcomeKind
    message: str = ""
    has_value: bool = False
    value: Value = None
    value_from: str = ""
    retcode: int | None = None
    traceback: str = ""

    @property
    def state(self) -> JobState:
        """The terminal state that this outcome means."""
        return state_for(self.kind)
