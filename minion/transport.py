"""The minion's two sockets: DEALER and SUB under CURVE, with their monitors. Frames only; no meaning.

After a loss the sockets are replaced, not reconnected: libzmq's own reconnecting keeps a resolved address for ever, takes its
jitter from an unseeded rand(), and after a refused key does not try again at all (libzmq 4.3.5).
"""

import struct
from collections.abc import Iterator
from enum import StrEnum
from itertools import count

import zmq

from ..core.broadcast import BROADCAST_TOPIC
from ..core.dataclass import dataclass
from ..core.messages import JOB_FRAME_LIMIT_BYTES
from ..core.session import HANDSHAKE_LONGEST_US

Socket = zmq.Socket[bytes]

#: The session gives up before that, or at the same time: see ``core/session.py``.
HANDSHAKE_LIMIT_MS = HANDSHAKE_LONGEST_US // 1_000
HEARTBEAT_MS = 10_000
HEARTBEAT_LIMIT_MS = 25_000
HIGH_WATER = 1_000
#: Of both sockets, as plain numbers: setting options by name takes a third of the time in which a link is opened.
_OPTIONS = tuple(
    (int(option), value)
    for option, value in (
        (zmq.LINGER, 0),
        (zmq.RECONNECT_IVL, -1),
        (zmq.HANDSHAKE_IVL, HANDSHAKE_LIMIT_MS),
        (zmq.CONNECT_TIMEOUT, HANDSHAKE_LIMIT_MS),
        (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
        (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_LIMIT_MS),
        (zmq.MAXMSGSIZE, JOB_FRAME_LIMIT_BYTES),
        (zmq.SNDHWM, HIGH_WATER),
        (zmq.RCVHWM, HIGH_WATER),
    )
)
_LINGER, _PUBLIC, _SECRET, _SERVER = map(
    int, (zmq.LINGER, zmq.CURVE_PUBLICKEY, zmq.CURVE_SECRETKEY, zmq.CURVE_SERVERKEY)
)
_MONITORED = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
)
_EVENT = struct.Struct("=hi")
#: Names of monitors, each used once: libzmq closes in a thread of its own, and a name is taken until it has.
_monitor_numbers = count()


class LinkChange(StrEnum):
    """What a monitor saw."""

    UP = "up"
    LOST = "lost"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """The keys of both ends: raw 32 bytes each."""

    minion_public: bytes
    minion_secret: bytes
    master_public: bytes

    def __repr__(self) -> str:
        """Say nothing of the secret."""
        return "LinkKeys(…)"


class MinionLink:
    """One attempt at a link: made, used, and closed for good.

    Args:
        context: one for the life of the daemon.
        request_endpoint: ``tcp://HOST:PORT`` with a resolved address.
        publish_endpoint: likewise.
    """

    def __init__(
        self, context: "zmq.Context[Socket]", request_endpoint: str, publish_endpoint: str, keys: LinkKeys
    ) -> None:
        self._request = _open(context, zmq.DEALER, request_endpoint, keys)
        self._publish = _open(context, zmq.SUB, publish_endpoint, keys)
        self._publish.socket.setsockopt(zmq.SUBSCRIBE, BROADCAST_TOPIC)
        self._is_proven: set[int] = set()
        self.unsent = 0

    @property
    def sockets(self) -> tuple[Socket, Socket, Socket, Socket]:
        """What to poll: request, publish, and their monitors."""
        return self._request.socket, self._publish.socket, self._request.monitor, self._publish.monitor

    def frames(self, limit: int) -> Iterator[bytes]:
        """Read up to ``limit`` frames from the request socket."""
        for _ in range(limit):
            try:
                frames = self._request.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            yield frames[-1] if len(frames) == 1 else b""

    def broadcasts(self, limit: int) -> Iterator[bytes]:
        """Read up to ``limit`` envelopes from the publish socket."""
        for _ in range(limit):
            try:
                frames = self._publish.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            yield frames[1] if len(frames) == 2 else b""

    def send(self, frame: bytes) -> bool:
        """Send one frame; False when the transport takes no more. Never blocks."""
        try:
            self._request.socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            self.unsent += 1
            return False
        return True

    def changes(self) -> Iterator[tuple[LinkChange, str]]:
        """Read what the monitors saw: the change and, for people, why."""
        for place, (end, name) in enumerate(((self._request, "request"), (self._publish, "publish"))):
            while True:
                try:
                    frames = end.monitor.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                event, value = _EVENT.unpack(frames[0])
                if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    self._is_proven.add(place)
                    if place == 0:
                        yield LinkChange.UP, "handshake done"
                elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                    yield LinkChange.REFUSED, f"the master refused the key on its {name} port ({value})"
                elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                    yield LinkChange.REFUSED, f"the handshake on the {name} port failed: is it another master?"
                elif place in self._is_proven:
                    yield LinkChange.LOST, f"the connection to the {name} port was lost"
                else:
                    yield LinkChange.LOST, f"no connection to the {name} port"

    def close(self) -> None:
        """Close both sockets, discarding what they hold."""
        for end in (self._request, self._publish):
            end.socket.disable_monitor()
            end.monitor.close(0)
            end.socket.close(0)


@dataclass(frozen=True, slots=True)
class _End:
    socket: Socket
    monitor: Socket


def _open(context: "zmq.Context[Socket]", kind: int, endpoint: str, keys: LinkKeys) -> _End:
    opened = context.socket(kind)
    opened.setsockopt(_PUBLIC, keys.minion_public)
    opened.setsockopt(_SECRET, keys.minion_secret)
    opened.setsockopt(_SERVER, keys.master_public)
    for option, value in _OPTIONS:
        opened.setsockopt(option, value)
    if "[" in endpoint:
        opened.setsockopt(zmq.IPV6, 1)
    name = f"inproc://monitor-{next(_monitor_numbers)}"
    opened.monitor(name, _MONITORED)
    monitor = context.socket(zmq.PAIR)
    monitor.setsockopt(_LINGER, 0)
    monitor.connect(name)
    opened.connect(endpoint)
    return _End(opened, monitor)
