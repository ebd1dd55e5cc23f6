"""A master without sockets whose job cache is real: what it sends to minions and answers to clients is on record."""

import select
from collections import defaultdict
from pathlib import Path
from typing import Any, Self, cast

from fleet.core.codec import read_from_master, read_header
from fleet.core.control import Answer
from fleet.core.control_requests import DeleteJobs, ListJobs, PurgeJobs
from fleet.core.from_minion import Hello
from fleet.core.job_states import JobState
from fleet.core.messages import PROTOCOL_VERSION, FromMaster
from fleet.core.names import Jid, MinionId
from fleet.master.conductor import Conductor
from fleet.master.control_port import Caller
from fleet.master.delete_requests import DeleteRequests
from fleet.master.epochs import Epochs
from fleet.master.events import EventRing
from fleet.master.facts import FleetFacts
from fleet.master.forgetting import Forgetting
from fleet.master.jobs import MasterJobs
from fleet.master.live_output import LiveOutputs
from fleet.master.purge import Purge, Purged
from fleet.master.replies import Replies
from fleet.master.sessions import Connection, Sessions
from fleet.master.store import Keep, StoredJob
from fleet.master.store_sqlite import SqliteJobStore
from fleet.master.store_thread import StoreThread
from fleet.master.watchers import Watchers
from support.job_cache import NOW_US, new_job, new_return

CALLER = Caller(1000, 1000, 1, "ada")
HOUR_US = 3_600_000_000


class _Clock:
    def __init__(self) -> None:
        self.us = NOW_US

    def now_us(self) -> int:
        return self.us


class _Control:
    """Keeps the answers by connection; one that has gone takes nothing."""

    def __init__(self) -> None:
        self.answers: dict[int, list[Answer]] = defaultdict(list)
        self.finished: list[int] = []
        self.gone: set[int] = set()

    def send(self, connection: int, answer: Answer) -> bool:
        if connection not in self.gone:
            self.answers[connection].append(answer)
        return connection not in self.gone

    def finish(self, connection: int) -> None:
        self.finished.append(connection)


class _Ports:
    def __init__(self) -> None:
        self.sent: dict[bytes, list[FromMaster]] = defaultdict(list)

    def send(self, routing_id: bytes, frame: bytes) -> bool:
        self.sent[routing_id].append(read_from_master(read_header(frame), frame))
        return True

    def publish(self, envelope: bytes) -> None:
        pass


class DeletingMaster:
    """Deletions as the daemon carries them out, over a store in this folder; a context manager.

    Attributes:
        purged: what the limits of the settings have cost so far.
    """

    def __init__(self, folder: Path, keep: Keep | None = None) -> None:
        self.folder = folder
        self.clock, self.control, self.ports = _Clock(), _Control(), _Ports()
        self.sessions = Sessions(HOUR_US)
        store = SqliteJobStore.open(folder)
        self.thread = StoreThread(store, self.clock.now_us)
        self.jobs = MasterJobs(
            lambda minion: self.sessions.presence(minion, self.clock.us), lambda stored: (b"document", b"s" * 64)
        )
        self.jobs.recover(store.open_jobs())
        self.conductor = Conductor(
            clock=cast("Any", self.clock),
            identity=cast("Any", None),
            ports=cast("Any", self.ports),
            sessions=self.sessions,
            epochs=Epochs(1, bytes(32), HOUR_US, NOW_US),
            facts=FleetFacts((), {}, {}),
            jobs=self.jobs,
            store=self.thread,
            events=EventRing(),
            watchers=Watchers(),
            live=LiveOutputs(lambda _connection: False),
            control=cast("Any", self.control),
            forgetting=Forgetting(store.owed()),
        )
        self.purged: list[Purged] = []
        self.purge = Purge(self.thread, self.clock.now_us, keep or Keep(), self.purged.append)
        self.deletes = DeleteRequests(self.conductor, self.purge, Replies(cast("Any", self.control)))
        self.conductor.on_forgotten, self.conductor.on_left = self.deletes.confirmed, self.deletes.left

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.close()

    # What happens to it.

    def join(self, minion: str, *, speaks: int = PROTOCOL_VERSION) -> None:
        """A minion opens a session, as one of a release that speaks this version at the most."""
        name = MinionId(minion)
        number = len(self.ports.sent) + sum(map(ord, minion)) * 1_000
        where = Connection(number.to_bytes(5, "big"), number, name, b"k" * 32, "10.0.0.7")
        hello = Hello(name, 1, speaks, "0.1.0", b"j" * 16, "boot", b"", b"", (), True, 0)
        self.sessions.hello(where, hello, minion.encode().ljust(16, b"."), self.clock.us)
        self.conductor.greeted_who_owes(name)

    def leave(self, minion: str) -> None:
        """A minion is gone."""
        session = self.sessions.get(MinionId(minion))
        assert session is not None
        self.sessions.closed(session.connection.descriptor, self.clock.us)

    def sent_to(self, minion: str) -> list[FromMaster]:
        """What a connected minion was sent in this session."""
        session = self.sessions.get(MinionId(minion))
        return [] if session is None else self.ports.sent[session.connection.routing_id]

    def submit(self, *minions: str, state: JobState = JobState.SENT, ended: bool = False, stdout: bytes = b"x") -> Jid:
        """Store a job, as the loop knows it afterwards."""
        found: list[StoredJob | Exception] = []
        self.clock.us += 1
        self.thread.submit(new_job(*minions, state=state), found.append)
        self.settle()
        (stored,) = found
        assert isinstance(stored, StoredJob)
        self.jobs.recover([stored])
        if ended:
            for minion in minions:
                self.conductor.perform(
                    self.jobs.returned(MinionId(minion), new_return(stored.jid, minion, stdout).answer, 0)
                )
            self.settle()
        return stored.jid

    def delete(self, *jids: str, is_forced: bool = False, connection: int = 1) -> list[Answer]:
        """Ask for a deletion, and wait until the store has nothing to do any more."""
        self.ask_to_delete(*jids, is_forced=is_forced, connection=connection)
        self.settle()
        return self.control.answers[connection]

    def ask_to_delete(self, *jids: str, is_forced: bool = False, connection: int = 1) -> None:
        """Ask for a deletion."""
        self.deletes.delete(connection, CALLER, DeleteJobs(jids, is_forced))

    def purge_to(self, *limits: float, connection: int = 1) -> list[Answer]:
        """Ask for a purge to an age in seconds, a number of jobs and a size, and wait for it."""
        age, count, size = limits
        self.deletes.purge(connection, CALLER, PurgeJobs(age, int(count), int(size)))
        self.settle()
        return self.control.answers[connection]

    def settle(self) -> None:
        """Carry out all that follows from what was asked."""
        while True:
            self.conductor.commits.commit()
            told: list[object] = []
            self.thread.apply([], told.append)
            self.thread.read(lambda store: None, told.append)
            count = 0
            while len(told) < 2:
                count += self.collect()
            if count == 2:
                return

    def collect(self) -> int:
        """Take in what the store has done, at least one thing; return how many."""
        assert select.select([self.thread], [], [], 20)[0], "the store does nothing"
        return self.thread.collect()

    # What is so.

    def stored(self) -> set[Jid]:
        """The jobs that are in the store, by a look of its own."""
        with SqliteJobStore.open(self.folder) as store:
            return {job.jid for job in store.jobs(ListJobs(0, "")).jobs}

    def owed(self) -> set[tuple[Jid, MinionId]]:
        """What minions owe by the store; by the memory it is the same."""
        with SqliteJobStore.open(self.folder) as store:
            owed = {(each.jid, each.minion) for each in store.owed()}
        assert len(owed) == len(self.conductor.forgetting)
        assert all(self.conductor.forgetting.owes(minion, jid) for jid, minion in owed)
        return owed

    def events(self) -> list[str]:
        """The tags of what was published."""
        return [note.tag for note in self.conductor.events.subscribe("*", 0).take(1_000)]
