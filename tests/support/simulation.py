"""A fleet without sockets, disks or processes: the job machines of both sides, joined by a list for a network, with a clock that is told.

Everything that can go wrong is a method of ``Fleet``: frames are lost, doubled and reordered, daemons and machines die between any two
actions, commits come late or never. ``Fleet.settle`` ends the faults and lets time pass; ``Fleet.check`` is what must hold then.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from fleet.core import codec
from fleet.core.codec import Header
from fleet.core.control import TargetResult
from fleet.core.crypto import digest
from fleet.core.errors import ProtocolError
from fleet.core.job_states import TERMINAL, JobState, may_follow
from fleet.core.master_time import MasterTime, measure
from fleet.core.messages import (
    Cancel,
    Discard,
    FromMaster,
    FromMinion,
    Heartbeat,
    HeartbeatAnswer,
    Hello,
    Inquiry,
    JobDocument,
    JobOrder,
    JobProgress,
    Need,
    OutputChunk,
    Rejoin,
    Return,
    Stored,
    StreamSummary,
    UnknownJob,
    Welcome,
)
from fleet.core.names import FunctionName, Jid, MinionId, jid_from_microseconds
from fleet.core.outcome import OutcomeKind
from fleet.master.job_actions import (
    Commit,
    CommitReturn,
    Dispatch,
    Emit,
    JobEnded,
    LookUpEnded,
    MasterJobAction,
    SendTo,
    Settle,
    Tell,
)
from fleet.master.jobs import MasterJobs
from fleet.master.sessions import Connection, Sessions
from fleet.master.store import Cancelled, Change, NewJob, NewTarget, Note, StateChange, StoredJob, StoredReturn
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

START_US = 1_795_000_000_000_000
SECOND_US = 1_000_000
HEARTBEAT_US = 10 * SECOND_US
PROGRAM, INSTANT, UNKNOWN = FunctionName("cmd.run"), FunctionName("test.ping"), FunctionName("no.such")
_EMPTY = StreamSummary(0, 0, digest(b""), b"")


class CrashError(Exception):
    """The daemon that was just acting is dead."""


class BrokenPromiseError(AssertionError):
    """Something happened that must never happen."""


def job_document(
    jid: Jid, function: FunctionName = PROGRAM, expires_us: int = START_US + 30 * SECOND_US
) -> JobDocument:
    """Return the document of a job without arguments."""
    return JobDocument(jid, function, (), (), (), {}, "root", START_US, expires_us, 0.0, 16 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class JournalKnown:
    """What is kept of ``MinionFacts``."""

    minion: MinionId
    journal_id: bytes


class Store:
    """A job cache in memory that keeps the contract of ``JobStore``."""

    def __init__(self) -> None:
        self.jobs: dict[Jid, StoredJob] = {}
        self.states: dict[tuple[Jid, MinionId], JobState] = {}
        self.returns: dict[tuple[Jid, MinionId], StoredReturn] = {}
        self.notes: list[tuple[Jid, MinionId, str]] = []
        self.cancelled: set[Jid] = set()
        self.journal_ids: dict[MinionId, bytes] = {}
        self._last_us = 0

    def submit(self, job: NewJob, now_us: int) -> StoredJob:
        """Store a job."""
        self._last_us = max(now_us, self._last_us + 1)
        jid = jid_from_microseconds(self._last_us)
        states = {target.minion: target.state for target in job.targets}
        expires_us = now_us + int(job.ttl_seconds * SECOND_US)
        stored = StoredJob(jid, job, now_us, expires_us, is_new=True, targets=states)
        self.jobs[jid] = stored
        self.states.update({(jid, minion): state for minion, state in states.items()})
        return stored

    def apply(self, changes: "Iterable[Change | JournalKnown]") -> None:
        """Make changes; what the table of transitions does not allow becomes a note."""
        for change in changes:
            match change:
                case StateChange():
                    by_both = (True, False)
                    self._move((change.jid, change.minion), change.state, by_both, change.reason)
                case StoredReturn():
                    key = (change.answer.jid, change.minion)
                    if self._move(key, change.state, (True,), change.answer.message):
                        self.returns[key] = change
                case Note():
                    self.notes.append((change.jid, change.minion, change.text))
                case JournalKnown():
                    self.journal_ids[change.minion] = change.journal_id
                case Cancelled():
                    self.cancelled.add(change.jid)
                case _:
                    raise AssertionError(change)

    def open_jobs(self) -> list[StoredJob]:
        """Every job with a target that has not ended."""
        found = []
        for jid, stored in self.jobs.items():
            states = {minion: self.states[jid, minion] for minion in stored.targets}
            if any(state not in TERMINAL for state in states.values()):
                found.append(replace(stored, targets=states, is_new=False, cancelled=jid in self.cancelled))
        return found

    def is_ended(self, jid: Jid, minion: MinionId) -> JobState | None:
        """The terminal state, or None."""
        state = self.states.get((jid, minion))
        return state if state in TERMINAL else None

    def _move(self, key: tuple[Jid, MinionId], after: JobState, words: tuple[bool, ...], reason: str) -> bool:
        before = self.states[key]
        if before is after:
            return False
        if not any(may_follow(before, after, by_minion=word) for word in words):
            self.notes.append((*key, f"{after} came after {before}; {reason}"))
            return False
        self.states[key] = after
        return True


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

    def __init__(self, fleet: "Fleet", name: str, make_jobs: type[MinionJobs], *, keeps_journal: bool) -> None:
        self.fleet = fleet
        self.name = MinionId(name)
        self._make_jobs = make_jobs
        self._keeps_journal = keeps_journal
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
        self.jobs = self._new_jobs()

    def _new_jobs(self) -> MinionJobs:
        def refuse(document: JobDocument) -> tuple[OutcomeKind, str] | None:
            return (OutcomeKind.UNKNOWN_FUNCTION, "no such function") if document.function == UNKNOWN else None

        return self._make_jobs(
            Limits(running=2, spool_jobs=50),
            refuse=refuse,
            is_instant=lambda document: document.function == INSTANT,
            decode=lambda encoded: codec.decode(JobDocument, encoded),
        )

    # What happens to it.

    def connect(self) -> None:
        """Open a connection and say hello."""
        if self.connection is None:
            self.connection = self.fleet.new_connection(self.name)
            self._hello_us = self.fleet.now_us
            inventory = self.jobs.inventory()
            hello = Hello(self.name, 1, 1, "0", self.journal_id, "boot", b"", b"", inventory, False, 0)
            self.fleet.send_up(self.connection, b"", hello)

    def disconnect(self) -> None:
        """The connection is gone; the master learns of it later."""
        if self.connection is not None:
            self.fleet.closing(self.connection)
            self.connection, self.token = None, b""
            self._heartbeats.clear()
            self.jobs.left()

    def crash(self) -> None:
        """The daemon dies, and another one starts; programs go on."""
        self.actions_left = None
        self.disconnect()
        # What was about to start, or had not been told of, may be called lost afterwards.
        self.excuses |= {jid for jid, entry in self.journal.items() if entry.step is Step.STARTING}
        self._instant.clear()
        self.jobs = self._new_jobs()
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
                self.perform(self.jobs.ordered(message.document, message.signature, now_us))
            case Cancel():
                self.perform(self.jobs.cancelled(message, now_us))
            case Inquiry():
                self.perform(self.jobs.inquired(message.jid, now_us))
            case Stored() | Discard():
                self.perform(self.jobs.answered(message, now_us))
            case Need():
                self._give_output(message)

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
                case AskTime():
                    self._ask_time()

    def send(self, message: FromMinion) -> None:
        """Send a message of the session, if there is one."""
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
        stdout = StreamSummary(len(output), len(output), digest(output), inline)
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


@dataclass(slots=True)
class _Commit:
    changes: "tuple[Change | JournalKnown, ...]"
    done: Callable[[], None]
    failed: Callable[[], None]


class Master:
    """The master's daemon: dies and comes back with nothing but its store."""

    def __init__(self, fleet: "Fleet", make_jobs: type[MasterJobs]) -> None:
        self.fleet = fleet
        self._make_jobs = make_jobs
        self.pending: deque[_Commit] = deque()
        self.told: Counter[tuple[Jid, MinionId]] = Counter()
        self.ended: Counter[Jid] = Counter()
        self.malformed = 0
        self.sessions = Sessions(HEARTBEAT_US)
        self.jobs = self._new_jobs()

    def _new_jobs(self) -> MasterJobs:
        def sign(stored: StoredJob) -> tuple[bytes, bytes]:
            return codec.encode(job_document(stored.jid, stored.job.function, stored.expires_us)), b""

        return self._make_jobs(lambda minion: self.sessions.presence(minion, self.fleet.now_us), sign)

    def restart(self) -> None:
        """The daemon dies, with what was not yet committed, and starts again."""
        self.pending.clear()
        self.told.clear()
        self.sessions = Sessions(HEARTBEAT_US)
        self.jobs = self._new_jobs()
        self.jobs.recover(self.fleet.store.open_jobs())

    def submit(self, minions: Iterable[MinionId], function: FunctionName, ttl_seconds: float) -> Jid:
        """Store a job and hand it over."""
        targets = tuple(
            NewTarget(
                minion,
                JobState.SENT if self.sessions.presence(minion, self.fleet.now_us).is_connected else JobState.QUEUED,
                "",
            )
            for minion in minions
        )
        new = NewJob(b"", function, (), (), (), {}, "*", "glob", "root", ttl_seconds, 0.0, 2**20, "", targets)
        stored = self.fleet.store.submit(new, self.fleet.now_us)
        self.perform(self.jobs.created(stored, self.fleet.now_us))
        return stored.jid

    def commit(self, number: int, *, fails: bool = False) -> None:
        """Make the first so many commits durable, and tell."""
        for _ in range(number):
            if not self.pending:
                return
            commit = self.pending.popleft()
            if fails:
                commit.failed()
                # A store that refuses refuses what comes after as well.
                self.pending = deque(each for each in self.pending if not isinstance(each.changes[0], JournalKnown))
                continue
            self.fleet.store.apply(commit.changes)
            commit.done()

    def commit_silently(self, number: int) -> None:
        """Make commits durable whose success nobody hears of any more."""
        for _ in range(min(number, len(self.pending))):
            self.fleet.store.apply(self.pending.popleft().changes)

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        session = self.sessions.closed(connection.descriptor, self.fleet.now_us)
        if session is not None:
            self.perform(self.jobs.left(session.minion, self.fleet.now_us))

    def take(self, connection: Connection, token: bytes, message: FromMinion) -> None:
        """Take a message of a minion."""
        try:
            self._take(connection, token, message)
        except ProtocolError:
            self.malformed += 1

    def _take(self, connection: Connection, token: bytes, message: FromMinion) -> None:
        now_us = self.fleet.now_us
        if isinstance(message, Hello):
            self._greet(connection, message)
            return
        session = self.sessions.find(connection.routing_id, Header(0, token), now_us)
        if session is None:
            if self.sessions.spoke_after_it_was_replaced(connection.routing_id, Header(0, token), now_us):
                raise BrokenPromiseError("a conflict between two machines, of which there is one")
            self.fleet.send_down(connection, b"", Rejoin("", 0.0))
            return
        minion = session.minion
        match message:
            case Heartbeat():
                self.fleet.send_down(connection, token, HeartbeatAnswer(message.number, self.fleet.master_us))
            case JobProgress():
                self.perform(self.jobs.progressed(minion, message))
            case Return():
                self.perform(self.jobs.returned(minion, message, now_us))
            case OutputChunk():
                self.perform(self.jobs.chunk(minion, message, now_us))
            case UnknownJob():
                self.perform(self.jobs.unknown(minion, message.jid, now_us))

    def _greet(self, connection: Connection, hello: Hello) -> None:
        now_us = self.fleet.now_us
        opened = self.sessions.hello(connection, hello, self.fleet.random_id(), now_us)
        minion = connection.minion
        is_same = self.fleet.store.journal_ids.setdefault(minion, hello.journal_id) == hello.journal_id
        if not is_same:
            self.fleet.excuse(minion)  # "A new journal id ends everything outstanding as lost" (D9).
        welcome = Welcome(opened.session.token, 1, b"", 0, self.fleet.master_us, 10.0, 0.0, False, False, "", b"")
        self.fleet.send_down(connection, opened.session.token, welcome)
        if opened.replaced is not None:
            self.perform(self.jobs.left(minion, now_us))
        self.perform(self.jobs.joined(minion, hello.inventory, now_us, is_same_journal=is_same))
        self.pending.append(_Commit((JournalKnown(minion, hello.journal_id),), lambda: None, lambda: None))

    def perform(self, actions: Iterable[MasterJobAction]) -> None:
        """Carry out actions."""
        for action in actions:
            match action:
                case Dispatch():
                    for minion in sorted(action.minions):
                        self.fleet.check_handed_over(action.jid, minion)
                        if self.sessions.presence(minion, 0).is_connected:
                            self._send(minion, JobOrder(action.document, b"", self.fleet.master_us))
                case SendTo():
                    self._send(action.minion, action.message)
                case Commit():
                    self._store(action.changes, action.then)
                case Settle():
                    self.perform(self.jobs.settled(action, self.fleet.now_us))
                case CommitReturn():
                    self._store_return(action.stored)
                case LookUpEnded():
                    self._look_up(action)
                case Emit():
                    self.fleet.check_event(action.tag, action.payload)
                case Tell():
                    if isinstance(action.note, TargetResult):
                        self.fleet.check_told(action.jid, action.note)
                        self.told[action.jid, action.note.minion] += 1
                case JobEnded():
                    self.fleet.check_ended(action.jid)
                    self.ended[action.jid] += 1

    def _send(self, minion: MinionId, message: FromMaster) -> None:
        session = self.sessions.get(minion)
        if session is not None:
            self.fleet.send_down(session.connection, session.token, message)

    def _store(self, changes: tuple[Change, ...], then: tuple[MasterJobAction, ...]) -> None:
        jobs = self.jobs
        self.pending.append(_Commit(changes, lambda: self.perform(then), lambda: jobs.changes_failed(changes)))

    def _store_return(self, stored: StoredReturn) -> None:
        jobs = self.jobs
        self.pending.append(
            _Commit((stored,), lambda: self.perform(jobs.committed(stored)), lambda: jobs.commit_failed(stored))
        )

    def _look_up(self, action: LookUpEnded) -> None:
        state = self.fleet.store.is_ended(action.jid, action.minion)
        if state is None:
            self._send(action.minion, Discard(action.jid, "no such job was sent to this minion"))
            return
        if state is not action.state:
            self.fleet.store.apply((Note(action.jid, action.minion, 0, action.text),))
        self._send(action.minion, Stored(action.jid))


@dataclass(frozen=True, slots=True)
class _Flight:
    connection: Connection
    token: bytes
    message: FromMinion | FromMaster | None
    is_up: bool


@dataclass(slots=True)
class _Cancel:
    jid: Jid
    minions: frozenset[MinionId] = field(default_factory=frozenset)


class Fleet:
    """A master and its minions; ``machines`` may bring faults of its own."""

    def __init__(
        self,
        names: Iterable[str] = ("a", "b"),
        *,
        master_jobs: type[MasterJobs] = MasterJobs,
        minion_jobs: type[MinionJobs] = MinionJobs,
        keeps_journal: bool = True,
    ) -> None:
        self.now_us = START_US
        self.offset_us = 0
        self.network: list[_Flight] = []
        self.store = Store()
        self.cancels: set[tuple[Jid, MinionId]] = set()
        self.removed: set[MinionId] = set()
        self.must_stop: set[tuple[Jid, MinionId]] = set()
        self._connections = 0
        self.master = Master(self, master_jobs)
        self.minions = [Minion(self, name, minion_jobs, keeps_journal=keeps_journal) for name in names]

    @property
    def master_us(self) -> int:
        """The master's clock."""
        return self.now_us + self.offset_us

    def random_id(self) -> bytes:
        """Return 16 bytes that were never returned before."""
        self._connections += 1
        return self._connections.to_bytes(16, "big")

    def new_connection(self, minion: MinionId) -> Connection:
        """Open a connection; descriptors are given again at once, as the kernel does."""
        self._connections += 1
        return Connection(self._connections.to_bytes(5, "big"), self._connections, minion, b"k" * 32, "10.0.0.7")

    # The network.

    def send_up(self, connection: Connection, token: bytes, message: FromMinion) -> None:
        """Put a minion's frame into the network."""
        self.network.append(_Flight(connection, token, message, is_up=True))

    def send_down(self, connection: Connection, token: bytes, message: FromMaster) -> None:
        """Put a frame of the master into the network."""
        self.network.append(_Flight(connection, token, message, is_up=False))

    def closing(self, connection: Connection) -> None:
        """The master will learn that a connection is gone."""
        self.network.append(_Flight(connection, b"", None, is_up=True))

    def deliver(self, position: int) -> None:
        """Deliver one frame, whichever it is."""
        if self.network:
            self._arrive(self.network.pop(position % len(self.network)))

    def drop(self, position: int) -> None:
        """Lose one frame; that a connection has ended is always learned."""
        if self.network and self.network[position % len(self.network)].message is not None:
            del self.network[position % len(self.network)]

    def duplicate(self, position: int) -> None:
        """Deliver one frame that will come again."""
        if self.network:
            self._arrive(self.network[position % len(self.network)])

    def _arrive(self, flight: _Flight) -> None:
        if flight.is_up and flight.message is None:
            self.master.closed(flight.connection)
        elif flight.is_up:
            self.master.take(flight.connection, flight.token, flight.message)  # type: ignore[arg-type]
        else:
            minion = next(minion for minion in self.minions if minion.name == flight.connection.minion)
            self.guarded(minion, lambda: minion.take(flight.connection, flight.token, flight.message))  # type: ignore[arg-type]

    def guarded(self, minion: Minion, act: Callable[[], None]) -> None:
        """Do something in a minion's daemon, which may die of it and is then started again."""
        try:
            act()
        except CrashError:
            minion.crash()

    # Operator, time, faults.

    def submit(self, chosen: int, function: FunctionName, ttl_seconds: float = 30.0) -> Jid:
        """Run a function on some minions, by the bits of ``chosen``; on the first one when there are none."""
        minions = [minion.name for number, minion in enumerate(self.minions) if chosen >> number & 1]
        return self.master.submit(minions or [self.minions[0].name], function, ttl_seconds)

    def cancel(self, number: int, chosen: int) -> None:
        """Cancel a job, on all of its minions or one."""
        if self.store.jobs:
            jid = list(self.store.jobs)[number % len(self.store.jobs)]
            targets = list(self.store.jobs[jid].targets)
            some = () if chosen % 2 else (targets[chosen % len(targets)],)
            asked = {(jid, minion) for minion in some or targets}
            self.cancels |= asked
            self.must_stop |= {key for key in asked if self.store.states[key] not in TERMINAL and key[1] not in self.removed}
            self.master.perform(self.master.jobs.cancelled(jid, some, self.now_us))

    def pass_time(self, microseconds: int) -> None:
        """Let time pass, and both sides do what is due."""
        self.now_us += microseconds
        for minion in self.minions:
            self.guarded(minion, minion.work)
        self.master.perform(self.master.jobs.ticked(self.now_us))

    def restart_master(self, durable: int) -> None:
        """Kill the master after so many of its open commits became durable, and start it again."""
        self.master.commit_silently(durable)
        self.master.restart()
        self.must_stop = {(jid, minion) for jid, minion in self.must_stop if jid in self.store.cancelled}
        self.network.clear()
        for minion in self.minions:
            minion.disconnect()
        self.network.clear()

    def remove(self, number: int) -> None:
        """The operator deletes a minion's key, and accepts it again."""
        minion = self.minions[number % len(self.minions)]
        self.removed.add(minion.name)
        minion.excuses |= set(self.store.jobs)
        self.must_stop = {key for key in self.must_stop if key[1] != minion.name}
        self.master.perform(self.master.jobs.removed(minion.name, self.now_us))
        for connection in self.master.sessions.remove(minion.name, self.now_us):
            self.closing(connection)
        minion.disconnect()

    def settle(self) -> None:
        """End the faults, and let time pass until nothing is open; 20 minutes are enough for everything."""
        for minion in self.minions:
            minion.disk_is_full = False
            minion.actions_left = None
        self._settle_once(30, finish=False)
        for minion in self.minions:
            for jid, process in minion.processes.items():
                if (jid, minion.name) in self.must_stop and process.outcome is None and not process.is_stopped:
                    raise BrokenPromiseError(f"{jid} runs on {minion.name} although it was cancelled")
        self._settle_once(300, finish=True)
        if any(minion.lacks_lines for minion in self.minions):
            for minion in self.minions:
                minion.crash()  # Only the next daemon knows what the journal could not be told.
            self._settle_once(300, finish=True)

    def _settle_once(self, turns: int, *, finish: bool) -> None:
        for _ in range(turns):
            for minion in self.minions:
                minion.connect()
                for number in range(len(minion.processes) if finish else 0):
                    minion.finish_program(number)
            while self.network:
                self.deliver(0)
            self.master.commit(10**6)
            if not self.network and self._is_quiet():
                return
            self.pass_time(4 * SECOND_US)

    def _is_quiet(self) -> bool:
        is_stored = all(state in TERMINAL for state in self.store.states.values())
        return is_stored and not any(minion.jobs._jobs for minion in self.minions)

    def excuse(self, name: MinionId) -> None:
        """What this minion was given until now may be called lost."""
        next(minion for minion in self.minions if minion.name == name).excuses |= set(self.store.jobs)

    # What must hold.

    def check_handed_over(self, jid: Jid, minion: MinionId) -> None:
        """`sent` is durable before the first byte leaves."""
        if self.store.states[jid, minion] is JobState.QUEUED:
            raise BrokenPromiseError(f"{jid} leaves for {minion} before that is durable")

    def check_told(self, jid: Jid, result: TargetResult) -> None:
        """Nobody is told of an end that is not durable."""
        if self.store.states[jid, result.minion] is not result.state:
            raise BrokenPromiseError(f"{jid} on {result.minion} is told as {result.state} and is not stored so")

    def check_event(self, tag: str, payload: Mapping[str, object]) -> None:
        """Neither is an event published before what it says is durable."""
        if "/state/" in tag or "/ret/" in tag:
            key = Jid(str(payload["jid"])), MinionId(str(payload["minion"]))
            if JobState(str(payload["state"])) in TERMINAL and self.store.states[key] is not payload["state"]:
                raise BrokenPromiseError(f"{tag} is published before it is stored")

    def check_ended(self, jid: Jid) -> None:
        """A job has ended when all of its targets have."""
        if any(self.store.states[jid, minion] not in TERMINAL for minion in self.store.jobs[jid].targets):
            raise BrokenPromiseError(f"{jid} is told as ended and is not")

    def ended_without_start(self, jid: Jid, minion: MinionId) -> bool:
        """Tell whether a job ended on a minion in a state that says that it never ran."""
        return self.store.states[jid, minion] in {JobState.EXPIRED, JobState.REFUSED}

    def check(self) -> None:
        """Check everything that must hold when the faults are over."""
        for (jid, name), state in self.store.states.items():
            minion = next(minion for minion in self.minions if minion.name == name)
            where = f"{jid} ({self.store.jobs[jid].job.function}) on {name} is {state}"
            if state not in TERMINAL:
                raise BrokenPromiseError(f"{where}: silent for ever")
            self._check_history(jid, minion, state, where)
            if self.master.told[jid, name] > 1:
                raise BrokenPromiseError(f"{where}, and that was told twice")
        for minion in self.minions:
            table = minion.jobs
            if table.inventory() or table._jobs or table._held_bytes or table._document_bytes or table._running:
                raise BrokenPromiseError(f"{minion.name} still holds something")
            if any(entry.step not in {Step.ANSWERED, Step.TOMBSTONE} for entry in minion.journal.values()):
                raise BrokenPromiseError(f"the journal of {minion.name} has something unanswered")
        incoming = self.master.jobs._incoming
        if (
            self.master.jobs.counts() != {"jobs_open": 0, "targets_open": 0, "returns_waiting": 0}
            or incoming.used_bytes
        ):
            raise BrokenPromiseError(f"the master still holds {self.master.jobs.counts()}")

    def _check_history(self, jid: Jid, minion: Minion, state: JobState, where: str) -> None:
        function = self.store.jobs[jid].job.function
        starts = minion.starts[jid]
        stored = self.store.returns.get((jid, minion.name))
        if state is JobState.SUCCEEDED:
            if function == PROGRAM:
                wanted = str(jid)[-1:].encode() * (300_000 if int(jid[-1]) % 3 == 0 else 5)
                holds = starts == 1 and stored is not None and stored.stdout == wanted
            else:
                holds = minion.runs[jid] >= 1
        elif state is JobState.REFUSED:
            holds = not starts
        elif state is JobState.EXPIRED:
            holds = not starts and self.master_us >= self.store.jobs[jid].expires_us
        elif state is JobState.CANCELLED:
            holds = (jid, minion.name) in self.cancels
        elif state is JobState.LOST:
            holds = jid in minion.excuses
        elif state is JobState.ABANDONED:
            holds = minion.name in self.removed
        else:
            holds = False
        if not holds:
            raise BrokenPromiseError(f"{where} after {starts} starts: its history does not allow that")
