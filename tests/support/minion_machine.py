"""The job machine of a minion for tests: orders, a clock, and what it decides, taken apart."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from fleet.core import packing
from fleet.core.job_document import JobDocument
from fleet.core.master_time import MasterTime, measure
from fleet.core.names import FunctionName, Jid, jid_from_microseconds
from fleet.core.outcome import OutcomeKind
from fleet.minion.job_steps import (
    Found,
    JobAction,
    Limits,
    Remains,
    SendMessage,
    SendReturn,
    Step,
    WriteJournal,
)
from fleet.minion.jobs import MinionJobs

NOW = 1_795_000_000_000_000
MIB = 1024 * 1024
NOTHING = Found(Remains.NOTHING)
DONE = Found(Remains.STATUS, 1_000, 5_000)
Action = TypeVar("Action", bound=JobAction)


def jid(number: int) -> Jid:
    """The jid of a job by its number."""
    return jid_from_microseconds(NOW + number)


def order(
    number: int, function: str = "cmd.run", *, ttl: int = 30_000_000, limit: int = MIB, padding: int = 0
) -> bytes:
    """An encoded order of a job; ``padding`` makes its arguments longer."""
    document = JobDocument(
        jid(number), FunctionName(function), ("x" * padding,), (), (), {}, "root", NOW, NOW + ttl, 0.0, limit
    )
    return packing.encode(document)


def exact(now_us: int) -> MasterTime:
    """The master's time, measured without any doubt."""
    return measure(now_us, now_us, now_us)


def new_jobs(limits: Limits | None = None, *, joined: bool = True) -> MinionJobs:
    """A machine that knows ``cmd.run``, and ``test.ping`` as an instant function, but no ``no.such``."""

    def refuse(document: JobDocument) -> tuple[OutcomeKind, str] | None:
        return (OutcomeKind.UNKNOWN_FUNCTION, "no such function") if document.function == "no.such" else None

    jobs = MinionJobs(
        limits or Limits(),
        refuse=refuse,
        is_instant=lambda document: document.function == "test.ping",
        decode=lambda encoded: packing.decode(JobDocument, encoded),
    )
    if joined:
        jobs.joined(exact(NOW), NOW)
    return jobs


def flat(actions: Iterable[JobAction]) -> list[JobAction]:
    """All actions, with what follows a line of the journal after it."""
    found: list[JobAction] = []
    for action in actions:
        found.append(action)
        if isinstance(action, WriteJournal):
            found += flat(action.then)
    return found


def only(actions: Sequence[JobAction], kind: type[Action]) -> list[Action]:
    """The actions of one kind."""
    return [action for action in flat(actions) if isinstance(action, kind)]


def steps(actions: Sequence[JobAction]) -> list[Step]:
    """The steps that are written into the journal, in order."""
    return [entry.step for write in only(actions, WriteJournal) for entry in write.entries]


def verdict(actions: Sequence[JobAction]) -> OutcomeKind | None:
    """The verdict of the one return that is sent."""
    (sent,) = only(actions, SendReturn)
    return sent.verdict


def messages(actions: Sequence[JobAction]) -> list[object]:
    """The messages that are sent."""
    return [action.message for action in only(actions, SendMessage)]
