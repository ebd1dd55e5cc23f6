"""One supervisor: what it writes down about every way in which a call can end, and when it must not start anything."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from fleet.core.errors import NotFoundError, TargetError
from fleet.core.functions import CommandFailedError, Context, Program, RunningJob, UnavailableError
from fleet.core.outcome import Outcome, OutcomeKind
from fleet.core.packing import decode_value
from fleet.minion.job_folder import JobFolder
from fleet.minion.job_records import JobStatus
from fleet.minion.process import identify
from fleet.minion.supervisor import _StreamFile, supervise
from support.jobs import is_alive, last_status, request_for, run_supervised, start_supervisor
from support.wait import wait_until


def outcome_of(folder: JobFolder) -> Outcome:
    outcome = last_status(folder).outcome
    assert outcome is not None
    return outcome


def value_of(folder: JobFolder) -> object:
    return decode_value(folder.read_stream("value", 0, 10_000_000))


def raises(problem: BaseException) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise problem

    return fail


@dataclass(frozen=True)
class Disk:
    name: str
    sizes: tuple[int, ...]


def test_what_a_function_returns_is_kept_as_typed_data_beside_what_it_prints(tmp_path: Path) -> None:
    def describe(text: str, *, number: int) -> list[Disk]:
        print("a print", text)
        print("to stderr", file=sys.stderr)
        os.system("echo from a program")
        return [Disk("sda", (1, number))]

    folder = run_supervised(tmp_path, describe, request_for("x.y", "words", options={"number": 2}))
    status = last_status(folder)
    assert outcome_of(folder) == Outcome(OutcomeKind.OK, has_value=True)
    assert value_of(folder) == [{"name": "sda", "sizes": [1, 2]}]
    assert folder.read_stream("stdout", 0, 1000) == b"a print words\nfrom a program\n"
    assert folder.read_stream("stderr", 0, 1000) == b"to stderr\n"
    assert (status.stdout_bytes, status.stderr_bytes, status.account) == (29, 10, "tester")
    assert not status.force_stopped


def test_none_is_a_value(tmp_path: Path) -> None:
    folder = run_supervised(tmp_path, lambda: None)
    assert outcome_of(folder).has_value
    assert value_of(folder) is None


def test_a_program_is_the_jobs_end(tmp_path: Path) -> None:
    program = Program(("sh", "-c", r"printf 'a\0b'; exit 7"), success_retcodes=(0,))
    folder = run_supervised(tmp_path, lambda: program)
    status = last_status(folder)
    assert outcome_of(folder) == Outcome(OutcomeKind.FAILED, "exit code 7", True, None, "text", 7)
    assert folder.read_stream("stdout", 0, 100) == b"a\0b"
    assert status.process is not None
    assert status.started_us is not None
    assert status.ended_us is not None
    assert 0 < status.duration_us < 20_000_000
    assert abs(status.ended_us - time.time_ns() // 1000) < 60_000_000


def test_the_value_that_a_program_makes_is_kept(tmp_path: Path) -> None:
    folder = run_supervised(tmp_path, lambda: Program(("sh", "-c", "echo out"), answer="all"))
    process = last_status(folder).process
    assert process is not None
    assert value_of(folder) == {"pid": process.pid, "retcode": 0, "stdout": "out\n", "stderr": ""}


def test_a_value_that_a_program_makes_is_limited_too(tmp_path: Path) -> None:
    # Bytes that are no UTF-8 grow threefold as text.
    program = Program(("sh", "-c", r"printf '\377\377\377\377'"), answer="all")
    folder = run_supervised(tmp_path, lambda: program, request_for(output_limit_bytes=20))
    outcome = outcome_of(folder)
    assert (outcome.kind, outcome.has_value, outcome.retcode) == (OutcomeKind.FAILED, False, 0)
    assert "and the limit is 20" in outcome.message
    assert folder.read_stream("stdout", 0, 10) == b"\xff" * 4


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (CommandFailedError("it is broken"), OutcomeKind.FAILED),
        (UnavailableError("it is broken"), OutcomeKind.UNAVAILABLE),
        (TargetError("it is broken"), OutcomeKind.FAILED),
    ],
)
def test_an_error_for_people_is_a_failure_without_a_traceback(
    tmp_path: Path, problem: Exception, kind: OutcomeKind
) -> None:
    assert outcome_of(run_supervised(tmp_path, raises(problem))) == Outcome(kind, "it is broken")


def test_a_failure_may_bring_a_partial_value_and_an_exit_code(tmp_path: Path) -> None:
    folder = run_supervised(tmp_path, raises(CommandFailedError("half of it", value=[1], retcode=2)))
    assert outcome_of(folder) == Outcome(OutcomeKind.FAILED, "half of it", has_value=True, retcode=2)
    assert value_of(folder) == [1]


def test_a_bug_is_a_crash_whose_traceback_begins_with_the_authors_line(tmp_path: Path) -> None:
    def divide() -> float:
        return 1 / (len(sys.path) - len(sys.path))

    outcome = outcome_of(run_supervised(tmp_path, divide))
    assert (outcome.kind, outcome.message) == (OutcomeKind.CRASHED, "ZeroDivisionError: division by zero")
    assert "1 / (len(sys.path)" in outcome.traceback
    assert "function_call.py" not in outcome.traceback


def test_a_traceback_and_a_message_are_bounded(tmp_path: Path) -> None:
    outcome = outcome_of(run_supervised(tmp_path, raises(ValueError("x" * 100_000))))
    assert (len(outcome.message), len(outcome.traceback)) == (2_000, 16_000)


@pytest.mark.parametrize("problem", [SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_whatever_a_function_raises_is_a_crash(tmp_path: Path, problem: BaseException) -> None:
    outcome = outcome_of(run_supervised(tmp_path, raises(problem)))
    assert outcome.kind is OutcomeKind.CRASHED
    assert outcome.message.startswith(type(problem).__name__)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda: ctypes.string_at(0), "was ended by signal 11 (SIGSEGV)"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was ended by signal 9 (SIGKILL)"),
        (lambda: os._exit(3), "ended with exit code 3"),
    ],
)
def test_an_interpreter_that_dies_leaves_a_status(tmp_path: Path, end: Callable[[], object], words: str) -> None:
    outcome = outcome_of(run_supervised(tmp_path, end))
    assert (outcome.kind, outcome.retcode) == (OutcomeKind.CRASHED, None)
    assert outcome.message == f"the process of the function {words} before it could return"


def test_a_value_that_cannot_travel_is_a_crash_that_names_its_type(tmp_path: Path) -> None:
    outcome = outcome_of(run_supervised(tmp_path, lambda: [object()]))
    assert outcome.kind is OutcomeKind.CRASHED
    assert "a value of type object cannot travel" in outcome.message


def test_a_value_beyond_the_limit_is_a_failure_and_not_kept(tmp_path: Path) -> None:
    folder = run_supervised(tmp_path, lambda: "x" * 1000, request_for(output_limit_bytes=999))
    assert outcome_of(folder).message == "the value takes 1003 bytes, and the limit is 999"
    assert folder.stream_size("value") == 0


def test_a_function_that_is_missing_is_said_to_be(tmp_path: Path) -> None:
    request = request_for()
    folder = JobFolder.of(str(tmp_path), request.jid)
    folder.create(request)
    pid = os.fork()
    if pid == 0:
        try:
            supervise(folder.path, lambda _: None, raises_on_load)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert outcome_of(folder) == Outcome(OutcomeKind.UNAVAILABLE, "there is no function")


def raises_on_load(_: object) -> NoReturn:
    raise NotFoundError("there is no function")


def test_a_function_sees_what_was_known_when_its_job_started(tmp_path: Path) -> None:
    def look(context: Context) -> list[object]:
        return [context.minion_id, context.grains["os"], [job.jid for job in context.running()]]

    running = RunningJob("20261120221012000042", "cmd.run", (), "root", "running", 7, "now")
    folder = run_supervised(tmp_path, look, request_for(grains={"os": "Debian"}, running=(running,)))
    assert value_of(folder) == ["m", "Debian", [running.jid]]


def test_a_function_beside_the_daemon_cannot_stop_jobs_nor_set_grains(tmp_path: Path) -> None:
    def stop(context: Context) -> bool:
        return context.cancel("20261120221012000042")

    def put(context: Context) -> None:
        context.set_grain("roles", ["web"])

    assert "must be instant" in outcome_of(run_supervised(tmp_path, stop)).message
    assert "must be instant" in outcome_of(run_supervised(tmp_path, put)).message


@pytest.mark.parametrize("is_deaf", [False, True])
def test_a_python_function_that_hangs_is_stopped_by_the_limit(tmp_path: Path, is_deaf: bool) -> None:
    def hang() -> None:
        if is_deaf:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen(["sleep", "60"])
        time.sleep(60)

    folder = run_supervised(tmp_path, hang, request_for(timeout_seconds=0.5, kill_after_seconds=0.2))
    status = last_status(folder)
    assert outcome_of(folder) == Outcome(OutcomeKind.TIMED_OUT, "stopped after its limit of 0.5 s")
    assert status.force_stopped
    assert status.process is not None
    assert not is_alive(status.process.pid)


def test_a_cancel_stops_the_job_and_its_reason_is_kept(tmp_path: Path) -> None:
    folder, pid = _start(tmp_path, lambda: Program(("sh", "-c", "echo begun; sleep 60")))
    wait_until(lambda: folder.stream_size("stdout"), 10, "the program to begin")
    folder.write_cancel("admin said so")
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    assert outcome_of(folder) == Outcome(OutcomeKind.CANCELLED, "admin said so", retcode=-15)
    assert last_status(folder).force_stopped
    assert folder.read_stream("stdout", 0, 100) == b"begun\n"


def test_a_supervisor_that_is_told_to_end_stops_its_job_and_says_so(tmp_path: Path) -> None:
    folder, pid = _start(tmp_path, lambda: time.sleep(60))
    wait_until(lambda: _process_of(folder), 10, "the function to begin")
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    assert outcome_of(folder) == Outcome(OutcomeKind.CANCELLED, "its supervisor was sent TERM")


def test_a_job_that_was_cancelled_first_is_never_started(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    request = request_for()
    folder = JobFolder.of(str(tmp_path), request.jid)
    folder.create(request)
    folder.write_cancel("too late")
    os.waitpid(start_supervisor(folder, mark.touch), 0)
    assert outcome_of(folder) == Outcome(OutcomeKind.CANCELLED, "too late, before it was started")
    assert (last_status(folder).process, last_status(folder).started_us) == (None, None)
    assert not mark.exists()


def test_nothing_is_started_in_a_void_folder(tmp_path: Path) -> None:
    mark, folder = _prepared(tmp_path)
    folder.write_void()
    os.waitpid(start_supervisor(folder, mark.touch), 0)
    assert not mark.exists()
    assert folder.read_status() is None


def test_nothing_is_started_where_there_is_a_status(tmp_path: Path) -> None:
    # Written by a supervisor that was killed right after: it may have run, so it must not run again.
    mark, folder = _prepared(tmp_path)
    this = identify(os.getpid())
    assert this is not None
    folder.write_status(JobStatus(this))
    os.waitpid(start_supervisor(folder, mark.touch), 0)
    assert not mark.exists()


def test_nothing_is_started_while_another_has_the_lock(tmp_path: Path) -> None:
    mark, folder = _prepared(tmp_path)
    lock = folder.take_lock()
    assert lock is not None
    os.waitpid(start_supervisor(folder, mark.touch), 0)
    os.close(lock)
    assert not mark.exists()
    assert folder.read_status() is None


def test_of_many_supervisors_at_once_one_runs_the_job(tmp_path: Path) -> None:
    for _ in range(5):
        request = request_for()
        folder = JobFolder.of(str(tmp_path), request.jid)
        folder.create(request)

        def note(path: str = os.path.join(folder.path, "runs")) -> None:
            with open(path, "a", encoding="utf-8") as file:
                file.write("once\n")

        for pid in [start_supervisor(folder, note) for _ in range(5)]:
            os.waitpid(pid, 0)
        assert Path(folder.path, "runs").read_text() == "once\n"
        assert outcome_of(folder).kind is OutcomeKind.OK


def test_the_pid_is_written_down_before_the_function_runs(tmp_path: Path) -> None:
    request = request_for()
    folder = JobFolder.of(str(tmp_path), request.jid)

    def look() -> bool:
        status = folder.read_status()
        return status is not None and status.process == identify(os.getpid())

    folder.create(request)
    os.waitpid(start_supervisor(folder, look), 0)
    assert value_of(folder) is True


def test_the_list_of_processes_names_the_folder_as_far_as_there_is_room(tmp_path: Path) -> None:
    _, pid = _start(tmp_path, lambda: time.sleep(60))
    try:
        wait_until(lambda: b"supervisor of /" in Path(f"/proc/{pid}/cmdline").read_bytes(), 10, "the title")
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def test_the_function_holds_neither_the_lock_nor_any_descriptor_of_ours(tmp_path: Path) -> None:
    # Beside the report, the third, only the folder that the question itself reads.
    folder = run_supervised(tmp_path, lambda: sorted(map(int, os.listdir("/proc/self/fd"))))
    assert value_of(folder) == [0, 1, 2, 3, 4]


def test_output_that_the_disk_has_no_room_for_is_cut_and_the_job_goes_on(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    program = Program(("sh", "-c", f"head -c 300000 /dev/zero; touch {mark}"))
    request = request_for()
    folder = JobFolder.of(str(tmp_path), request.jid)
    folder.create(request)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file of the supervisor may grow beyond this: the kernel refuses as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        pid = start_supervisor(folder, lambda: program)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    os.waitpid(pid, 0)
    assert outcome_of(folder).retcode == 0
    assert mark.exists()
    assert (folder.stream_size("stdout"), last_status(folder).stdout_bytes) == (100_000, 300_000)


def test_output_after_the_disk_was_full_is_not_kept_so_that_what_is_kept_has_no_hole(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "stdout", os.O_WRONLY | os.O_CREAT)
    stream = _StreamFile(descriptor)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, hard))
    try:
        stream(b"123")
        stream(b"4567")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    stream(b"8")
    os.close(descriptor)
    assert (tmp_path / "stdout").read_bytes() == b"12345"


def test_a_value_that_the_disk_has_no_room_for_is_a_failure_that_says_so(tmp_path: Path) -> None:
    request = request_for()
    folder = JobFolder.of(str(tmp_path), request.jid)
    folder.create(request)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        pid = start_supervisor(folder, lambda: "x" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    os.waitpid(pid, 0)
    assert outcome_of(folder).kind is OutcomeKind.FAILED
    assert outcome_of(folder).message == "it ended, and its value could not be kept: File too large"


def _start(jobs: Path, function: Callable[..., object]) -> tuple[JobFolder, int]:
    request = request_for()
    folder = JobFolder.of(str(jobs), request.jid)
    folder.create(request)
    return folder, start_supervisor(folder, function)


def _prepared(jobs: Path) -> tuple[Path, JobFolder]:
    request = request_for()
    folder = JobFolder.of(str(jobs), request.jid)
    folder.create(request)
    return jobs / "mark", folder


def _process_of(folder: JobFolder) -> object:
    status = folder.read_status()
    return status and status.process


def test_a_function_and_a_program_read_the_stdin_of_their_job(tmp_path: Path) -> None:
    def shout() -> str:
        return sys.stdin.read().upper()

    def run_cat() -> Program:
        return Program(("cat", "/dev/stdin"))

    def say_what_it_is_given() -> Program:
        return Program(("cat",), stdin=b"mine")

    for function, stdin, stdout, value in (
        (shout, "zeile é\n", b"", "ZEILE \xc9\n"),
        (shout, "", b"", ""),
        (run_cat, "zeile é\n", "zeile é\n".encode(), None),
    ):
        folder = supervised_with(tmp_path, function, stdin)
        assert folder.read_stream("stdout", 0, 100) == stdout
        assert outcome_of(folder).kind is OutcomeKind.OK
        if value is not None:
            assert value_of(folder) == value
    refused = outcome_of(supervised_with(tmp_path, say_what_it_is_given, "x"))
    assert (refused.kind, "gives the program another one" in refused.message) == (OutcomeKind.FAILED, True)


def supervised_with(tmp_path: Path, function: Callable[[], object], stdin: str) -> JobFolder:
    """Supervise a call to its end that is given this stdin, or none when it is empty."""
    request = request_for("x.y")
    waiting = tmp_path / f"{request.jid}.stdin"
    waiting.write_text(stdin, encoding="utf-8")
    folder = JobFolder.of(str(tmp_path), request.jid)
    folder.create(request, str(waiting) if stdin else "")
    os.waitpid(start_supervisor(folder, function), 0)
    return folder
