"""The fork server: small, leaves when it is not needed, and its supervisors outlive it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.minion.fork_link import ForkLink
from fleet.minion.fork_messages import Forked, ForkMessage, NotStarted, Running, Start, read_message, write_message
from fleet.minion.job_folder import JobFolder
from support.jobs import is_alive, last_status, request_for
from support.wait import wait_until

#: What a supervisor must not carry: it lives as long as its job.
HEAVY = {
    "zmq",
    "nacl",
    "msgpack",
    "yaml",
    "psutil",
    "distro",
    "rich",
    "tornado",
    "asyncio",
    "ssl",
    "sqlite3",
    "logging",
}
HEAVY |= {"subprocess", "threading", "multiprocessing", "pathlib", "importlib.metadata", "email", "http", "ctypes"}


@pytest.fixture
def link(tmp_path: Path) -> Iterator[ForkLink]:
    made = ForkLink(str(tmp_path), 30)
    yield made
    made.close()


def prepare(jobs: Path, function: str, *arguments: object) -> JobFolder:
    request = request_for(function, *arguments)  # type: ignore[arg-type]
    folder = JobFolder.of(str(jobs), request.jid)
    folder.create(request)
    return folder


def hear(link: ForkLink, count: int) -> list[ForkMessage]:
    heard: list[ForkMessage] = []

    def listen() -> bool:
        for message, pidfd in link.receive():
            heard.append(message)
            if pidfd is not None:
                os.close(pidfd)
        return len(heard) >= count

    wait_until(listen, 20, f"{count} messages")
    return heard


def has_ended(folder: JobFolder) -> bool:
    status = folder.read_status()
    return status is not None and status.outcome is not None


def test_a_start_is_answered_with_a_pidfd_and_the_job_runs(link: ForkLink, tmp_path: Path) -> None:
    folder = prepare(tmp_path, "cmd.run", "echo hello")
    link.send(Start(folder.path))
    heard = hear(link, 2)
    wait_until(lambda: has_ended(folder), 20, "the job to end")
    process = last_status(folder).process
    assert process is not None
    assert Forked(folder.path) in heard
    running = next(message for message in heard if isinstance(message, Running))
    assert (running.path, running.pid, running.started_us) == (
        folder.path,
        process.pid,
        last_status(folder).started_us,
    )
    assert folder.read_stream("stdout", 0, 100) == b"hello\n"


def test_what_cannot_be_run_is_said(link: ForkLink, tmp_path: Path) -> None:
    folder = prepare(tmp_path, "cmd.run", "true")
    Path(folder.path, "job").write_bytes(b"{")
    link.send(Start(folder.path))
    said = [message for message in hear(link, 2) if isinstance(message, NotStarted)]
    assert len(said) == 1
    assert "/job is damaged" in said[0].reason
    assert folder.read_status() is None


def test_a_supervisor_outlives_its_fork_server_and_the_daemon(tmp_path: Path) -> None:
    link = ForkLink(str(tmp_path), 30)
    folder = prepare(tmp_path, "cmd.run", f"echo begun; until test -e {tmp_path}/go; do sleep 0.05; done; echo done")
    link.send(Start(folder.path))
    wait_until(lambda: folder.stream_size("stdout"), 20, "the job to begin")
    link.close()
    (tmp_path / "go").touch()
    wait_until(lambda: has_ended(folder), 20, "the job to end")
    assert folder.read_stream("stdout", 0, 100) == b"begun\ndone\n"


def test_a_supervisor_has_a_session_of_its_own_and_holds_nothing_of_the_daemons(link: ForkLink, tmp_path: Path) -> None:
    folder = prepare(tmp_path, "test.sleep", 60)
    link.send(Start(folder.path))
    hear(link, 2)
    supervisor, process = last_status(folder).supervisor.pid, last_status(folder).process
    assert process is not None
    assert os.getsid(supervisor) == supervisor
    # Announced at the fork, so that the pid is known before anything runs; it makes its session first of all.
    wait_until(lambda: os.getsid(process.pid) == process.pid, 10, "the process to have its session")
    assert len({os.getsid(0), os.getsid(link.pid), supervisor, process.pid}) == 4
    assert {os.readlink(f"/proc/{supervisor}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}
    assert os.readlink(f"/proc/{supervisor}/cwd") == "/"
    title = Path(f"/proc/{supervisor}/cmdline").read_bytes().rstrip(b"\0").decode()
    assert title == f"fleet-minion: supervisor of {folder.path}"
    os.kill(supervisor, signal.SIGTERM)
    wait_until(lambda: not is_alive(supervisor), 20, "the supervisor to end")


def test_it_leaves_after_it_had_nothing_to_do_but_not_before_its_last_job_has_ended(tmp_path: Path) -> None:
    link = ForkLink(str(tmp_path), 0.3)
    folder = prepare(tmp_path, "test.sleep", 60)
    link.send(Start(folder.path))
    hear(link, 2)
    supervisor = last_status(folder).supervisor.pid
    assert not _ends_within(link, 1.0)
    os.kill(supervisor, signal.SIGTERM)
    wait_until(link.has_ended, 20, "the fork server to leave")
    assert not is_alive(supervisor)
    link.close()


def test_it_ends_with_its_daemon(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from fleet.minion.fork_link import ForkLink\n"
        "link = ForkLink(sys.argv[1], 30)\n"
        "print(link.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    daemon = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with daemon:
        assert daemon.stdout is not None
        pid = int(daemon.stdout.readline())
        wait_until(lambda: is_alive(pid), 10, "the fork server to be there")
        daemon.kill()
    wait_until(lambda: not is_alive(pid), 20, "the fork server to end")


def test_a_supervisor_carries_no_heavy_library() -> None:
    script = "import sys, fleet.minion.fork_server; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = set(subprocess.check_output([sys.executable, "-c", script], env=environment, text=True).split())
    assert "fleet.minion.supervisor" in loaded
    assert loaded & HEAVY == set()
    assert {name for name in loaded if name.startswith("fleet.")} <= {
        *(f"fleet.{name}" for name in ("core", "minion")),
        *(
            f"fleet.core.{name}"
            for name in ("dataclass", "errors", "functions", "function_spec", "names", "outcome", "values")
        ),
        "fleet.core.job_states",
        *(name for name in loaded if name.startswith("fleet.minion.")),
    }


def test_a_supervisor_that_waits_takes_little_memory(link: ForkLink, tmp_path: Path) -> None:
    folder = prepare(tmp_path, "test.sleep", 60)
    link.send(Start(folder.path))
    hear(link, 2)
    supervisor = last_status(folder).supervisor.pid
    fields = dict(line.split(":") for line in Path(f"/proc/{supervisor}/smaps_rollup").read_text().splitlines()[1:])
    private_kilobytes = int(fields["Private_Dirty"].split()[0])
    os.kill(supervisor, signal.SIGTERM)
    wait_until(lambda: not is_alive(supervisor), 20, "the supervisor to end")
    # 2.6 MB were measured; what it shares with the fork server, while that is there, does not count.
    assert private_kilobytes < 6_000


def test_the_environment_cannot_choose_what_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fleet", "json", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    link = ForkLink(str(tmp_path), 30)
    folder = prepare(tmp_path, "cmd.run", "true")
    link.send(Start(folder.path))
    wait_until(lambda: has_ended(folder), 20, "the job to end")
    link.close()
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("message", [Start("/a b"), Forked("/\udcff"), Running("/a", 3, 4), NotStarted("/a", "why")])
def test_messages_come_back_as_they_were(message: ForkMessage) -> None:
    assert read_message(write_message(message)) == message


def _ends_within(link: ForkLink, seconds: float) -> bool:
    try:
        return wait_until(link.has_ended, seconds, "an end that should not come")
    except AssertionError:
        return False
