"""T8: ten thousand messages of every shape, from an accepted key and from strangers: counted, dropped, and hardly logged."""

import os
import random
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress

import msgpack
import pytest

from fleet.core.from_master import HeartbeatAnswer
from fleet.core.from_minion import Heartbeat
from fleet.core.messages import FROM_MINION
from support.evil import now_us
from support.fleet import Fleet, open_descriptors, resident_kibibytes
from support.wait import wait_until

from .conftest import MakeEvil

COUNT = 10_000
HONEST = {"web-1": True, "web-2": True}


def shapes(token: bytes) -> list[bytes]:
    """Frames that are none, in the session with this token: a few of each way to be wrong."""
    source = random.Random(8)
    header = bytes((1, 3)) + token
    found = [b"", b"\x01", b"\x01\x03", header[:-1], header]
    found += [bytes((version, 3)) + token + msgpack.packb([1, 0, 0, 0, 0]) for version in (0, 2, 127, 255)]
    found += [bytes((1, kind)) + token + msgpack.packb([]) for kind in (0, 1, 12, 99, 255)]
    for kind in FROM_MINION:
        start = bytes((1, kind)) + token
        found += [
            start + tail
            for tail in (b"\xc1", b"\x90", b"\x80", b"\xc0", b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff")
        ]
        found += [
            start + msgpack.packb([None] * 20),
            start + msgpack.packb(["x"] * 20),
            start + msgpack.packb([-1] * 20),
        ]
        found += [start + b"\x91" * 5_000, start + b"\x81\xa1a" * 2_000 + b"\xc0", start + b"\xc6\xff\xff\xff\xff"]
        found += [start + msgpack.packb([2**64 - 1] * 20), start + b"\x9f" + b"\xa4\xff\xfe\xfd\xfc" * 15]
        found += [start + source.randbytes(source.randrange(300)) for _ in range(5)]
        found.append(start + b"\xdc\xff\xff" + b"\xc0" * 65_535)
    return found


def pinged(fleet: Fleet) -> None:
    assert fleet.answers("web-*", "test.ping") == HONEST


def lines(fleet: Fleet) -> int:
    return len(fleet.master.log().splitlines())


@pytest.fixture
def unharmed(attacked: Fleet) -> Iterator[None]:
    """The master after the attack as before: same process, same memory, few lines, every ping right."""
    pinged(attacked)
    pid, memory, logged = attacked.master.pid, resident_kibibytes(attacked.master.pid), lines(attacked)
    yield
    pinged(attacked)
    assert attacked.master.is_running
    assert attacked.client().status().pid == pid
    assert resident_kibibytes(pid) - memory < 20 * 1024
    assert lines(attacked) - logged < 100
    assert attacked.counters()["messages_faults"] == 0
    assert "Traceback" not in attacked.master.log()


@pytest.mark.usefixtures("unharmed")
def test_every_shape_on_the_request_port_from_an_accepted_key(attacked: Fleet, evil: MakeEvil) -> None:
    """One connection after the other, each of another key, for each is ended after some of it."""
    sent, number = 0, 0
    while sent < COUNT:
        number += 1
        minion = evil(f"evil-{number}")
        link = minion.join()
        frames = shapes(link.token)
        random.Random(number).shuffle(frames)
        start = sent
        while sent - start < COUNT // 8:
            link.send_frame(frames[sent % len(frames)])
            sent += 1
        wait_until(link.is_lost, 10, "the connection to be ended")
        pinged(attacked)


@pytest.mark.usefixtures("unharmed")
def test_each_shape_alone_ends_nothing_and_the_next_message_is_taken(attacked: Fleet, evil: MakeEvil) -> None:
    all_shapes = len(shapes(bytes(16)))
    for part in range(0, all_shapes, 25):
        minion = evil(f"patient-{part}")
        link = minion.join()
        for frame in shapes(link.token)[part : part + 25]:
            link.send_frame(frame)
        before = len(link.frames)
        link.send(Heartbeat(now_us(), 0, 0, 0, 0))
        minion.expect(link, HeartbeatAnswer, before)


@pytest.mark.usefixtures("unharmed")
def test_messages_of_a_thousand_parts_and_frames_beyond_the_limit(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("parts")
    link = minion.join()
    for _ in range(5):
        link.request.send_multipart([b"x" * 100] * 1_000)
    before = len(link.frames)
    link.send(Heartbeat(now_us(), 0, 0, 0, 0))
    minion.expect(link, HeartbeatAnswer, before)
    link.send_frame(bytes((1, 9)) + link.token + bytes(200 * 1024))
    wait_until(link.is_lost, 10, "the connection with the oversized frame to be ended")
    huge = evil("huge").join()
    huge.request.send_multipart([bytes(100 * 1024)] * 300)
    pinged(attacked)


@pytest.mark.usefixtures("unharmed")
def test_every_shape_on_the_publish_port_from_an_accepted_key(attacked: Fleet, evil: MakeEvil) -> None:
    import zmq

    for number in range(4):
        minion = evil(f"publisher-{number}")
        assert minion.document is not None
        with minion.context.socket(zmq.XSUB) as socket_:
            socket_.linger = 0
            socket_.curve_publickey, socket_.curve_secretkey = minion.secret.public.raw, minion.secret.reveal()
            socket_.curve_serverkey = minion.document.curve
            socket_.setsockopt(zmq.RECONNECT_IVL, -1)
            socket_.connect(f"tcp://127.0.0.1:{minion.document.publish_port}")
            frames = [frame for frame in shapes(bytes(16)) if number % 2 or len(frame) < 500]
            for frame in (frames * (COUNT // len(frames) + 1))[: COUNT // 4]:
                with suppress(zmq.Again):
                    socket_.send(b"\x01" + frame if number < 2 else frame, zmq.NOBLOCK)
            pinged(attacked)


def send_raw(address: tuple[str, int] | str, parts: Sequence[bytes]) -> None:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection, suppress(OSError):
        connection.settimeout(5)
        connection.connect(address)
        for part in parts:
            connection.sendall(part)


ZMTP = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)


def stranger_shapes() -> list[list[bytes]]:
    source = random.Random(80)
    return [
        [b""],
        [b"\0"],
        [source.randbytes(300)],
        [struct.pack(">H", 65_535) + bytes(100)],
        [struct.pack(">HBB", 2, 1, 1)],
        [struct.pack(">HBB", 40, 1, 1) + b"\x93\x01\x01\xc4\x20" + bytes(33)],
        [struct.pack(">HBB", 30, 1, 2) + b"\xdd\xff\xff\xff\xff" + bytes(24)],
        [b"\xff" * 10_000],
        [ZMTP, b"\x04\xc8\x05HELLO\x01\x00" + source.randbytes(192)],
        [ZMTP, b"\x06" + struct.pack(">Q", 2**60) + b"\x08INITIATE" + bytes(100)],
        [ZMTP[:20]],
        [b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100],
    ]


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("port", ["publish_port", "request_port", "enrol_port"])
def test_every_shape_from_strangers_on_each_port(attacked: Fleet, port: str) -> None:
    descriptors = open_descriptors(attacked.master.pid)
    forms = stranger_shapes()
    for number in range(1_000):
        send_raw(("127.0.0.1", getattr(attacked, port)), forms[number % len(forms)])
        if number % 250 == 0:
            pinged(attacked)
    wait_until(lambda: open_descriptors(attacked.master.pid) <= descriptors + 3, 15, "the descriptors to be given back")


@pytest.mark.usefixtures("unharmed")
def test_every_shape_on_the_control_socket(attacked: Fleet) -> None:
    path = str(attacked.master_root / "run/fleet/master.sock")
    source = random.Random(800)
    forms: list[list[bytes]] = [
        [b""],
        [b"\0" * 4],
        [b"\xff" * 100],
        [struct.pack(">IBB", 2**31, 1, 1)],
        *[[struct.pack(">IBB", 2, version, kind)] for version in (0, 1, 2, 255) for kind in (0, 1, 200)],
        *[[struct.pack(">IBB", 12, 1, kind) + source.randbytes(10)] for kind in range(20)],
        *[[struct.pack(">IBB", 7, 1, kind) + b"\xdd\xff\xff\xff\xff"] for kind in range(20)],
        [struct.pack(">IBB", 1_000_000, 1, 1) + b"\x91" * 500_000],
        [struct.pack(">IBB", 3, 1, 3) + b"\x90"] * 3,
    ]
    for number in range(1_500):
        send_raw(path, forms[number % len(forms)])
    assert attacked.run("fleet", "status").code == 0


def test_garbage_from_the_master_side_of_a_relay_ends_no_minion(attacked: Fleet) -> None:
    """A server at the ports of the master that speaks noise: the minion's side of T8."""
    source = os.urandom(5_000)
    from support.ports import free_ports

    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(15)
        daemon = attacked.start_minion("lost", master=f"127.0.0.1:{port}")
        for _ in range(3):
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(source)
        assert daemon.is_running
        assert "Traceback" not in daemon.log()
        assert resident_kibibytes(daemon.pid) < 100 * 1024
    daemon.stop()
    del attacked.minions["lost"]
