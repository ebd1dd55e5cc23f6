import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from fleet.core.detach import detach
back = detach(Path(sys.argv[1]) / "run" / "x.pid", Path(sys.argv[1]) / "log" / "x.log")
if sys.argv[2] == "fails":
    sys.stderr.write("it cannot start: the folder is in use\\n")
    back.ended()
    sys.exit(1)
back.ready()
import time
deadline = time.monotonic() + 20
while not (Path(sys.argv[1]) / "stop").exists() and time.monotonic() < deadline:
    time.sleep(0.01)
back.ended()
"""


def run(folder: Path, how: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM, str(folder), how]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def stop(folder: Path) -> None:
    pid = int((folder / "run" / "x.pid").read_text())
    descriptor = os.pidfd_open(pid)
    (folder / "stop").touch()
    import select

    select.select([descriptor], [], [], 20)
    os.close(descriptor)


def test_the_command_returns_when_the_daemon_is_ready_and_the_pid_file_names_it(tmp_path: Path) -> None:
    assert run(tmp_path, "works").returncode == 0
    pid = int((tmp_path / "run" / "x.pid").read_text())
    assert os.getsid(pid) != os.getsid(0)

    stop(tmp_path)
    assert not (tmp_path / "run" / "x.pid").exists()


def test_a_daemon_that_does_not_start_fails_its_command_and_shows_why(tmp_path: Path) -> None:
    ended = run(tmp_path, "fails")

    assert ended.returncode == 1
    assert "the folder is in use" in ended.stderr
    assert not (tmp_path / "run" / "x.pid").exists()


def test_a_second_daemon_that_fails_leaves_the_pid_file_of_the_first_alone(tmp_path: Path) -> None:
    assert run(tmp_path, "works").returncode == 0
    before = (tmp_path / "run" / "x.pid").read_text()
    try:
        assert run(tmp_path, "fails").returncode == 1
        assert (tmp_path / "run" / "x.pid").read_text() == before
    finally:
        stop(tmp_path)
