"""What is light about a light minion: its jobs have no journal, no folder and no process. All else is the product's."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping

from fleet.core.dataclass import dataclass, field, replace
from fleet.core.enrolment_messages import MasterDocument
from fleet.core.from_master import Discard, Need, Stored
from fleet.core.from_minion import Return
from fleet.core.messages import INLINE_LIMIT_BYTES, FromMaster
from fleet.core.names import Jid
from fleet.keys.pin import MasterPin
from fleet.minion.clock import boottime_us, wall_us
from fleet.minion.executor import Executor
from fleet.minion.job_changes import JobChange, JobEnded, JobStarted
from fleet.minion.job_records import JobRequest, JobStatus
from fleet.minion.job_steps import JournalEntry, SendReturn
from fleet.minion.journal import Journal
from fleet.minion.process import ProcessIdentity
from fleet.minion.returns import chunks_of_bytes
from fleet.minion.standing import Standing
from fleet.minion.worker import Worker
from support.evil import make_return

#: Of a job that has ended; how is told by the return alone.
_STATUS = JobStatus(ProcessIdentity("", 0, 0))


@dataclass(slots=True)
class LightCounts:
    """What the light minions of one process have done.

    Attributes:
        stored: returns that the master has committed.
        stored_us: when it said so last, by CLOCK_BOOTTIME.
        discarded: returns that it did not want.
        links: pairs of connections that were begun.
        closed: why links were given up, and how often.
    """

    stored: int = 0
    stored_us: int = 0
    discarded: int = 0
    links: int = 0
    closed: Counter[str] = field(default_factory=Counter)


class NoJournal(Journal):
    """Remembers nothing: a light minion ends with its process."""

    def __init__(self, journal_id: bytes) -> None:
        self.journal_id = journal_id

    def entries(self) -> Mapping[Jid, JournalEntry]:
        return {}

    def append(self, *entries: JournalEntry) -> None:
        pass

    def forget(self, jids: Iterable[Jid]) -> None:
        pass


class NoProcesses(Executor):
    """Has every job started and ended at once: the machine above it makes the same steps, the master sees the same messages.

    Args:
        is_holding: whether jobs that have started are not to end for now.
    """

    def __init__(self, is_holding: Callable[[], bool]) -> None:
        self._is_holding = is_holding
        self._begun: deque[Jid] = deque()
        self._running: deque[Jid] = deque()

    def start(self, request: JobRequest, stdin: str = "") -> None:
        self._begun.append(request.jid)

    def cancel(self, jid: Jid, reason: str) -> bool:
        return False

    def forget(self, jid: Jid) -> bool:
        return True

    def descriptors(self) -> list[int]:
        return []

    def wait_seconds(self) -> float | None:
        return 0.0 if self._begun or (self._running and not self._is_holding()) else None

    def collect(self) -> list[JobChange]:
        changes: list[JobChange] = []
        while self._begun:
            jid = self._begun.popleft()
            changes.append(JobStarted(jid, os.getpid(), "root", wall_us()))
            self._running.append(jid)
        while self._running and not self._is_holding():
            changes.append(JobEnded(self._running.popleft(), _STATUS))
        return changes


class KnownMaster(Standing):
    """What an accepted minion keeps of its master, in memory."""

    def __init__(self, kept: bytes = b"", identity: bytes = b"") -> None:
        self._expected = ""
        self._kept = kept
        self.pin = MasterPin(identity, provisional=False, document=kept) if kept else None

    def learned(self, document: MasterDocument, kept: bytes, now_us: int) -> bool:
        self._kept = kept
        return False

    def accepted(self, identity: bytes) -> None:
        self.pin = MasterPin(identity, provisional=False, document=self._kept)

    def copy(self) -> "KnownMaster":
        """Let another minion know the same."""
        assert self.pin is not None, "no master has accepted this minion"
        return KnownMaster(self.pin.document, self.pin.identity)


@dataclass(slots=True)
class LightWorker(Worker):
    """Carries out what the job machine decides, as every minion does; what a program would have written is always the same.

    Attributes:
        output: what every program writes to stdout.
        counts: of the whole process.
    """

    output: bytes = b""
    counts: LightCounts = field(default_factory=LightCounts)

    def take(self, message: FromMaster) -> None:
        match message:
            case Stored():
                self.counts.stored += 1
                self.counts.stored_us = boottime_us()
            case Discard():
                self.counts.discarded += 1
        super().take(message)

    def _make_return(self, action: SendReturn) -> Return:
        if action.verdict is not None or action.jid in self._instant:
            return super()._make_return(action)
        made = make_return(action.jid, self.output, value_from="text", pid=os.getpid())
        return (
            made if len(self.output) <= INLINE_LIMIT_BYTES else replace(made, stdout=replace(made.stdout, inline=None))
        )

    def _give_output(self, message: Need, now_us: int) -> None:
        if message.jid in self._instant:
            super()._give_output(message, now_us)
        elif self.jobs.asked_for_output(message.jid, now_us):
            for chunk in chunks_of_bytes(message.jid, self.output, message.stream, message.offset):
                self.send(chunk)
