"""Every setting by its environment variable, shown by the commands that obey it."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fleet.client.settings import ClientSettings
from fleet.core.setting_fields import SettingField, fields_of
from fleet.core.settings import describe_settings
from fleet.core.values import Value
from fleet.master.config import MasterSettings
from fleet.minion.config import MinionSettings
from support.fleet import Fleet
from support.processes import Completed, run_command

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: The text of a variable, and the value that it stands for, by kind of setting; numbers are chosen by their range.
EXAMPLES: Mapping[str, tuple[str, Value]] = {
    "str": ("another", "another"),
    "bool": ("true", True),
    "list[str]": ("one,[::1]:4607", ["one", "[::1]:4607"]),
    "value": ("{site: oslo, roles: [web, db]}", {"site": "oslo", "roles": ["web", "db"]}),
}


def other_value(field: SettingField, default: Value) -> tuple[str, Value]:
    """A valid value that is not the default: the text of a variable, and what it means."""
    kind, limits = field.parameter.kind, field.limits
    if kind in {"int", "float"}:
        assert limits.minimum is not None
        number = limits.maximum if default == limits.minimum else limits.minimum
        assert number is not None
        return (str(int(number)), int(number)) if kind == "int" else (str(number), float(number))
    if kind == "choice":
        choice = next(each for each in field.parameter.choices if each != default)
        return choice, choice
    return EXAMPLES[kind]


def shown_by(fleet: Fleet, command: str, variables: Mapping[str, str], *words: str) -> dict[str, tuple[Any, str]]:
    """The value of each setting, and where it comes from, as the command says."""
    done = run_command((*command.split(), "--show-settings", *words), fleet.environment() | dict(variables))
    assert (done.code, done.stderr) == (0, ""), str(done)
    sources = dict(re.findall(r"^(\w+): .*  # (.*)$", done.stdout, re.MULTILINE))
    values = yaml.safe_load(done.stdout)
    assert list(values) == list(sources)
    return {name: (values[name], sources[name]) for name in values}


@pytest.mark.parametrize(
    ("command", "cls", "prefix"),
    [("fleet-master", MasterSettings, "FLEET_MASTER_"), ("fleet-minion", MinionSettings, "FLEET_MINION_")],
)
def test_every_setting_of_a_daemon_obeys_its_variable(
    three: Fleet, command: str, cls: "type[DataclassInstance]", prefix: str
) -> None:
    empty = {"FLEET_ROOT": str(three.folder / "tmp")}
    defaults = shown_by(three, command, empty)
    assert list(defaults) == list(fields_of(cls))
    assert {source for _, source in defaults.values()} == {"default"}
    variables, expected = dict(empty), {}
    for row in describe_settings(cls, prefix):
        variables[row.environment], value = other_value(fields_of(cls)[row.name], defaults[row.name][0])
        assert value != defaults[row.name][0]
        expected[row.name] = (value, row.environment)
    assert shown_by(three, command, variables) == expected


def test_the_settings_that_count_are_shown_with_the_place_that_each_comes_from(three: Fleet) -> None:
    file = three.master_root / "etc/fleet/master.yaml"
    shown = shown_by(three, "fleet-master", {"FLEET_MASTER_EVENTS_LIMIT": "200"}, "-l", "warning")
    assert shown["publish_port"] == (three.publish_port, str(file))
    assert shown["events_limit"] == (200, "FLEET_MASTER_EVENTS_LIMIT")
    assert shown["log_level"] == ("warning", "command line")
    assert shown["auto_accept"] == (False, "default")
    done = run_command(("fleet-master", "--show-settings"), three.environment() | {"FLEET_MASTER_EVENTS_LIMIT": "2"})
    assert (done.code, done.stdout) == (1, "")
    assert "FLEET_MASTER_EVENTS_LIMIT: expected 100 to 10000000, got '2'" in done.stderr


def test_every_setting_of_the_client_obeys_its_variable(three: Fleet) -> None:
    socket = str(three.master_root / "run/fleet/master.sock")
    elsewhere = three.environment(three.folder / "tmp")
    variables = {row.name: row.environment for row in describe_settings(ClientSettings, "FLEET_")}
    assert set(variables) == {"socket", "out"}

    def ping(**settings: str) -> Completed:
        given = {variables[name]: text for name, text in settings.items()}
        return run_command(("fleet", "-v", "web-1", "test.ping"), elsewhere | given)

    assert ping().code == 1, "the master is not below this root"
    found = ping(socket=socket)
    assert (found.code, found.stdout) == (0, "web-1:\n    True\n")
    assert f"master: {socket}" in found.stderr
    assert ping(socket=socket, out="json").stdout == '{\n  "web-1": true\n}\n'
    for command in ("fleet", "fleet-key"):
        assert (
            run_command(
                (command, "--out", "json", "status" if command == "fleet" else "list"),
                elsewhere | {variables["socket"]: socket},
            ).code
            == 0
        )
