import os
import socket
import threading
from pathlib import Path

import pytest

from fleet.client.connection import ERROR_CLASSES, Connection, find_socket
from fleet.core.control import Answer
from fleet.core.control_answers import Done, Failure, JobList
from fleet.core.control_codec import write_control
from fleet.core.control_requests import AskStatus, FollowEvents, ListJobs, ListMinions, Watch
from fleet.core.errors import (
    ArgumentError,
    FleetError,
    NotFoundError,
    NotPermittedError,
    ProtocolError,
    UnreachableError,
    VersionError,
)
from support.fake_master import SUMMARY, Start, created, ran

NO_JOBS = JobList((), 0)


def test_a_request_has_one_answer(start: Start) -> None:
    master = start({ListJobs: [JobList((SUMMARY,), 9)]})
    with Connection(master.path) as connection:
        assert connection.request(ListJobs(1, "")) == JobList((SUMMARY,), 9)
        assert connection.request(ListJobs(2, "x")) == JobList((SUMMARY,), 9)
    assert master.requests == [ListJobs(1, ""), ListJobs(2, "x")]


def test_a_stream_ends_with_done_also_when_its_frames_come_in_pieces(start: Start) -> None:
    answers: list[Answer] = [created("web-1"), ran("web-1", b"x" * 100_000), Done()]
    whole = b"".join(write_control(answer) for answer in answers)
    master = start({Watch: [whole[:3], whole[3:50], whole[50:70_000], whole[70_000:]]})
    with Connection(master.path) as connection:
        assert list(connection.stream(Watch("last"))) == answers[:2]


@pytest.mark.parametrize("kind", sorted(ERROR_CLASSES))
def test_a_failure_is_raised_as_the_class_that_it_names(start: Start, kind: str) -> None:
    master = start({AskStatus: [Failure(kind, "what", "do")]})
    with Connection(master.path) as connection, pytest.raises(FleetError) as caught:
        connection.request(AskStatus())
    assert type(caught.value) is ERROR_CLASSES[kind]
    assert (caught.value.message, caught.value.hint) == ("what", "do")


def test_every_error_of_ours_can_be_named_and_an_unknown_one_is_an_error_all_the_same(start: Start) -> None:
    def below(cls: type[FleetError]) -> set[str]:
        return {cls.__name__}.union(
            *(below(child) for child in cls.__subclasses__() if child.__module__ == "fleet.core.errors")
        )

    assert set(ERROR_CLASSES) == below(FleetError)
    master = start({AskStatus: [Failure("NewError", "what", "")]})
    with Connection(master.path) as connection, pytest.raises(FleetError) as caught:
        connection.request(AskStatus())
    assert type(caught.value) is FleetError


def test_a_failure_in_the_middle_ends_a_stream(start: Start) -> None:
    master = start({Watch: [created("web-1"), Failure("NotFoundError", "gone", "")]})
    with Connection(master.path) as connection:
        stream = connection.stream(Watch("1"))
        next(stream)
        with pytest.raises(NotFoundError):
            next(stream)


def test_no_socket_says_how_to_start_a_master(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as caught:
        Connection(tmp_path / "master.sock")
    assert str(tmp_path / "master.sock") in caught.value.message
    assert "fleet-master" in caught.value.hint
    assert "--root" in caught.value.hint


def test_a_socket_that_a_killed_master_left_behind_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "master.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(UnreachableError, match="left behind"):
        Connection(path)


def test_a_path_that_is_too_long_names_the_limit_and_the_option(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)
    with pytest.raises(
        UnreachableError, match=f"has {len(os.fsencode(path))} bytes, a Unix socket allows 107"
    ) as caught:
        Connection(path)
    assert "--root" in caught.value.hint


def test_a_closed_door_is_not_permitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(NotPermittedError) as caught:
        Connection(tmp_path / "master.sock")
    assert caught.value.exit_code == 4
    assert "root" in caught.value.hint


def test_a_master_that_hangs_up_is_said_to_have_gone(start: Start) -> None:
    master = start({Watch: [created("web-1"), None]})
    with Connection(master.path) as connection:
        stream = connection.stream(Watch("last"))
        next(stream)
        with pytest.raises(UnreachableError, match="went away"):
            next(stream)


def test_a_master_that_never_answers_is_given_up(start: Start) -> None:
    master = start({})
    with Connection(master.path) as connection, pytest.raises(UnreachableError, match="did not answer"):
        connection.request(AskStatus(), 0.05)


def test_waiting_for_an_answer_ends_when_the_time_is_up_and_can_go_on(start: Start) -> None:
    gate = threading.Event()
    master = start({ListMinions: [gate, Done()]})
    with Connection(master.path) as connection:
        connection.send(ListMinions())
        assert connection.receive(0.02) is None
        gate.set()
        assert connection.receive(10) == Done()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"\xff\xff\xff\xff\x01\x01", ProtocolError),
        (b"\x00\x00\x00\x03\x07\x02\x90", VersionError),
        (b"\x00\x00\x00\x03\x01\xff\x90", ProtocolError),
        (b"\x00\x00\x00\x03\x01\x08\xc1", ProtocolError),
    ],
)
def test_what_is_no_answer_is_an_error_of_ours(start: Start, answer: bytes, error: type[FleetError]) -> None:
    master = start({AskStatus: [answer]})
    with Connection(master.path) as connection, pytest.raises(error):
        connection.request(AskStatus())


@pytest.mark.parametrize("pattern", ["\udcff", "x" * 3_000_000])
def test_what_cannot_travel_is_refused_before_it_is_sent(start: Start, pattern: str) -> None:
    master = start({AskStatus: [NO_JOBS]})
    with Connection(master.path) as connection:
        with pytest.raises(ArgumentError):
            connection.send(FollowEvents(pattern, -1))
        connection.request(AskStatus())
    assert master.requests == [AskStatus()]


def test_the_socket_is_found_by_what_was_said_last_and_closest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEET_ROOT", raising=False)
    monkeypatch.delenv("FLEET_SOCKET", raising=False)
    assert find_socket() == Path("/run/fleet/master.sock")
    monkeypatch.setenv("FLEET_ROOT", "/a")
    assert find_socket() == Path("/a/run/fleet/master.sock")
    monkeypatch.setenv("FLEET_SOCKET", "/b.sock")
    assert find_socket() == Path("/b.sock")
    assert find_socket(root="/c") == Path("/c/run/fleet/master.sock")
    assert find_socket(root="/c", socket_path="/d.sock") == Path("/d.sock")
