import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.errors import SettingsError
from fleet.core.values import Value
from fleet.minion.static_grains import load_static_grains, write_static_grain


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "grains"


def test_names_and_values_are_read(path: Path) -> None:
    path.write_text("roles: [web, db]\nrack: 7\nplace: {room: B, row: 2}\nversion: '1.10'\n")
    grains = load_static_grains(path)
    assert grains.values == {"roles": ["web", "db"], "rack": 7, "place": {"room": "B", "row": 2}, "version": "1.10"}
    assert grains.warnings == ()


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_a_missing_or_empty_file_has_no_grains(path: Path, text: str) -> None:
    assert load_static_grains(path).values == {}
    path.write_text(text)
    assert (load_static_grains(path).values, load_static_grains(path).warnings) == ({}, ())


@pytest.mark.parametrize(
    "content",
    [
        b"- web\n- db\n",
        b"just words",
        b"42",
        b"roles: [web\n",
        b"a: &x\n\tb",
        b"\xff\xfe\x00",
        b"\x00",
        b"role: web\nrole: db\n",
        b"a: &x 1\nb: *x\n",
        b"x: !!python/object/apply:os.system ['true']",
        b"[" * 5000,
        b"a: " + b"x" * 300_000,
    ],
)
def test_a_file_that_cannot_be_used_is_named_in_a_warning_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    grains = load_static_grains(path)
    assert grains.values == {}
    (warning,) = grains.warnings
    assert str(path) in warning
    assert len(warning) < 1000
    with pytest.raises(SettingsError, match="grains"):
        write_static_grain(path, "role", "web")
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["grains"]


def test_a_folder_in_the_place_of_the_file_is_a_warning(path: Path) -> None:
    path.mkdir()
    (warning,) = load_static_grains(path).warnings
    assert "directory" in warning


def test_one_entry_that_cannot_be_a_grain_is_left_out_and_the_others_stay(path: Path) -> None:
    path.write_text("a:b: c\n'': empty\nrole: web\n")
    grains = load_static_grains(path)
    assert grains.values == {"role": "web"}
    assert ["is left out" in warning for warning in grains.warnings] == [True, True]


def test_nothing_is_guessed(path: Path) -> None:
    path.write_text("version: 1.10\ndebug: no\nbuilt: 2026-11-20\nmode: 0644\nrack: 7\nlive: true\n")
    expected = {"version": "1.10", "debug": "no", "built": "2026-11-20", "mode": "0644", "rack": 7, "live": True}
    assert load_static_grains(path).values == expected
    write_static_grain(path, "role", "web")
    assert load_static_grains(path).values == expected | {"role": "web"}


def test_setting_one_grain_keeps_the_others(path: Path) -> None:
    path.write_text("roles: [web]\n")
    write_static_grain(path, "rack", 7)
    assert load_static_grains(path).values == {"roles": ["web"], "rack": 7}
    assert path.read_text().splitlines()[1:] == ["rack: 7", 'roles: ["web"]']


def test_removing_a_grain_keeps_the_others_and_is_no_error_when_it_is_not_there(path: Path) -> None:
    path.write_text("roles: [web]\nrack: 7\n")
    write_static_grain(path, "rack", None)
    assert load_static_grains(path).values == {"roles": ["web"]}
    before = path.stat().st_ino
    write_static_grain(path, "rack", None)
    assert path.stat().st_ino == before


def test_the_file_is_private_whatever_it_was_and_whatever_the_umask(path: Path) -> None:
    path.write_text("role: web\n")
    path.chmod(0o644)
    before = os.umask(0)
    try:
        write_static_grain(path, "rack", 7)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["grains"]


def test_a_write_that_fails_midway_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("role: web\n")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SettingsError, match="No space left"):
        write_static_grain(path, "rack", 7)
    assert path.read_text() == "role: web\n"
    assert os.listdir(path.parent) == ["grains"]


def test_what_a_killed_process_left_is_no_obstacle(path: Path) -> None:
    (path.parent / f".grains.{os.getpid()}").write_text("torn")
    write_static_grain(path, "role", "web")
    assert os.listdir(path.parent) == ["grains"]


def test_a_link_is_followed_and_stays_a_link(path: Path) -> None:
    real = path.parent / "elsewhere"
    real.write_text("role: web\n")
    path.symlink_to(real)
    write_static_grain(path, "rack", 7)
    assert path.is_symlink()
    assert load_static_grains(real).values == {"role": "web", "rack": 7}


def test_a_folder_that_is_not_there_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot write .*nowhere/grains: No such file"):
        write_static_grain(tmp_path / "nowhere/grains", "role", "web")


def test_grains_do_not_grow_without_end(path: Path) -> None:
    write_static_grain(path, "role", "web")
    with pytest.raises(SettingsError, match="more than 262144 bytes"):
        write_static_grain(path, "notes", "x" * 300_000)
    assert load_static_grains(path).values == {"role": "web"}


@pytest.mark.parametrize("key", ["", "a:b", "a b", " a", "a\n", "\0"])
def test_what_cannot_name_a_grain_is_refused(path: Path, key: str) -> None:
    with pytest.raises(SettingsError, match="cannot be kept"):
        write_static_grain(path, key, "x")
    assert not path.exists()


@pytest.mark.parametrize("value", [b"bytes", float("nan"), [float("inf")], -(2**63), {"x": 2**70}])
def test_a_value_that_would_not_be_read_back_as_it_is_is_refused(path: Path, value: Value) -> None:
    write_static_grain(path, "role", "web")
    with pytest.raises(SettingsError, match="'odd' cannot be kept"):
        write_static_grain(path, "odd", value)
    assert load_static_grains(path).values == {"role": "web"}


@given(
    st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True),
    st.recursive(
        st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | st.floats(-1e18, 1e18) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
)
def test_what_was_set_is_read_back_the_same(key: str, value: Value) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grains"
        write_static_grain(path, "other", "1.10")
        write_static_grain(path, key, value)
        grains = load_static_grains(path)
        assert grains.warnings == ()
        assert grains.values == {"other": "1.10"} | {key: value}
        assert type(grains.values[key]) is type(value)
