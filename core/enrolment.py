"""What both sides of enrolment share: their states and limits, and the actions that their machines ask for.

The machines are sans-IO, one object for each connection: bytes and the time go in, a list of actions comes out, nothing is
ever raised. States are named by what is known; what a state does not list is an error that closes the connection::

    minion   knows_nothing ──start──▶ asked ──document──▶ knows_master ──verdict: pending──▶ knows_it_waits
                                        │                      │                                  │
                                        └─ another master ─────┴─ any other verdict, 10 s ────────┴──▶ closed

    master   knows_nothing ──who──▶ knows_versions ──enrol──▶ knows_minion ──decided: pending──▶ knows_it_waits
                  │                       │                       │                               │
                  └─ 5 s ─────────────────┴─ 5 s                  └─ any other decision, 10 s ────┴──▶ closed

Whatever is malformed, late or too long ends in ``Close``; afterwards nothing more is taken or said.
``enrolment_messages.py`` has the frames and says what each of them proves.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

from .dataclass import dataclass

#: How long one connection lives in all; a pending minion waits that long for the operator, then asks again.
CONNECTION_LIMIT_US = 10_000_000
#: How long a stranger may take for its first message, and again until it has proved a key.
SILENCE_LIMIT_US = 5_000_000

#: Gives so many random bytes: ``os.urandom``.
RandomBytes: TypeAlias = Callable[[int], bytes]


class CloseCause(StrEnum):
    """Why a side closes a connection."""

    FINISHED = "finished"
    REFUSED = "refused"
    MALFORMED = "malformed"
    OVERDUE = "overdue"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Send what is still unsent, then close the connection; the reason is for the log."""

    cause: CloseCause
    reason: str
