"""The floor of taking in returns: the same messages through bare pyzmq, msgpack and SQLite, with no product around them.

One process receives on a ROUTER under CURVE, decodes, inserts, commits each batch that it has drained with one durable transaction
(WAL, ``synchronous=FULL``) and acknowledges each message; another sends. The batch limit is the product's own.
"""

import multiprocessing
import sqlite3
import time
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgpack
import zmq

from fleet.master.store_queue import BATCH_LIMIT_CHANGES

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Socket = zmq.Socket[bytes]
_ACKNOWLEDGEMENT = bytes(40)
_WAIT_MS = 20_000


@dataclass(frozen=True, slots=True)
class Floor:
    """How fast the bare loop was.

    Attributes:
        returns: how many were received, committed and acknowledged.
        seconds: from the first message sent until the last acknowledgement.
        cpu_seconds: of the receiving process, the threads of libzmq included.
    """

    returns: int
    seconds: float
    cpu_seconds: float


def measure_floor(body: bytes, connections: int, each: int) -> Floor:
    """Send ``each`` messages of these bytes (MessagePack) over so many connections; one process a side.

    Raises:
        EOFError: the receiving process ended before its time; it has said why.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    with TemporaryDirectory(prefix="fleet-floor-") as folder:
        receiver = context.Process(target=_receive, args=(there, f"{folder}/floor.sqlite", connections, each))
        receiver.start()
        there.close()  # The other end is the receiver's alone: should it end, nothing more is waited for.
        try:
            port, key = here.recv()
            seconds = _send(port, key, body, connections, each)
            cpu_seconds = here.recv()
            receiver.join(10)
        finally:
            receiver.kill()
            receiver.join()
            receiver.close()
            here.close()
    return Floor(connections * each, seconds, cpu_seconds)


def _receive(said: "Connection", database: str, connections: int, each: int) -> None:
    public, secret = zmq.curve_keypair()
    context: zmq.Context[Socket] = zmq.Context()
    with context.socket(zmq.ROUTER) as router, sqlite3.connect(database, isolation_level=None) as store:
        router.curve_server, router.curve_secretkey, router.linger = True, secret, 10_000
        router.setsockopt(zmq.RCVHWM, 0)
        router.setsockopt(zmq.SNDHWM, 0)
        port = router.bind_to_random_port("tcp://127.0.0.1")
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("PRAGMA synchronous=FULL")
        store.execute("CREATE TABLE returns (id INTEGER PRIMARY KEY, sender BLOB, number INTEGER, body BLOB)")
        said.send((port, public))
        _take_in(router, store, connections)  # One for each connection, before what counts.
        began = time.process_time()
        _take_in(router, store, connections * each)
        said.send(time.process_time() - began)
    store.close()
    context.term()


def _take_in(router: Socket, store: sqlite3.Connection, count: int) -> None:
    done = 0
    while done < count and router.poll(_WAIT_MS):
        batch: list[tuple[bytes, int, bytes]] = []
        while len(batch) < BATCH_LIMIT_CHANGES:
            try:
                sender, body = router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            batch.append((sender, len(msgpack.unpackb(body)), body))
        store.execute("BEGIN")
        store.executemany("INSERT INTO returns (sender, number, body) VALUES (?, ?, ?)", batch)
        store.execute("COMMIT")
        for sender, _, _ in batch:
            router.send_multipart((sender, _ACKNOWLEDGEMENT), zmq.NOBLOCK)
        done += len(batch)


def _send(port: int, key: bytes, body: bytes, connections: int, each: int) -> float:
    context: zmq.Context[Socket] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, connections + 8)
    sockets: list[Socket] = []
    for _ in range(connections):
        dealer = context.socket(zmq.DEALER)
        dealer.curve_publickey, dealer.curve_secretkey = zmq.curve_keypair()
        dealer.curve_serverkey, dealer.linger = key, 0
        dealer.connect(f"tcp://127.0.0.1:{port}")
        sockets.append(dealer)
    poller = zmq.Poller()
    for dealer in sockets:
        poller.register(dealer, zmq.POLLIN)
    _exchange(sockets, poller, body, 1)  # All handshakes are made with these: they are no part of what is measured.
    began = time.monotonic()
    _exchange(sockets, poller, body, each)
    seconds = time.monotonic() - began
    context.destroy(0)
    return seconds


def _exchange(sockets: list[Socket], poller: zmq.Poller, body: bytes, each: int) -> None:
    """Send so many messages on each connection, and wait until all are acknowledged."""
    for _ in range(each):
        for dealer in sockets:
            dealer.send(body)
    missing = len(sockets) * each
    while missing:
        ready = poller.poll(_WAIT_MS)
        assert ready, f"{missing} messages were not acknowledged"
        for dealer, _ in ready:
            assert isinstance(dealer, zmq.Socket)
            while True:
                try:
                    dealer.recv(zmq.NOBLOCK)
                except zmq.Again:
                    break
                missing -= 1
