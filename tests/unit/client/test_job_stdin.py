"""What the options of a run say of the stdin of its job, and how it reaches the master."""

import io
import sys
from pathlib import Path

import pytest

from fleet.client import job_stdin, stdin_upload
from fleet.client.client import Client
from fleet.client.fleet_command import main
from fleet.core.control import STDIN_PART_BYTES
from fleet.core.control_answers import Done, Failure
from fleet.core.control_requests import Submit, UploadStdin
from fleet.core.errors import ArgumentError
from support.fake_master import JID, FakeMaster, Start, created, ran

Captured = pytest.CaptureFixture[str]
RUN = ("web-1", "cmd.run", "cat")


@pytest.fixture
def master(start: Start) -> FakeMaster:
    return start({UploadStdin: [Done()], Submit: [created("web-1"), ran("web-1", b"x"), Done()]})


def uploaded(master: FakeMaster) -> bytes:
    """What was uploaded before the job was submitted, put together."""
    *parts, submit = master.requests
    whole = b""
    for part in parts:
        assert isinstance(part, UploadStdin)
        assert part.offset == len(whole)
        whole += part.data
    assert isinstance(submit, Submit)
    assert {part.total_bytes for part in parts if isinstance(part, UploadStdin)} <= {len(whole)}
    assert submit.stdin_bytes == len(whole)
    return whole


def test_a_file_goes_in_parts_before_the_job(master: FakeMaster, tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "data").write_bytes(data)
    assert main([*RUN, "--stdin", str(tmp_path / "data")]) == 0
    assert uploaded(master) == data
    assert len(master.asked(UploadStdin)) == -(-len(data) // STDIN_PART_BYTES)


def test_our_own_stdin_is_taken_as_bytes(master: FakeMaster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\x00\xff\r\n")))
    assert main([*RUN, "--stdin=-"]) == 0
    assert uploaded(master) == b"\x00\xff\r\n"


def test_a_text_is_taken_as_it_is(master: FakeMaster) -> None:
    assert main([*RUN, "--stdin-text", "é "]) == 0
    assert uploaded(master) == "é ".encode()


@pytest.mark.parametrize("words", [(), ("--no-stdin",), ("--stdin-text", "")])
def test_without_one_nothing_is_uploaded(master: FakeMaster, words: tuple[str, ...]) -> None:
    assert main([*RUN, *words]) == 0
    assert uploaded(master) == b""


def test_without_waiting_it_goes_along_too(master: FakeMaster) -> None:
    assert main([*RUN, "--async", "--stdin-text", "abc"]) == 0
    assert uploaded(master) == b"abc"


@pytest.mark.parametrize(
    "words",
    [("--stdin", "-", "--no-stdin"), ("--stdin-text", "x", "--stdin", "-"), ("--stdin-text", "x", "--no-stdin")],
)
def test_two_of_them_are_one_too_many(words: tuple[str, ...], capsys: Captured) -> None:
    assert main([*RUN, *words]) == 2
    assert "a job has one stdin" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_told_before_a_master_is_looked_for(tmp_path: Path, capsys: Captured) -> None:
    assert main([*RUN, "--stdin", str(tmp_path / "gone"), "--root", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"cannot be read from '{tmp_path / 'gone'}': no such file or directory" in said
    assert "name a file that can be read" in said


def test_what_has_no_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    for module in (job_stdin, stdin_upload):
        monkeypatch.setattr(module, "STDIN_LIMIT_MOST_BYTES", 1_000)
    assert main([*RUN, "--stdin", "/dev/zero"]) == 2
    assert "more than 1000 bytes" in capsys.readouterr().err


def test_a_master_that_takes_no_more_is_heard_at_the_first_part(start: Start) -> None:
    master = start({UploadStdin: [Failure("ArgumentError", "too long", "shorter")]})
    with pytest.raises(ArgumentError, match="too long"):
        Client().run("*", "cmd.run", "cat", job_stdin=bytes(3 * STDIN_PART_BYTES))
    assert len(master.requests) == 1


def test_a_program_gives_it_as_bytes_beside_the_arguments_of_the_function(master: FakeMaster) -> None:
    with Client() as fleet:
        fleet.run("*", "cmd.run", "cat", job_stdin=b"in", stdin="mine")
        assert fleet.submit("*", "cmd.run", "cat", job_stdin=b"abc") == JID
        fleet.stream("*", "cmd.run", "cat", job_stdin=b"defg")
    submits = [request for request in master.requests if isinstance(request, Submit)]
    assert [submit.stdin_bytes for submit in submits] == [2, 3, 4]
    assert submits[0].options == {"stdin": "mine"}
    parts = [request for request in master.requests if isinstance(request, UploadStdin)]
    assert [part.data for part in parts] == [b"in", b"abc", b"defg"]
