"""The folder of one job: modes, the lock, the streams, and files that are whole or absent."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.core.errors import ArgumentError, StateError
from fleet.core.names import Jid
from fleet.core.outcome import Outcome, OutcomeKind
from fleet.minion.job_folder import JobFolder
from fleet.minion.job_records import JobStatus, StartedProgram
from fleet.minion.process import ProcessIdentity
from support.jobs import request_for

IDENTITY = ProcessIdentity("boot", 12, 345)
PROGRAM = StartedProgram(12, "/bin/sh", "/srv", "/bin/sh -c 'echo \udc80'")


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    request = request_for("cmd.run", "uptime")
    made = JobFolder.of(str(tmp_path), request.jid)
    made.create(request)
    return made


def test_a_jid_that_is_none_never_becomes_a_path(tmp_path: Path) -> None:
    for text in ("../x", "", "2026", "20261120221012000042/"):
        with pytest.raises(ArgumentError, match="no jid"):
            JobFolder.of(str(tmp_path), Jid(text))


def test_what_is_to_run_is_read_back(tmp_path: Path) -> None:
    request = request_for("cmd.run", "uptime")
    folder = JobFolder.of(str(tmp_path), request.jid)
    folder.create(request)
    assert folder.read_request() == request


def test_which_program_it_is_is_read_back(folder: JobFolder) -> None:
    assert folder.read_program() is None
    folder.write_program(PROGRAM)
    assert folder.read_program() == PROGRAM
    Path(folder.path, "program").write_bytes(b"{}")
    with pytest.raises(StateError, match="program is damaged: 'pid' is missing"):
        folder.read_program()


def test_nobody_else_may_look_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        request = request_for()
        folder = JobFolder.of(str(tmp_path), request.jid)
        folder.create(request)
        os.close(folder.open_stream("stdout"))
        folder.write_value(b"v")
        folder.write_cancel("enough")
        folder.write_program(PROGRAM)
        folder.write_void()
        folder.reserve_status()
        folder.write_status(JobStatus(IDENTITY))
        lock = folder.take_lock()
        assert lock is not None
        os.close(lock)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(folder.path).st_mode) == 0o700
    modes = {name: stat.S_IMODE(os.stat(os.path.join(folder.path, name)).st_mode) for name in os.listdir(folder.path)}
    assert set(modes) == {"job", "stdout", "value", "cancel", "program", "void", "status", "status.room", "lock"}
    assert set(modes.values()) == {0o600}


def test_a_folder_is_made_once(folder: JobFolder) -> None:
    with pytest.raises(StateError, match="may have been started before"):
        folder.create(replace(folder.read_request(), user="another"))
    assert folder.read_request().user == ""


def test_a_lock_is_held_by_one_and_given_back_when_it_is_closed(folder: JobFolder) -> None:
    lock = folder.take_lock()
    assert lock is not None
    assert folder.take_lock() is None
    os.close(lock)
    again = folder.take_lock()
    assert again is not None
    os.close(again)


def test_who_has_the_lock_is_told_once_it_is_written(folder: JobFolder) -> None:
    lock = folder.take_lock()
    assert lock is not None
    assert folder.read_owner() is None
    folder.write_owner(replace(IDENTITY, boot_id="a longer name of a boot"))
    folder.write_owner(IDENTITY)
    assert folder.read_owner() == IDENTITY
    os.close(lock)


def test_streams_are_read_from_any_offset(folder: JobFolder) -> None:
    assert folder.read_stream("stdout", 0, 10) == b""
    assert folder.stream_size("stdout") == 0
    descriptor = folder.open_stream("stdout")
    os.write(descriptor, b"0123456789\0\xff")
    os.close(descriptor)
    assert folder.stream_size("stdout") == 12
    assert folder.read_stream("stdout", 9, 100) == b"9\0\xff"
    assert folder.read_stream("stdout", 2, 3) == b"234"
    assert folder.read_stream("stdout", 12, 3) == b""


def test_only_a_stream_can_be_read_as_one(folder: JobFolder) -> None:
    for name in ("job", "status", "../x", "lock"):
        with pytest.raises(ValueError, match="no stream"):
            folder.read_stream(name, 0, 1)
        with pytest.raises(ValueError, match="no stream"):
            folder.open_stream(name)


def test_the_last_status_uses_the_room_that_was_kept_for_it(folder: JobFolder) -> None:
    folder.reserve_status()
    room = os.stat(os.path.join(folder.path, "status.room"))
    assert room.st_blocks * 512 >= 40 * 1024
    outcome = Outcome(OutcomeKind.CRASHED, "x" * 2000, traceback="y\n" * 8000)
    last = JobStatus(IDENTITY, outcome=outcome, ended_us=5)
    folder.write_status(JobStatus(IDENTITY))
    folder.write_last_status(last)
    assert os.stat(os.path.join(folder.path, "status")).st_ino == room.st_ino
    assert folder.read_status() == last
    assert os.path.getsize(os.path.join(folder.path, "status")) < 40 * 1024


def test_a_damaged_status_is_an_error_that_names_the_file(folder: JobFolder) -> None:
    Path(folder.path, "status").write_bytes(b'{"supervisor":')
    with pytest.raises(StateError, match=r"/status is damaged"):
        folder.read_status()


def test_a_missing_request_is_an_error(folder: JobFolder) -> None:
    Path(folder.path, "job").unlink()
    with pytest.raises(StateError, match=r"/job is missing"):
        folder.read_request()


def test_a_removed_folder_is_gone_and_removing_it_again_does_nothing(folder: JobFolder) -> None:
    folder.write_value(b"v")
    folder.remove()
    assert not folder.exists()
    folder.remove()


def test_a_stdin_moves_into_the_folder_and_goes_with_it(tmp_path: Path) -> None:
    (tmp_path / "x.stdin").write_bytes(b"in")
    request = request_for()
    folder = JobFolder.of(str(tmp_path), request.jid)
    folder.create(request, str(tmp_path / "x.stdin"))
    assert not (tmp_path / "x.stdin").exists()
    descriptor = folder.open_stdin()
    assert descriptor is not None
    assert os.read(descriptor, 10) == b"in"
    os.close(descriptor)
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_stdin_that_is_gone_leaves_no_folder_behind(tmp_path: Path) -> None:
    request = request_for()
    folder = JobFolder.of(str(tmp_path), request.jid)
    with pytest.raises(FileNotFoundError):
        folder.create(request, str(tmp_path / "gone"))
    assert not folder.exists()


def test_without_one_there_is_nothing_to_read(folder: JobFolder) -> None:
    assert folder.open_stdin() is None
