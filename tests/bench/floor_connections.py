"""The floor of a crowd of minions: two bare CURVE connections each to a bare responder, in time and in memory.

One process listens on a ROUTER and an XPUB under CURVE, without a handler that asks whose key it is, and answers one message of each
connection. As many processes as those of the light minions connect: a DEALER and a SUB for each minion, a bounded number at a time,
so that no connection waits longer for the handshake of others than one of its own takes.
"""

import multiprocessing
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

import zmq

from scale.figures import process_cpu_seconds, pss_kibibytes

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Socket = zmq.Socket[bytes]
#: As long as those of the product: a hello and its answer, and the topic of broadcasts.
_HELLO, _WELCOME, _TOPIC = bytes(250), bytes(190), b"fleet"
_AT_ONCE = 250
_WAIT_MS = 60_000


@dataclass(frozen=True, slots=True)
class ConnectionsFloor:
    """What so many minions cost who has nothing to do with them.

    Attributes:
        seconds: until the last connection was made and answered.
        kilobytes: memory (PSS) of the responder, for each minion.
        cpu_ms: processor time of the responder, for each minion.
    """

    seconds: float
    kilobytes: float
    cpu_ms: float


def measure_connections(minions: int, processes: int) -> ConnectionsFloor:
    """Connect so many minions from so many processes.

    Raises:
        EOFError: a process ended before its time; it has said why.
    """
    context = multiprocessing.get_context("spawn")
    started: list[tuple[BaseProcess, Connection]] = []

    def start(target: "object", *words: object) -> "Connection":
        here, there = context.Pipe()
        process = context.Process(target=target, args=(there, *words))  # type: ignore[arg-type]
        process.start()
        there.close()
        started.append((process, here))
        return here

    try:
        responder = start(_respond, minions)
        ports, key = responder.recv()
        shares = [minions * (each + 1) // processes - minions * each // processes for each in range(processes)]
        crowd = [start(_connect, ports, key, share) for share in shares]
        for one in crowd:
            one.recv()
        pid = started[0][0].pid
        assert pid is not None
        before_kibibytes, before_seconds = pss_kibibytes([pid]), process_cpu_seconds(pid)
        began = time.monotonic()
        for one in crowd:
            one.send("connect")
        for one in crowd:
            one.recv()
        seconds = time.monotonic() - began
        kilobytes = (pss_kibibytes([pid]) - before_kibibytes) * 1.024 / minions
        return ConnectionsFloor(seconds, kilobytes, (process_cpu_seconds(pid) - before_seconds) * 1000 / minions)
    finally:
        for process, here in started:
            process.kill()
            process.join()
            process.close()
            here.close()


def _all_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _respond(said: "Connection", minions: int) -> None:
    _all_descriptors()
    public, secret = zmq.curve_keypair()
    context: zmq.Context[Socket] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 2 * minions + 64)
    router, publisher = context.socket(zmq.ROUTER), context.socket(zmq.XPUB)
    ports = []
    for one in (router, publisher):
        one.curve_server, one.curve_secretkey, one.linger = True, secret, 0
        one.setsockopt(zmq.BACKLOG, 4_096)
        ports.append(one.bind_to_random_port("tcp://127.0.0.1"))
    publisher.setsockopt(zmq.XPUB_VERBOSE, 1)
    poller = zmq.Poller()
    poller.register(router, zmq.POLLIN)
    poller.register(publisher, zmq.POLLIN)
    said.send((ports, public))
    subscribed = 0
    while True:
        ready = dict(poller.poll())
        if router in ready:
            for routing_id, _ in _received(router):
                router.send_multipart((routing_id, _WELCOME), zmq.NOBLOCK)
        if publisher in ready:
            subscribed += sum(1 for _ in _received(publisher))
            if subscribed == minions:
                publisher.send(_TOPIC, zmq.NOBLOCK)


def _received(one: Socket) -> Iterator[list[bytes]]:
    while True:
        try:
            yield one.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return


def _connect(said: "Connection", ports: tuple[int, int], key: bytes, minions: int) -> None:
    _all_descriptors()
    context: zmq.Context[Socket] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 2 * minions + 64)
    keys = [zmq.curve_keypair() for _ in range(minions)]
    said.send("ready")
    said.recv()
    subscribers: list[Socket] = []
    dealers: list[Socket] = []
    for public, secret in keys:
        for kind, port, group in ((zmq.SUB, ports[1], subscribers), (zmq.DEALER, ports[0], dealers)):
            one = context.socket(kind)
            one.curve_publickey, one.curve_secretkey, one.curve_serverkey = public, secret, key
            one.linger, one.rcvtimeo = 0, _WAIT_MS
            if kind == zmq.SUB:
                one.setsockopt(zmq.SUBSCRIBE, _TOPIC)
            one.connect(f"tcp://127.0.0.1:{port}")
            group.append(one)
        dealers[-1].send(_HELLO)
        if len(dealers) >= _AT_ONCE:
            dealers[-_AT_ONCE].recv()  # In order: who connected first is answered first, or soon after.
    for one in (*dealers[1 - _AT_ONCE :], *subscribers):
        one.recv()
    said.send("done")
    said.recv()
