import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.core.errors import StateError
from fleet.keys.lock import lock_state_folder

_HOLD = (
    "import pathlib, sys; from fleet.keys.lock import lock_state_folder as lock;"
    "held = lock(pathlib.Path(sys.argv[1]), 'fleet-master'); print('held', flush=True); sys.stdin.readline()"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_is_first(folder: Path) -> None:
    with (
        lock_state_folder(folder, "fleet-master"),
        pytest.raises(StateError, match=rf"is used by process {os.getpid()} \(fleet-master\)") as caught,
    ):
        lock_state_folder(folder, "fleet-key")
    assert caught.value.hint


def test_the_lock_is_free_after_its_holder_has_closed_it(folder: Path) -> None:
    lock_state_folder(folder, "a name that is longer than the next").close()
    with lock_state_folder(folder, "fleet-key"):
        assert (folder / "lock").read_text() == f"{os.getpid()} fleet-key\n"


def test_another_process_is_kept_out_until_the_holder_is_killed(folder: Path) -> None:
    process = holder(folder)
    try:
        with pytest.raises(StateError, match=f"process {process.pid} "):
            lock_state_folder(folder, "fleet-key")
    finally:
        process.kill()
        process.communicate(timeout=30)

    lock_state_folder(folder, "fleet-key").close()


def test_a_program_that_the_holder_started_does_not_keep_the_lock(folder: Path) -> None:
    with lock_state_folder(folder, "fleet-minion"):
        program = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    try:
        lock_state_folder(folder, "fleet-minion").close()
        assert program.poll() is None, "it was there all the time"
    finally:
        program.communicate(timeout=30)


def test_a_lock_file_without_a_pid_does_not_confuse_the_message(folder: Path) -> None:
    with lock_state_folder(folder, "fleet-master"):
        for text in (b"", b"\xff\xfe", b"x y"):
            (folder / "lock").write_bytes(text)
            with pytest.raises(StateError, match="is used by another process"):
                lock_state_folder(folder, "fleet-key")


def test_the_folder_is_made_private_under_any_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        lock_state_folder(folder, "fleet-master").close()
    finally:
        os.umask(before)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "lock").stat().st_mode) == 0o600


def test_a_folder_that_others_may_enter_is_refused(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)

    with pytest.raises(StateError, match="open to other accounts"):
        lock_state_folder(folder, "fleet-master")


def test_a_folder_of_another_account_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_state_folder(folder, "fleet-master").close()
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)

    with pytest.raises(StateError, match="belongs to the account"):
        lock_state_folder(folder, "fleet-master")


def test_a_link_in_the_place_of_the_lock_is_refused(folder: Path, tmp_path: Path) -> None:
    lock_state_folder(folder, "fleet-master").close()
    (folder / "lock").unlink()
    (folder / "lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StateError):
        lock_state_folder(folder, "fleet-master")
    assert not (tmp_path / "elsewhere").exists()


def test_what_killed_processes_left_is_removed_under_the_lock_only(folder: Path) -> None:
    with lock_state_folder(folder, "fleet-master"):
        dead = os.spawnvp(os.P_NOWAIT, "true", ["true"])
        os.waitpid(dead, 0)
        left = folder / f".master.key.{dead}.aa"
        left.write_text("")
        with pytest.raises(StateError):
            lock_state_folder(folder, "fleet-key")
        assert left.exists()

    lock_state_folder(folder, "fleet-key").close()
    assert not left.exists()


def test_no_descriptor_is_left_open(folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with lock_state_folder(folder, "one"), pytest.raises(StateError):
        lock_state_folder(folder, "two")

    assert len(os.listdir("/proc/self/fd")) == before
