"""``fleet-call``: the engine that runs functions, by itself, without a master and without the transport between the two."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from fleet.keys.identity import load_or_create_minion
from support.fleet import BIN
from support.processes import Completed, run_command

#: Python runs this before anything else: in such a process there is no transport.
NO_TRANSPORT = """\
import sys

class Refuser:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"zmq", "nacl", "_cffi_backend"}:
            raise AssertionError(f"{name} is not to be loaded here")

sys.meta_path.insert(0, Refuser())
"""


@pytest.fixture
def alone(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a process that can load neither zmq nor nacl."""
    (tmp_path / "sitecustomize.py").write_text(NO_TRANSPORT)
    return {"PATH": f"{BIN}:/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "FLEET_ROOT": str(tmp_path)}


def call(environment: Mapping[str, str], *words: str) -> Completed:
    return run_command((str(BIN / "fleet-call"), *words), environment)


def test_the_engine_runs_functions_and_programs_in_a_process_that_never_loads_the_transport(
    alone: Mapping[str, str],
) -> None:
    load_or_create_minion(Path(alone["FLEET_ROOT"]) / "var/lib/fleet/minion")
    daemon = run_command((str(BIN / "fleet-minion"), "--fingerprint"), alone)
    assert daemon.code != 0
    assert "nacl is not to be loaded here" in daemon.stderr
    for words, value in (
        (("test.ping",), True),
        (("cmd.run", "echo $((6 * 7)); echo two >&2"), "42\ntwo"),
        (("cmd.exec", "--", "printf", "%s|", "$HOME", "a b"), "$HOME|a b|"),
        (("grains.get", "id"), "web-1"),
        (("test.sleep", "0"), True),
    ):
        done = call({**alone, "FLEET_MINION_ID": "web-1"}, "--out", "json", *words)
        assert (done.code, done.stderr, json.loads(done.stdout)) == (0, "", value), f"{words}: {done}"


def test_a_program_that_fails_is_a_failure_of_the_command_and_keeps_its_output(alone: Mapping[str, str]) -> None:
    done = call(alone, "--out", "json", "cmd.run", "echo so; exit 3")
    assert (done.code, done.stdout, done.stderr) == (11, '"so"\n', "error: failed: exit code 3\n")
    unknown = call(alone, "nosuch.fn")
    assert (unknown.code, "there is no function 'nosuch.fn'" in unknown.stderr) == (2, True), str(unknown)


def test_a_grain_that_minion_yaml_sets_is_not_set_where_it_would_have_no_effect(
    alone: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "etc/fleet").mkdir(parents=True)
    (tmp_path / "etc/fleet/minion.yaml").write_text("id: web-1\ngrains:\n  role: web\n")
    for words in (("grains.setval", "role", "db"), ("grains.delval", "role")):
        done = call(alone, *words)
        assert (done.code, done.stdout) == (11, ""), str(done)
        assert "the grain 'role' is set in minion.yaml" in done.stderr
    assert call(alone, "grains.setval", "team", "core").code == 0
    assert json.loads(call(alone, "--out", "json", "grains.item", "role", "team").stdout) == {
        "role": "web",
        "team": "core",
    }
