"""Settings from a file, the environment and options."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.dataclass import dataclass
from fleet.core.errors import SettingsError
from fleet.core.settings import (
    FILE_LIMIT_BYTES,
    SettingRow,
    describe_settings,
    load_settings,
    load_with_sources,
    setting,
)
from fleet.core.values import Value


@dataclass(frozen=True, slots=True)
class Sample:
    interface: str = setting("0.0.0.0", help="Address to listen on.")
    publish_port: int = setting(4605, help="Port that jobs go out on.", minimum=1, maximum=65535)
    request_port: int = setting(4606, help="Port for all else.", minimum=1, maximum=65535)
    auto_accept: bool = setting(False, help="Accept every key.")
    interval: float = setting(10.0, help="Seconds between heartbeats.", minimum=0.1)
    master: tuple[str, ...] = setting(("fleet",), help="Masters in order.", pattern=r"[a-z0-9.:-]+")
    fingerprint: str | None = setting(None, help="The master's.", pattern=r"[0-9a-f]{4}")
    log_level: Literal["info", "debug"] = setting("info", help="How much is logged.")
    grains: dict[str, Value] = setting({}, help="Static grains.")


PREFIX = "FLEET_TEST_"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "master.yaml"


def load(file: Path | None, **environment: str) -> Sample:
    return load_settings(Sample, file, {PREFIX + key: text for key, text in environment.items()}, PREFIX)


def written(file: Path, text: str) -> Sample:
    file.write_text(text)
    return load(file)


def refused(file: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        written(file, text)
    assert caught.value.message.isprintable()
    return caught.value.message


def test_without_any_source_the_defaults_hold(file: Path) -> None:
    assert load(None) == load(file) == Sample()


def test_two_settings_objects_do_not_share_their_grains() -> None:
    assert load(None).grains is not load(None).grains
    with pytest.raises(AttributeError):
        load(None).interface = "x"  # type: ignore[misc]  # that it is refused is the point


def test_one_line_is_enough(file: Path) -> None:
    assert written(file, "master: salt-master\n") == Sample(master=("salt-master",))


def test_every_type_is_read_from_a_file(file: Path) -> None:
    text = """
# a comment
interface: "::"
publish_port: 5605
auto_accept: true
interval: 5
master: [a, "b:4607"]
fingerprint: 01ab
log_level: debug
grains:
  roles: [web, db]
  rack: 12
  version: 1.10
"""
    assert written(file, text) == Sample(
        interface="::",
        publish_port=5605,
        auto_accept=True,
        interval=5.0,
        master=("a", "b:4607"),
        fingerprint="01ab",
        log_level="debug",
        grains={"roles": ["web", "db"], "rack": 12, "version": "1.10"},
    )
    assert isinstance(load(file).interval, float)


@pytest.mark.parametrize("text", ["1.10", "no", "0123", "2026-11-20", "12:30", "4"])
def test_text_stays_as_written_where_text_is_asked(file: Path, text: str) -> None:
    assert written(file, f"interface: {text}\nmaster: [{text}]").interface == text
    assert load(file).master == (text,)


def test_null_is_none_where_none_is_allowed(file: Path) -> None:
    for text in ("", "~", "null"):
        assert written(file, f"fingerprint: {text}\n").fingerprint is None
    assert load(None, FINGERPRINT="null").fingerprint is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("publish_port: four", "publish_port: expected a whole number, got 'four' (line 1)"),
        ("\n\npublish_port: 4.5", "publish_port: expected a whole number, got '4.5' (line 3)"),
        ("publish_port: '4605'", "publish_port: expected a whole number, got '4605' (line 1)"),
        ("publish_port: 010", "publish_port: expected a whole number, got '010': write 7 for 007 (line 1)"),
        ("publish_port: [1]", "publish_port: expected a whole number, got [1] (line 1)"),
        ("publish_port:", "publish_port: expected a whole number, got nothing (line 1)"),
        ("publish_port: 70000", "publish_port: expected 1 to 65535, got '70000' (line 1)"),
        ("publish_port: 0", "publish_port: expected 1 to 65535, got '0' (line 1)"),
        ("interval: 0", "interval: expected 0.1 or more, got '0' (line 1)"),
        ("interval: .inf", "interval: expected a number, got '.inf' (line 1)"),
        ("auto_accept: yes", "auto_accept: expected true or false, got 'yes' (line 1)"),
        ("auto_accept: 1", "auto_accept: expected true or false, got '1' (line 1)"),
        ("auto_accept: 'true'", "auto_accept: expected true or false, got 'true' (line 1)"),
        ("interface: {a: b}", "interface: expected text, got {'a': 'b'} (line 1)"),
        ("interface:", "interface: expected text, got nothing (line 1)"),
        ("master: [a, [b]]", "master: expected a list of texts, got ['a', ['b']] (line 1)"),
        ("master: [a, ]\ngrains: [x]", "grains: expected keys and values, got ['x'] (line 2)"),
        ("grains: role", "grains: expected keys and values, got 'role' (line 1)"),
        ("grains:", "grains: expected keys and values, got nothing (line 1)"),
        ("master: [A B]", "master: expected text that matches [a-z0-9.:-]+, got ['A B'] (line 1)"),
        ("fingerprint: zzzz", "fingerprint: expected text that matches [0-9a-f]{4}, got 'zzzz' (line 1)"),
        ("log_level: loud", "log_level: expected one of info, debug, got 'loud' (line 1)"),
        ("publish_prot: 1", "there is no setting 'publish_prot'; did you mean publish_port? (line 1)"),
        ("interface: x\nzzz: 1", "there is no setting 'zzz' (line 2)"),
        ("Interface: x", "there is no setting 'Interface'; did you mean interface? (line 1)"),
        ("- a\n- b", "expected lines of the form 'key: value'"),
        ("just words", "expected lines of the form 'key: value'"),
        ("interface: a\ninterface: b", "line 2, column 1: the key 'interface' is given twice"),
        ("interface: [a", "line "),
        ("interface: !!python/object/apply:os.system ['true']", "line 1, column 12: a tag"),
        ("interface: a\n---\ninterface: b", "line 2, column 1: a second document"),
        ("grains: {a: &x 1, b: *x}", "line 1, column 22: an alias"),
    ],
)
def test_a_wrong_file_is_refused_with_file_key_and_reason(file: Path, text: str, message: str) -> None:
    assert refused(file, text).startswith(f"{file}: {message}")


def test_the_hint_says_what_the_setting_is_or_which_there_are(file: Path) -> None:
    for text, hint in [
        ("publish_port: x", "publish_port: Port that jobs go out on."),
        ("zzz: 1", "the settings are auto_accept, fingerprint"),
    ]:
        file.write_text(text)
        with pytest.raises(SettingsError) as caught:
            load(file)
        assert caught.value.hint.startswith(hint)


def test_a_tag_runs_nothing(file: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    refused(file, f"interface: !!python/object/apply:os.system ['touch {proof}']")
    assert not proof.exists()


def test_a_file_that_cannot_be_read_as_one_is_refused(file: Path, tmp_path: Path) -> None:
    file.write_bytes(b"interface: a\n# \xff\n")
    with pytest.raises(SettingsError, match="line 2: not UTF-8"):
        load(file)
    file.write_bytes(b"#" * (FILE_LIMIT_BYTES + 1))
    with pytest.raises(SettingsError, match=f"larger than {FILE_LIMIT_BYTES} bytes"):
        load(file)
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_a_file_of_comments_at_the_limit_is_read(file: Path) -> None:
    file.write_bytes(b"#" * FILE_LIMIT_BYTES)
    assert load(file) == Sample()


def test_a_missing_file_is_an_error_only_when_somebody_named_it(file: Path) -> None:
    assert load_settings(Sample, file, {}, PREFIX) == Sample()
    with pytest.raises(SettingsError, match=r"master.yaml: there is no such file"):
        load_settings(Sample, file, {}, PREFIX, must_exist=True)


def test_every_type_is_read_from_the_environment() -> None:
    assert load(
        None,
        INTERFACE="1.10",
        PUBLISH_PORT="5605",
        AUTO_ACCEPT="true",
        INTERVAL="2.5",
        MASTER="a,b:4607",
        FINGERPRINT="01ab",
        LOG_LEVEL="debug",
        GRAINS="{roles: [web], rack: 12}",
    ) == Sample("1.10", 5605, 4606, True, 2.5, ("a", "b:4607"), "01ab", "debug", {"roles": ["web"], "rack": 12})


def test_an_address_in_brackets_is_a_text_in_a_variable() -> None:
    @dataclass(frozen=True, slots=True)
    class Hosts:
        master: tuple[str, ...] = setting(("fleet",), help="Masters in order.")

    for text, hosts in [("[::1]:4607", ("[::1]:4607",)), ("[::1]:4607,b", ("[::1]:4607", "b")), ("", ())]:
        assert load_settings(Hosts, None, {"X_MASTER": text}, "X_").master == hosts


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("PUBLISH_PORT", "four", "FLEET_TEST_PUBLISH_PORT: expected a whole number, got 'four'"),
        ("PUBLISH_PORT", "", "FLEET_TEST_PUBLISH_PORT: expected a whole number, got ''"),
        ("PUBLISH_PORT", "70000", "FLEET_TEST_PUBLISH_PORT: expected 1 to 65535, got '70000'"),
        ("AUTO_ACCEPT", "1", "FLEET_TEST_AUTO_ACCEPT: expected true or false, got '1'"),
        ("GRAINS", "role", "FLEET_TEST_GRAINS: expected keys and values, got 'role'"),
        ("GRAINS", "", "FLEET_TEST_GRAINS: expected keys and values, got ''"),
        ("GRAINS", "{a", "FLEET_TEST_GRAINS: line "),
        ("GRAINS", "\udc80", "FLEET_TEST_GRAINS: no YAML"),
        (
            "REQEST_PORT",
            "1",
            "FLEET_TEST_REQEST_PORT: there is no such variable; did you mean FLEET_TEST_REQUEST_PORT?",
        ),
        (
            "request_port",
            "1",
            "FLEET_TEST_request_port: there is no such variable; did you mean FLEET_TEST_REQUEST_PORT?",
        ),
    ],
)
def test_a_wrong_variable_is_refused_by_name(variable: str, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, **{variable: text})
    assert caught.value.message.startswith(message)


def test_variables_that_a_container_platform_sets_do_no_harm() -> None:
    foreign = ["SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_4606_TCP", "PORT_4606_TCP_PORT", "PORT_4606_TCP_ADDR"]
    assert load(None, **dict.fromkeys(foreign, "tcp://10.0.0.1:4606")) == Sample()
    assert load_settings(Sample, None, {"PUBLISH_PORT": "1", "PATH": "/bin"}, PREFIX) == Sample()


def test_options_go_before_variables_before_the_file_before_the_defaults(file: Path) -> None:
    file.write_text("interface: file\npublish_port: 1\nlog_level: debug\n")
    environment = {"FLEET_TEST_INTERFACE": "variable", "FLEET_TEST_PUBLISH_PORT": "2"}
    found = load_settings(Sample, file, environment, PREFIX, {"publish_port": 3})
    assert found == Sample(interface="variable", publish_port=3, log_level="debug")


def test_what_counts_is_shown_with_its_source_as_a_file_that_says_the_same(file: Path) -> None:
    file.write_text("interface: '# ü'\ngrains: {site: 'a: b #'}\nlog_level: debug\n")
    environment = {"FLEET_TEST_PUBLISH_PORT": "2", "FLEET_TEST_MASTER": "a,b"}
    loaded = load_with_sources(Sample, file, environment, PREFIX, {"interval": 5})
    shown = loaded.as_yaml()
    again = file.with_name("again.yaml")
    again.write_text(shown)
    assert load(again) == loaded.settings
    assert [line.rpartition("  # ")[2] for line in shown.splitlines()] == [
        str(file),
        "FLEET_TEST_PUBLISH_PORT",
        "default",
        "default",
        "command line",
        "FLEET_TEST_MASTER",
        "default",
        str(file),
        str(file),
    ]


def test_options_are_checked_like_all_else() -> None:
    for overrides, message in [
        ({"publish_port": "4"}, "publish_port: expected a whole number, got '4'"),
        ({"publish_port": True}, "publish_port: expected a whole number, got True"),
        ({"publish_port": 0}, "publish_port: expected 1 to 65535, got 0"),
        ({"interfaces": "x"}, "there is no setting 'interfaces'; did you mean interface?"),
        ({"grains": "x"}, "grains: expected keys and values, got 'x'"),
    ]:
        assert isinstance(overrides, dict)
        with pytest.raises(SettingsError) as caught:
            load_settings(Sample, None, {}, PREFIX, overrides)
        assert caught.value.message == message
    found = load_settings(Sample, None, {}, PREFIX, {"master": "a", "interval": 5, "grains": {"a": (1,)}})
    assert found == Sample(master=("a",), interval=5.0, grains={"a": [1]})


def test_settings_describe_themselves() -> None:
    rows = {row.name: row for row in describe_settings(Sample, PREFIX)}
    assert rows["publish_port"] == SettingRow(
        "publish_port", "a whole number, 1 to 65535", "4605", "Port that jobs go out on.", "FLEET_TEST_PUBLISH_PORT"
    )
    assert list(rows)[:2] == ["interface", "publish_port"]
    assert [(row.type_text, row.default) for row in list(rows.values())[3:]] == [
        ("true or false", "false"),
        ("a number, 0.1 or more", "10.0"),
        ("a list of texts", '["fleet"]'),
        ("text, or null", "null"),
        ("one of info, debug", "info"),
        ("keys and values", "{}"),
    ]


def test_a_default_as_described_can_be_written_into_the_file(file: Path) -> None:
    assert written(file, "".join(f"{row.name}: {row.default}\n" for row in describe_settings(Sample))) == Sample()


def test_a_class_with_a_field_of_another_kind_is_a_bug_that_the_first_run_finds() -> None:
    @dataclass(frozen=True, slots=True)
    class Bare:
        port: int = 1

    @dataclass(frozen=True, slots=True)
    class Odd:
        port: frozenset[str] = setting(frozenset(), help="x")

    with pytest.raises(TypeError, match=r"Bare.port is not made with setting"):
        load_settings(Bare, None, {}, PREFIX)
    with pytest.raises(TypeError, match="which no setting can have"):
        load_settings(Odd, None, {}, PREFIX)


def test_yaml_is_not_imported_when_there_is_no_file(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom fleet.core.dataclass import dataclass\nfrom pathlib import Path\n"
        "from fleet.core.settings import load_settings, setting\n"
        "@dataclass(frozen=True, slots=True)\nclass S:\n    a: int = setting(1, help='x')\n"
        "load_settings(S, Path(sys.argv[1]), {'X_A': '2'}, 'X_')\n"
        "print(sorted({'yaml', 'json', 'asyncio', 'difflib'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "none.yaml")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "[]\n"


@given(st.dictionaries(st.sampled_from([row.name for row in describe_settings(Sample)]), st.text(max_size=8)))
def test_any_environment_gives_settings_of_the_right_types_or_a_settings_error(variables: dict[str, str]) -> None:
    try:
        found = load(None, **{name.upper(): text for name, text in variables.items()})
    except SettingsError:
        return
    assert type(found.publish_port) is int
    assert 1 <= found.publish_port <= 65535
    assert type(found.interval) is float
    assert type(found.master) is tuple
