import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.core.errors import StateError
from fleet.keys.state_folder import FILE_LIMIT_BYTES, PUBLIC_MODE, StateFolder


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    with StateFolder.open(tmp_path / "state") as folder:
        yield folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_everything_is_made_with_its_final_mode_under_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with StateFolder.open(tmp_path / "var/lib/state") as state:
            state.create("secret", b"s")
            state.replace("replaced", b"r")
            state.create("public", b"p", PUBLIC_MODE)
            os.close(state.open_file("opened", os.O_RDWR | os.O_CREAT))
    finally:
        os.umask(before)

    assert mode(tmp_path / "var/lib/state") == 0o700
    assert mode(tmp_path / "var") == 0o755 & ~umask
    assert {path.name: mode(path) for path in (tmp_path / "var/lib/state").iterdir()} == {
        "secret": 0o600,
        "replaced": 0o600,
        "public": 0o644,
        "opened": 0o600,
    }


def test_a_file_is_at_no_moment_more_open_than_in_the_end(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = os.fchmod

    def look_then_change(descriptor: int, bits: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor, bits)

    monkeypatch.setattr(os, "fchmod", look_then_change)
    before = os.umask(0)
    try:
        state.create("secret", b"s")
    finally:
        os.umask(before)

    assert seen == [0o600]


def test_a_folder_that_is_not_there_is_not_made_for_reading(tmp_path: Path) -> None:
    assert StateFolder.open_existing(tmp_path / "none/state") is None
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("bits", [0o750, 0o705, 0o701, 0o720, 0o777])
def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path, bits: int) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(bits)

    with pytest.raises(StateError, match="open to other accounts") as caught:
        StateFolder.open(folder)
    assert f"chmod 0700 {folder}" in caught.value.hint


def test_a_folder_of_another_account_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StateFolder.open(tmp_path / "state").close()
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)

    with pytest.raises(StateError, match=f"belongs to the account with uid {mine}"):
        StateFolder.open(tmp_path / "state")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")

    with pytest.raises(StateError):
        StateFolder.open(tmp_path / "state")
    with pytest.raises(StateError):
        StateFolder.open(tmp_path / "state/below")


def test_a_link_to_a_folder_is_followed_and_judged_by_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to("disk")

    StateFolder.open(tmp_path / "state").close()
    (tmp_path / "disk").chmod(0o755)
    with pytest.raises(StateError):
        StateFolder.open(tmp_path / "state")


def test_what_was_written_is_read(state: StateFolder) -> None:
    assert state.read("file") is None
    assert state.create("file", b"one")
    assert state.read("file") == b"one"
    state.replace("file", b"two")
    assert state.read("file") == b"two"


def test_create_never_overwrites(state: StateFolder) -> None:
    state.create("file", b"one")
    (state.path / "dangling").symlink_to("nowhere")

    assert not state.create("file", b"two")
    assert not state.create("dangling", b"two")
    assert state.read("file") == b"one"
    assert not (state.path / "nowhere").exists()


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_secret_that_others_may_use_is_refused(state: StateFolder, bits: int) -> None:
    state.create("file", b"")
    (state.path / "file").chmod(bits)

    with pytest.raises(StateError, match="open to other accounts"):
        state.read("file")


def test_a_public_file_may_be_read_but_not_written_by_others(state: StateFolder) -> None:
    state.create("file", b"public", PUBLIC_MODE)

    assert state.read("file", public=True) == b"public"
    for bits in (0o664, 0o646):
        (state.path / "file").chmod(bits)
        with pytest.raises(StateError):
            state.read("file", public=True)


def test_a_file_of_another_account_is_refused(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    state.create("file", b"")
    real = os.fstat

    def foreign(descriptor: int) -> os.stat_result:
        fields = list(real(descriptor))
        fields[stat.ST_UID] += 1
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", foreign)
    with pytest.raises(StateError, match="belongs to the account with uid"):
        state.read("file")


def test_a_link_is_not_followed(state: StateFolder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("secret of somebody")
    (tmp_path / "elsewhere").chmod(0o600)
    (state.path / "file").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StateError) as caught:
        state.read("file")
    assert "symbolic link" in caught.value.hint


def test_a_pipe_or_a_folder_in_the_place_of_a_file_is_refused_without_waiting(state: StateFolder) -> None:
    os.mkfifo(state.path / "pipe", 0o600)
    (state.path / "folder").mkdir(mode=0o700)

    with pytest.raises(StateError, match="no regular file"):
        state.read("pipe")
    with pytest.raises(StateError, match="no regular file"):
        state.read("folder")


def test_a_file_that_never_ends_is_not_read_whole(state: StateFolder) -> None:
    state.create("file", bytes(FILE_LIMIT_BYTES + 1))
    state.create("largest", bytes(FILE_LIMIT_BYTES))

    assert len(state.read("largest") or b"") == FILE_LIMIT_BYTES
    with pytest.raises(StateError, match="longer than"):
        state.read("file")


@pytest.mark.parametrize("step", ["open", "fsync", "rename"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    state.create("file", b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        with pytest.raises(StateError) as caught:
            state.replace("file", b"new")

    assert "free some space" in caught.value.hint
    assert state.read("file") == b"old"
    assert os.listdir(state.path) == ["file"]


def test_sweep_removes_what_dead_processes_left_and_nothing_else(state: StateFolder) -> None:
    dead = os.spawnvp(os.P_NOWAIT, "true", ["true"])
    os.waitpid(dead, 0)
    names = {f".file.{os.getpid()}.aa", ".hidden", "file.1.2", f".file.{dead}.x.aa", f".file.{'9' * 30}.aa"}
    for name in {*names, f".file.{dead}.aa", f".other.key.{dead}.bb"}:
        (state.path / name).write_text("")

    (state.path / f".folder.{dead}.aa").mkdir()

    state.sweep()

    assert set(os.listdir(state.path)) == {*names, f".folder.{dead}.aa"}
