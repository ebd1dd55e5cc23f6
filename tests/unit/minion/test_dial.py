import select
import socket
from collections.abc import Iterator

import pytest

from fleet.minion.dial import CONNECT_LIMIT_US, Dial
from fleet.minion.name_lookup import Address


def loopback(port: int) -> Address:
    return Address(socket.AF_INET, ("127.0.0.1", port), "127.0.0.1")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose queue is full: the kernel answers nobody."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = int(full.getsockname()[1])
        queued = [socket.socket() for _ in range(3)]
        for each in queued:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        yield port
        for each in queued:
            each.close()


def run(dial: Dial) -> None:
    while dial.descriptor is not None:
        assert select.select([], [dial.descriptor], [], 5)[1]
        dial.step(0)


def test_the_first_address_that_answers_is_taken(listener: socket.socket, closed_port: int) -> None:
    wrong_family = Address(socket.AF_INET6, ("::1", closed_port, 0, 0), "::1")
    dial = Dial((loopback(closed_port), wrong_family, loopback(listener.getsockname()[1])), 0)
    run(dial)
    assert dial.connection is not None
    with dial.connection:
        assert dial.connection.getpeername() == listener.getsockname()
    assert dial.failure == ""


def test_the_last_failure_is_told_when_none_answers(closed_port: int) -> None:
    dial = Dial((loopback(closed_port), loopback(closed_port)), 0)
    run(dial)
    assert (dial.connection, dial.failure) == (None, "127.0.0.1: Connection refused")


def test_an_address_that_does_not_answer_has_its_time(listener: socket.socket, full_port: int) -> None:
    dial = Dial((loopback(full_port), loopback(listener.getsockname()[1])), 0)
    dial.step(CONNECT_LIMIT_US - 1)
    assert (dial.connection, dial.failure, dial.until_us) == (None, "", CONNECT_LIMIT_US)
    dial.step(CONNECT_LIMIT_US)
    assert dial.until_us == 2 * CONNECT_LIMIT_US
    run(dial)
    assert dial.connection is not None
    dial.connection.close()


def test_a_dial_that_is_closed_lets_go(full_port: int) -> None:
    dial = Dial((loopback(full_port),), 0)
    dial.close()
    assert dial.descriptor is None
    dial.step(0)
    assert dial.connection is None
