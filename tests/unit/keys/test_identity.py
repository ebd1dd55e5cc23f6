import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from fleet.core.crypto import LABEL_MASTER
from fleet.core.errors import StateError
from fleet.keys.identity import (
    MasterPublic,
    load_master,
    load_minion,
    load_or_create_master,
    load_or_create_minion,
    read_master_public,
    read_minion_public,
)
from fleet.keys.state_folder import StateFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_second_start_finds_the_keys_of_the_first(folder: Path) -> None:
    assert load_or_create_master(folder) == load_or_create_master(folder)
    assert names(folder) == ["master.key", "master.pub"]


def test_a_minion_keeps_its_key(folder: Path) -> None:
    assert load_or_create_minion(folder) == load_or_create_minion(folder)
    assert names(folder) == ["minion.key", "minion.pub"]


def test_keys_that_are_only_asked_for_are_not_made(folder: Path) -> None:
    for load in (load_master, load_minion):
        with pytest.raises(StateError, match="there is no key in"):
            load(folder)
    assert not folder.exists()
    with StateFolder.open(folder), pytest.raises(StateError, match="there is no key in"):
        load_minion(folder)
    assert names(folder) == []
    assert load_or_create_master(folder) == load_master(folder)


def test_no_two_daemons_have_the_same_keys(tmp_path: Path) -> None:
    minions = {load_or_create_minion(tmp_path / str(number)).curve.public for number in range(5)}
    master = load_or_create_master(tmp_path / "master")

    assert len(minions) == 5
    assert master.signing.reveal() != master.curve.reveal()


def test_the_keys_work(folder: Path) -> None:
    master = load_or_create_master(folder)

    master.signing.public.verify(
        LABEL_MASTER, b"ports", load_or_create_master(folder).signing.sign(LABEL_MASTER, b"ports")
    )


def test_secrets_are_0600_and_public_keys_0644_in_a_folder_0700(folder: Path) -> None:
    before = os.umask(0)
    try:
        load_or_create_master(folder)
        load_or_create_minion(folder)
    finally:
        os.umask(before)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "master.key": 0o600,
        "master.pub": 0o644,
        "minion.key": 0o600,
        "minion.pub": 0o644,
    }


def test_the_public_part_is_read_without_the_secret(folder: Path) -> None:
    master, minion = load_or_create_master(folder), load_or_create_minion(folder)
    (folder / "master.key").unlink()
    (folder / "minion.key").unlink()

    assert read_master_public(folder) == MasterPublic(master.signing.public.raw, master.curve.public.raw)
    assert read_minion_public(folder) == minion.curve.public.raw
    assert names(folder) == ["master.pub", "minion.pub"]


def test_before_the_first_start_there_is_no_public_part_and_none_is_made(folder: Path) -> None:
    assert read_master_public(folder) is None
    assert read_minion_public(folder) is None
    assert not folder.exists()


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_a_public_file_that_is_lost_or_damaged_is_written_again(folder: Path, content: bytes | None) -> None:
    identity = load_or_create_minion(folder)
    (folder / "minion.pub").unlink() if content is None else (folder / "minion.pub").write_bytes(content)

    assert load_or_create_minion(folder) == identity
    assert read_minion_public(folder) == identity.curve.public.raw


def test_a_public_file_that_is_right_is_left_alone(folder: Path) -> None:
    load_or_create_master(folder)
    before = (folder / "master.pub").stat()
    load_or_create_master(folder)

    assert (folder / "master.pub").stat().st_ino == before.st_ino


def test_a_public_file_of_other_keys_is_written_again(folder: Path, tmp_path: Path) -> None:
    mine = load_or_create_master(folder)
    load_or_create_master(tmp_path / "other")
    shutil.copy(tmp_path / "other/master.pub", folder)

    load_or_create_master(folder)

    assert read_master_public(folder) == MasterPublic(mine.signing.public.raw, mine.curve.public.raw)


def test_a_public_file_that_others_could_have_changed_is_refused(folder: Path) -> None:
    load_or_create_master(folder)
    (folder / "master.pub").chmod(0o666)

    with pytest.raises(StateError, match="open to other accounts"):
        read_master_public(folder)


def test_each_damaged_byte_of_a_secret_is_found_and_the_file_left_alone(folder: Path) -> None:
    load_or_create_master(folder)
    path = folder / "master.key"
    whole = path.read_bytes()

    for position in range(len(whole)):
        damaged = whole[:position] + bytes((whole[position] ^ 1,)) + whole[position + 1 :]
        path.write_bytes(damaged)
        with pytest.raises(StateError) as caught:
            load_or_create_master(folder)
        assert str(path) in caught.value.message
        assert "backup" in caught.value.hint
        assert path.read_bytes() == damaged


def test_an_empty_or_torn_secret_is_refused_and_left_alone(folder: Path) -> None:
    load_or_create_minion(folder)
    path = folder / "minion.key"
    whole = path.read_bytes()

    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(StateError):
            load_or_create_minion(folder)
        assert path.read_bytes() == whole[:length]


def test_an_error_about_a_secret_does_not_show_it(folder: Path) -> None:
    load_or_create_minion(folder)
    path = folder / "minion.key"
    secret = path.read_text().split()[2]
    path.write_text(path.read_text() + " ")

    with pytest.raises(StateError) as caught:
        load_or_create_minion(folder)
    assert secret[:8] not in repr(caught.value) + caught.value.hint


def test_the_key_of_a_minion_is_not_taken_for_that_of_a_master(folder: Path) -> None:
    load_or_create_minion(folder)
    (folder / "minion.key").rename(folder / "master.key")

    with pytest.raises(StateError, match="is a fleet-minion-key file, not a fleet-master-key file"):
        load_or_create_master(folder)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o644])
def test_a_secret_that_others_could_read_is_refused(folder: Path, bits: int) -> None:
    load_or_create_master(folder)
    (folder / "master.key").chmod(bits)

    with pytest.raises(StateError, match="open to other accounts"):
        load_or_create_master(folder)


def test_a_link_in_the_place_of_a_secret_is_refused_even_when_it_leads_to_a_key(folder: Path, tmp_path: Path) -> None:
    load_or_create_minion(tmp_path / "other")
    load_or_create_minion(folder)
    (folder / "minion.key").unlink()
    (folder / "minion.key").symlink_to(tmp_path / "other/minion.key")

    with pytest.raises(StateError):
        load_or_create_minion(folder)


def test_a_dangling_link_does_not_make_a_key_elsewhere(folder: Path, tmp_path: Path) -> None:
    StateFolder.open(folder).close()
    (folder / "minion.key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StateError):
        load_or_create_minion(folder)
    assert not (tmp_path / "elsewhere").exists()


def test_threads_that_race_end_with_one_key(folder: Path) -> None:
    start = Barrier(8)

    def create() -> bytes:
        start.wait()
        return load_or_create_minion(folder).curve.public.raw

    with ThreadPoolExecutor(8) as pool:
        publics = {future.result() for future in [pool.submit(create) for _ in range(8)]}

    assert publics == {read_minion_public(folder)}
    assert names(folder) == ["minion.key", "minion.pub"]


def test_processes_that_race_end_with_one_key(folder: Path) -> None:
    program = (
        "import pathlib, sys; from fleet.keys.identity import load_or_create_master as load; sys.stdin.readline();"
        "print(load(pathlib.Path(sys.argv[1])).signing.public.raw.hex())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, folder],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    publics = {process.communicate(timeout=30)[0].strip() for process in processes}

    public = read_master_public(folder)
    assert public is not None
    assert publics == {public.identity.hex()}
    assert names(folder) == ["master.key", "master.pub"]


_STEPS = ("mkdir", "open", "fchmod", "fsync", "link", "unlink", "rename")


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Run the action in a child that is killed before its n-th step on the disk; tell whether it was."""
    child = os.fork()
    if child == 0:
        try:
            left = step

            def dying(real: Callable[..., object]) -> Callable[..., object]:
                def call(*arguments: object, **options: object) -> object:
                    nonlocal left
                    if left == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    left -= 1
                    return real(*arguments, **options)

                return call

            for name in _STEPS:
                setattr(os, name, dying(getattr(os, name)))
            action()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_a_kill_at_any_step_leaves_no_key_or_a_whole_one(tmp_path: Path) -> None:
    step, folder = 0, tmp_path / "0"
    while killed_at(step, partial(load_or_create_master, folder)):
        left = (folder / "master.key").read_bytes() if (folder / "master.key").exists() else None

        master = load_or_create_master(folder)

        assert left in {None, (folder / "master.key").read_bytes()}
        assert read_master_public(folder) == MasterPublic(master.signing.public.raw, master.curve.public.raw)
        with StateFolder.open(folder) as state:
            state.sweep()
        assert names(folder) == ["master.key", "master.pub"]
        step += 1
        folder = tmp_path / str(step)

    assert step > 10
