"""The control socket: real sockets, driven by a plain poll loop as the daemon does it."""

import os
import pwd
import resource
import select
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet.core.control import ANSWER_LIMIT_BYTES, CONTROL_VERSION, REQUEST_LIMIT_BYTES, Answer, Request
from fleet.core.control_answers import Done, EventNote, Failure
from fleet.core.control_codec import ControlReader, read_answer, write_control
from fleet.core.control_requests import AskStatus, ListKeys, Watch
from fleet.core.errors import TransportError
from fleet.master.control_connection import answer_frame
from fleet.master.control_port import Caller, ControlPort
from support.wait import wait_until

Taken = list[tuple[int, Caller, Request]]


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short, because a Unix socket's path has 107 bytes."""
    return tmp_path_factory.mktemp("c") / "run" / "master.sock"


@pytest.fixture
def make(path: Path) -> Iterator[Callable[..., ControlPort]]:
    made: list[ControlPort] = []

    def make_port(**options: object) -> ControlPort:
        made.append(ControlPort(path, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make_port
    for port in made:
        port.close()


@pytest.fixture
def port(make: Callable[..., ControlPort]) -> ControlPort:
    return make()


class Client:
    """The other end, blocking."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(20)
        self.socket.connect(os.fsencode(path))
        self._reader = ControlReader(ANSWER_LIMIT_BYTES)

    def send(self, *requests: Request) -> None:
        self.socket.sendall(b"".join(map(write_control, requests)))

    def read_all(self) -> list[Answer]:
        """Everything until the end of the stream."""
        answers = []
        while data := self.socket.recv(1 << 20):
            answers += [read_answer(*frame) for frame in self._reader.feed(data)]
        return answers

    def read_one(self) -> Answer:
        while True:
            frames = list(self._reader.feed(self.socket.recv(1 << 20)))
            if frames:
                (frame,) = frames
                return read_answer(*frame)


@pytest.fixture
def connect(path: Path) -> Iterator[Callable[[], Client]]:
    clients: list[Client] = []

    def make_client() -> Client:
        clients.append(Client(path))
        return clients[-1]

    yield make_client
    for client in clients:
        client.socket.close()


def turn(port: ControlPort, seconds: float = 0) -> Taken:
    """One turn of the loop."""
    poller = select.poll()
    for descriptor, wants_write in port.descriptors().items():
        poller.register(descriptor, select.POLLIN | (select.POLLOUT if wants_write else 0))
    taken: Taken = []
    for descriptor, events in poller.poll(seconds * 1000):
        taken += port.handle(descriptor, bool(events & ~select.POLLOUT), bool(events & select.POLLOUT))
    return taken


def settle(port: ControlPort) -> Taken:
    """Turn until nothing is ready."""
    taken: Taken = []
    for _ in range(1_000):
        poller = select.poll()
        for descriptor in port.descriptors():
            poller.register(descriptor, select.POLLIN)
        if not poller.poll(0):
            return taken
        taken += turn(port)
    raise AssertionError("the port spins")


def next_request(port: ControlPort) -> tuple[int, Caller, Request]:
    (taken,) = wait_until(lambda: turn(port, 0.1), 20, "a request")
    return taken


# Requests and answers.


def test_a_request_comes_with_the_word_of_the_kernel_on_who_asks(
    port: ControlPort, connect: Callable[[], Client]
) -> None:
    client = connect()
    client.send(Watch("last"))
    connection, caller, request = next_request(port)

    assert request == Watch("last")
    assert (caller.uid, caller.gid, caller.pid) == (os.geteuid(), os.getegid(), os.getpid())
    assert caller.user
    assert port.send(connection, Done())
    port.finish(connection)
    assert client.read_one() == Done()


def test_requests_follow_each_other_on_one_connection(port: ControlPort, connect: Callable[[], Client]) -> None:
    client = connect()
    for request in (AskStatus(), ListKeys(), AskStatus()):
        client.send(request)
        connection, _, taken = next_request(port)
        assert taken == request
        port.send(connection, Done())
        port.finish(connection)
        assert client.read_one() == Done()
    assert port.counters.requests == 3


def test_a_request_may_come_byte_by_byte(port: ControlPort, connect: Callable[[], Client]) -> None:
    client = connect()
    taken: Taken = []
    for byte in write_control(Watch("x" * 50)):
        client.socket.sendall(bytes((byte,)))
        taken += settle(port)

    assert [request for _, _, request in taken] == [Watch("x" * 50)]


def test_a_client_that_closes_is_told_of_once(port: ControlPort, connect: Callable[[], Client]) -> None:
    client = connect()
    client.send(AskStatus())
    connection, _, _ = next_request(port)
    assert port.closed() == []
    client.socket.close()
    settle(port)

    assert port.closed() == [connection]
    assert port.closed() == []
    assert not port.send(connection, Done())
    port.finish(connection)
    assert port.pending_bytes(connection) == 0
    assert len(port.descriptors()) == 1


def test_a_descriptor_that_is_not_ours_any_more_is_passed_over(port: ControlPort) -> None:
    assert port.handle(9_999, readable=True, writable=True) == []


# What is no request.


def frame(kind: int, body: bytes, version: int = CONTROL_VERSION) -> bytes:
    return (len(body) + 2).to_bytes(4, "big") + bytes((version, kind)) + body


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (frame(200, b"\x90"), "ProtocolError"),
        (frame(2, b"\xc1"), "ProtocolError"),
        (frame(2, b"\x91\x01"), "ProtocolError"),
        (frame(2, b"\x91\xa1x", version=99), "VersionError"),
        (b"GET / HTTP/1.1\r\n\r\n", "ProtocolError"),
        (b"\0\0\0\1x", "ProtocolError"),
        ((REQUEST_LIMIT_BYTES + 1).to_bytes(4, "big"), "ProtocolError"),
        (write_control(AskStatus()) * 2, "ProtocolError"),
    ],
)
def test_what_is_no_request_is_answered_with_the_reason_and_the_end(
    port: ControlPort, connect: Callable[[], Client], data: bytes, kind: str
) -> None:
    client = connect()
    client.socket.sendall(data)
    assert settle(port) == []
    (failure,) = client.read_all()

    assert isinstance(failure, Failure)
    assert (failure.kind, bool(failure.message)) == (kind, True)
    assert port.counters.malformed == 1
    client.socket.close()
    settle(port)
    assert len(port.descriptors()) == 1


def test_one_request_at_a_time(port: ControlPort, connect: Callable[[], Client]) -> None:
    client = connect()
    client.send(Watch("last"))
    connection, _, _ = next_request(port)
    client.send(AskStatus())
    assert settle(port) == []

    assert port.closed() == [connection]
    assert not port.send(connection, Done())
    (failure,) = client.read_all()
    assert isinstance(failure, Failure)
    assert failure.kind == "ProtocolError"


def test_a_client_that_is_still_writing_reads_why_it_was_refused(
    port: ControlPort, connect: Callable[[], Client]
) -> None:
    """Closed at once, it would see a broken pipe."""
    client = connect()
    writing = threading.Thread(target=client.socket.sendall, args=(b"\xff" * (4 << 20),))
    writing.start()
    while writing.is_alive():
        turn(port, 0.05)
    writing.join()

    (failure,) = client.read_all()
    assert isinstance(failure, Failure)
    assert port.counters.malformed == 1


def test_refused_clients_that_stay_are_ended_when_others_come(port: ControlPort, connect: Callable[[], Client]) -> None:
    for _ in range(30):
        connect().socket.sendall(b"\xff" * 10)
        settle(port)

    assert len(port.descriptors()) == 1 + 16


# Bounds.


def test_a_client_too_many_is_told_so_and_the_others_are_served(
    make: Callable[..., ControlPort], connect: Callable[[], Client]
) -> None:
    port = make(clients_limit=2)
    first, _second = connect(), connect()
    settle(port)
    third = connect()
    settle(port)
    (failure,) = third.read_all()
    assert isinstance(failure, Failure)
    assert "2" in failure.message
    assert (port.counters.refused, port.counters.connections) == (1, 3)
    first.send(AskStatus())
    assert next_request(port)[2] == AskStatus()
    first.socket.close()
    settle(port)
    connect().send(ListKeys())

    assert next_request(port)[2] == ListKeys()


def note(size: int) -> EventNote:
    return EventNote(1, "fleet/x", 0, {"data": bytes(size)}, 0)


def test_what_a_client_does_not_read_waits_and_arrives_in_order(
    port: ControlPort, connect: Callable[[], Client]
) -> None:
    client = connect()
    client.send(Watch("last"))
    connection, _, _ = next_request(port)
    for number in range(40):
        assert port.send(connection, EventNote(number, "x", 0, {"data": bytes(100_000)}, 0))
    assert port.pending_bytes(connection) > 1_000_000
    assert port.descriptors()[next(fd for fd, wants_write in port.descriptors().items() if wants_write)]
    read: list[Answer] = []
    reading = threading.Thread(target=lambda: read.extend(client.read_all()))
    reading.start()
    while port.pending_bytes(connection):
        turn(port, 0.1)
    assert not any(port.descriptors().values())
    port.close()
    reading.join()

    assert [answer.number for answer in read if isinstance(answer, EventNote)] == list(range(40))


def test_what_is_sent_together_is_written_in_one_at_the_end(port: ControlPort, connect: Callable[[], Client]) -> None:
    client = connect()
    client.send(Watch("last"))
    connection, _, _ = next_request(port)
    with port.together():
        assert all(port.send(connection, EventNote(number, "x", 0, {}, 0)) for number in range(40))
        assert not select.select([client.socket], [], [], 0)[0]
        assert not port.send(connection + 1, note(1))
    assert port.send(connection, EventNote(40, "x", 0, {}, 0))
    port.finish(connection)
    client.socket.shutdown(socket.SHUT_WR)
    settle(port)

    assert [answer.number for answer in client.read_all() if isinstance(answer, EventNote)] == list(range(41))


def test_much_that_is_sent_together_is_not_held_back(port: ControlPort, connect: Callable[[], Client]) -> None:
    client = connect()
    client.send(Watch("last"))
    connection, _, _ = next_request(port)
    with port.together():
        for number in range(3):
            assert port.send(connection, EventNote(number, "x", 0, {"data": bytes(100_000)}, 0))
        assert select.select([client.socket], [], [], 10)[0]


def test_what_is_sent_before_an_error_within_is_written_too(port: ControlPort, connect: Callable[[], Client]) -> None:
    client = connect()
    client.send(Watch("last"))
    connection, _, _ = next_request(port)

    def send_and_fail() -> None:
        with port.together():
            port.send(connection, note(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        send_and_fail()
    assert select.select([client.socket], [], [], 10)[0]


def test_answers_that_are_there_together_arrive_one_by_one_and_in_order(
    port: ControlPort, connect: Callable[[], Client]
) -> None:
    client = connect()
    client.send(Watch("last"))
    connection, _, _ = next_request(port)
    sizes = [0, 10, 300_000, 100_000, 200_000, *([50] * 2_000)]
    notes = [EventNote(number, "x", 0, {"data": bytes(size)}, 0) for number, size in enumerate(sizes)]
    read: list[Answer] = []
    reading = threading.Thread(target=lambda: read.extend(client.read_all()))
    reading.start()
    assert port.send_several(connection, iter(notes))
    assert port.send_several(connection, [])
    while port.pending_bytes(connection):
        turn(port, 0.1)
    port.close()
    reading.join()

    assert read == notes
    assert not port.send_several(connection, notes)


def test_who_reads_nothing_of_several_answers_is_cut_off_as_well(
    make: Callable[..., ControlPort], connect: Callable[[], Client]
) -> None:
    port = make(buffer_limit_bytes=1_000_000)
    client = connect()
    client.send(Watch("last"))
    connection, _, _ = next_request(port)
    taken: list[int] = []

    def notes() -> Iterator[Answer]:
        for number in range(20):
            taken.append(number)
            yield note(300_000)

    assert not port.send_several(connection, notes())
    assert (port.closed(), port.counters.slow_readers) == ([connection], 1)
    assert len(taken) <= 7


def test_a_slow_reader_is_cut_off_and_counted(make: Callable[..., ControlPort], connect: Callable[[], Client]) -> None:
    port = make(buffer_limit_bytes=1_000_000)
    client = connect()
    client.send(Watch("last"))
    connection, _, _ = next_request(port)
    sent = 0
    while port.send(connection, note(300_000)):
        sent += 1
        assert sent < 20

    assert port.closed() == [connection]
    assert port.counters.slow_readers == 1
    assert port.slow_reader == f"pid {os.getpid()} of user {pwd.getpwuid(os.geteuid()).pw_name}"
    assert port.pending_bytes(connection) == 0
    assert 3 <= sent <= 6


def test_an_answer_longer_than_the_buffer_still_reaches_whoever_reads(
    make: Callable[..., ControlPort], connect: Callable[[], Client]
) -> None:
    port = make(buffer_limit_bytes=10)
    client = connect()
    client.send(AskStatus())
    connection, _, _ = next_request(port)
    assert port.send(connection, note(3_000_000))
    reading = threading.Thread(target=client.read_one)
    reading.start()
    while port.pending_bytes(connection):
        turn(port, 0.1)
    reading.join()


def test_an_answer_that_no_client_would_read_becomes_a_failure() -> None:
    ((kind, body),) = ControlReader(10_000).feed(answer_frame(note(5_000), 4_000))
    answer = read_answer(kind, body)

    assert isinstance(answer, Failure)
    assert "4000 are sent" in answer.message


def test_without_descriptors_the_loop_does_not_spin(port: ControlPort, path: Path) -> None:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        client.connect(os.fsencode(path))
        assert port.handle(next(iter(port.descriptors())), readable=True, writable=False) == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with client:
        said = b"".join(iter(lambda: client.recv(4096), b""))
        assert b"no descriptors left" in said
    assert port.counters.refused == 1


# Who may speak.


def test_an_account_that_is_neither_root_nor_the_masters_own_is_refused(
    make: Callable[..., ControlPort], connect: Callable[[], Client]
) -> None:
    port = make(uids=frozenset({os.geteuid() + 4_242}))
    client = connect()
    client.send(AskStatus())
    assert settle(port) == []
    (failure,) = client.read_all()

    assert isinstance(failure, Failure)
    assert failure.kind == "NotPermittedError"
    assert str(os.geteuid()) in failure.message
    assert failure.hint
    assert port.counters.requests == 0
    assert (port.counters.not_permitted, port.counters.refused) == (1, 0)


# The socket.


def test_the_socket_is_private_whatever_the_umask(path: Path) -> None:
    for mask in (0, 0o022, 0o077, 0o277):
        before = os.umask(mask)
        try:
            port = ControlPort(path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) & 0o022 == 0
        assert [each.name for each in path.parent.iterdir()] == [path.name]
        port.close()
        assert list(path.parent.iterdir()) == []


def test_a_second_master_is_refused_and_the_first_one_lives(
    port: ControlPort, path: Path, connect: Callable[[], Client]
) -> None:
    with pytest.raises(TransportError, match="another master") as caught:
        ControlPort(path)
    assert caught.value.hint
    settle(port)
    connect().send(AskStatus())
    assert next_request(port)[2] == AskStatus()


def test_a_master_whose_backlog_is_full_lives_too(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stopped, socket.socket(socket.AF_UNIX) as waiting:
        stopped.bind(os.fsencode(path))
        stopped.listen(0)
        waiting.connect(os.fsencode(path))
        with pytest.raises(TransportError, match="another master"):
            ControlPort(path)


def test_a_socket_that_was_left_behind_is_replaced(path: Path, connect: Callable[[], Client]) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(os.fsencode(path))
    port = ControlPort(path)
    try:
        connect().send(AskStatus())
        assert next_request(port)[2] == AskStatus()
    finally:
        port.close()


def test_a_file_that_is_no_socket_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("mine")

    with pytest.raises(TransportError, match="no socket"):
        ControlPort(path)
    assert path.read_text() == "mine"


def test_a_socket_that_another_master_has_made_since_is_not_removed(path: Path) -> None:
    first = ControlPort(path)
    path.unlink()
    second = ControlPort(path)
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()


def test_a_path_too_long_for_a_socket_is_named_with_the_limit(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="107"):
        ControlPort(tmp_path / ("x" * 107) / "master.sock")


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(path: Path, mode: int) -> None:
    path.parent.mkdir()
    path.parent.chmod(mode)

    with pytest.raises(TransportError, match="open to other accounts"):
        ControlPort(path)
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(TransportError, match="cannot be made"):
        ControlPort(tmp_path / "file" / "run" / "master.sock")
