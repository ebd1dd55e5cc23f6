"""The floor of a broadcast to a crowd: the same light minions with a master that says what it was told to say, and decides nothing.

It has the keys and the ports of the real master, so that the very processes that have answered that one come to this one: a ROUTER and
an XPUB under CURVE, where no handler asks whose key it is. Every hello is answered with the same welcome, every return with the same
bytes; of a heartbeat its number is read, of all else the kind, and nothing is checked, kept or committed. What that takes is the
crowd's own time.
"""

import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self

import zmq

from fleet.core.broadcast import BROADCAST_TOPIC, Broadcast, BroadcastKind, seal_broadcast
from fleet.core.codec import read_from_minion, read_header, write_frame
from fleet.core.crypto import NONCE_BYTES, BroadcastKey
from fleet.core.from_master import HeartbeatAnswer, Stored, Welcome
from fleet.core.from_minion import Heartbeat, Hello, Ready, Return
from fleet.core.job_document import JobDocument, Probe
from fleet.core.messages import FROM_MINION, TOKEN_BYTES
from fleet.core.names import FunctionName, Jid, jid_from_microseconds
from fleet.core.packing import encode
from fleet.core.paths import Paths
from fleet.keys.identity import MasterIdentity, load_master
from fleet.master.config import MasterSettings
from fleet.master.greeting import RECONNECT_SPREAD_SECONDS
from scale.figures import process_cpu_seconds
from support.fleet import Fleet

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Socket = zmq.Socket[bytes]
_KINDS = {cls: kind for kind, cls in FROM_MINION.items()}
_HELLO, _READY, _HEARTBEAT, _RETURN = _KINDS[Hello], _KINDS[Ready], _KINDS[Heartbeat], _KINDS[Return]
#: As many as those of a real master: what they take is a part of the crowd's own time.
_HEARTBEAT_SECONDS = MasterSettings().heartbeat_seconds
_PROBE_SECONDS = 1.0
_JOB_US = 30_000_000
_WAIT_SECONDS = 120


class CannedMaster:
    """Runs in a process of its own in the place of a real master that has ended; a context manager.

    Args:
        fleet: whose keys and ports it takes.
        minions: how many will come.
    """

    def __init__(self, fleet: Fleet, minions: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        ports = (fleet.request_port, fleet.publish_port)
        self._process = context.Process(
            target=_serve, args=(there, Paths(fleet.master_root).master_state, ports, minions)
        )
        self._process.start()
        there.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._pipe.close()

    def broadcast(self) -> float:
        """Send ``test.ping`` to all and wait until each return is here and acknowledged; the moment of sending (CLOCK_BOOTTIME)."""
        self._pipe.send("broadcast")
        assert self._pipe.poll(_WAIT_SECONDS), "the answers of all minions to the canned master"
        began: float = self._pipe.recv()
        return began

    def cpu_seconds(self) -> float:
        """The processor time of all of its threads."""
        assert self._process.pid is not None
        return process_cpu_seconds(self._process.pid)


def _serve(said: "Connection", state: Path, ports: tuple[int, int], minions: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    identity = load_master(state)
    context: zmq.Context[Socket] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 2 * minions + 64)
    router, publisher = context.socket(zmq.ROUTER), context.socket(zmq.XPUB)
    for socket, port in zip((router, publisher), ports, strict=True):
        socket.linger, socket.curve_server, socket.curve_secretkey = 0, True, identity.curve.reveal()
        socket.setsockopt(zmq.BACKLOG, 4_096)
        socket.bind(f"tcp://127.0.0.1:{port}")
    _Responder(said, router, publisher, identity, minions).run()


class _Responder:
    """Answers; what it says was made before."""

    def __init__(
        self, said: "Connection", router: Socket, publisher: Socket, identity: MasterIdentity, minions: int
    ) -> None:
        self._said = said
        self._router = router
        self._publisher = publisher
        self._identity = identity
        self._minions = minions
        self._token, self._key = os.urandom(TOKEN_BYTES), os.urandom(32)
        self._sequence = 0
        self._ready: set[bytes] = set()
        self._probed = 0.0
        self._is_wanted = False
        now_us = time.time_ns() // 1000
        spread = minions * RECONNECT_SPREAD_SECONDS
        self._welcome = write_frame(
            Welcome(self._token, 1, self._key, 0, now_us, _HEARTBEAT_SECONDS, spread, False, False, "0", os.urandom(16))
        )

    def run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._said.fileno(), zmq.POLLIN)
        while True:
            ready = dict(poller.poll(100))
            if self._router in ready:
                self._greet()
            if self._said.fileno() in ready and self._said.recv():
                self._is_wanted = True
            if len(self._ready) < self._minions:
                if time.monotonic() - self._probed >= _PROBE_SECONDS:
                    self._probed = time.monotonic()
                    self._publish(BroadcastKind.PROBE, None, 0, encode(Probe(1)))
            elif self._is_wanted:
                self._is_wanted = False
                self._said.send(self._broadcast(poller))

    def _greet(self) -> None:
        for routing_id, frame in self._received():
            if frame[1] == _HELLO:
                self._router.send_multipart((routing_id, self._welcome), zmq.NOBLOCK)
            elif frame[1] == _READY:
                self._ready.add(routing_id)
            elif frame[1] == _HEARTBEAT:
                self._answer_heartbeat(routing_id, frame)
            elif frame[1] == _RETURN:  # Of a master before this one; answered, for it would be repeated.
                message = read_from_minion(read_header(frame), frame)
                assert isinstance(message, Return)
                self._router.send_multipart((routing_id, self._stored(message.jid)), zmq.NOBLOCK)

    def _broadcast(self, poller: zmq.Poller) -> float:
        now_us = time.time_ns() // 1000
        jid = jid_from_microseconds(now_us)
        function, expires_us = FunctionName("test.ping"), now_us + _JOB_US
        document = JobDocument(jid, function, (), (), (), {}, "root", now_us, expires_us, 0.0, 16 * 1024 * 1024)
        body, stored = encode(document), self._stored(jid)
        send: Callable[[tuple[bytes, bytes], int], object] = self._router.send_multipart
        no_block = int(zmq.NOBLOCK)
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._publish(BroadcastKind.JOB, jid, expires_us, body)
        missing = self._minions
        while missing:
            assert poller.poll(_WAIT_SECONDS * 1000), f"{missing} returns did not come"
            for routing_id, frame in self._received():
                if frame[1] == _RETURN:
                    send((routing_id, stored), no_block)
                    missing -= 1
                elif frame[1] == _HEARTBEAT:
                    self._answer_heartbeat(routing_id, frame)
        return began

    def _answer_heartbeat(self, routing_id: bytes, frame: bytes) -> None:
        message = read_from_minion(read_header(frame), frame)
        assert isinstance(message, Heartbeat)
        answer = HeartbeatAnswer(message.number, time.time_ns() // 1000)
        self._router.send_multipart((routing_id, write_frame(answer, self._token)), zmq.NOBLOCK)

    def _stored(self, jid: Jid) -> bytes:
        return write_frame(Stored(jid), self._token)

    def _publish(self, kind: BroadcastKind, jid: Jid | None, expires_us: int, body: bytes) -> None:
        self._sequence += 1
        broadcast = Broadcast(1, self._sequence, kind, jid, expires_us, body)
        nonce = os.urandom(NONCE_BYTES)
        envelope = seal_broadcast(broadcast, BroadcastKey(self._key), self._identity.signing, nonce)
        self._publisher.send_multipart((BROADCAST_TOPIC, envelope), zmq.NOBLOCK)

    def _received(self) -> Iterator[tuple[bytes, bytes]]:
        receive, no_block = self._router.recv, int(zmq.NOBLOCK)
        while True:
            try:
                routing_id = receive(no_block)
            except zmq.Again:
                return
            yield routing_id, receive(no_block)
