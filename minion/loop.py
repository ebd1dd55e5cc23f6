"""The minion's poll loop: which socket is ready, what the clock makes due, and carrying out what the session decides."""

import logging
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import assert_never

import zmq

from ..core.broadcast import BroadcastKind, BroadcastWindow
from ..core.crypto import BroadcastKey, VerifyKey
from ..core.endpoint import HostPort
from ..core.enrolment_messages import MasterDocument
from ..core.errors import ProtocolError
from ..core.from_minion import CatalogueReport, GrainsReport
from ..core.log_limit import LineLimiter
from ..core.messages import FromMinion
from ..core.session import (
    BecameReady,
    BeginEnrolment,
    CloseLink,
    Deliver,
    Joined,
    JoinEpoch,
    LinkAction,
    LinkSession,
    LinkState,
    OpenLink,
    SendFrame,
    TimeLearned,
)
from ..keys.fingerprint import fingerprint
from ..keys.identity import MinionIdentity
from .clock import boottime_us
from .enroller import Enroller
from .name_lookup import Lookup, NameLookups
from .standing import Standing
from .transport import LinkChange, LinkKeys, MinionLink
from .worker import Worker

log = logging.getLogger(__name__)

BATCH = 100
#: The longest sleep while there are jobs: a step that could not be made, such as a write to a full disk, is tried again this often.
TICK_MS = 1_000
#: The longest sleep of a minion that has none: what is due has a deadline, and whatever comes is on a descriptor.
REST_MS = 60_000


class Loop:
    """Runs one minion until it is told to stop.

    Args:
        session: the state of the link.
        worker: runs jobs.
        standing: which master is believed, and its kept document.
        enroller: asks the enrolment port.
        masters: where masters may be.
        lookups: looks up their names.
        identity: the minion's key.
        grains: makes the report of this moment.
        catalogue: what this minion can do.
    """

    def __init__(
        self,
        session: LinkSession,
        worker: Worker,
        standing: Standing,
        enroller: Enroller,
        *,
        masters: Sequence[HostPort],
        lookups: NameLookups,
        identity: MinionIdentity,
        grains: Callable[[], GrainsReport],
        catalogue: CatalogueReport,
    ) -> None:
        self._session = session
        self._worker = worker
        self._masters = tuple(masters)
        self._lookups = lookups
        self._lookup: Lookup | None = None
        self._next_master = 0
        self._next_address = -1
        self._address = ""
        self._where = ""
        self._enroller = enroller
        self._identity = identity
        self._grains = grains
        self._catalogue = catalogue
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        self._link: MinionLink | None = None
        self._window: BroadcastWindow | None = None
        self._document: MasterDocument | None = standing.document()
        self._descriptors: dict[int, int] = {}
        self._is_stopping = False
        self._lines = LineLimiter()
        self.malformed = 0

    def run(self) -> None:
        """Loop until SIGTERM or SIGINT."""
        wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._poller.register(wake, zmq.POLLIN)
        try:
            while not self._is_stopping:
                self._sync()
                ready = dict(self._poller.poll(self._wait_ms()))
                self._turn(ready)
        finally:
            signal.set_wakeup_fd(-1)
            self._close_link()
            self._context.destroy(0)
            os.close(wake)
            os.close(waker)

    def send(self, message: FromMinion) -> None:
        """Send a message of the session; without one it is dropped, and whoever sent it sends it again."""
        self._perform(self._session.send(message))

    def ask_time(self) -> None:
        """Ask the master for its time."""
        self._perform(self._session.ask_time(boottime_us()))

    def report_grains(self) -> None:
        """The grains have changed: tell the master."""
        self.send(self._grains())

    def _stop(self, _number: int, _frame: object) -> None:
        self._is_stopping = True

    def _turn(self, ready: Mapping[object, int]) -> None:
        now_us = boottime_us()
        link = self._link
        if link is not None:
            request, publish, *monitors = link.sockets
            if any(monitor in ready for monitor in monitors):
                self._take_changes(link)
            if link is self._link and request in ready:
                for frame in link.frames(BATCH):
                    self._take_frame(frame)
                    if link is not self._link:
                        break  # That message closed the sockets; what they still held went with them.
            if link is self._link and publish in ready:
                for envelope in link.broadcasts(BATCH):
                    self._take_broadcast(envelope)
                    if link is not self._link:
                        break
        if self._lookup is not None:
            self._look(self._lookup)
        if self._session.state is LinkState.ENROLLING:
            self._enrol(now_us)
        self._worker.collect()
        self._perform(self._session.ticked(boottime_us()))
        self._worker.tick()

    def _perform(self, actions: Iterable[LinkAction]) -> None:
        for action in actions:
            match action:
                case OpenLink():
                    self._open_link()
                case CloseLink():
                    self._enroller.stop()
                    self._close_link()
                    self._worker.left()
                    if self._lines.allow(action.reason, boottime_us()) is not None:
                        log.warning("no link to the master: %s; trying again", action.reason)
                case BeginEnrolment():
                    self._enroller.begin(boottime_us())
                case SendFrame():
                    if self._link is not None:
                        self._link.send(action.frame)
                case Deliver():
                    self._worker.take(action.message)
                case JoinEpoch():
                    self._join_epoch(action)
                case Joined():
                    self._join(action)
                case TimeLearned():
                    self._worker.learned_time(action.time)
                case BecameReady():
                    log.info("fleet-minion is ready to receive jobs")
                case _:
                    assert_never(action)

    def _enrol(self, now_us: int) -> None:
        enrolled = self._enroller.handle(now_us)
        if enrolled is not None:
            self._document, self._address = enrolled.document, enrolled.address
            self._perform(self._session.accepted(now_us))

    def _open_link(self) -> None:
        """Begin a link: at once where enrolment has just reached the master, else after its name was looked up anew."""
        self._close_link()
        if self._document is None:
            self._perform(self._session.link_refused("the master's keys and ports are not known", boottime_us()))
        elif self._address:
            self._connect(self._document, self._address)
            self._address = ""
        else:
            master = self._masters[self._next_master % len(self._masters)]
            self._next_master += 1
            self._lookup = self._lookups.begin(master)
            if self._lookup is not None:
                self._look(self._lookup)

    def _look(self, lookup: Lookup) -> None:
        """The look-up of the master's name may have ended; when it takes too long the session gives the attempt up."""
        if lookup.addresses is None or self._document is None:
            return
        self._end_lookup()
        if lookup.addresses:
            # One after the other: of a name's addresses the master may listen on one family alone.
            self._next_address += 1
            self._connect(self._document, lookup.addresses[self._next_address % len(lookup.addresses)].text)
        else:
            reason = f"the master's name is not found: {lookup.failure}"
            self._perform(self._session.link_lost(reason, boottime_us()))

    def _connect(self, document: MasterDocument, address: str) -> None:
        curve = self._identity.curve
        host = f"[{address}]" if ":" in address else address
        self._worker.master = VerifyKey(document.identity)
        self._window = None
        self._where = f"{host}:{document.request_port}"
        self._link = MinionLink(
            self._context,
            f"tcp://{host}:{document.request_port}",
            f"tcp://{host}:{document.publish_port}",
            LinkKeys(curve.public.raw, curve.reveal(), document.curve),
        )
        for socket in self._link.sockets:
            self._poller.register(socket, zmq.POLLIN)

    def _end_lookup(self) -> None:
        if self._lookup is not None:
            self._lookup.close()
            self._lookup = None

    def _close_link(self) -> None:
        self._end_lookup()
        if self._link is not None:
            for socket in self._link.sockets:
                self._poller.unregister(socket)
            self._link.close()
        self._link = None

    def _take_changes(self, link: MinionLink) -> None:
        for change, reason in link.changes():
            now_us = boottime_us()
            if change is LinkChange.UP:
                self._perform(self._session.link_up(now_us))
            elif change is LinkChange.REFUSED:
                self._perform(self._session.link_refused(reason, now_us))
            else:
                self._perform(self._session.link_lost(reason, now_us))
            if link is not self._link:
                return

    def _take_frame(self, frame: bytes) -> None:
        try:
            self._perform(self._session.received(frame, boottime_us()))
        except ProtocolError as problem:
            self._drop(problem)

    def _take_broadcast(self, envelope: bytes) -> None:
        if self._window is None:
            return
        try:
            opened = self._window.open(envelope)
            if opened.kind is BroadcastKind.PROBE:
                self._perform(self._session.probed(self._window.epoch, opened.sequence))
            else:
                self._worker.broadcast(opened.body)
        except ProtocolError as problem:
            self._drop(problem)

    def _drop(self, problem: ProtocolError) -> None:
        """Count what is no message of our master; at most a line a minute says so."""
        self.malformed += 1
        kept_back = self._lines.allow("dropped", boottime_us())
        if kept_back is not None:
            log.warning("dropped a message: %s (%d more before)", problem.message, kept_back)

    def _join_epoch(self, action: JoinEpoch) -> None:
        key = BroadcastKey(action.broadcast_key)
        master = self._worker.master
        if self._window is not None:
            self._window.renew(action.epoch, key, action.sequence)
        elif master is not None:
            self._window = BroadcastWindow(action.epoch, key, action.sequence, master)

    def _join(self, action: Joined) -> None:
        welcome = action.welcome
        log.info(
            "authentication with the master successful: %s, fingerprint %s, fleet %s",
            self._where,
            fingerprint(self._document.identity) if self._document else "",
            welcome.master_version,
        )
        if welcome.wants_grains:
            self.send(self._grains())
        if welcome.wants_catalogue:
            self.send(self._catalogue)
        if self._session.time is not None:
            self._worker.joined(self._session.time)

    def _sync(self) -> None:
        """Poll exactly the descriptors that supervisors and the enroller have now."""
        wanted = dict.fromkeys(self._worker.executor.descriptors(), zmq.POLLIN)
        enrolling = self._enroller.descriptor() if self._session.state is LinkState.ENROLLING else None
        if self._lookup is not None and self._lookup.descriptor is not None:
            wanted[self._lookup.descriptor] = zmq.POLLIN
        if enrolling is not None:
            wanted[enrolling] = zmq.POLLIN | zmq.POLLOUT if self._enroller.wants_write else zmq.POLLIN
        for descriptor in [known for known in self._descriptors if known not in wanted]:
            self._poller.unregister(descriptor)
            del self._descriptors[descriptor]
        for descriptor, events in wanted.items():
            if self._descriptors.get(descriptor) != events:
                self._poller.register(descriptor, events)
                self._descriptors[descriptor] = events

    def _wait_ms(self) -> int:
        now_us = boottime_us()
        deadlines = [self._session.deadline_us(), self._worker.deadline_us()]
        if self._session.state is LinkState.ENROLLING:
            deadlines.append(self._enroller.deadline_us())
        return sleep_ms(deadlines, now_us, REST_MS if self._worker.jobs.is_at_rest else TICK_MS)


def sleep_ms(deadlines: Iterable[int | None], now_us: int, longest_ms: int) -> int:
    """How long nothing need be done, in whole milliseconds: until the first deadline, and not a part of one less."""
    due_us = min((deadline for deadline in deadlines if deadline is not None), default=None)
    return longest_ms if due_us is None else max(0, min(longest_ms, (due_us - now_us + 999) // 1000))
