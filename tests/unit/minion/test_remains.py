"""What is alive of a job and what it left: every state that a kill can leave behind."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.core.outcome import Outcome, OutcomeKind
from fleet.minion.job_folder import JobFolder
from fleet.minion.job_records import JobStatus
from fleet.minion.process import ProcessIdentity, identify, read_boot_id
from fleet.minion.remains import Ended, Gone, NeverRan, Orphaned, Supervised, find_remains
from support.jobs import request_for, start_supervisor
from support.wait import wait_until

NOBODY = ProcessIdentity("boot", 1, 1)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    request = request_for()
    made = JobFolder.of(str(tmp_path), request.jid)
    made.create(request)
    return made


@pytest.fixture
def process() -> Iterator[ProcessIdentity]:
    """A process that lives."""
    running = subprocess.Popen(["sleep", "60"])
    identity = identify(running.pid)
    assert identity is not None
    yield identity
    running.kill()
    running.wait()


def test_a_job_that_was_never_begun_is_void_from_then_on(folder: JobFolder, tmp_path: Path) -> None:
    assert find_remains(folder) == NeverRan()
    assert folder.is_void()
    os.waitpid(start_supervisor(folder, (tmp_path / "mark").touch), 0)
    assert not (tmp_path / "mark").exists()
    assert find_remains(folder) == NeverRan()


def test_without_a_process_in_the_status_nothing_has_run(folder: JobFolder) -> None:
    folder.write_status(JobStatus(NOBODY))
    assert find_remains(folder) == NeverRan()


def test_a_last_status_counts_whoever_has_the_lock(folder: JobFolder) -> None:
    last = JobStatus(NOBODY, outcome=Outcome(OutcomeKind.OK), ended_us=1)
    folder.write_status(last)
    assert find_remains(folder) == Ended(last)
    lock = folder.take_lock()
    assert lock is not None
    assert find_remains(folder) == Ended(last)
    os.close(lock)
    assert not folder.is_void()


def test_a_supervisor_that_lives_is_found_by_the_lock(folder: JobFolder) -> None:
    pid = start_supervisor(folder, lambda: time.sleep(60))
    wait_until(folder.read_status, 10, "the supervisor to begin")
    remains = find_remains(folder)
    assert isinstance(remains, Supervised)
    assert remains.pidfd is not None
    assert not folder.is_void()
    signal.pidfd_send_signal(remains.pidfd, signal.SIGTERM)
    os.waitpid(pid, 0)
    os.close(remains.pidfd)
    assert isinstance(find_remains(folder), Ended)


def test_a_lock_whose_holder_has_not_said_who_it_is_is_alive_all_the_same(folder: JobFolder) -> None:
    lock = folder.take_lock()
    assert lock is not None
    assert find_remains(folder) == Supervised(None)
    Path(folder.path, "lock").write_bytes(b'{"boot_id":"half')
    assert find_remains(folder) == Supervised(None)
    os.close(lock)


def test_a_process_that_goes_on_without_its_supervisor_is_found(folder: JobFolder, process: ProcessIdentity) -> None:
    folder.write_status(JobStatus(NOBODY, process))
    remains = find_remains(folder)
    assert isinstance(remains, Orphaned)
    assert remains.pid == process.pid
    os.close(remains.pidfd)
    assert folder.is_void()


def test_another_process_with_the_same_pid_is_not_taken_for_the_jobs(
    folder: JobFolder, process: ProcessIdentity
) -> None:
    folder.write_status(JobStatus(NOBODY, replace(process, start_ticks=process.start_ticks - 1)))
    assert find_remains(folder) == Gone("its supervisor was killed, so nobody saw how it ended")


def test_a_process_of_another_boot_is_gone_with_it(folder: JobFolder, process: ProcessIdentity) -> None:
    folder.write_status(JobStatus(NOBODY, replace(process, boot_id="the boot before")))
    assert process.boot_id == read_boot_id()
    assert find_remains(folder) == Gone("the machine was started anew while it ran")


def test_a_damaged_status_is_gone_unless_a_supervisor_lives(folder: JobFolder) -> None:
    Path(folder.path, "status").write_bytes(b"{}")
    lock = folder.take_lock()
    assert lock is not None
    assert find_remains(folder) == Supervised(None)
    os.close(lock)
    remains = find_remains(folder)
    assert isinstance(remains, Gone)
    assert "status is damaged" in remains.reason


def test_of_a_missing_folder_nothing_is_left(folder: JobFolder) -> None:
    folder.remove()
    assert find_remains(folder) == Gone("nothing is left of it")
