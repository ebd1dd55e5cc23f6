"""Carries out what the job machine decides: journals, starts, sends. The one place where a job begins on this machine."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import assert_never

from ..core.crypto import LABEL_JOB, VerifyKey
from ..core.dataclass import dataclass, field
from ..core.errors import ProtocolError, StateError
from ..core.from_master import Cancel, Discard, Follow, Forget, Inquiry, JobOrder, Need, StdinChunk, Stored
from ..core.from_minion import Return
from ..core.job_document import JobDocument
from ..core.master_time import MasterTime
from ..core.messages import FromMaster, FromMinion
from ..core.names import Jid
from ..core.outcome import OutcomeKind
from ..core.visible import visible_line
from .clock import boottime_us, wall_us
from .config import MinionSettings
from .context import DaemonContext
from .executor import Executor
from .functions_here import FunctionsHere
from .instant import run_instant
from .job_changes import JobAlive, JobEnded, JobExecuting, JobLost, JobStarted
from .job_folder import JobFolder
from .job_records import JobRequest
from .job_steps import (
    AskTime,
    ForgetJob,
    Found,
    JobAction,
    Remains,
    RunInstant,
    SendMessage,
    SendReturn,
    StartJob,
    Step,
    StopJob,
    WriteJournal,
)
from .jobs import MinionJobs
from .journal import Journal
from .live_output import LiveOutputs
from .returns import (
    InstantResult,
    chunks_of_bytes,
    chunks_of_folder,
    found_in,
    return_of_folder,
    return_of_instant,
    return_of_verdict,
)
from .stdin_intake import StdinArrived, StdinIntake, StdinNews

log = logging.getLogger(__name__)


@dataclass(slots=True)
class WorkerCounters:
    """What this minion has done."""

    ordered: int = 0
    started: int = 0
    returned: int = 0
    refused_signatures: int = 0
    journal_failures: int = 0


@dataclass(slots=True)
class Worker:
    """Runs jobs and returns what became of them.

    Args:
        folder: holds the folders of the jobs.
        account: which this minion runs as.
        send: hands a message to the session, when there is one.
        ask_time: asks the master for its time.
    """

    settings: MinionSettings
    context: DaemonContext
    functions: FunctionsHere
    jobs: MinionJobs
    journal: Journal
    executor: Executor
    stdin: StdinIntake
    folder: str
    account: str
    send: Callable[[FromMinion], None] = lambda _message: None
    ask_time: Callable[[], None] = lambda: None
    counters: WorkerCounters = field(default_factory=WorkerCounters)
    master: VerifyKey | None = None
    _time: MasterTime | None = None
    _instant: dict[Jid, InstantResult] = field(default_factory=dict)
    _live: LiveOutputs = field(init=False)

    def __post_init__(self) -> None:
        """What is followed is read from the folders of the jobs."""
        self._live = LiveOutputs(
            lambda jid, *where: JobFolder.of(self.folder, jid).read_stream(*where),
        )

    # What the session brings.

    def take(self, message: FromMaster) -> None:
        """Take one message of the master that is about jobs.

        Raises:
            ProtocolError: it is no order that can be believed; count and drop it.
        """
        now_us = boottime_us()
        match message:
            case JobOrder():
                self._order(message.document, message.signature, now_us)
            case Cancel():
                log.info("the master asks to cancel job %s", message.jid)
                self.perform(self.jobs.cancelled(message, now_us))
            case Forget():
                log.info("the master has deleted job %s", message.jid)
                self.perform(self.jobs.forgot(message, now_us))
            case Inquiry():
                self.perform(self.jobs.inquired(message.jid, now_us))
            case Stored() | Discard():
                if isinstance(message, Discard):
                    log.warning("the master discards the return of job %s: %s", message.jid, message.reason)
                self.perform(self.jobs.answered(message, now_us))
            case Need():
                self._give_output(message, now_us)
            case StdinChunk():
                self._go_on_with(self.stdin.take(message, now_us), now_us)
            case Follow():
                self._live.follow(message, now_us)
                self._send_live_output(now_us)
            case _:
                raise ProtocolError(f"a {type(message).__name__} where no job is meant")

    def broadcast(self, document: bytes) -> None:
        """A job came in a broadcast whose seal and signature have been checked."""
        self.counters.ordered += 1
        self.perform(self.jobs.ordered(document, b"", boottime_us()))

    def joined(self, master_time: MasterTime) -> None:
        """A session is open."""
        self._time = master_time
        self.stdin.joined()
        self.perform(self.jobs.joined(master_time, boottime_us()))

    def left(self) -> None:
        """The session is gone."""
        self.stdin.left()
        self._live.left()
        self.jobs.left()

    def learned_time(self, master_time: MasterTime) -> None:
        """The master's clock was measured."""
        self._time = master_time
        self.perform(self.jobs.time_learned(master_time, boottime_us()))

    # After a start.

    def recover(self) -> None:
        """Take up what an earlier daemon left: the journal says what was begun, the folders what became of it."""
        entries = self.journal.entries()
        found: dict[Jid, Found] = {}
        for jid, entry in entries.items():
            if entry.step not in {Step.STARTING, Step.STARTED, Step.ENDED}:
                continue
            remains = Remains.NOTHING
            if entry.step is not Step.ENDED:
                match self.executor.adopt(jid):
                    case JobAlive():
                        remains = Remains.ALIVE
                    case JobEnded():
                        remains = Remains.STATUS
            found[jid] = found_in(JobFolder.of(self.folder, jid), remains)
        held = {jid for jid, entry in entries.items() if entry.step in {Step.STARTING, Step.STARTED, Step.ENDED}}
        for jid in self.executor.jids():
            if jid not in held:
                self.executor.forget(jid)
        for jid in self.stdin.files.jids():
            if jid not in entries or entries[jid].step is not Step.ACCEPTED:
                self.stdin.files.remove(jid)
        self.perform(self.jobs.recover(entries, found))
        if found:
            alive = sum(1 for each in found.values() if each.remains is Remains.ALIVE)
            log.info("taken up %d jobs of before, %d of them still run", len(found), alive)

    # What supervisors bring.

    def collect(self) -> None:
        """Take up what supervisors have done since the last time."""
        now_us = boottime_us()
        for change in self.executor.collect():
            folder = JobFolder.of(self.folder, change.jid)
            match change:
                case JobStarted():
                    started_us = change.started_us + self._to_master_us()
                    self.counters.started += 1
                    log.info("job %s runs with pid %s", change.jid, change.pid)
                    self.perform(self.jobs.started(change.jid, change.pid, change.account, started_us))
                case JobExecuting():
                    _log_program(change)
                case JobEnded():
                    found = found_in(folder, Remains.STATUS)
                    self.perform(self.jobs.ended(change.jid, found, now_us))
                case JobLost():
                    found = found_in(folder, Remains.NOTHING)
                    self.perform(self.jobs.ended(change.jid, found, now_us, change.reason))

    def deadline_us(self) -> int | None:
        """When ``collect`` or ``tick`` has something to do, by CLOCK_BOOTTIME."""
        seconds = self.executor.wait_seconds()
        looks_us = None if seconds is None else boottime_us() + int(seconds * 1_000_000)
        each = (looks_us, self.jobs.deadline_us(), self.stdin.deadline_us(), self._live.deadline_us())
        return min((due for due in each if due is not None), default=None)

    def tick(self) -> None:
        """Do what is due."""
        now_us = boottime_us()
        self.perform(self.jobs.ticked(now_us))
        self._go_on_with(self.stdin.tick(self.jobs.lacking_stdin(), now_us), now_us)
        self._send_live_output(now_us)
        forgettable = self.jobs.forgettable(now_us)
        if forgettable:
            self.journal.forget(forgettable)

    # What the machine decides.

    def perform(self, actions: Iterable[JobAction]) -> None:
        """Carry out what the job machine wants, in order."""
        for action in actions:
            match action:
                case WriteJournal():
                    self._write_journal(action)
                case SendMessage():
                    self.send(action.message)
                case StartJob():
                    self._start(action.document)
                case RunInstant():
                    self._run_instant(action.document)
                case StopJob():
                    self.executor.cancel(action.jid, action.reason)
                case SendReturn():
                    self._send_return(action)
                case ForgetJob():
                    self._live.ended(action.jid)
                    if self._instant.pop(action.jid, None) is None:  # Else it never had a folder.
                        self.executor.forget(action.jid)
                    self.stdin.files.remove(action.jid)
                case AskTime():
                    self.ask_time()
                case _:
                    assert_never(action)

    def _order(self, document: bytes, signature: bytes, now_us: int) -> None:
        """Verify before anything is read: the signature is the master's word, whoever carried it."""
        if self.master is None:
            raise ProtocolError("a job before the master is known")
        try:
            self.master.verify(LABEL_JOB, document, signature)
        except ProtocolError:
            self.counters.refused_signatures += 1
            raise
        self.counters.ordered += 1
        self.perform(self.jobs.ordered(document, signature, now_us))

    def _write_journal(self, action: WriteJournal) -> None:
        try:
            self.journal.append(*action.entries)
        except StateError as problem:
            self.counters.journal_failures += 1
            log.error("the journal takes no more: %s", problem.message)  # noqa: TRY400 - the message says it all
            for jid in {entry.jid for entry in action.entries}:
                self.perform(self.jobs.journal_failed(jid, problem.message, boottime_us()))
            return
        self.perform(action.then)

    def _start(self, document: JobDocument) -> None:
        log.info("user %s runs %s with jid %s", document.user, document.function, document.jid)
        bound = self.functions.bind(document)
        request = JobRequest(
            jid=document.jid,
            function=document.function,
            minion_id=self.context.minion_id,
            arguments=bound.positional,
            options=bound.keyword,
            user=document.user,
            account=self.account,
            grains=self.context.grains,
            running=self.context.running(),
            timeout_seconds=document.timeout_seconds,
            kill_after_seconds=self.settings.kill_after_seconds,
            output_limit_bytes=document.output_limit_bytes,
        )
        self.executor.start(request, self.stdin.files.path(document.jid) if document.stdin_bytes else "")

    def _go_on_with(self, news: Iterable[StdinNews], now_us: int) -> None:
        """Tell the job machine of stdin that is here, or will not come."""
        for each in news:
            if isinstance(each, StdinArrived):
                self.perform(self.jobs.stdin_arrived(each.jid, now_us))
            else:
                self.perform(self.jobs.stdin_gone(each.jid, each.reason, now_us))

    def _run_instant(self, document: JobDocument) -> None:
        log.info("user %s runs %s with jid %s", document.user, document.function, document.jid)
        begun_us, begun = self._now_us(), time.monotonic_ns()
        finished = run_instant(document, self.functions, self.context)
        duration_us = (time.monotonic_ns() - begun) // 1000
        result = InstantResult(finished, self.account, begun_us, begun_us + duration_us, duration_us)
        self._instant[document.jid] = result
        self.perform(self.jobs.instant_ended(document.jid, len(finished.value) + 1024, boottime_us()))

    def _send_return(self, action: SendReturn) -> None:
        answer = self._make_return(action)
        self.counters.returned += 1
        document = self.jobs.document(action.jid)
        function = document.function if document else "a function that is not known any more"
        log.info("returning %s of %s for job %s", answer.kind.value, function, action.jid)
        self.send(answer)

    def _make_return(self, action: SendReturn) -> Return:
        instant = self._instant.get(action.jid)
        if instant is not None:
            return return_of_instant(action.jid, instant)
        folder = JobFolder.of(self.folder, action.jid)
        has_output = action.verdict in {None, OutcomeKind.LOST} and folder.exists()
        if not has_output:
            kind = action.verdict or OutcomeKind.LOST
            return return_of_verdict(action.jid, kind, action.message or "nothing is left of it", self._now_us())
        lost = action.message if action.verdict is OutcomeKind.LOST else None
        return return_of_folder(action.jid, folder, lost, self._now_us(), to_master_us=self._to_master_us())

    def _give_output(self, message: Need, now_us: int) -> None:
        if not self.jobs.asked_for_output(message.jid, now_us):
            return
        instant = self._instant.get(message.jid)
        if instant is not None:
            chunks = chunks_of_bytes(message.jid, instant.finished.value, message.stream, message.offset)
        else:
            folder = JobFolder.of(self.folder, message.jid)
            chunks = chunks_of_folder(message.jid, folder, message.stream, message.offset)
        for chunk in chunks:
            self.send(chunk)

    def _send_live_output(self, now_us: int) -> None:
        for piece in self._live.take(now_us):
            self.send(piece)

    def _now_us(self) -> int:
        """The master's time as far as it is known, else this machine's."""
        return self._time.now(boottime_us()) if self._time else wall_us()

    def _to_master_us(self) -> int:
        """What to add to a time of this machine's wall clock."""
        return self._now_us() - wall_us()


def _log_program(change: JobExecuting) -> None:
    """Log the program and its folder; the command line, whose arguments may be secrets, only to whoever asked for more."""
    program, before = change.program, "taken up: " if change.is_adopted else ""
    name, directory = visible_line(program.name), visible_line(program.directory)
    log.info(
        "%sexecuting \"%s\" in directory '%s' for job %s, pid %d", before, name, directory, change.jid, program.pid
    )
    log.debug("the command line of job %s: %s", change.jid, visible_line(program.command_line))
