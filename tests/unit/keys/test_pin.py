import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.errors import StateError
from fleet.keys.pin import MasterPin, load_pin, save_pin

MASTER = bytes(range(32))
OTHER = bytes(range(1, 33))
identities = st.binary(min_size=32, max_size=32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_new_minion_has_no_pin_and_none_is_made(folder: Path) -> None:
    assert load_pin(folder) is None
    assert not folder.exists()


@pytest.mark.parametrize("document", [b"", b"-", b"\0signed", bytes(16 * 1024)])
@pytest.mark.parametrize("provisional", [True, False])
def test_what_was_saved_is_loaded(folder: Path, provisional: bool, document: bytes) -> None:
    pin = MasterPin(MASTER, provisional, document)
    save_pin(folder, pin)

    assert load_pin(folder) == pin
    assert os.listdir(folder) == ["master.pin"]
    assert stat.S_IMODE((folder / "master.pin").stat().st_mode) == 0o600


def test_acceptance_makes_a_provisional_pin_final_and_keeps_the_document(folder: Path) -> None:
    save_pin(folder, MasterPin(MASTER, True))
    save_pin(folder, MasterPin(MASTER, False, b"document"))

    assert load_pin(folder) == MasterPin(MASTER, False, b"document")


def test_a_final_pin_gives_way_to_no_other_master(folder: Path) -> None:
    save_pin(folder, MasterPin(MASTER, False, b"document"))

    for provisional in (True, False):
        with pytest.raises(StateError, match="names another master") as caught:
            save_pin(folder, MasterPin(OTHER, provisional))
        assert "remove that file" in caught.value.hint
    assert load_pin(folder) == MasterPin(MASTER, False, b"document")


def test_a_final_pin_does_not_become_provisional(folder: Path) -> None:
    save_pin(folder, MasterPin(MASTER, False))

    with pytest.raises(StateError, match="does not become provisional"):
        save_pin(folder, MasterPin(MASTER, True))


def test_a_provisional_pin_gives_way(folder: Path) -> None:
    save_pin(folder, MasterPin(MASTER, True))
    save_pin(folder, MasterPin(OTHER, True))

    assert load_pin(folder) == MasterPin(OTHER, True)


def test_the_same_master_may_send_a_new_document(folder: Path) -> None:
    save_pin(folder, MasterPin(MASTER, False, b"old"))
    save_pin(folder, MasterPin(MASTER, False, b"new"))

    assert load_pin(folder) == MasterPin(MASTER, False, b"new")


@pytest.mark.parametrize(
    "pin", [MasterPin(b"", True), MasterPin(bytes(31), True), MasterPin(MASTER, True, bytes(16385))]
)
def test_what_is_no_pin_is_not_saved(folder: Path, pin: MasterPin) -> None:
    with pytest.raises(StateError):
        save_pin(folder, pin)
    assert not folder.exists()


def test_each_damaged_byte_is_found_and_the_pin_left_alone(folder: Path) -> None:
    save_pin(folder, MasterPin(MASTER, False, b"document"))
    path = folder / "master.pin"
    whole = path.read_bytes()

    for position in range(len(whole)):
        damaged = whole[:position] + bytes((whole[position] ^ 1,)) + whole[position + 1 :]
        path.write_bytes(damaged)
        with pytest.raises(StateError):
            load_pin(folder)
        # A damaged pin is no missing pin: else whoever can damage it chooses the next master.
        with pytest.raises(StateError):
            save_pin(folder, MasterPin(OTHER, True))
        assert path.read_bytes() == damaged


@given(identities, st.booleans(), st.binary(max_size=100))
def test_any_pin_survives(
    tmp_path_factory: pytest.TempPathFactory, identity: bytes, provisional: bool, document: bytes
) -> None:
    folder = tmp_path_factory.mktemp("pin") / "state"
    save_pin(folder, MasterPin(identity, provisional, document))

    assert load_pin(folder) == MasterPin(identity, provisional, document)
