"""The enrolment port: the only listener that strangers reach, and therefore the one that takes little from each of them.

It may run dry without an accepted minion noticing: the fleet's ports are others. What is bounded, and what happens beyond:

==============================  =========================================================================================
4 KiB, 10 s a connection        closed; 5 s to the first message, 5 s more to the proof of a key (``core/enrolment.py``)
connections, in all, a source   the oldest goes that has proved nothing in a second, else the oldest that waits for the
                                operator and knows it (it comes again), else the new one is closed at once
accepts in a second             left in the kernel's queue, which costs nothing: so CPU and signatures are bounded too
descriptors of the process      one is kept in reserve, so that connections can still be closed and not only be left over
log lines                       one a minute for each source (``core/log_limit.py``)
==============================  =========================================================================================

A source is an IPv4 address or the first 64 bits of an IPv6 address, which is what one machine can have all of.
Non-blocking, in the master's poll loop: poll ``descriptor``, call ``handle`` when it is readable or ``deadline_us`` has passed.
"""

import errno
import logging
import os
import select
import socket
from collections.abc import Iterable, Iterator

from ..core.dataclass import dataclass
from ..core.enrolment import Close, CloseCause, RandomBytes, Send
from ..core.enrolment_master import Introduction, MasterAction, MasterEnrolment, MasterKnows, Offer
from ..core.enrolment_messages import CONNECTION_LIMIT_BYTES, KeyStanding
from ..core.log_limit import LineLimiter
from ..core.names import MinionId
from ..core.token_bucket import TokenBucket
from .enrolment_bounds import EnrolmentCounters, PortLimits
from .enrolment_listener import open_listener, source_of

_log = logging.getLogger(__name__)

#: What one call of ``handle`` does at most, so that a flood here delays no heartbeat of the fleet: 7 ms,
#: at 0.1 ms to introduce itself, 0.2 ms to check a proof and 0.1 ms to tell a verdict (one core, 2026).
EVENTS_PER_TURN = 32
ACCEPTS_PER_TURN = 32
#: A connection that is closed at once costs a tenth of one that is served, so one source beyond its limit can not
#: use up the accepts of all others.
_REFUSAL_COST = 0.1
#: So long every connection may keep its place: a minion needs two round trips to prove its key.
_SAFE_US = 1_000_000
_EXHAUSTED_PAUSE_US = 100_000
#: When a minion comes again: usually; while half of the places are taken; while half of the burst is used up.
_RETRY_SECONDS = 1.0
_CROWDED_SECONDS = 10.0
_BUSY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ReceivedOffer:
    """A key that was proved, and where it came from; answer with ``EnrolmentPort.decided``."""

    offer: Offer
    address: str


@dataclass(slots=True, eq=False)
class _Stranger:
    socket: socket.socket
    address: str
    source: str
    accepted_us: int
    machine: MasterEnrolment


class EnrolmentPort:
    """The listener and its connections.

    Attributes:
        counters: what happened.
        port: the real one, when 0 was asked for.
    """

    def __init__(
        self,
        interface: str,
        port: int,
        introduction: Introduction,
        limits: PortLimits | None = None,
        random: RandomBytes = os.urandom,
    ) -> None:
        """Listen.

        Args:
            interface: an address of this machine; ``::`` takes IPv6 and IPv4.
            port: 0 for any.
            introduction: what every stranger may know.
            limits: the bounds.
            random: for tests.

        Raises:
            TransportError: the port cannot be opened; the message says why.
        """
        self.counters = EnrolmentCounters()
        self._introduction = introduction
        self._limits = limits or PortLimits()
        self._random = random
        self._listener = open_listener(interface, port)
        self.port: int = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._reserve = _open_reserve()
        self._resume_us: int | None = None
        self._bucket = TokenBucket(self._limits.accepts_per_second, max(1.0, self._limits.accept_burst))
        # Both in the order of their accepts.
        self._strangers: dict[int, _Stranger] = {}
        self._sources: dict[str, dict[int, _Stranger]] = {}
        self._proved: dict[tuple[MinionId, bytes], list[_Stranger]] = {}
        # Not later than the earliest deadline; deadlines only move away, so it need not follow them.
        self._due_us: int | None = None
        self._lines = LineLimiter()
        self._now_us = 0

    def __len__(self) -> int:
        """Count the open connections."""
        return len(self._strangers)

    @property
    def descriptor(self) -> int:
        """Poll this one for reading: it stands for the listener and all connections."""
        return self._epoll.fileno()

    def deadline_us(self) -> int | None:
        """When to call ``handle`` though nothing is readable; None when there is nothing to wait for."""
        return min((due for due in (self._due_us, self._resume_us) if due is not None), default=None)

    def handle(self, now_us: int) -> list[ReceivedOffer]:
        """Do what is due, without blocking, and return the keys that were proved meanwhile."""
        self._now_us = now_us
        offers: list[ReceivedOffer] = []
        if self._resume_us is not None and now_us >= self._resume_us:
            self._resume_us = None
            self._epoll.modify(self._listener, select.EPOLLIN)
        for descriptor, _ in self._epoll.poll(0, EVENTS_PER_TURN):
            if descriptor == self._listener.fileno():
                self._accept_some(now_us)
            elif descriptor in self._strangers:
                offers += self._read(self._strangers[descriptor], now_us)
        self._end_overdue(now_us)
        return offers

    def decided(self, minion_id: MinionId, public_key: bytes, standing: KeyStanding, now_us: int) -> None:
        """Tell every connection that has proved this key under this id where the key stands now."""
        self._now_us = now_us
        for stranger in tuple(self._proved.get((minion_id, public_key), ())):
            verdict = stranger.machine.decided(standing, self._retry_seconds(stranger))
            self._perform(stranger, verdict)

    def close(self) -> None:
        """Close the port and all connections."""
        for stranger in tuple(self._strangers.values()):
            self._forget(stranger)
        self._epoll.close()
        self._listener.close()
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None

    def _accept_some(self, now_us: int) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            self._bucket.take(now_us, 0)
            if self._bucket.tokens < 1:
                self.counters.throttled += 1
                missing_us = (1 - self._bucket.tokens) / self._limits.accepts_per_second * 1e6
                self._pause(now_us + int(missing_us) + 1)
                return
            try:
                connection, name = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    self._shed(now_us)
                    return
                # It was gone before it was taken.
                self.counters.gone += 1
                self._bucket.take(now_us, _REFUSAL_COST)
                continue
            self._admit(connection, str(name[0]), now_us)

    def _admit(self, connection: socket.socket, name: str, now_us: int) -> None:
        address = name.removeprefix("::ffff:") if "." in name else name
        source = source_of(address)
        if not self._make_room(source, now_us):
            self._bucket.take(now_us, _REFUSAL_COST)
            self.counters.refused += 1
            self._report(source, address, "refused: too many connections")
            connection.close()
            return
        self._bucket.take(now_us)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._epoll.register(connection, select.EPOLLIN)
        except OSError:
            self.counters.gone += 1
            connection.close()
            return
        self.counters.accepted += 1
        stranger = _Stranger(
            connection, address, source, now_us, MasterEnrolment(self._introduction, self._random, now_us)
        )
        self._strangers[connection.fileno()] = stranger
        self._sources.setdefault(source, {})[connection.fileno()] = stranger
        deadline_us = stranger.machine.deadline_us
        self._due_us = deadline_us if self._due_us is None else min(self._due_us, deadline_us)

    def _make_room(self, source: str, now_us: int) -> bool:
        """Whether one more may come in; for it goes whoever had its chance, or knows what it came for."""
        rivals = self._sources.get(source, {})
        if len(rivals) < self._limits.connections_per_source:
            if len(self._strangers) < self._limits.connections:
                return True
            rivals = self._strangers
        unproved = next((each for each in rivals.values() if each.machine.offer is None), None)
        if unproved is not None and now_us - unproved.accepted_us >= _SAFE_US:
            self.counters.displaced += 1
            self._report(unproved.source, unproved.address, "displaced: it has proved nothing in a second")
            self._forget(unproved)
            return True
        waiting = next((each for each in rivals.values() if each.machine.state is MasterKnows.IT_WAITS), None)
        if waiting is not None:
            self.counters.sent_off += 1
            self._forget(waiting)
        return waiting is not None

    def _shed(self, now_us: int) -> None:
        """Without a descriptor no connection can even be closed: spend the reserve on it, and rest a while."""
        self.counters.exhausted += 1
        if self._reserve is not None:
            os.close(self._reserve)
            try:
                self._listener.accept()[0].close()
            except OSError:
                self.counters.gone += 1
        self._reserve = _open_reserve()
        self._pause(now_us + _EXHAUSTED_PAUSE_US)

    def _pause(self, until_us: int) -> None:
        self._resume_us = until_us
        self._epoll.modify(self._listener, 0)

    def _read(self, stranger: _Stranger, now_us: int) -> Iterator[ReceivedOffer]:
        try:
            data = stranger.socket.recv(CONNECTION_LIMIT_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        actions = stranger.machine.received(data, now_us) if data else stranger.machine.closed()
        self._perform(stranger, actions)
        for action in actions:
            if isinstance(action, Offer):
                self.counters.offers += 1
                if stranger.socket.fileno() in self._strangers:
                    self._proved.setdefault((action.minion_id, action.public_key), []).append(stranger)
                yield ReceivedOffer(action, stranger.address)

    def _retry_seconds(self, stranger: _Stranger) -> float:
        self._bucket.take(self._now_us, 0)
        if self._bucket.tokens < self._limits.accept_burst / 2:
            return _BUSY_SECONDS
        is_crowded = (
            len(self._strangers) > self._limits.connections / 2
            or len(self._sources[stranger.source]) > self._limits.connections_per_source / 2
        )
        return _CROWDED_SECONDS if is_crowded else _RETRY_SECONDS

    def _perform(self, stranger: _Stranger, actions: Iterable[MasterAction]) -> None:
        for action in actions:
            match action:
                case Send() if not _send(stranger.socket, action.data):
                    self.counters.gone += 1
                    self._forget(stranger)
                    return
                case Close():
                    self._count(action.cause)
                    if action.cause not in {CloseCause.FINISHED, CloseCause.GONE}:
                        self._report(stranger.source, stranger.address, f"{action.cause}: {action.reason}")
                    self._forget(stranger)

    def _end_overdue(self, now_us: int) -> None:
        if self._due_us is None or now_us < self._due_us:
            return
        for stranger in tuple(self._strangers.values()):
            self._perform(stranger, stranger.machine.ticked(now_us))
        self._due_us = min((stranger.machine.deadline_us for stranger in self._strangers.values()), default=None)

    def _forget(self, stranger: _Stranger) -> None:
        descriptor = stranger.socket.fileno()
        if self._strangers.pop(descriptor, None) is None:
            return
        rivals = self._sources[stranger.source]
        del rivals[descriptor]
        if not rivals:
            del self._sources[stranger.source]
        offer = stranger.machine.offer
        if offer is not None:
            place = (offer.minion_id, offer.public_key)
            rest = [other for other in self._proved.pop(place, ()) if other is not stranger]
            if rest:
                self._proved[place] = rest
        stranger.socket.close()

    def _count(self, cause: CloseCause) -> None:
        match cause:
            case CloseCause.MALFORMED:
                self.counters.malformed += 1
            case CloseCause.OVERDUE:
                self.counters.overdue += 1
            case CloseCause.REFUSED:
                self.counters.other_version += 1
            case CloseCause.GONE:
                self.counters.gone += 1
            case CloseCause.FINISHED:
                pass

    def _report(self, source: str, address: str, what: str) -> None:
        kept_back = self._lines.allow(source, self._now_us)
        if kept_back is not None:
            more = f" ({kept_back} lines like this kept back)" if kept_back else ""
            _log.info("enrolment port: %s %s%s", address, what, more)


def _send(connection: socket.socket, data: bytes) -> bool:
    """All that is ever sent on a connection fits the smallest send buffer: what does not go at once never will."""
    try:
        return connection.send(data) == len(data)
    except OSError:
        return False


def _open_reserve() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
