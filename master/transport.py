"""The fleet's two ports: ROUTER and XPUB under CURVE, with their monitors. Frames and connections only; no meaning.

Settings that bound what a peer may do, and the attack behind each, stand beside them. No routing id is ever set or revealed: a peer
that chooses one equal to the ROUTER's next automatic one aborts libzmq 4.3.5.
"""

import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import zmq

from ..core.broadcast import BROADCAST_TOPIC
from ..core.dataclass import dataclass, field
from ..core.messages import REQUEST_FRAME_LIMIT_BYTES
from ..core.names import MinionId
from .admission import PUBLISH_DOMAIN, REQUEST_DOMAIN, read_user
from .refused_port import refused_port
from .sessions import Connection

Socket = zmq.Socket[bytes]

HANDSHAKE_LIMIT_MS = 5_000
#: Connections whose other end is gone without a word are found by the system, in 25 s: idle for so long, then asked so often.
#: Heartbeats of libzmq would find them too, but each sets a timer and takes it back, for which libzmq 4.3.5 looks through all of them
#: (``poller_base_t::cancel_timer``): two of each minion in ten seconds keep a core busy from five thousand minions on, and none of
#: them gets an answer. The minions' own heartbeats are answered, which needs no timer here.
KEEPALIVE_IDLE_SECONDS, KEEPALIVE_PAUSE_SECONDS, KEEPALIVE_COUNT = 10, 5, 3
UNACKNOWLEDGED_LIMIT_MS = 25_000
#: A subscription frame needs 6 bytes, the CURVE handshake under 300; XPUB keeps every subscription it is sent, so the rest
#: is an attack: 1.5 GB from one accepted peer without this limit, 1 MiB with it.
PUBLISH_FRAME_LIMIT_BYTES = 512
FOREIGN_FRAMES_LIMIT = 8
#: Messages that one minion may have unread here: with the frame limit 16 MiB at the worst.
RECEIVE_HIGH_WATER = 128
SEND_HIGH_WATER = 1_000
#: Broadcasts that one slow subscriber may have unread; beyond it they are dropped, and sent again over its own connection.
PUBLISH_HIGH_WATER = 1_000
BACKLOG = 4_096

#: Plain numbers: to combine members of an enum takes longer than to send a frame.
_NOBLOCK, _NOBLOCK_MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)
_ACCEPTED, _DISCONNECTED = int(zmq.EVENT_ACCEPTED), int(zmq.EVENT_DISCONNECTED)
_MONITORED = _ACCEPTED | _DISCONNECTED
_EVENT = struct.Struct("=hi")
_GRANTED = b"\x01" + BROADCAST_TOPIC
_UNSUBSCRIBE = b"\x00"
#: What a minion asks for is the beginning of both topics that it is granted: that of all, and that of those who came when it did.
#: Neither is the beginning of another, for a subscription is one to every topic that begins with it. So many come under one topic,
#: and there are no more topics than a byte tells apart: libzmq looks through all of them for each subscriber that goes.
_TO_ALL = BROADCAST_TOPIC + b"*"
GROUP_SIZE, GROUPS = 64, 256


@dataclass(frozen=True, slots=True)
class Accepted:
    """A TCP connection was accepted; nothing is proved."""

    descriptor: int
    address: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A TCP connection is gone."""

    descriptor: int


@dataclass(frozen=True, slots=True)
class Received:
    """One frame of a connection on the request port."""

    routing_id: bytes
    data: bytes
    source: zmq.Frame

    def connection(self) -> Connection:
        """Which connection it came on, as the transport has proved it."""
        minion, key = read_user(str(self.source.get("User-Id")))
        return Connection(
            self.routing_id,
            int(self.source.get(zmq.SRCFD)),
            minion,
            key,
            plain_address(str(self.source.get("Peer-Address"))),
        )


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A connection on the publish port was granted the broadcast topic, or (``is_greedy``) asked for too much else."""

    minion: MinionId
    descriptor: int
    is_greedy: bool


@dataclass(slots=True)
class _Port:
    socket: Socket
    monitor: Socket
    number: int


@dataclass(slots=True)
class FleetPorts:
    """The request port and the publish port.

    Args:
        context: with the ZAP handler already bound in it.
        interface: an address to listen on; with a colon it is IPv6, and ``::`` takes IPv4 as well.
        curve_secret: 32 bytes.
        admits: tells whether a key is (still) the accepted one of a minion.
    """

    context: "zmq.Context[Socket]"
    interface: str
    request_port: int
    publish_port: int
    curve_secret: bytes
    admits: Callable[[MinionId, bytes], bool]
    malformed: int = 0
    unsendable: int = 0
    unread: int = 0
    _request: _Port = field(init=False)
    _publish: _Port = field(init=False)
    _foreign: dict[int, int] = field(default_factory=dict)
    _groups: dict[MinionId, int] = field(default_factory=dict)
    _granted: int = 0

    def open(self) -> None:
        """Bind both ports.

        Raises:
            TransportError: a port is in use, or the interface is not of this machine.
        """
        self._request = self._bind(zmq.ROUTER, self.request_port, REQUEST_DOMAIN, REQUEST_FRAME_LIMIT_BYTES)
        self._publish = self._bind(zmq.XPUB, self.publish_port, PUBLISH_DOMAIN, PUBLISH_FRAME_LIMIT_BYTES)

    def close(self) -> None:
        """Close both ports, discarding what they hold."""
        for port in (self._request, self._publish):
            port.socket.disable_monitor()
            port.monitor.close(0)
            port.socket.close(0)

    @property
    def sockets(self) -> tuple[Socket, Socket, Socket, Socket]:
        """What to poll: request, publish, and their monitors."""
        return self._request.socket, self._publish.socket, self._request.monitor, self._publish.monitor

    def receive(self, limit: int) -> Iterator[Received]:
        """Read up to ``limit`` frames from the request port."""
        receive = self._request.socket.recv
        for _ in range(limit):
            try:
                routing_id = receive(_NOBLOCK)
            except zmq.Again:
                return
            frame = receive(_NOBLOCK, copy=False)
            if frame.more:
                self._skip_rest()
                self.malformed += 1
                continue
            yield Received(routing_id, frame.bytes, frame)

    def _skip_rest(self) -> None:
        """Read what else there is of a message of more than one frame."""
        while self._request.socket.recv(_NOBLOCK, copy=False).more:
            pass

    def subscriptions(self, limit: int) -> Iterator[Subscribed]:
        """Grant broadcasts to who asks for their topic, and count who asks for anything else."""
        for _ in range(limit):
            try:
                frame = self._publish.socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            if frame.bytes[:1] == _UNSUBSCRIBE:
                continue  # Also made by libzmq itself when a connection is gone: such a frame names no connection.
            try:
                (minion, key), descriptor = read_user(str(frame.get("User-Id"))), int(frame.get(zmq.SRCFD))
            except zmq.ZMQError:
                self.malformed += 1
                continue
            if not self.admits(minion, key):
                shut_down(descriptor, peer_address(descriptor))
                continue
            if frame.bytes == _GRANTED:
                # XPUB_MANUAL: this applies to the connection whose frame was read last.
                self._publish.socket.setsockopt(zmq.SUBSCRIBE, _TO_ALL)
                group = self._groups[minion] = self._granted // GROUP_SIZE % GROUPS
                self._granted += 1
                self._publish.socket.setsockopt(zmq.SUBSCRIBE, _topic_of(group))
                yield Subscribed(minion, descriptor, is_greedy=False)
                continue
            self._foreign[descriptor] = self._foreign.get(descriptor, 0) + 1
            if self._foreign[descriptor] == FOREIGN_FRAMES_LIMIT:
                yield Subscribed(minion, descriptor, is_greedy=True)

    def connection_events(self) -> Iterator[Accepted | Closed]:
        """Read what the monitors saw, in the order in which it happened."""
        seen = ([*_read_monitor(port.monitor)] for port in (self._request, self._publish))
        for event in in_order(*seen):
            if isinstance(event, Closed):
                self._foreign.pop(event.descriptor, None)
            yield event

    def send(self, routing_id: bytes, frame: bytes) -> bool:
        """Send a frame to one connection; False when it is gone or takes no more. Never blocks."""
        try:
            self._request.socket.send(routing_id, _NOBLOCK_MORE)
            self._request.socket.send(frame, _NOBLOCK)
        except zmq.ZMQError as problem:
            if problem.errno not in {zmq.EAGAIN, zmq.EHOSTUNREACH}:
                raise
            self.unsendable += 1
            self.unread += problem.errno == zmq.EAGAIN
            return False
        return True

    def publish(self, envelope: bytes) -> None:
        """Send one broadcast; a subscriber that takes no more misses it."""
        self._publish_on(_TO_ALL, envelope)

    def publish_to(self, minions: Iterable[MinionId], envelope: bytes) -> None:
        """Send one broadcast to these, as far as they have subscribed, and to few others: to those who came with them."""
        for group in {self._groups[minion] for minion in minions if minion in self._groups}:
            self._publish_on(_topic_of(group), envelope)

    def _publish_on(self, topic: bytes, envelope: bytes) -> None:
        self._publish.socket.send(topic, _NOBLOCK_MORE)
        self._publish.socket.send(envelope, _NOBLOCK)

    def _bind(self, kind: int, port: int, domain: bytes, frame_limit_bytes: int) -> _Port:
        opened = self.context.socket(kind)
        opened.linger = 0
        opened.curve_server = True
        opened.curve_secretkey = self.curve_secret
        opened.zap_domain = domain
        opened.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        opened.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_LIMIT_MS)
        opened.setsockopt(zmq.TCP_KEEPALIVE, 1)
        opened.setsockopt(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_SECONDS)
        opened.setsockopt(zmq.TCP_KEEPALIVE_INTVL, KEEPALIVE_PAUSE_SECONDS)
        opened.setsockopt(zmq.TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT)
        opened.setsockopt(zmq.TCP_MAXRT, UNACKNOWLEDGED_LIMIT_MS)
        opened.setsockopt(zmq.MAXMSGSIZE, frame_limit_bytes)
        opened.setsockopt(zmq.BACKLOG, BACKLOG)
        opened.setsockopt(zmq.RCVHWM, RECEIVE_HIGH_WATER)
        if kind == zmq.ROUTER:
            opened.setsockopt(zmq.SNDHWM, SEND_HIGH_WATER)
            opened.setsockopt(zmq.ROUTER_MANDATORY, 1)
        else:
            opened.setsockopt(zmq.SNDHWM, PUBLISH_HIGH_WATER)
            opened.setsockopt(zmq.XPUB_MANUAL, 1)
        is_v6 = ":" in self.interface
        if is_v6:
            opened.setsockopt(zmq.IPV6, 1)
        endpoint = f"inproc://monitor-{domain.decode('ascii')}"
        opened.monitor(endpoint, _MONITORED)
        monitor = self.context.socket(zmq.PAIR)
        monitor.linger = 0
        # No limit: libzmq's thread, which serves all connections, would wait until this process has read some of them, and while that
        # closes a port for ever. They are as many as connections come and go in a turn of the loop.
        monitor.setsockopt(zmq.RCVHWM, 0)
        monitor.connect(endpoint)
        address = f"tcp://[{self.interface}]:{port}" if is_v6 else f"tcp://{self.interface}:{port}"
        try:
            opened.bind(address)
        except zmq.ZMQError as problem:
            opened.disable_monitor()
            monitor.close(0)
            opened.close(0)
            name = "request" if kind == zmq.ROUTER else "publish"
            raise refused_port(name, self.interface, port, problem.errno or 0) from problem
        return _Port(opened, monitor, port)


def _topic_of(group: int) -> bytes:
    return b"%b/%c" % (BROADCAST_TOPIC, group)


def in_order(*ports: "Sequence[Accepted | Closed]") -> "list[Accepted | Closed]":
    """Put what several monitors saw into one order.

    A descriptor's number is given to one connection at a time, so what a port closes that it had before comes first, then what it
    both accepted and closed, then what is still open: else the end of one connection would be taken for that of the next.
    """
    staged: list[tuple[int, Accepted | Closed]] = []
    for events in ports:
        accepted = {event.descriptor for event in events if isinstance(event, Accepted)}
        last = {event.descriptor: event for event in events}
        begun: set[int] = set()
        for event in events:
            if isinstance(event, Accepted):
                begun.add(event.descriptor)
            is_leading = event.descriptor not in accepted or event.descriptor not in begun
            is_trailing = isinstance(event, Accepted) and last[event.descriptor] is event
            staged.append((0 if is_leading else 2 if is_trailing else 1, event))
    return [event for _, event in sorted(staged, key=lambda pair: pair[0])]


def _read_monitor(monitor: Socket) -> "Iterator[Accepted | Closed]":
    receive = monitor.recv
    while True:
        try:
            event, descriptor = _EVENT.unpack(receive(_NOBLOCK))
        except zmq.Again:
            return
        receive(_NOBLOCK)  # The address that was bound, which is known.
        if event == _ACCEPTED:
            yield Accepted(descriptor, peer_address(descriptor))
        elif event == _DISCONNECTED:
            yield Closed(descriptor)


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """Use a connection of libzmq's; not by a copy of the descriptor, for there may be no other left."""
    peer = socket.socket(fileno=descriptor)
    try:
        yield peer
    finally:
        peer.detach()


def peer_address(descriptor: int) -> str:
    """The other end of a TCP connection of this process; empty when it is gone."""
    try:
        with _borrowed(descriptor) as peer:
            return _address_of(peer)
    except OSError:
        return ""


def _address_of(peer: socket.socket) -> str:
    name = peer.getpeername()
    return plain_address(str(name[0])) if isinstance(name, tuple) else ""


def plain_address(address: str) -> str:
    """Write an IPv4 address as such, also where the port takes both families and the system says ``::ffff:192.0.2.1``."""
    return address.removeprefix("::ffff:") if "." in address else address


def shut_down(descriptor: int, address: str) -> bool:
    """End a TCP connection that libzmq holds, by its descriptor; False when it is not (any more) of that address.

    libzmq offers no way to close one connection. A shutdown makes it see the end and close by itself; the address is compared
    because the number may have been given to another connection in the meantime.
    """
    try:
        with _borrowed(descriptor) as peer:
            if not address or _address_of(peer) != address:
                return False
            peer.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


def seed_libc_random() -> None:
    """Seed libc's rand() from the operating system, before the first socket.

    libzmq numbers a ROUTER's connections from an unseeded rand(): the same in every process, so that a peer could choose the next
    one as its own routing id, which aborts the process.
    """
    import ctypes

    ctypes.CDLL(None).srand(int.from_bytes(os.urandom(4), "little"))
