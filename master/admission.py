"""The ZAP handler: only accepted keys finish a handshake on the fleet's ports (RFC 27, DESIGN T2).

A handler of our own, in the master's loop: pyzmq's authenticators keep certificates in files or admit any key, run a thread or an
event loop of their own, and know no rate. ZAP fails open in libzmq: without a handler CURVE admits every key, so this socket is
bound before the fleet's ports and closed after them, and the ports set ``ZAP_ENFORCE_DOMAIN``.
"""

from collections.abc import Callable

import zmq

from ..core.dataclass import dataclass, field
from ..core.names import MinionId
from ..core.token_bucket import TokenBucket

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
REQUEST_DOMAIN = b"fleet-request"
PUBLISH_DOMAIN = b"fleet-publish"
_DOMAINS = frozenset({REQUEST_DOMAIN, PUBLISH_DOMAIN})
_VERSION = b"1.0"
_BATCH = 256
#: Plain numbers, and part by part: two handshakes of each minion come by here at once when a fleet comes back, and what ``zmq`` has for
#: whole messages takes five times as long.
_NOBLOCK, _NOBLOCK_MORE, _MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE), int(zmq.RCVMORE)

#: Handshakes of one key on one port: a minion needs one a start; a stolen key must not guess routing ids, whose collision
#: aborts libzmq 4.3.5.
ATTEMPTS_PER_SECOND = 1.0
ATTEMPTS_BURST = 20.0
_BUCKETS_LIMIT = 65_536


def read_user(user_id: str) -> tuple[MinionId, bytes]:
    """Read the ``User-Id`` that libzmq keeps with a connection: the minion, and the public key that it was admitted with."""
    minion, _, key = user_id.partition(" ")
    return MinionId(minion), bytes.fromhex(key)


@dataclass(slots=True)
class AdmissionCounters:
    """What the handler has decided."""

    admitted: int = 0
    refused: int = 0
    throttled: int = 0
    malformed: int = 0


@dataclass(slots=True)
class Admission:
    """Decides about handshakes.

    Args:
        context: the ZAP socket must live in the context of the fleet's ports.
        minion_of: which minion an accepted key belongs to.
    """

    context: "zmq.Context[zmq.Socket[bytes]]"
    minion_of: Callable[[bytes], MinionId | None]
    counters: AdmissionCounters = field(default_factory=AdmissionCounters)
    _barred_until_us: dict[MinionId, int] = field(default_factory=dict)
    _buckets: dict[tuple[bytes, bytes], TokenBucket] = field(default_factory=dict)
    _socket: "zmq.Socket[bytes] | None" = None

    def open(self) -> "zmq.Socket[bytes]":
        """Bind the handler; before the fleet's ports are bound."""
        self._socket = self.context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.bind(ZAP_ENDPOINT)
        return self._socket

    def close(self) -> None:
        """Close the handler; after the fleet's ports are closed."""
        if self._socket is not None:
            self._socket.close(0)

    def admits(self, minion: MinionId, public_key: bytes) -> bool:
        """Tell whether the key that a connection was admitted with is still the accepted one of that minion.

        A connection outlives a decision: one that was kept ready must not become a session after its key was removed, least of
        all when the id has been given to another key.
        """
        return self.minion_of(public_key) == minion

    def bar(self, minion: MinionId, until_us: int) -> None:
        """Refuse the key of this minion for a while: it has misbehaved on a connection."""
        self._barred_until_us[minion] = until_us

    def handle(self, now_us: int) -> None:
        """Answer the handshakes that wait; a bounded number, so that a flood cannot hold the loop."""
        if self._socket is None:
            return
        receive, get, send = self._socket.recv, self._socket.getsockopt, self._socket.send
        for _ in range(_BATCH):
            try:
                frames = [receive(_NOBLOCK)]
            except zmq.Again:
                return
            while get(_MORE):
                frames.append(receive(_NOBLOCK))
            if len(frames) < 5 or frames[1] != b"" or frames[2] != _VERSION:
                self.counters.malformed += 1
                continue
            status, text, user = self._decide(frames, now_us)
            for part in (frames[0], b"", _VERSION, frames[3], status, text, user.encode("ascii")):
                send(part, _NOBLOCK_MORE)
            send(b"", _NOBLOCK)

    def _decide(self, frames: list[bytes], now_us: int) -> tuple[bytes, bytes, str]:
        """Decide one request: version, request id, domain, address, identity, mechanism, key follow the envelope."""
        if len(frames) != 9 or frames[4] not in _DOMAINS or frames[7] != b"CURVE" or len(frames[8]) != 32:
            self.counters.malformed += 1
            return b"400", b"malformed", ""
        domain, key = frames[4], frames[8]
        minion = self.minion_of(key)
        if minion is None:
            self.counters.refused += 1
            return b"400", b"key not accepted", ""
        barred_until_us = self._barred_until_us.get(minion, 0)
        if now_us < barred_until_us or not self._bucket(key, domain).take(now_us):
            self.counters.throttled += 1
            return b"300", b"too many attempts", ""
        if barred_until_us:
            del self._barred_until_us[minion]
        self.counters.admitted += 1
        return b"200", b"", f"{minion} {key.hex()}"

    def _bucket(self, key: bytes, domain: bytes) -> TokenBucket:
        bucket = self._buckets.get((key, domain))
        if bucket is None:
            if len(self._buckets) >= _BUCKETS_LIMIT:
                self._buckets.pop(next(iter(self._buckets)))
            bucket = self._buckets[key, domain] = TokenBucket(ATTEMPTS_PER_SECOND, ATTEMPTS_BURST)
        return bucket
