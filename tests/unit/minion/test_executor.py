"""The executor with real processes: nothing is lost and nothing runs twice, whatever is killed."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.core.errors import ArgumentError
from fleet.core.functions import Program
from fleet.core.names import Jid
from fleet.core.outcome import OutcomeKind
from fleet.core.values import Value
from fleet.minion.executor import Executor
from fleet.minion.fork_messages import Forked, ForkMessage, NotStarted, Start
from fleet.minion.job_changes import JobAlive, JobEnded, JobExecuting, JobLost, JobStarted
from fleet.minion.job_folder import JobFolder
from fleet.minion.job_records import JobRequest, StartedProgram
from fleet.minion.process import identify
from support.jobs import collect_until, is_alive, last_status, request_for, run_to_end, start_supervisor
from support.wait import wait_until


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs"
    folder.mkdir()
    return folder


@pytest.fixture
def executor(jobs: Path) -> Iterator[Executor]:
    made = Executor(jobs)
    yield made
    made.close()


def folder_of(jobs: Path, request: JobRequest) -> JobFolder:
    return JobFolder.of(str(jobs), request.jid)


def ended(change: JobEnded | JobLost) -> JobEnded:
    assert isinstance(change, JobEnded)
    return change


def kind_of(change: JobEnded | JobLost) -> OutcomeKind | None:
    outcome = ended(change).status.outcome
    return outcome.kind if outcome else None


def until_file(path: Path, then: str) -> str:
    """A command that says that it runs, waits for a file, and goes on."""
    return f"echo begun; until test -e {path}; do sleep 0.02; done; {then}"


def begun(jobs: Path, request: JobRequest) -> JobFolder:
    folder = folder_of(jobs, request)
    wait_until(lambda: folder.read_stream("stdout", 0, 6) == b"begun\n", 20, "the job to begin")
    return folder


def test_a_job_runs_and_its_start_and_its_end_are_told(executor: Executor, jobs: Path) -> None:
    request = request_for("cmd.run", r"printf 'a\0b'; echo no >&2; exit 3")
    executor.start(request)
    started, executing, end = collect_until(executor, lambda told: len(told) == 3)
    assert isinstance(started, JobStarted)
    assert isinstance(executing, JobExecuting)
    assert isinstance(end, JobEnded)
    assert end.status == last_status(folder_of(jobs, request))
    assert end.status.process is not None
    assert started == JobStarted(request.jid, end.status.process.pid, "tester", end.status.started_us or 0)
    assert end.status.outcome is not None
    assert (end.status.outcome.kind, end.status.outcome.retcode) == (OutcomeKind.FAILED, 3)
    program = executing.program
    assert (program.pid, program.name, program.directory) == (started.pid, "/bin/sh", str(Path.home()))
    assert program.command_line.startswith("/bin/sh -c 'printf ")
    assert not executing.is_adopted
    folder = folder_of(jobs, request)
    assert (folder.read_stream("stdout", 0, 99), folder.read_stream("stderr", 0, 99)) == (b"a\0b", b"no\n")
    assert not is_alive(end.status.supervisor.pid)


def test_many_jobs_at_once_each_come_to_their_own_end(executor: Executor) -> None:
    requests = [request_for("cmd.run", f"exit {number}") for number in range(16)]
    for request in requests:
        executor.start(request)
    changes = collect_until(executor, lambda told: sum(isinstance(one, JobEnded) for one in told) == 16)
    codes = {one.jid: one.status.outcome.retcode for one in changes if isinstance(one, JobEnded) and one.status.outcome}
    assert codes == {request.jid: number for number, request in enumerate(requests)}


def test_a_start_does_not_wait_for_a_fork_server_that_is_stuck(executor: Executor) -> None:
    first = request_for("cmd.run", "true")
    executor.start(first)
    run_to_end(executor, first.jid)
    server = _fork_server(executor)
    os.kill(server, signal.SIGSTOP)
    requests = [request_for("cmd.run", "true") for _ in range(16)]
    for request in requests:
        executor.start(request)
    assert executor.collect() == []
    os.kill(server, signal.SIGCONT)
    changes = collect_until(executor, lambda told: sum(isinstance(one, JobEnded) for one in told) == 16)
    assert {kind_of(one) for one in changes if isinstance(one, JobEnded)} == {OutcomeKind.OK}


def test_more_requests_than_the_socket_takes_wait_for_room(executor: Executor, jobs: Path) -> None:
    first = request_for("cmd.run", "true")
    executor.start(first)
    run_to_end(executor, first.jid)
    server = _fork_server(executor)
    os.kill(server, signal.SIGSTOP)
    # A long name fills it with few requests, of which the server makes a process each.
    while executor._link is not None and executor._link.send(Start(str(jobs / "none") + "/none" * 4_000)):
        continue
    request = request_for("cmd.run", "true")
    executor.start(request)
    assert executor.collect() == []
    wait = executor.wait_seconds()
    assert wait is not None
    assert wait <= 0.05
    os.kill(server, signal.SIGCONT)
    assert kind_of(run_to_end(executor, request.jid)) is OutcomeKind.OK


def test_after_the_fork_server_was_killed_the_next_job_runs(executor: Executor) -> None:
    for _ in range(2):
        request = request_for("cmd.run", "true")
        executor.start(request)
        assert kind_of(run_to_end(executor, request.jid)) is OutcomeKind.OK
        os.kill(_fork_server(executor), signal.SIGKILL)


def test_a_request_that_the_fork_server_died_over_is_run_once(executor: Executor, jobs: Path, tmp_path: Path) -> None:
    first = request_for("cmd.run", "true")
    executor.start(first)
    run_to_end(executor, first.jid)
    server = _fork_server(executor)
    os.kill(server, signal.SIGSTOP)
    request = request_for("cmd.run", f"echo once >> {tmp_path}/runs")
    executor.start(request)
    os.kill(server, signal.SIGKILL)
    assert kind_of(run_to_end(executor, request.jid)) is OutcomeKind.OK
    assert (tmp_path / "runs").read_text() == "once\n"


def test_a_request_whose_answer_was_lost_is_sent_again_and_the_job_still_runs_once(
    executor: Executor, jobs: Path, tmp_path: Path
) -> None:
    request = request_for("cmd.run", until_file(tmp_path / "go", f"echo once >> {tmp_path}/runs"))
    executor.start(request)
    begun(jobs, request)
    # The daemon has not listened since: what the fork server said is dropped as if it had died before it could.
    assert executor._link is not None
    for _, pidfd in executor._link.receive():
        if pidfd is not None:
            os.close(pidfd)
    os.kill(_fork_server(executor), signal.SIGKILL)
    wait_until(executor._link.has_ended, 10, "the fork server to be gone")
    executor.collect()
    (tmp_path / "go").touch()
    assert kind_of(run_to_end(executor, request.jid)) is OutcomeKind.OK
    assert (tmp_path / "runs").read_text() == "once\n"


def test_a_fork_server_that_dies_again_and_again_is_given_up_with_a_reason(
    executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    request = request_for("cmd.run", f"touch {tmp_path}/mark")
    executor.start(request)
    end = ended(run_to_end(executor, request.jid))
    assert end.status.outcome is not None
    assert end.status.outcome.kind is OutcomeKind.FAILED
    assert end.status.outcome.message == "it was not started: the fork server was killed again and again"
    assert not (tmp_path / "mark").exists()


def test_a_fork_server_that_cannot_be_started_is_a_failure_that_is_kept(
    executor: Executor, jobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    request = request_for("cmd.run", "true")
    executor.start(request)
    end = ended(run_to_end(executor, request.jid))
    assert end.status.outcome is not None
    assert "it was not started: no process could be started: No such file" in end.status.outcome.message
    assert last_status(folder_of(jobs, request)) == end.status
    assert executor.adopt(request.jid) == end


def test_a_damaged_request_is_a_failure_that_says_so(executor: Executor, jobs: Path) -> None:
    first = request_for("cmd.run", "true")
    executor.start(first)
    run_to_end(executor, first.jid)
    os.kill(_fork_server(executor), signal.SIGSTOP)
    request = request_for("cmd.run", "true")
    executor.start(request)
    (jobs / request.jid / "job").write_bytes(b"{}")
    os.kill(_fork_server(executor), signal.SIGCONT)
    end = ended(run_to_end(executor, request.jid))
    assert end.status.outcome is not None
    assert "job is damaged" in end.status.outcome.message


NO_ROOM = "it cannot be supervised: No space left on device"


@pytest.mark.parametrize("is_heard_before_its_end", [True, False])
def test_what_a_supervisor_said_before_it_ended_is_the_reason_whenever_it_is_heard(
    executor: Executor, jobs: Path, monkeypatch: pytest.MonkeyPatch, is_heard_before_its_end: bool
) -> None:
    request = request_for("cmd.run", "true")
    executor.start(request)
    assert executor._link is not None
    monkeypatch.setattr(executor, "_ask", lambda _job: None)
    os.kill(_fork_server(executor), signal.SIGKILL)
    wait_until(executor._link.has_ended, 10, "the fork server to be gone")
    shutil.rmtree(jobs / request.jid)
    folder = folder_of(jobs, request)
    folder.create(request)
    # A supervisor that ends and still has the lock.
    with subprocess.Popen(["sleep", "60"]) as supervisor:
        lock, owner = folder.take_lock(), identify(supervisor.pid)
        assert lock is not None
        assert owner is not None
        folder.write_owner(owner)
        refusal: tuple[ForkMessage, int | None] = (NotStarted(folder.path, NO_ROOM), None)
        forked: tuple[ForkMessage, int | None] = (Forked(folder.path), os.pidfd_open(supervisor.pid))
        heard = [[refusal], [forked]] if is_heard_before_its_end else [[forked], [], [refusal]]
        monkeypatch.setattr(executor._link, "receive", lambda: heard.pop(0) if heard else [])
        monkeypatch.setattr(executor._link, "has_ended", lambda: False)
        assert executor.collect() == []
        supervisor.kill()
    os.close(lock)
    end = ended(run_to_end(executor, request.jid))
    assert end.status.outcome is not None
    assert (end.status.outcome.kind, end.status.outcome.message) == (
        OutcomeKind.FAILED,
        f"it was not started: {NO_ROOM}",
    )


def test_a_folder_that_cannot_be_made_is_told_and_nothing_runs(tmp_path: Path) -> None:
    executor = Executor(tmp_path / "missing")
    request = request_for("cmd.run", "true")
    executor.start(request)
    assert executor.collect() == [
        JobLost(request.jid, "it was not started: its folder cannot be made: No such file or directory")
    ]
    executor.close()


def test_a_job_whose_folder_is_there_already_is_not_started_again(
    executor: Executor, jobs: Path, tmp_path: Path
) -> None:
    request = request_for("cmd.run", f"echo once >> {tmp_path}/runs")
    executor.start(request)
    first = run_to_end(executor, request.jid)
    executor.start(request)
    executing, second = executor.collect()
    assert (executing.jid, getattr(executing, "is_adopted", None), second) == (request.jid, True, first)
    assert (tmp_path / "runs").read_text() == "once\n"


def test_a_job_that_is_alive_is_neither_started_nor_adopted_nor_forgotten(
    executor: Executor, jobs: Path, tmp_path: Path
) -> None:
    request = request_for("cmd.run", until_file(tmp_path / "go", "true"))
    executor.start(request)
    begun(jobs, request)
    for act in (lambda: executor.start(request), lambda: executor.adopt(request.jid)):
        with pytest.raises(ValueError, match="is alive"):
            act()
    with pytest.raises(ValueError, match="is alive"):
        executor.forget(request.jid)
    (tmp_path / "go").touch()
    assert kind_of(run_to_end(executor, request.jid)) is OutcomeKind.OK


def test_a_cancel_stops_the_job_with_everything_it_has_started(executor: Executor, jobs: Path) -> None:
    request = request_for("cmd.run", "sleep 60 & echo begun; echo $!; wait")
    executor.start(request)
    folder = begun(jobs, request)
    wait_until(lambda: folder.stream_size("stdout") > 6, 10, "the pid")
    assert executor.cancel(request.jid, "cancelled by admin")
    end = ended(run_to_end(executor, request.jid))
    assert end.status.outcome is not None
    assert (end.status.outcome.kind, end.status.outcome.message) == (OutcomeKind.CANCELLED, "cancelled by admin")
    assert end.status.force_stopped
    assert not is_alive(int(folder.read_stream("stdout", 6, 20)))


def test_a_cancel_that_comes_before_the_supervisor_is_known_stops_the_job_too(
    executor: Executor, tmp_path: Path
) -> None:
    request = request_for("cmd.run", f"sleep 60; touch {tmp_path}/mark")
    executor.start(request)
    assert executor.cancel(request.jid, "at once")
    assert kind_of(run_to_end(executor, request.jid)) is OutcomeKind.CANCELLED
    assert not (tmp_path / "mark").exists()


def test_there_is_nothing_to_cancel_of_a_job_that_is_not_alive(executor: Executor) -> None:
    request = request_for("cmd.run", "true")
    assert not executor.cancel(request.jid, "why")
    executor.start(request)
    run_to_end(executor, request.jid)
    assert not executor.cancel(request.jid, "why")


def test_a_job_killed_together_with_its_supervisor_is_lost_and_its_output_kept(executor: Executor, jobs: Path) -> None:
    request = request_for("cmd.run", "echo begun; sleep 60")
    executor.start(request)
    folder = begun(jobs, request)
    status = last_status(folder)
    assert status.process is not None
    os.kill(status.supervisor.pid, signal.SIGSTOP)  # So that it cannot see the end of what is killed first.
    os.killpg(status.process.pid, signal.SIGKILL)
    os.kill(status.supervisor.pid, signal.SIGKILL)
    reason = "its supervisor was killed, so nobody saw how it ended; its output up to then is kept"
    assert run_to_end(executor, request.jid) == JobLost(request.jid, reason)
    assert folder.read_stream("stdout", 0, 100) == b"begun\n"


def test_a_job_whose_supervisor_alone_was_killed_is_watched_to_its_end(
    executor: Executor, jobs: Path, tmp_path: Path
) -> None:
    request = request_for("cmd.run", until_file(tmp_path / "go", f"echo once >> {tmp_path}/runs"))
    executor.start(request)
    status = last_status(begun(jobs, request))
    os.kill(status.supervisor.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(status.supervisor.pid), 10, "the supervisor to be gone")
    assert [one for one in executor.collect() if isinstance(one, JobEnded | JobLost)] == []
    (tmp_path / "go").touch()
    assert isinstance(run_to_end(executor, request.jid), JobLost)
    assert (tmp_path / "runs").read_text() == "once\n"


def test_a_job_whose_supervisor_alone_was_killed_can_be_stopped_also_when_it_is_deaf(
    executor: Executor, jobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.minion.executor.KILL_AFTER_SECONDS", 0.3)
    request = request_for("cmd.run", "trap '' TERM; echo begun; sleep 60 & wait; sleep 60")
    executor.start(request)
    status = last_status(begun(jobs, request))
    assert status.process is not None
    os.kill(status.supervisor.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(status.supervisor.pid), 10, "the supervisor to be gone")
    executor.collect()
    assert executor.cancel(request.jid, "enough")
    assert isinstance(run_to_end(executor, request.jid), JobLost)
    assert not is_alive(status.process.pid)


DAEMON = """
import sys
from dataclasses import replace
from pathlib import Path
from fleet.core.names import FunctionName, Jid, MinionId
from fleet.minion.executor import Executor
from fleet.minion.job_records import JobRequest
executor = Executor(Path(sys.argv[1]))
for jid, command in zip(sys.argv[2::2], sys.argv[3::2]):
    executor.start(JobRequest(Jid(jid), FunctionName("cmd.run"), MinionId("m"), (command,), account="tester"))
print("asked", flush=True)
sys.stdin.read()
"""


def run_daemon(jobs: Path, *requests: JobRequest) -> "subprocess.Popen[bytes]":
    """Have another process, as a daemon, start jobs; it returns when they were asked for."""
    words = [text for request in requests for text in (request.jid, str(request.arguments[0]))]
    daemon = subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(jobs), *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert daemon.stdout is not None
    assert daemon.stdout.readline() == b"asked\n"
    return daemon


@pytest.mark.parametrize("end", ["kill the process", "terminate its group", "kill its fork server too"])
def test_a_job_outlives_its_daemon_and_the_next_one_delivers_everything(jobs: Path, tmp_path: Path, end: str) -> None:
    script = until_file(tmp_path / "go", "head -c 200000 /dev/zero; echo end; echo err >&2; exit 7")
    request = request_for("cmd.run", script)
    with run_daemon(jobs, request) as daemon:
        folder = begun(jobs, request)
        if end == "terminate its group":
            os.killpg(daemon.pid, signal.SIGTERM)
        else:
            children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
            for pid in children if end == "kill its fork server too" else []:
                os.kill(int(pid), signal.SIGKILL)
            daemon.kill()
    executor = Executor(jobs)
    assert executor.jids() == [request.jid]
    found = executor.adopt(request.jid)
    status = last_status(folder)
    assert status.process is not None
    assert found == JobAlive(request.jid, status.process.pid, "tester", status.started_us)
    (executing,) = executor.collect()
    assert executing == JobExecuting(request.jid, StartedProgram(*program_of(folder)), is_adopted=True)
    (tmp_path / "go").touch()
    outcome = ended(run_to_end(executor, request.jid)).status.outcome
    assert outcome is not None
    assert (outcome.kind, outcome.retcode) == (OutcomeKind.FAILED, 7)
    assert folder.read_stream("stdout", 0, 300_000) == b"begun\n" + bytes(200_000) + b"end\n"
    assert folder.read_stream("stderr", 0, 100) == b"err\n"
    executor.close()


def program_of(folder: JobFolder) -> tuple[int, str, str, str]:
    """The program of a job as its process tells it, and not its supervisor."""
    process = last_status(folder).process
    assert process is not None
    proc = Path(f"/proc/{process.pid}")
    words = proc.joinpath("cmdline").read_text().rstrip("\0").split("\0")
    return process.pid, words[0], os.readlink(proc / "cwd"), shlex.join(words)


def test_a_folder_that_does_not_say_which_program_it_was_is_taken_up_all_the_same(jobs: Path, tmp_path: Path) -> None:
    """As the previous release left it."""
    request = request_for("cmd.run", until_file(tmp_path / "go", "exit 5"))
    with run_daemon(jobs, request) as daemon:
        folder = begun(jobs, request)
        daemon.kill()
    Path(folder.path, "program").unlink()
    executor = Executor(jobs)
    assert isinstance(executor.adopt(request.jid), JobAlive)
    (tmp_path / "go").touch()
    (end,) = collect_until(executor, bool)
    assert isinstance(end, JobEnded)
    assert end.status.outcome is not None
    assert end.status.outcome.retcode == 5
    executor.close()


def test_a_program_that_became_one_while_nobody_heard_it_is_told_at_its_end(executor: Executor, jobs: Path) -> None:
    request = request_for("cmd.run", "true", options={"cwd": "/"})
    folder = folder_of(jobs, request)
    folder.create(request)
    os.waitpid(start_supervisor(folder, lambda *_, **__: Program(("true",), cwd="/")), 0)
    executor.start(request)  # It finds the folder, and sees how it stands.
    executing, end = executor.collect()
    assert isinstance(executing, JobExecuting)
    assert (executing.program.name, executing.program.directory) == ("true", "/")
    assert isinstance(end, JobEnded)


@pytest.mark.parametrize(
    ("function", "words"), [("test.sleep", (0,)), ("cmd.exec", ("no-such-program",)), ("cmd.exec", ("/etc/passwd",))]
)
def test_a_job_that_becomes_no_program_tells_of_none(executor: Executor, function: str, words: tuple[Value]) -> None:
    request = request_for(function, *words)
    executor.start(request)
    changes = collect_until(executor, lambda told: isinstance(told[-1], JobEnded) if told else False)
    assert [type(change) for change in changes] == [JobStarted, JobEnded]


def test_an_adopted_job_can_be_cancelled(jobs: Path) -> None:
    request = request_for("cmd.run", "echo begun; sleep 60")
    with run_daemon(jobs, request) as daemon:
        begun(jobs, request)
        daemon.kill()
    executor = Executor(jobs)
    assert isinstance(executor.adopt(request.jid), JobAlive)
    assert executor.cancel(request.jid, "enough")
    assert kind_of(run_to_end(executor, request.jid)) is OutcomeKind.CANCELLED
    executor.close()


def test_a_job_that_ended_while_no_daemon_was_there_is_delivered(jobs: Path) -> None:
    request = request_for("cmd.run", "echo begun; sleep 0.2; exit 5")
    with run_daemon(jobs, request) as daemon:
        begun(jobs, request)
        daemon.kill()
    supervisor = last_status(folder_of(jobs, request)).supervisor.pid
    wait_until(lambda: not is_alive(supervisor), 20, "the job to end")
    executor = Executor(jobs)
    outcome = ended_of(executor, request.jid).status.outcome
    assert outcome is not None
    assert outcome.retcode == 5
    executor.close()


def ended_of(executor: Executor, jid: Jid) -> JobEnded:
    found = executor.adopt(jid)
    assert isinstance(found, JobEnded)
    return found


def test_whenever_the_daemon_is_killed_each_job_is_told_once_and_run_at_most_once(jobs: Path, tmp_path: Path) -> None:
    # Eight jobs are asked for and the daemon is killed at once, with its fork server anywhere on its way through them.
    requests = [request_for("cmd.run", f"echo once >> {tmp_path}/runs-{number}") for number in range(8)]
    with run_daemon(jobs, *requests) as daemon:
        daemon.kill()
    executor = Executor(jobs)
    found = {request.jid: executor.adopt(request.jid) for request in requests}
    ends = {jid: run_to_end(executor, jid) if isinstance(change, JobAlive) else change for jid, change in found.items()}
    executor.close()
    # Whoever comes late finds the folders void or done.
    for request in requests:
        os.waitpid(start_supervisor(folder_of(jobs, request), (tmp_path / "late").touch), 0)
    assert not (tmp_path / "late").exists()
    for number, request in enumerate(requests):
        file = tmp_path / f"runs-{number}"
        runs = file.read_text() if file.exists() else ""
        assert runs == ("once\n" if isinstance(ends[request.jid], JobEnded) else ""), ends[request.jid]


def test_a_job_that_was_about_to_start_when_the_daemon_died_is_lost_and_never_starts(
    executor: Executor, jobs: Path, tmp_path: Path
) -> None:
    request = request_for("cmd.run", "true")
    folder = folder_of(jobs, request)
    folder.create(request)
    assert executor.adopt(request.jid) == JobLost(request.jid, "its supervisor was gone before it ran anything")
    os.waitpid(start_supervisor(folder, (tmp_path / "mark").touch), 0)
    assert not (tmp_path / "mark").exists()


def test_of_a_job_without_a_folder_nothing_is_left(executor: Executor) -> None:
    found = executor.adopt(request_for().jid)
    assert isinstance(found, JobLost)
    assert found.reason.startswith("nothing is left of it")


def test_a_jid_that_is_none_reaches_no_path(executor: Executor) -> None:
    for text in ("../x", "/etc/passwd", ""):
        with pytest.raises(ArgumentError):
            executor.adopt(Jid(text))
        with pytest.raises(ArgumentError):
            executor.forget(Jid(text))
        with pytest.raises(ArgumentError):
            executor.start(replace(request_for(), jid=Jid(text)))


def test_at_rest_the_daemon_is_alone_and_the_next_job_runs_all_the_same(jobs: Path) -> None:
    executor = Executor(jobs, idle_seconds=0.2)
    for _ in range(2):
        request = request_for("cmd.run", "true")
        executor.start(request)
        assert kind_of(run_to_end(executor, request.jid)) is OutcomeKind.OK
        wait_until(lambda: executor.collect() or not executor.descriptors(), 20, "the fork server to leave")
    assert executor.wait_seconds() is None
    executor.close()


def test_a_job_that_has_ended_can_be_forgotten_and_is_gone(executor: Executor, jobs: Path) -> None:
    request = request_for("cmd.run", "echo x")
    executor.start(request)
    run_to_end(executor, request.jid)
    (jobs / "not-a-jid").mkdir()
    assert executor.jids() == [request.jid]
    assert executor.forget(request.jid)
    assert executor.jids() == []
    assert executor.forget(request.jid)


def test_a_job_that_nobody_watches_but_its_supervisor_is_not_forgotten(jobs: Path, tmp_path: Path) -> None:
    request = request_for("cmd.run", until_file(tmp_path / "go", "true"))
    executor = Executor(jobs)
    executor.start(request)
    begun(jobs, request)
    executor.close()
    executor = Executor(jobs)
    assert not executor.forget(request.jid)
    (tmp_path / "go").touch()
    supervisor = last_status(folder_of(jobs, request)).supervisor.pid
    wait_until(lambda: not is_alive(supervisor), 20, "the job to end")
    assert executor.forget(request.jid)
    executor.close()


def test_nothing_that_the_daemon_starts_inherits_the_pidfds_of_its_jobs(executor: Executor) -> None:
    request = request_for("test.sleep", 60)
    executor.start(request)
    collect_until(executor, lambda told: bool(told) and len(executor.descriptors()) == 3)
    assert [os.get_inheritable(descriptor) for descriptor in executor.descriptors()] == [False] * 3
    executor.cancel(request.jid, "enough")
    run_to_end(executor, request.jid)


def test_a_job_limit_is_the_supervisors_matter_and_needs_no_daemon(jobs: Path) -> None:
    executor = Executor(jobs)
    request = replace(request_for("cmd.run", "echo begun; sleep 60"), timeout_seconds=0.5)
    executor.start(request)
    folder = begun(jobs, request)
    executor.close()
    supervisor = last_status(folder).supervisor.pid
    wait_until(lambda: not is_alive(supervisor), 20, "the supervisor to end")
    executor = Executor(jobs)
    assert kind_of(ended_of(executor, request.jid)) is OutcomeKind.TIMED_OUT
    executor.close()


def _fork_server(executor: Executor) -> int:
    assert executor._link is not None
    return executor._link.pid
