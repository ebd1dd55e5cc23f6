"""One light minion: the product's own loop, session, sockets, handshake and job machine, many of them on one poll."""

import os
import select
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import SystemRandom

import zmq

from fleet import __version__
from fleet.core.crypto import CurveSecret
from fleet.core.endpoint import HostPort
from fleet.core.enrolment_minion import Applicant
from fleet.core.from_master import Stored
from fleet.core.from_minion import Hello, InventoryItem, Return
from fleet.core.functions import CommandFailedError
from fleet.core.job_document import JobDocument
from fleet.core.messages import FROM_MASTER, PROTOCOL_MINIMUM, PROTOCOL_VERSION, FromMinion
from fleet.core.names import Jid, MinionId
from fleet.core.packing import decode
from fleet.core.session import BecameReady, CloseLink, LinkAction, LinkSession, LinkState, OpenLink, SendFrame
from fleet.core.values import Value
from fleet.keys.identity import MinionIdentity
from fleet.minion.clock import boottime_us, wall_us
from fleet.minion.config import MinionSettings
from fleet.minion.context import DaemonContext
from fleet.minion.enroller import Enroller
from fleet.minion.functions_here import FunctionsHere
from fleet.minion.job_steps import Limits
from fleet.minion.jobs import MinionJobs
from fleet.minion.loop import Loop
from fleet.minion.name_lookup import NameLookups
from fleet.minion.own_grains import OwnGrains
from fleet.minion.process import read_boot_id
from fleet.minion.self_description import SelfDescription
from fleet.minion.stdin_files import StdinFiles
from fleet.minion.stdin_intake import StdinIntake
from scale.light_worker import KnownMaster, LightCounts, LightWorker, NoJournal, NoProcesses

Socket = zmq.Socket[bytes]
#: Two sockets, and for each its monitor, which is two more: one end inside of libzmq.
SOCKETS_EACH = 6
#: A context looks through the names of all of its monitors for each socket that it closes, so it has those of so many minions.
CONTEXT_MINIONS = 250
_POLLIN, _EVENTS = int(zmq.POLLIN), int(zmq.EVENTS)
_NOBLOCK = int(zmq.NOBLOCK)
_STORED = next(kind for kind, cls in FROM_MASTER.items() if cls is Stored)
#: An eventfd a socket, and the two connections. For a moment twice that, while all of a process reconnect.
DESCRIPTORS_EACH = SOCKETS_EACH + 2


@dataclass(slots=True)
class Hub:
    """What the light minions of one process share.

    Attributes:
        master: its enrolment port.
        description: grains and catalogue of this machine.
        output: what every program writes to stdout.
        owners: which minion a descriptor belongs to, and the socket or the descriptor that was registered.
        unready: the minions that have no session yet, or wait for their first broadcast.
        is_holding: jobs that have started do not end for now.
        is_keeping: returns are made, as frames of the session, and kept until ``deliver``.
        is_gathering: what comes is counted and kept until ``settle``.
    """

    contexts: "Sequence[zmq.Context[Socket]]"
    epoll: select.epoll
    master: HostPort
    description: SelfDescription
    output: bytes
    functions: FunctionsHere = field(default_factory=lambda: FunctionsHere(lambda _problem: None))
    lookups: NameLookups = field(default_factory=NameLookups)
    counts: LightCounts = field(default_factory=LightCounts)
    owners: "dict[int, tuple[LightMinion, Socket | int]]" = field(default_factory=dict)
    unready: "set[LightMinion]" = field(default_factory=set)
    boot_id: str = field(default_factory=read_boot_id)
    is_holding: bool = False
    is_keeping: bool = False
    is_gathering: bool = False


class SharedPoll(zmq.Poller):
    """Stands in for the poller of one minion: what it registers is polled for all of them together.

    ``zmq.Poller`` looks at every socket at every turn, which four thousand of them make slow. The descriptor of a socket says that
    something has happened to it; what, only the socket itself does (zmq_getsockopt, ZMQ_FD).
    """

    def __init__(self, hub: Hub, owner: "LightMinion") -> None:
        super().__init__()
        self._hub = hub
        self._owner = owner

    def register(self, socket: Socket | int, flags: int = zmq.POLLIN) -> None:
        number = socket if isinstance(socket, int) else socket.getsockopt(zmq.FD)
        assert isinstance(number, int)
        events = (select.EPOLLIN if flags & zmq.POLLIN else 0) | (select.EPOLLOUT if flags & zmq.POLLOUT else 0)
        try:
            self._hub.epoll.register(number, events)
        except FileExistsError:
            self._hub.epoll.modify(number, events)
        self._hub.owners[number] = (self._owner, socket)

    def unregister(self, socket: Socket | int) -> None:
        number = socket if isinstance(socket, int) else socket.getsockopt(zmq.FD)
        assert isinstance(number, int)
        if self._hub.owners.get(number) != (self._owner, socket):
            return  # It was closed before, and is another's by now.
        del self._hub.owners[number]
        try:
            self._hub.epoll.unregister(number)
        except OSError:
            return  # It was closed before, which ends its registration as well.


class LightMinion(Loop):
    """One of many: ``turn`` when one of its descriptors is ready or ``deadline_us`` has passed.

    Attributes:
        place: its number in this process.
        begin_us: not to begin before, by CLOCK_BOOTTIME.
    """

    def __init__(self, hub: Hub, place: int, minion_id: MinionId, secret: CurveSecret, standing: KnownMaster) -> None:
        self.place = place
        self.minion_id = minion_id
        self.standing = standing
        self._hub = hub
        self._kept: dict[Jid, bytes] = {}
        self._gathered: list[bytes] = []
        self.begin_us = 0
        self._is_first = True
        grains = OwnGrains(minion_id, hub.description.grains, {}, Path("/nonexistent"))
        self._own_grains = grains
        self._jobs = MinionJobs(
            Limits(),
            refuse=hub.functions.refuse,
            is_instant=hub.functions.is_instant,
            decode=partial(decode, JobDocument),
        )
        self._journal = NoJournal(os.urandom(16))
        context = DaemonContext(
            minion_id,
            hub.functions,
            grains=lambda: grains.values,
            open_jobs=self._jobs.open_jobs,
            cancel=lambda _jid: False,
            set_grain=_keep_no_grain,
        )
        worker = LightWorker(
            MinionSettings(),
            context,
            hub.functions,
            self._jobs,
            self._journal,
            NoProcesses(lambda: hub.is_holding),
            StdinIntake(StdinFiles("/nonexistent"), self.send),
            "/nonexistent",
            "root",
            output=hub.output,
            counts=hub.counts,
        )
        applicant = Applicant(minion_id, secret, __version__)
        super().__init__(
            self._new_session(),
            worker,
            standing,
            Enroller((hub.master,), applicant, standing, hub.lookups),
            masters=(hub.master,),
            lookups=hub.lookups,
            identity=MinionIdentity(secret),
            grains=grains.report,
            catalogue=hub.description.catalogue,
        )
        worker.send, worker.ask_time = self.send, self.ask_time
        self._context.term()  # Never used: all share one, with a thread for their connections.
        self._context = hub.contexts[place // CONTEXT_MINIONS]
        self._poller = SharedPoll(hub, self)
        hub.unready.add(self)

    @property
    def ordered(self) -> int:
        """How many jobs it was given."""
        return self._worker.counters.ordered

    @property
    def returned(self) -> int:
        """How many returns it sent, repeated ones included."""
        return self._worker.counters.returned

    @property
    def unanswered(self) -> int:
        """How many jobs it knows without a final answer."""
        return len(self._jobs.inventory())

    @property
    def kept(self) -> int:
        """How many returns are kept."""
        return len(self._kept)

    def send(self, message: FromMinion) -> None:
        """Send a message of the session, or keep it, if it is a return, while returns are kept."""
        if not (self._hub.is_keeping and isinstance(message, Return)):
            super().send(message)
            return
        for action in self._session.send(message):
            if isinstance(action, SendFrame):
                self._kept[message.jid] = action.frame  # It is repeated until it is answered.

    def deliver(self) -> None:
        """Send what was kept, which costs no more than the sending."""
        for frame in self._kept.values():
            if self._link is not None:
                self._link.send(frame)
        self._kept.clear()

    def gather(self) -> None:
        """Read what has come and count the returns that are stored; what it means to this minion is for ``settle``."""
        if self._link is None:
            return
        receive, counts = self._link.sockets[0].recv, self._hub.counts
        while True:
            try:
                frame = receive(_NOBLOCK)
            except zmq.Again:
                return
            self._gathered.append(frame)
            if frame[1] == _STORED:
                counts.stored += 1
                counts.stored_us = boottime_us()

    def settle(self) -> None:
        """Take in what was gathered."""
        gathered, self._gathered = self._gathered, []
        self._hub.counts.stored -= sum(frame[1] == _STORED for frame in gathered)  # Counted now as it is taken.
        for frame in gathered:
            self._take_frame(frame)

    def deadline_us(self) -> int | None:
        """When to call ``turn`` at the latest, by CLOCK_BOOTTIME."""
        if self.begin_us:
            return self.begin_us
        deadlines = [self._session.deadline_us(), self._worker.deadline_us()]
        if self._session.state is LinkState.ENROLLING:
            deadlines.append(self._enroller.deadline_us())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def turn(self) -> None:
        """Do all that can be done now.

        Until nothing is left: whatever is sent on a socket may take in what has come on it, and its descriptor then stays quiet.
        """
        if self.begin_us > boottime_us():
            return
        self.begin_us = 0
        while True:
            self._turn(self._ready())
            self._sync()
            if not self._ready():
                return

    def leave(self) -> None:
        """Close both connections, and be as a minion that has just begun; nothing happens before the next ``turn``."""
        self._hub.unready.add(self)
        self._close_link()
        self._enroller.stop()
        self._sync()
        self._worker.left()
        self._session = self._new_session()

    def close(self) -> None:
        """Leave, without a word to the master."""
        self._enroller.stop()
        self._close_link()

    def _new_session(self) -> LinkSession:
        return LinkSession(
            has_document=self.standing.document() is not None,
            hello=self._make_hello,
            inventory=self._jobs.inventory,
            load=self._jobs.load,
            wall_clock_us=wall_us,
            jitter=SystemRandom().random,
        )

    def _make_hello(self, inventory: Sequence[InventoryItem]) -> Hello:
        is_first, self._is_first = self._is_first, False
        return Hello(
            minion_id=self.minion_id,
            protocol_minimum=PROTOCOL_MINIMUM,
            protocol_maximum=PROTOCOL_VERSION,
            fleet_version=__version__,
            journal_id=self._journal.journal_id,
            boot_id=self._hub.boot_id,
            grains_digest=self._own_grains.report().digest,
            catalogue_digest=self._hub.description.catalogue.digest,
            inventory=tuple(inventory),
            is_first=is_first,
            wall_clock_us=wall_us(),
        )

    def _ready(self) -> dict[object, int]:
        link = self._link
        if link is None:
            return {}
        return {one: _POLLIN for one in link.sockets if int(one.getsockopt(_EVENTS)) & _POLLIN}

    def _perform(self, actions: Iterable[LinkAction]) -> None:
        for action in actions:
            match action:
                case OpenLink():
                    self._hub.counts.links += 1
                    self._address = self._hub.master.host  # It is known: nobody has to be asked for it.
                case BecameReady():
                    self._hub.unready.discard(self)
                case CloseLink():
                    self._hub.counts.closed[action.reason] += 1
                    self._hub.unready.add(self)
            super()._perform((action,))


def _keep_no_grain(_key: str, _value: Value) -> None:
    raise CommandFailedError("a light minion keeps no grains file")
