"""The wires fail as they are told to, and are good otherwise."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from faults.links import Links
from support.ports import free_ports
from support.wait import wait_until


class Echo:
    """A server that gives back what it gets, and notes how each of its connections ended."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.ends: list[str] = []
        self.got = bytearray()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._echo, args=(one,)))
            self._threads[-1].start()

    def _echo(self, one: socket.socket) -> None:
        with one:
            try:
                while data := one.recv(65_536):
                    self.got += data
                    one.sendall(data)
                self.ends.append("end")
            except OSError:
                self.ends.append("reset")

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def wire(echo: Echo) -> Iterator[tuple[Links, socket.socket]]:
    with Links([echo.port]) as links, socket.create_connection((links.add("m1"), echo.port), 10) as dialled:
        assert talk(dialled, b"hello") == b"hello"
        yield links, dialled


def talk(dialled: socket.socket, data: bytes) -> bytes:
    dialled.sendall(data)
    got = b""
    while len(got) < len(data) and (part := dialled.recv(65_536)):
        got += part
    return got


def test_a_megabyte_goes_there_and_back_as_it_is(wire: tuple[Links, socket.socket]) -> None:
    data = bytes(range(256)) * 4_096
    answers: list[bytes] = []
    reader = threading.Thread(target=lambda: answers.append(read_all(wire[1], len(data))))
    reader.start()
    wire[1].sendall(data)
    reader.join(20)
    assert answers == [data]


def read_all(dialled: socket.socket, length: int) -> bytes:
    got = bytearray()
    while len(got) < length and (part := dialled.recv(65_536)):
        got += part
    return bytes(got)


def test_a_cut_ends_both_sides_and_a_reset_resets_them(wire: tuple[Links, socket.socket], echo: Echo) -> None:
    links, dialled = wire
    links.cut("m1")
    assert dialled.recv(1) == b""
    with socket.create_connection(dialled.getpeername(), 10) as second:
        assert talk(second, b"again") == b"again"
        links.reset("m1")
        with pytest.raises(ConnectionResetError):
            second.recv(1)
    wait_until(lambda: sorted(echo.ends) == ["end", "reset"], 10, "both connections to end")


def test_what_is_dropped_never_arrives_and_the_connection_is_reset(
    wire: tuple[Links, socket.socket], echo: Echo
) -> None:
    links, dialled = wire
    links.swallow("m1")
    dialled.sendall(b"lost")
    links.heal("m1")
    with pytest.raises(ConnectionResetError):
        dialled.recv(1)
    assert bytes(echo.got) == b"hello"


def test_what_is_delayed_arrives_whole_and_in_order(wire: tuple[Links, socket.socket], echo: Echo) -> None:
    links, dialled = wire
    links.delay("m1", 0.2, [echo.port])
    dialled.sendall(b"first ")
    links.heal("m1")
    dialled.sendall(b"second")
    assert read_all(dialled, 12) == b"first second"


@pytest.mark.parametrize("is_minion_told", [True, False])
def test_of_a_half_open_connection_one_side_hears_nothing(
    wire: tuple[Links, socket.socket], echo: Echo, is_minion_told: bool
) -> None:
    links, dialled = wire
    links.half_open("m1", is_minion_told=is_minion_told)
    if is_minion_told:
        with pytest.raises(ConnectionResetError):
            dialled.recv(1)
        assert echo.ends == []
    else:
        wait_until(lambda: echo.ends == ["reset"], 10, "the other side to be told")
        dialled.sendall(b"into nothing")
    assert links.connections("m1") == 1
    links.heal("m1")
    wait_until(lambda: echo.ends == ["reset"], 10, "the connection to end")
    assert bytes(echo.got) == b"hello"


def test_a_connection_to_a_master_that_is_away_ends() -> None:
    (port,) = free_ports(1)
    with Links([port]) as links:
        address = links.add("m1")
        with suppress(ConnectionResetError), socket.create_connection((address, port), 10) as dialled:
            assert dialled.recv(1) == b""
        assert links.connections("m1") == 0
