"""One machine of a simulated fleet, with its daemon, its journal and its programs."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from fleet.core import packing
from fleet.core.from_master import (
    Cancel,
    Discard,
    Forget,
    HeartbeatAnswer,
    Inquiry,
    JobOrder,
    Need,
    Rejoin,
    StdinChunk,
    Stored,
    Welcome,
)
from fleet.core.from_minion import Forgotten, Heartbeat, Hello, OutputChunk, Return, StreamSummary
from fleet.core.job_document import JobDocument
from fleet.core.master_time import MasterTime, measure
from fleet.core.messages import PROTOCOL_VERSION, FromMaster, FromMinion
from fleet.core.names import Jid, MinionId
from fleet.core.outcome import OutcomeKind
from fleet.master.sessions import Connection
from fleet.minion.job_steps import (
    AskTime,
    ForgetJob,
    Found,
    JobAction,
    JournalEntry,
    Limits,
    Remains,
    RunInstant,
    SendMessage,
    SendReturn,
    StartJob,
    Step,
    StopJob,
    WriteJournal,
)
from fleet.minion.jobs import MinionJobs
from fleet.minion.stdin_files import StdinFiles
from fleet.minion.stdin_intake import StdinArrived, StdinIntake, StdinNews
from support.simulated_parts import (
    HEARTBEAT_US,
    INSTANT,
    UNKNOWN,
    BrokenPromiseError,
    CrashError,
    StdinInMemory,
    known_digest,
)

if TYPE_CHECKING:
    from support.simulation import Fleet

_EMPTY = StreamSummary(0, 0, known_digest(b""), b"")


@dataclass(slots=True)
class Process:
    """A supervisor and its program: outlives the daemon."""

    document: JobDocument
    output: bytes
    is_told: bool = False
    is_stopped: bool = False
    outcome: OutcomeKind | None = None


class Minion:
    """One machine with its daemon."""

    def __init__(
        self,
        fleet: "Fleet",
        name: str,
        make_jobs: type[MinionJobs],
        *,
        keeps_journal: bool,
        speaks: int = PROTOCOL_VERSION,
    ) -> None:
        self.fleet = fleet
        self.name = MinionId(name)
        self._make_jobs = make_jobs
        self._keeps_journal = keeps_journal
        self._speaks = speaks
        self.said_forgotten: set[Jid] = set()
        self.journal: dict[Jid, JournalEntry] = {}
        self.journal_id = b"j" * 16
        self.processes: dict[Jid, Process] = {}
        self.starts: Counter[Jid] = Counter()
        self.runs: Counter[Jid] = Counter()
        self.excuses: set[Jid] = set()
        self.connection: Connection | None = None
        self.token = b""
        self.disk_is_full = False
        self.lacks_lines = False
        self.actions_left: int | None = None
        self._hello_us = 0
        self._number = 0
        self._heartbeats: dict[int, int] = {}
        self._instant: dict[Jid, int] = {}
        self.stdin_files = StdinInMemory()
        self.jobs = self._new_jobs()
        self.stdin = self._new_stdin()

    def _new_stdin(self) -> StdinIntake:
        return StdinIntake(cast("StdinFiles", self.stdin_files), self.send)

    def _new_jobs(self) -> MinionJobs:
        def refuse(document: JobDocument) -> tuple[OutcomeKind, str] | None:
            return (OutcomeKind.UNKNOWN_FUNCTION, "no such function") if document.function == UNKNOWN else None

        return self._make_jobs(
            Limits(running=2, spool_jobs=50),
            refuse=refuse,
            is_instant=lambda document: document.function == INSTANT,
            decode=lambda encoded: packing.decode(JobDocument, encoded),
        )

    # What happens to it.

    def connect(self) -> None:
        """Open a connection and say hello."""
        if self.connection is None:
            self.connection = self.fleet.new_connection(self.name)
            self._hello_us = self.fleet.now_us
            inventory = self.jobs.inventory()
            hello = Hello(self.name, 1, self._speaks, "0", self.journal_id, "boot", b"", b"", inventory, False, 0)
            self.fleet.send_up(self.connection, b"", hello)

    def disconnect(self) -> None:
        """The connection is gone; the master learns of it later."""
        if self.connection is not None:
            self.fleet.closing(self.connection)
            self.connection, self.token = None, b""
            self._heartbeats.clear()
            self.stdin.left()
            self.jobs.left()

    def crash(self) -> None:
        """The daemon dies, and another one starts; programs go on."""
        self.actions_left = None
        self.disconnect()
        # What was about to start, or had not been told of, may be called lost afterwards.
        self.excuses |= {jid for jid, entry in self.journal.items() if entry.step is Step.STARTING}
        self._instant.clear()
        self.stdin = self._new_stdin()
        for jid in self.stdin_files.jids():
            if jid not in self.journal or self.journal[jid].step is not Step.ACCEPTED:
                self.stdin_files.remove(jid)
        self.jobs = self._new_jobs()
        for jid, entry in self.journal.items():
            if entry.step is Step.ANSWERED:
                self.processes.pop(jid, None)  # It died before it could remove the folder.
        found = {jid: self._found(jid) for jid in self.journal}
        self.perform(self.jobs.recover(dict(self.journal), found))

    def kill_processes(self) -> None:
        """Every supervisor dies."""
        for jid in [jid for jid, process in self.processes.items() if process.outcome is None]:
            del self.processes[jid]
            self.excuses.add(jid)
            self.perform(self.jobs.ended(jid, Found(Remains.NOTHING), self.fleet.now_us, "its supervisor is gone"))

    def wipe(self) -> None:
        """The machine is installed anew under its old key."""
        self.excuses |= set(self.fleet.store.jobs)
        self.journal.clear()
        self.processes.clear()
        self.journal_id = self.fleet.random_id()
        self.crash()

    def finish_program(self, number: int) -> None:
        """One of the running programs ends."""
        running = [process for process in self.processes.values() if process.outcome is None]
        if running:
            process = running[number % len(running)]
            process.outcome = OutcomeKind.CANCELLED if process.is_stopped else OutcomeKind.OK

    def work(self) -> None:
        """Do what the poll loop does: take up what supervisors tell, and what is due."""
        now_us = self.fleet.now_us
        self._beat(now_us)
        for jid, process in list(self.processes.items()):
            if not process.is_told:
                process.is_told = True
                self.perform(self.jobs.started(jid, 4711, "root", now_us))
            if process.outcome is not None:
                self.perform(self.jobs.ended(jid, self._found(jid), now_us))
        self.perform(self.jobs.ticked(now_us))
        self._go_on_with(self.stdin.tick(self.jobs.lacking_stdin(), now_us))

    def _go_on_with(self, news: Iterable[StdinNews]) -> None:
        for each in news:
            if isinstance(each, StdinArrived):
                self.perform(self.jobs.stdin_arrived(each.jid, self.fleet.now_us))
            else:
                self.perform(self.jobs.stdin_gone(each.jid, each.reason, self.fleet.now_us))

    def take(self, connection: Connection, token: bytes, message: FromMaster) -> None:
        """Take a message of the master."""
        if connection is not self.connection:
            return
        now_us = self.fleet.now_us
        match message:
            case Rejoin():
                self.disconnect()
            case Welcome() if not self.token:
                self.token = message.token
                time = measure(self._hello_us, now_us, message.master_time_us)
                self._learn(time)
                self.stdin.joined()
                self.perform(self.jobs.joined(time, now_us))
            case _ if not self.token or token != self.token:
                return
            case HeartbeatAnswer():
                sent_us = self._heartbeats.get(message.number)
                if sent_us is not None:
                    later = {number: sent for number, sent in self._heartbeats.items() if number > message.number}
                    self._heartbeats = later
                    self._learn(measure(sent_us, now_us, message.master_time_us))
            case JobOrder():
                if self._speaks < 2 and packing.decode(JobDocument, message.document).stdin_bytes:
                    raise BrokenPromiseError("a minion of an earlier release would run a job without its stdin")
                self.perform(self.jobs.ordered(message.document, message.signature, now_us))
            case Cancel():
                self.perform(self.jobs.cancelled(message, now_us))
            case Forget():
                if self._speaks < 2:
                    raise BrokenPromiseError("a minion of an earlier release was sent what it does not know")
                self.perform(self.jobs.forgot(message, now_us))
            case Inquiry():
                self.perform(self.jobs.inquired(message.jid, now_us))
            case Stored() | Discard():
                self.perform(self.jobs.answered(message, now_us))
            case Need():
                self._give_output(message)
            case StdinChunk():
                self._go_on_with(self.stdin.take(message, now_us))

    def _beat(self, now_us: int) -> None:
        """Give up a silent link, as ``LinkSession`` does; say that this loop is alive."""
        if self.connection is None:
            return
        limit_us = 3 * HEARTBEAT_US if self.token else HEARTBEAT_US // 2
        if now_us - min(self._heartbeats.values(), default=now_us if self.token else self._hello_us) >= limit_us:
            self.disconnect()
        elif self.token and now_us - max(self._heartbeats.values(), default=0) >= HEARTBEAT_US:
            self._ask_time()

    def _ask_time(self) -> None:
        self._number += 1
        self._heartbeats[self._number] = self.fleet.now_us
        self.send(Heartbeat(self._number, 0, 0, 0, 0))

    def _learn(self, time: MasterTime) -> None:
        self.perform(self.jobs.time_learned(time, self.fleet.now_us))

    # What its machine decides.

    def perform(self, actions: Iterable[JobAction]) -> None:
        """Carry out actions; the daemon may die before any of them."""
        for action in actions:
            self._maybe_crash()
            match action:
                case WriteJournal():
                    self._write(action)
                case SendMessage():
                    self.send(action.message)
                case StartJob():
                    self._start(action.document)
                case RunInstant():
                    self.runs[action.document.jid] += 1
                    self._instant[action.document.jid] = self.fleet.now_us
                    self.perform(self.jobs.instant_ended(action.document.jid, 100, self.fleet.now_us))
                case StopJob():
                    if action.jid in self.processes:
                        self.processes[action.jid].is_stopped = True
                case SendReturn():
                    self.send(self._make_return(action))
                case ForgetJob():
                    self._instant.pop(action.jid, None)
                    self.processes.pop(action.jid, None)
                    self.stdin_files.remove(action.jid)
                case AskTime():
                    self._ask_time()

    def send(self, message: FromMinion) -> None:
        """Send a message of the session, if there is one."""
        if isinstance(message, Forgotten):
            self.said_forgotten.add(message.jid)
        if self.connection is not None and self.token:
            self.fleet.send_up(self.connection, self.token, message)

    def _maybe_crash(self) -> None:
        if self.actions_left is not None:
            self.actions_left -= 1
            if self.actions_left < 0:
                raise CrashError

    def _write(self, action: WriteJournal) -> None:
        if self.disk_is_full:
            self.lacks_lines = True
            for jid in {entry.jid for entry in action.entries}:
                self.perform(self.jobs.journal_failed(jid, "no space left on device", self.fleet.now_us))
            return
        for entry in action.entries if self._keeps_journal else ():
            before = self.journal.get(entry.jid)
            document = entry.document or (before.document if before else b"")
            self.journal[entry.jid] = replace(entry, document=document)
        self._maybe_crash()
        self.perform(action.then)

    def _start(self, document: JobDocument) -> None:
        self.starts[document.jid] += 1
        if self.starts[document.jid] > 1:
            raise BrokenPromiseError(f"{document.jid} was started twice on {self.name}")
        if self.fleet.ended_without_start(document.jid, self.name):
            raise BrokenPromiseError(f"{document.jid} was started after its end")
        if document.jid in self.said_forgotten:
            raise BrokenPromiseError(f"{document.jid} was started after {self.name} said that it holds nothing of it")
        if document.stdin_bytes:
            if not self.stdin_files.is_whole(document.jid, document.stdin_digest):
                raise BrokenPromiseError(f"{document.jid} was started on {self.name} without its stdin")
            self.stdin_files.remove(document.jid)  # It is in the folder of the job now.
        size = 300_000 if int(document.jid[-1]) % 3 == 0 else 5
        self.processes[document.jid] = Process(document, document.jid.encode()[-1:] * size)

    def _found(self, jid: Jid) -> Found:
        process = self.processes.get(jid)
        if process is None:
            return Found(Remains.NOTHING)
        if process.outcome is None:
            return Found(Remains.ALIVE)
        return Found(Remains.STATUS, 1_000, len(process.output))

    def _make_return(self, action: SendReturn) -> Return:
        jid = action.jid
        process = self.processes.get(jid)
        kind, output = action.verdict or OutcomeKind.LOST, b""
        if jid in self._instant:
            kind = OutcomeKind.OK
        elif action.verdict is None and process is not None and process.outcome is not None:
            kind, output = process.outcome, process.output
        inline = output if len(output) <= 16_384 else None
        stdout = StreamSummary(len(output), len(output), known_digest(output), inline)
        return Return(
            jid,
            kind,
            action.message,
            False,
            "",
            0,
            "",
            _EMPTY,
            stdout,
            _EMPTY,
            1,
            "root",
            1,
            self.fleet.now_us,
            1,
            False,
        )

    def _give_output(self, message: Need) -> None:
        process = self.processes.get(message.jid)
        if process is None or not self.jobs.asked_for_output(message.jid, self.fleet.now_us):
            return
        window = process.output[message.offset : message.offset + 256 * 1024]
        for start in range(0, len(window), 32 * 1024):
            chunk = window[start : start + 32 * 1024]
            self.send(OutputChunk(message.jid, message.stream, message.offset + start, chunk))
