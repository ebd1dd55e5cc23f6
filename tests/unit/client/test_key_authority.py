"""``fleet-key`` with no master: the store itself, under its lock."""

from pathlib import Path

import pytest

from fleet.client import key_authority
from fleet.client.client import Client
from fleet.client.key_authority import RunningMaster, StoreOnDisk, find_authority
from fleet.client.key_command import main
from fleet.core.control_answers import KeyList
from fleet.core.control_requests import ChangeKeys, ListKeys
from fleet.core.errors import NotFoundError, NotPermittedError, StateError, UnreachableError, UsageError
from fleet.core.names import MinionId
from fleet.core.paths import Paths
from fleet.keys.fingerprint import fingerprint
from fleet.keys.identity import load_or_create_master
from fleet.keys.lock import lock_state_folder
from fleet.keys.minion_key import KeyState
from fleet.keys.store import KeyStore
from support.fake_master import MOMENT_US, Start

Captured = pytest.CaptureFixture[str]
WEB = MinionId("web-1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of a master that is down, with two pending keys."""
    monkeypatch.setenv("FLEET_ROOT", str(tmp_path))
    monkeypatch.setattr(key_authority, "_PATIENCE_SECONDS", 0.05)
    state = Paths(tmp_path).master_state
    load_or_create_master(state)
    with KeyStore.open(state) as store:
        store.offer(WEB, b"1" * 32, "10.0.0.1", MOMENT_US)
        store.offer(MinionId("web-2"), b"2" * 32, "10.0.0.2", MOMENT_US)
    return state


def states(folder: Path) -> dict[str, KeyState]:
    with KeyStore.open(folder) as store:
        return {key.minion_id: key.state for key in store.all()}


def test_keys_are_listed_and_decided_with_the_master_down(folder: Path, capsys: Captured) -> None:
    assert main(["-L"]) == 0
    out = capsys.readouterr().out
    assert fingerprint(b"1" * 32) in out
    assert "pairing code" in out
    assert main(["-a", "web-*"]) == 0
    assert capsys.readouterr().out == "Key for minion web-1 accepted.\nKey for minion web-2 accepted.\n"
    assert states(folder) == {"web-1": KeyState.ACCEPTED, "web-2": KeyState.ACCEPTED}
    assert main(["reject", "web-1"]) == 0
    assert main(["-d", "web-2"]) == 0
    assert states(folder) == {"web-1": KeyState.REJECTED}


def test_the_pairing_code_is_the_one_of_this_master(folder: Path) -> None:
    row = StoreOnDisk(folder).keys().keys[0]
    assert main(["-a", "web-1", "--fingerprint", row.pairing_code]) == 0
    assert states(folder)["web-1"] is KeyState.ACCEPTED


def test_a_store_that_is_locked_while_no_master_answers_is_said_so(folder: Path, capsys: Captured) -> None:
    with lock_state_folder(folder, "fleet-master"):
        assert main(["-A", "-y"]) == 1
    err = capsys.readouterr().err
    assert "(fleet-master), but no master answers: no master runs here" in err
    assert states(folder)["web-1"] is KeyState.PENDING


def test_a_master_that_runs_is_asked_and_its_store_left_alone(folder: Path, start: Start) -> None:
    keys = KeyList((), "ozmg", 0)
    master = start({ListKeys: [keys], ChangeKeys: [keys]})
    with lock_state_folder(folder, "fleet-master"):
        authority = find_authority(Client(), folder)
        assert isinstance(authority, RunningMaster)
        assert authority.keys() == authority.change("accept", []) == keys
    assert [type(request) for request in master.requests] == [ListKeys, ChangeKeys]


def test_where_no_master_ever_was_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("FLEET_ROOT", str(tmp_path))
    assert main(["-L"]) == 1
    assert "none was ever started" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_gone_changes_nothing(folder: Path) -> None:
    store = StoreOnDisk(folder)
    rows = store.keys().keys
    store.change("delete", rows[:1])
    with pytest.raises(NotFoundError):
        store.change("accept", rows)
    assert states(folder) == {"web-2": KeyState.PENDING}


def test_only_three_things_can_be_done_to_a_key(folder: Path) -> None:
    with pytest.raises(UsageError):
        StoreOnDisk(folder).change("bless", [])


def test_a_folder_of_another_account_is_not_permitted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    with pytest.raises(NotPermittedError) as caught:
        StoreOnDisk(folder).keys()
    assert caught.value.exit_code == 4


def test_a_damaged_folder_is_not_taken_for_a_locked_one(folder: Path) -> None:
    folder.chmod(0o755)
    with pytest.raises(StateError, match="open to other accounts"):
        find_authority(Client(), folder)
    folder.chmod(0o700)
    (folder / "master.pub").unlink()
    with pytest.raises(UnreachableError):
        find_authority(Client(), folder)
