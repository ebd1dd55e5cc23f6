from pathlib import Path

import pytest

from fleet.core.unit_file import fitted_unit, installed_command
from support.source import ROOT

SHIPPED = {
    "fleet-master": (ROOT / "master/fleet-master.service").read_text(),
    "fleet-minion": (ROOT / "minion/fleet-minion.service").read_text(),
}
COMMAND = Path("/opt/fleet/bin/fleet-minion")


def starts(text: str) -> list[str]:
    return [line.removeprefix("ExecStart=") for line in text.splitlines() if line.startswith("ExecStart=")]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_unit_starts_the_command_where_the_pages_link_it(name: str) -> None:
    assert starts(SHIPPED[name]) == [f"/usr/local/bin/{name}"]
    assert fitted_unit(SHIPPED[name], name, Path("/usr/local/bin") / name, Path("/"), None) == SHIPPED[name]


def test_a_unit_starts_the_command_that_is_installed_with_its_root_and_configuration() -> None:
    text = fitted_unit(SHIPPED["fleet-minion"], "fleet-minion", COMMAND, Path("/srv/one"), Path("/etc/one.yaml"))
    assert starts(text) == ["/opt/fleet/bin/fleet-minion --root /srv/one --config /etc/one.yaml"]


def test_spaces_quotes_specifiers_and_variables_of_a_path_stay_what_they_are() -> None:
    command = Path('/opt/my "fleet"\\bin/fleet-minion')
    text = fitted_unit(SHIPPED["fleet-minion"], "fleet-minion", command, Path("/srv/100% $HOME"), None)
    assert starts(text) == [r'"/opt/my \"fleet\"\\bin/fleet-minion" --root "/srv/100%% $$HOME"']


def test_a_master_below_another_root_may_write_there_and_nowhere_else() -> None:
    text = fitted_unit(SHIPPED["fleet-master"], "fleet-master", COMMAND, Path("/home/one"), None)
    assert "\nProtectSystem=strict\nReadWritePaths=/home/one\n" in text
    assert not [
        line for line in text.splitlines() if line.startswith(("StateDirectory", "RuntimeDirectory", "ProtectHome"))
    ]


def test_the_minion_leaves_its_supervisors_alive_and_the_master_is_left_no_privilege() -> None:
    assert "\nKillMode=process\n" in SHIPPED["fleet-minion"]
    assert "\nOOMPolicy=continue\n" in SHIPPED["fleet-minion"]
    assert "\nCapabilityBoundingSet=\n" in SHIPPED["fleet-master"]


def test_the_command_is_the_one_that_was_started_or_lies_beside_its_interpreter(tmp_path: Path) -> None:
    command = tmp_path / "fleet-minion"
    command.touch()
    assert installed_command("fleet-minion", str(command), "/opt/fleet/bin/python3") == command
    assert installed_command("fleet-minion", "/x/pytest", "/opt/fleet/bin/python3") == COMMAND
