"""What happened in a run, as data: what was asked, what struck, what is seen from outside, and what the master says of it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from faults.orders import Order
from faults.plan import MASTER, FaultKind
from fleet.core.job_states import JobState
from fleet.core.values import Value

#: Where the program of a job writes what it does, below the root of its minion.
OUTSIDE = "outside"
#: Stands in ``Fault.struck`` for every job that ran.
EVERY_JOB = "*"
#: A clock that was set is followed at a tenth of the elapsed time, so all that is measured by it may take so much longer or shorter.
CLOCK_RATE = 0.12
_UNTIL_SLACK_SECONDS = 3.0
#: No job takes so long, and every clock that is set is set by more.
_SET_SECONDS = 1800.0


class Asked(StrEnum):
    """What came of a submission, as far as whoever submitted it can tell."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Submission:
    """One order that was given to the master.

    Attributes:
        began: when, by the clock of this machine, which no fault touches; seconds since 1970.
        ended: when the answer was there, or it was given up.
        jid: empty when no answer came.
        is_cancelled: a cancel was asked for, whether an answer came or not.
        told: the ends that were told to whoever watched it, by minion.
        answer: why it was declined, or what came last.
    """

    order: Order
    began: float
    ended: float = 0.0
    jid: str = ""
    asked: Asked = Asked.UNKNOWN
    is_cancelled: bool = False
    told: dict[str, JobState] = field(default_factory=dict)
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that was injected.

    Attributes:
        lane: ``master``, or the minion that was struck.
        began: when; of a restored master when the copy was made.
        ended: when it was over; of a restored master when it was started with the copy.
        is_inside: a job ran there at that moment.
        struck: the jids whose own processes were struck; of a restored master the ends of (jid, minion) that the copy lacks stand in
            ``open_in_copy``, and all jobs after ``newest`` are unknown to it.
    """

    kind: FaultKind
    lane: str
    began: float
    ended: float
    is_inside: bool
    struck: frozenset[str] = frozenset()
    open_in_copy: frozenset[tuple[str, str]] = frozenset()
    newest: str = ""

    def strikes(self, minion: str) -> bool:
        """Tell whether it may concern the jobs of a minion."""
        return self.lane in {MASTER, minion}


@dataclass(frozen=True, slots=True)
class Ran:
    """What the program of one job wrote on one minion, outside of the product.

    Attributes:
        starts: how often it was started.
        began: when it was last started, seconds since 1970.
        code: with which it was about to exit; None when it did not come so far.
    """

    starts: int
    began: float
    stdout: bytes = b""
    stderr: bytes = b""
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """What the master says of one job on one minion, when all is over; times by the clock of the master."""

    state: JobState
    reason: str = ""
    kind: str = ""
    retcode: int | None = None
    value: Value = None
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_total_bytes: int = 0
    stderr_total_bytes: int = 0
    created_us: int = 0
    expires_us: int = 0
    finished_us: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One job on one minion.

    Attributes:
        ending: None when the master does not know of it.
        ran: None when it never ran, as far as is seen from outside.
        faults: those that strike this minion or the master, in the order in which they began.
        clock_steps: when a master was started whose clock was set otherwise than that of the one before.
    """

    submission: Submission
    minion: str
    ending: Ending | None
    ran: Ran | None
    faults: tuple[Fault, ...] = ()
    clock_steps: tuple[float, ...] = ()

    def by(self, *kinds: FaultKind, struck: bool = False) -> list[Fault]:
        """The faults of these kinds that came before its end and were not over before it was submitted.

        With ``struck`` only those that struck its own processes.
        """
        jid, until = self.submission.jid, self.until
        return [
            fault
            for fault in self.faults
            if fault.kind in kinds
            and fault.ended >= self.submission.began
            and fault.began <= until
            and (not struck or jid in fault.struck or EVERY_JOB in fault.struck)
        ]

    @property
    def until(self) -> float:
        """When it had ended at the latest, so that nothing later explains its end; endless where the clock of the master was set."""
        ending = self.ending
        if ending is None or ending.finished_us is None:
            return math.inf
        took_seconds = (ending.finished_us - ending.created_us) / 1_000_000
        if not 0 <= took_seconds < _SET_SECONDS:
            return math.inf
        return self.submission.ended + took_seconds * (1 + CLOCK_RATE) + _UNTIL_SLACK_SECONDS

    @property
    def is_restored(self) -> bool:
        """Whether a master was restored from a copy that does not know the end of this."""
        jid = self.submission.jid
        return any(
            not jid or jid > fault.newest or (jid, self.minion) in fault.open_in_copy
            for fault in self.by(FaultKind.RESTORE_MASTER)
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be."""

    what: str
    text: str
    token: str = ""
    jid: str = ""
    minion: str = ""

    def __str__(self) -> str:
        """One line or more."""
        where = " ".join(part for part in (self.token, self.jid, self.minion and f"on {self.minion}") if part)
        return f"{self.what}: {where + ': ' if where else ''}{self.text}"


def read_outside(root: Path) -> Mapping[str, Ran]:
    """Read what the programs of the jobs of a minion wrote, by token."""
    folder = root / OUTSIDE
    found = {}
    for file in sorted(folder.glob("*.ran")):
        token = file.name.removesuffix(".ran")
        code = _content(folder / f"{token}.code").strip()
        found[token] = Ran(
            starts=len(file.read_bytes().splitlines()),
            began=file.stat().st_mtime,
            stdout=_content(folder / f"{token}.stdout"),
            stderr=_content(folder / f"{token}.stderr"),
            code=int(code) if code else None,
        )
    return found


def of_minion(faults: Iterable[Fault], minion: str) -> tuple[Fault, ...]:
    """The faults that may concern the jobs of a minion."""
    return tuple(sorted((fault for fault in faults if fault.strikes(minion)), key=lambda fault: fault.began))


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""
