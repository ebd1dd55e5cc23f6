"""The master of a simulated fleet: its daemon without sockets, and what waits to be committed."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from fleet.core import packing
from fleet.core.codec import Header
from fleet.core.control_answers import TargetResult
from fleet.core.errors import ProtocolError
from fleet.core.from_master import Cancel, Discard, Forget, HeartbeatAnswer, JobOrder, Rejoin, Stored, Welcome
from fleet.core.from_minion import Forgotten, Heartbeat, Hello, JobProgress, NeedStdin, OutputChunk, Return, UnknownJob
from fleet.core.job_states import JobState
from fleet.core.messages import FromMaster, FromMinion
from fleet.core.names import FunctionName, Jid, MinionId
from fleet.master.forgetting import Forgetting
from fleet.master.job_actions import (
    AnswerReturn,
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
from fleet.master.job_events import return_of
from fleet.master.jobs import MasterJobs
from fleet.master.results import result_of_return
from fleet.master.sessions import Connection, Session, Sessions
from fleet.master.stdin_service import StdinService
from fleet.master.store import Change, DeleteJob, Forgot, NewJob, NewTarget, Note, Owed, StoredJob, StoredReturn
from support.simulated_parts import (
    HEARTBEAT_US,
    PROGRAM,
    STDIN,
    BrokenPromiseError,
    JournalKnown,
    Store,
    job_document,
)

if TYPE_CHECKING:
    from fleet.master.conductor import Conductor
    from support.simulation import Fleet


@dataclass(slots=True)
class _Commit:
    changes: "tuple[Change | JournalKnown, ...]"
    done: Callable[[], None]
    failed: Callable[[], None]


class Master:
    """The master's daemon: dies and comes back with nothing but its store."""

    def __init__(self, fleet: "Fleet", make_jobs: type[MasterJobs], make_forgetting: type[Forgetting]) -> None:
        self.fleet = fleet
        self._make_jobs = make_jobs
        self._make_forgetting = make_forgetting
        self.pending: deque[_Commit] = deque()
        self.told: Counter[tuple[Jid, MinionId]] = Counter()
        self.ended: Counter[Jid] = Counter()
        self.malformed = 0
        self._submitted = 0
        self._journal_ids: dict[MinionId, bytes] = {}
        self.sessions = Sessions(HEARTBEAT_US)
        self.jobs = self._new_jobs()
        self.stdin = StdinService(cast("Conductor", _Conducts(self)))
        self.forgetting = make_forgetting()

    def _new_jobs(self) -> MasterJobs:
        def sign(stored: StoredJob) -> tuple[bytes, bytes]:
            stdin = STDIN[: stored.job.stdin_bytes]
            return packing.encode(job_document(stored.jid, stored.job.function, stored.expires_us, stdin)), b""

        return self._make_jobs(lambda minion: self.sessions.presence(minion, self.fleet.now_us), sign)

    def restart(self) -> None:
        """The daemon dies, with what was not yet committed, and starts again."""
        self.pending.clear()
        self.told.clear()
        self._journal_ids = dict(self.fleet.store.journal_ids)
        self.sessions = Sessions(HEARTBEAT_US)
        self.jobs = self._new_jobs()
        self.jobs.recover(self.fleet.store.open_jobs())
        self.stdin = StdinService(cast("Conductor", _Conducts(self)))
        self.forgetting = self._make_forgetting(self.fleet.store.owed.values())

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
        self._submitted += function == PROGRAM
        stdin_bytes = len(STDIN) if function == PROGRAM and self._submitted % 4 == 0 else 0
        targets = tuple(
            replace(target, state=JobState.QUEUED) if stdin_bytes and not self._takes_stdin(target.minion) else target
            for target in targets
        )
        terms = (ttl_seconds, 0.0, 2**20, "")
        new = NewJob(b"", function, (), (), (), {}, "*", "glob", "root", *terms, targets, stdin_bytes)
        stored = self.fleet.store.submit(new, self.fleet.now_us)
        self.perform(self.jobs.created(stored, self.fleet.now_us))
        return stored.jid

    def _takes_stdin(self, minion: MinionId) -> bool:
        return self.sessions.presence(minion, self.fleet.now_us).takes_stdin

    def delete(self, jid: Jid) -> None:
        """Delete a job by force; the minions that may hold something of it are told when that is durable."""
        owing = self.jobs.begin_deletion(jid)
        owed = [Owed(jid, minion, self.jobs.expires_us(jid)) for minion in owing]

        def done() -> None:
            self.perform(self.jobs.deleted(jid, "root", self.fleet.now_us))
            self.forgetting.owe(owed)
            self.repeat_forgetting()

        change = DeleteJob(jid, is_forced=True, owing=owing)
        self.pending.append(_Commit((change,), done, lambda: self.jobs.deletion_failed(jid)))

    def repeat_forgetting(self) -> None:
        """Tell those that are there and have not confirmed."""
        for minion in self.forgetting.minions():
            if self.sessions.presence(minion, self.fleet.now_us).is_connected:
                self._tell_to_forget(minion, self.forgetting.due(minion, self.fleet.now_us))

    def _tell_to_forget(self, minion: MinionId, owed: Iterable[Owed]) -> None:
        session = self.sessions.get(minion)
        if session is None:
            return
        for each in owed:
            kind = Forget if session.speaks(Forget) else Cancel
            self._send(minion, kind(each.jid, each.expires_us))

    def _forgotten(self, minion: MinionId, jid: Jid) -> None:
        if self.forgetting.settle(minion, jid):
            self._store((Forgot(jid, minion),), ())

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
            self.stdin.left(session.minion)

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
                self.perform(self.jobs.progressed(minion, message, now_us))
            case Return():
                self.perform(self.jobs.returned(minion, message, now_us))
            case OutputChunk():
                self.perform(self.jobs.chunk(minion, message, now_us))
            case NeedStdin():
                self.stdin.asked(session, message, now_us)
            case UnknownJob():
                self.perform(self.jobs.unknown(minion, message.jid, now_us))
                self._forgotten(minion, message.jid)
            case Forgotten():
                self._forgotten(minion, message.jid)

    def _greet(self, connection: Connection, hello: Hello) -> None:
        now_us = self.fleet.now_us
        opened = self.sessions.hello(connection, hello, self.fleet.random_id(), now_us)
        minion = connection.minion
        is_same = self._journal_ids.setdefault(minion, hello.journal_id) == hello.journal_id
        self._journal_ids[minion] = hello.journal_id
        self.fleet.store.journal_ids.setdefault(minion, hello.journal_id)
        if not is_same:
            self.fleet.excuse(minion)  # "A new journal id ends everything outstanding as lost" (D9).
        welcome = Welcome(opened.session.token, 1, b"", 0, self.fleet.master_us, 10.0, 0.0, False, False, "", b"")
        self.fleet.send_down(connection, opened.session.token, welcome)
        if opened.replaced is not None:
            self.perform(self.jobs.left(minion, now_us))
        self.perform(self.jobs.joined(minion, hello.inventory, now_us, is_same_journal=is_same))
        self._tell_to_forget(minion, self.forgetting.joined(minion, now_us))
        self.pending.append(_Commit((JournalKnown(minion, hello.journal_id),), lambda: None, lambda: None))

    def perform(self, actions: Iterable[MasterJobAction]) -> None:
        """Carry out actions."""
        counted = sum(1 for each in self.fleet.minions for _ in self.jobs.newest_of(each.name, 1_000_000))
        if counted != self.jobs.targets_open:
            raise BrokenPromiseError(f"{self.jobs.targets_open} targets are counted as open, and there are {counted}")
        for action in actions:
            match action:
                case Dispatch():
                    for minion in sorted(action.minions):
                        self.fleet.check_handed_over(action.jid, minion)
                        is_fit = self._takes_stdin(minion) or not self.jobs.has_stdin(action.jid)
                        if self.sessions.presence(minion, 0).is_connected and is_fit:
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
                case AnswerReturn():
                    jid, result = action.stored.answer.jid, result_of_return(action.stored, action.address, action.host)
                    self._send(action.stored.minion, Stored(jid))
                    event = return_of(action.stored, action.function)
                    self.fleet.check_event(event.tag, event.payload)
                    self.fleet.check_told(jid, result)
                    self.told[jid, result.minion] += 1
                case JobEnded():
                    self.fleet.check_ended(action.jid)
                    self.ended[action.jid] += 1

    def _send(self, minion: MinionId, message: FromMaster) -> bool:
        session = self.sessions.get(minion)
        if session is not None:
            self.fleet.send_down(session.connection, session.token, message)
        return session is not None

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
            self._forgotten(action.minion, action.jid)
            return
        if state is not action.state:
            self.fleet.store.apply((Note(action.jid, action.minion, 0, action.text),))
        self._send(action.minion, Stored(action.jid))


class _Conducts:
    """What ``StdinService`` needs of a conductor; its store answers at once."""

    def __init__(self, master: Master) -> None:
        self.jobs = master.jobs
        self.clock = self
        self.store = self
        self.send = master._send
        self._fleet = master.fleet

    def now_us(self) -> int:
        return self._fleet.now_us

    def send_to_session(self, session: Session, message: FromMaster) -> None:
        self.send(session.minion, message)

    def read(self, function: Callable[[Store], bytes], on_done: Callable[[bytes], None]) -> None:
        on_done(function(self._fleet.store))
