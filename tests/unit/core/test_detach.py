import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.core.detach import take_place
from fleet.core.errors import StateError

PROGRAM = """
import sys
from pathlib import Path
from fleet.core.detach import take_place
root = Path(sys.argv[1])
back = take_place(root / "var/run/x.pid", root / "var/log/x.log", detaches=True, has_terminal=True)
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


def run(folder: Path, how: str, umask: int = -1) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM, str(folder), how]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, umask=umask)


def stop(folder: Path) -> None:
    pid = int((folder / "var/run/x.pid").read_text())
    descriptor = os.pidfd_open(pid)
    (folder / "stop").touch()
    import select

    select.select([descriptor], [], [], 20)
    os.close(descriptor)


def test_the_command_returns_when_the_daemon_is_ready_and_the_pid_file_names_it(tmp_path: Path) -> None:
    assert run(tmp_path, "works").returncode == 0
    pid = int((tmp_path / "var/run/x.pid").read_text())
    assert os.getsid(pid) != os.getsid(0)

    stop(tmp_path)
    assert not (tmp_path / "var/run/x.pid").exists()


def test_a_daemon_that_does_not_start_fails_its_command_and_shows_why(tmp_path: Path) -> None:
    ended = run(tmp_path, "fails")

    assert ended.returncode == 1
    assert "the folder is in use" in ended.stderr
    assert not (tmp_path / "var/run/x.pid").exists()


def test_a_second_daemon_that_fails_leaves_the_pid_file_of_the_first_alone(tmp_path: Path) -> None:
    assert run(tmp_path, "works").returncode == 0
    before = (tmp_path / "var/run/x.pid").read_text()
    try:
        assert run(tmp_path, "fails").returncode == 1
        assert (tmp_path / "var/run/x.pid").read_text() == before
    finally:
        stop(tmp_path)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_without_a_umask_others_can_write_to_nothing_that_a_daemon_makes(tmp_path: Path) -> None:
    assert run(tmp_path, "works", umask=0).returncode == 0
    try:
        made = {str(path.relative_to(tmp_path)): mode_of(path) for path in tmp_path.rglob("*")}
    finally:
        stop(tmp_path)
    folders = dict.fromkeys(("var", "var/run", "var/log"), 0o755)
    assert made == {**folders, "var/run/x.pid": 0o644, "var/log/x.log": 0o640}


def test_a_stricter_umask_stays(tmp_path: Path) -> None:
    assert run(tmp_path, "works", umask=0o077).returncode == 0
    stop(tmp_path)
    assert mode_of(tmp_path / "var/log") == 0o700


def test_the_pid_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "var/run").mkdir(parents=True)
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "var/run/x.pid").symlink_to(tmp_path / "precious")
    assert run(tmp_path, "works").returncode == 1
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_log_that_others_could_have_put_there_is_refused_with_what_to_do(tmp_path: Path) -> None:
    log = tmp_path / "x.log"

    def refusal() -> str:
        before = os.umask(0o022)
        try:
            with pytest.raises(StateError) as refused:
                take_place(tmp_path / "x.pid", log, detaches=False, has_terminal=False)
        finally:
            os.umask(before)
        return f"{refused.value.message} ({refused.value.hint})"

    (tmp_path / "precious").touch()
    log.symlink_to(tmp_path / "precious")
    assert "it is a symbolic link (look who made it, then remove it" in refusal()
    log.unlink()
    os.mkfifo(log)
    assert "cannot log into" in refusal()
    log.unlink()
    log.touch()
    log.chmod(0o664)
    assert f"others may write to it (mode 0664) (see who could have changed it, then: chmod 0644 {log})" in refusal()


def test_a_log_of_another_account_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "x.log"
    log.touch(0o644)
    account = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: account + 1)
    before = os.umask(0o022)
    try:
        with pytest.raises(StateError, match=f"belongs to the account with uid {account}"):
            take_place(tmp_path / "x.pid", log, detaches=False, has_terminal=False)
    finally:
        os.umask(before)
