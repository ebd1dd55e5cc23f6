"""A fleet without sockets, disks or processes: the job machines of both sides, joined by a list for a network, with a clock that is told.

Everything that can go wrong is a method of ``Fleet``: frames are lost, doubled and reordered, daemons and machines die between any two
actions, commits come late or never. ``Fleet.settle`` ends the faults and lets time pass; ``Fleet.check`` is what must hold then.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fleet.core.control_answers import TargetResult
from fleet.core.job_states import TERMINAL, JobState
from fleet.core.messages import (
    PROTOCOL_VERSION,
    FromMaster,
    FromMinion,
)
from fleet.core.names import FunctionName, Jid, MinionId
from fleet.master.events import meaning_of
from fleet.master.forgetting import Forgetting
from fleet.master.jobs import MasterJobs
from fleet.master.sessions import Connection
from fleet.minion.job_steps import (
    Step,
)
from fleet.minion.jobs import MinionJobs
from support.simulated_master import Master
from support.simulated_minion import Minion
from support.simulated_parts import PROGRAM, SECOND_US, START_US, BrokenPromiseError, CrashError, Store

#: The clock of every life begins at the same time, so that most tags come again and again.
_known_meaning_of = functools.cache(meaning_of)


@dataclass(frozen=True, slots=True)
class _Flight:
    connection: Connection
    token: bytes
    message: FromMinion | FromMaster | None
    is_up: bool


class Fleet:
    """A master and its minions; ``machines`` may bring faults of its own."""

    def __init__(
        self,
        names: Iterable[str] = ("a", "b"),
        *,
        master_jobs: type[MasterJobs] = MasterJobs,
        minion_jobs: type[MinionJobs] = MinionJobs,
        forgetting: type[Forgetting] = Forgetting,
        keeps_journal: bool = True,
        speaks: int = PROTOCOL_VERSION,
    ) -> None:
        self.now_us = START_US
        self.offset_us = 0
        self.network: list[_Flight] = []
        self.store = Store()
        self.cancels: set[tuple[Jid, MinionId]] = set()
        self.removed: set[MinionId] = set()
        self.must_stop: set[tuple[Jid, MinionId]] = set()
        self._connections = 0
        self.master = Master(self, master_jobs, forgetting)
        self.minions = [Minion(self, name, minion_jobs, keeps_journal=keeps_journal, speaks=speaks) for name in names]

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
            self.cancels |= {(jid, minion) for minion in some or targets}
            asked, _, _ = self.master.jobs.cancel_outcome(jid, some)
            self.must_stop |= {(jid, minion) for minion in asked}
            self.master.perform(self.master.jobs.cancelled(jid, some, self.now_us))

    def delete(self, number: int) -> None:
        """Delete a job, wherever it stands; what runs is stopped."""
        if self.store.jobs:
            self.master.delete(list(self.store.jobs)[number % len(self.store.jobs)])

    def pass_time(self, microseconds: int) -> None:
        """Let time pass, and both sides do what is due."""
        self.now_us += microseconds
        for minion in self.minions:
            self.guarded(minion, minion.work)
        self.master.perform(self.master.jobs.ticked(self.now_us))
        self.master.stdin.ticked(self.now_us)
        self.master.repeat_forgetting()

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
                # One that was called lost before may run on: nobody stops that, deleted or not.
                is_gone = jid in self.store.deleted - minion.excuses and minion.name not in self.removed
                if is_gone and process.outcome is None and not process.is_stopped:
                    raise BrokenPromiseError(f"{jid} runs on {minion.name} although it was deleted")
        self._settle_once(300, finish=True)
        if len(self.store.owed) > len(self.master.forgetting):
            self.restart_master(0)  # Only the next one knows what the store could not be told.
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
        is_forgotten = not self.store.owed and not len(self.master.forgetting)
        return is_stored and is_forgotten and not any(minion.jobs._jobs for minion in self.minions)

    def excuse(self, name: MinionId) -> None:
        """What this minion was given until now may be called lost."""
        next(minion for minion in self.minions if minion.name == name).excuses |= set(self.store.jobs)

    # What must hold.

    def check_handed_over(self, jid: Jid, minion: MinionId) -> None:
        """`sent` is durable before the first byte leaves."""
        if jid not in self.store.deleted and self.store.states[jid, minion] is JobState.QUEUED:
            raise BrokenPromiseError(f"{jid} leaves for {minion} before that is durable")

    def check_told(self, jid: Jid, result: TargetResult) -> None:
        """Nobody is told of an end that is not durable; that of a deleted job is its deletion."""
        if jid in self.store.deleted:
            if result.state is not JobState.ABANDONED:
                raise BrokenPromiseError(f"{jid} on {result.minion} is told as {result.state} and was deleted")
            return
        if self.store.states[jid, result.minion] is not result.state:
            raise BrokenPromiseError(f"{jid} on {result.minion} is told as {result.state} and is not stored so")

    def check_event(self, tag: str, payload: Mapping[str, object]) -> None:
        """Every event stands in the table with its fields; none is published before what it says is durable."""
        meaning = _known_meaning_of(tag)
        if meaning is None or set(payload) != set(meaning.fields):
            raise BrokenPromiseError(f"{tag} with {sorted(payload)} is not in the table of events")
        if tag.endswith("/end"):
            jid = Jid(str(payload["jid"]))
            states = Counter(self.store.states[jid, minion].value for minion in self.store.jobs[jid].targets)
            if payload["counts"] != states or set(map(JobState, states)) - TERMINAL:
                raise BrokenPromiseError(f"{tag} says {payload['counts']}, stored is {states}")
        if "/state/" in tag or "/ret/" in tag:
            key = Jid(str(payload["jid"])), MinionId(str(payload["minion"]))
            if JobState(str(payload["state"])) in TERMINAL and self.store.states.get(key) is not payload["state"]:
                raise BrokenPromiseError(f"{tag} is published before it is stored")

    def check_ended(self, jid: Jid) -> None:
        """A job has ended when all of its targets have."""
        if jid in self.store.deleted:
            return
        if any(self.store.states[jid, minion] not in TERMINAL for minion in self.store.jobs[jid].targets):
            raise BrokenPromiseError(f"{jid} is told as ended and is not")

    def ended_without_start(self, jid: Jid, minion: MinionId) -> bool:
        """Tell whether a job ended on a minion in a state that says that it never ran."""
        return self.store.states.get((jid, minion)) in {JobState.EXPIRED, JobState.REFUSED}

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
            if minion.processes:
                raise BrokenPromiseError(f"{minion.name} keeps the folders of {list(minion.processes)}")
            if minion.stdin_files.jids() or table._stdin_bytes:
                raise BrokenPromiseError(f"{minion.name} keeps the stdin of {minion.stdin_files.jids()}")
        if self.store.owed or len(self.master.forgetting):
            raise BrokenPromiseError(f"{list(self.store.owed)} is not forgotten")
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
