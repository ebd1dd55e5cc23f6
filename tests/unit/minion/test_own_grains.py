from pathlib import Path

import pytest

from fleet.core.errors import SettingsError
from fleet.core.names import MinionId
from fleet.minion.grain_limits import GRAINS_LIMIT_BYTES
from fleet.minion.own_grains import OwnGrains

WEB = MinionId("web-1")


def test_the_later_source_wins_and_the_id_is_always_the_minions_own(tmp_path: Path) -> None:
    (tmp_path / "grains").write_text("role: file\ncolour: blue\nid: other\n")
    grains = OwnGrains(WEB, {"role": "found", "os": "Debian"}, {"role": "configured"}, tmp_path / "grains")

    assert grains.values["role"] == "configured"
    assert grains.values["colour"] == "blue"
    assert grains.values["os"] == "Debian"
    assert grains.values["id"] == "web-1"


def test_a_grain_that_was_set_is_there_at_once_and_after_a_restart(tmp_path: Path) -> None:
    grains = OwnGrains(WEB, {}, {}, tmp_path / "etc" / "grains")
    before = grains.report().digest
    grains.set("role", "web")

    assert grains.values["role"] == "web"
    assert grains.report().digest != before
    assert OwnGrains(WEB, {}, {}, tmp_path / "etc" / "grains").values["role"] == "web"


def test_a_grain_that_would_not_fit_a_message_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    grains = OwnGrains(WEB, {"os": "Debian"}, {}, tmp_path / "grains")
    with pytest.raises(SettingsError, match="too large"):
        grains.set("essay", "x" * GRAINS_LIMIT_BYTES)

    assert "essay" not in grains.values
    assert not (tmp_path / "grains").exists()


def test_configured_grains_that_do_not_fit_are_left_out_with_a_warning(tmp_path: Path) -> None:
    grains = OwnGrains(WEB, {"os": "Debian"}, {"essay": "x" * GRAINS_LIMIT_BYTES}, tmp_path / "grains")

    assert "essay" not in grains.values
    assert grains.values["os"] == "Debian"
    assert any("essay" in warning for warning in grains.warnings)


@pytest.mark.parametrize("value", ["other", None])
def test_a_grain_that_minion_yaml_sets_is_neither_set_nor_removed_and_the_file_is_not_touched(
    tmp_path: Path, value: str | None
) -> None:
    (tmp_path / "grains").write_text("# mine\nrole: file\n")
    grains = OwnGrains(WEB, {}, {"role": "configured"}, tmp_path / "grains")
    with pytest.raises(SettingsError, match="is set in minion"):
        grains.set("role", value)

    assert grains.values["role"] == "configured"
    assert (tmp_path / "grains").read_text() == "# mine\nrole: file\n"


@pytest.mark.parametrize("key", ["id", "pid"])
def test_what_is_the_minions_own_cannot_be_set(tmp_path: Path, key: str) -> None:
    grains = OwnGrains(WEB, {}, {}, tmp_path / "grains")
    with pytest.raises(SettingsError, match="the minion's own"):
        grains.set(key, "other")

    assert not (tmp_path / "grains").exists()
