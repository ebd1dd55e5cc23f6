"""The daemons as their administrator meets them: configuration, start, log, status and end."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

import fleet as package
from fleet.core.errors import FleetError
from support.evil import leave_pending_key
from support.fleet import BIN, MASTER_READY, MINION_READY, Fleet, write_settings
from support.loaded import Loaded
from support.reference import COUNTERS, JOB_CACHE, MACHINE, PROCESS, QUEUES
from support.wait import wait_until

COMMANDS = ("fleet", "fleet-key", "fleet-master", "fleet-minion", "fleet-call")


def user_name() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


# Start


def test_a_master_says_each_step_of_its_start_and_ready_once_after_its_ports_are_bound(three: Fleet) -> None:
    log = three.master.log()
    assert log.count(MASTER_READY) == 1
    ready = log.index(MASTER_READY)
    for port in (three.publish_port, three.request_port, three.enrol_port):
        assert log.index(f"127.0.0.1:{port}") < ready
        socket.create_connection(("127.0.0.1", port), 5).close()
    control_socket = three.master_root / "run/fleet/master.sock"
    assert log.index(str(control_socket)) < ready
    assert re.search(rf"starting as user '?{user_name()}'?", log), log
    assert re.search(r"open files.*\d+", log), log
    assert re.search(r"console.*not", log, re.IGNORECASE), "what is not there is said so"
    fingerprint = three.ok("fleet-master", "--fingerprint").split()[-1]
    assert fingerprint in log


def test_a_minion_says_who_it_is_and_that_it_is_ready_once(one_master: Fleet) -> None:
    one_master.grow("web-1")
    log = one_master.minions["web-1"].log()
    assert log.count(MINION_READY) == 1
    first_lines = log.splitlines()[:5]
    assert any("web-1" in line for line in first_lines), first_lines
    assert re.search(rf"starting as user '?{user_name()}'?", log), log
    assert "Traceback" not in log


def test_the_id_of_a_minion_defaults_to_the_host_name_and_is_said_once(one_master: Fleet) -> None:
    root = one_master.minion_root("any")
    file = root / "etc/fleet/minion.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"master: 127.0.0.1:{one_master.enrol_port}\n")
    daemon = one_master.start_minion("any")
    daemon.stop()
    file.write_text(f"master: 127.0.0.1:{one_master.enrol_port}\n")
    daemon.start()
    name = socket.gethostname()
    one_master.wait_until_pending([name])
    assert daemon.log().count(f"no id is configured: this minion is called {name}, as the host is") == 1


@pytest.mark.parametrize("minion", ["ee01.example.internal", "A-very_long.name-42", "0"])
def test_a_minion_may_have_any_name_that_is_no_path(one_master: Fleet, minion: str) -> None:
    one_master.grow(minion)
    assert one_master.answers(minion, "test.ping") == {minion: True}


@pytest.mark.parametrize("wrong", ["../../etc", "a b", "-x", "localhost"])
def test_a_minion_with_an_impossible_id_does_not_start(fleet: Fleet, loaded: Mapping[str, Loaded], wrong: str) -> None:
    write_settings(fleet.master_root / "etc/fleet/minion.yaml", {"id": wrong, "master": "127.0.0.1"})
    done = loaded["fleet-minion"].run(fleet.environment())
    assert done.code != 0
    assert repr(wrong) in done.stderr
    assert "Traceback" not in done.stderr


def test_the_master_may_be_named_by_a_dns_name_and_one_of_several(one_master: Fleet) -> None:
    one_master.grow("web-1", master=f"localhost:{one_master.enrol_port}")
    one_master.grow("web-2", master=["no-such-host.invalid:1", f"127.0.0.1:{one_master.enrol_port}"])
    assert one_master.answers("*", "test.ping") == {"web-1": True, "web-2": True}


def test_a_minion_that_starts_before_its_master_tries_again_and_joins(fleet: Fleet) -> None:
    daemon = fleet.start_minion("web-1")
    daemon.wait_for_log("refused")
    assert "again" in daemon.log() or "retry" in daemon.log()
    fleet.start_master()
    fleet.accept("web-1")
    assert fleet.answers("web-1", "test.ping") == {"web-1": True}


def test_a_missing_tool_costs_a_grain_and_no_start(one_master: Fleet) -> None:
    one_master.start_minion("web-1", {"PATH": str(one_master.folder / "tmp")})
    one_master.accept("web-1")
    grains = one_master.answers("web-1", "grains.items")["web-1"]
    assert grains["id"] == "web-1"
    assert grains["os"]
    assert len(re.findall("warning", one_master.minions["web-1"].log(), re.IGNORECASE)) <= 1


def test_a_second_daemon_in_the_same_root_is_refused(three: Fleet) -> None:
    done = three.run("fleet-master", seconds=10)
    assert done.code == 1
    assert str(three.master_root) in done.stderr or "already" in done.stderr


def test_both_limits_of_open_files_are_said_and_too_few_for_the_accepted_minions_are_a_warning(fleet: Fleet) -> None:
    """A connection is a descriptor, so a limit that is too low is told at the start, not at the thousandth minion."""
    strangers = {"unproven_limit": 16, "unproven_address_limit": 16, "enrol_connections_limit": 4}
    enough_for_one = 256 + 16 + 4 + 4 + 2
    limits = f"ulimit -S -n 200 && ulimit -H -n {enough_for_one}"
    fleet.master.words = ("sh", "-c", f"{limits} && exec {fleet.master.words[0]}")

    def warnings() -> list[str]:
        log = fleet.master.log()
        raised = f"open files: limit 200, raised to the hard limit {enough_for_one}"
        assert f"info fleet.master.process_limits: {raised}" in log
        assert re.search(
            rf"^Max open files +{enough_for_one} +{enough_for_one} ", limits_of(fleet.master.pid), re.MULTILINE
        )
        return [line for line in log.splitlines() if "open files" in line and " warning " in line]

    fleet.start_master(control_connections_limit=4, **strangers)
    assert warnings() == []
    leave_pending_key(fleet, "web-1")
    fleet.change_keys("accept", "web-1")
    fleet.master.stop()
    fleet.restart_master()
    assert warnings() == []
    leave_pending_key(fleet, "web-2")
    fleet.change_keys("accept", "web-2")
    fleet.master.stop()
    fleet.restart_master()
    (warning,) = warnings()
    needed = enough_for_one + 2
    assert f"the limit of {enough_for_one} open files is too low for 2 minions: {needed} are needed" in warning


def limits_of(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text()


# Ways to run


def test_a_daemon_detaches_with_a_log_and_a_pid_file(fleet: Fleet) -> None:
    fleet.configure_master()
    fleet.ok("fleet-master", "-d")
    log = fleet.master_root / "var/log/fleet/master.log"
    pid_file = fleet.master_root / "run/fleet/fleet-master.pid"
    wait_until(lambda: log.exists() and MASTER_READY in log.read_text(), 20, "the detached master to be ready")
    pid = int(pid_file.read_text())
    assert fleet.client().status().pid == pid
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 10, "the detached master to end")
    assert not pid_file.exists()


def test_a_daemon_runs_without_the_command_line_and_ends_on_a_signal(fleet: Fleet) -> None:
    fleet.start_master()
    assert fleet.master.stop() == 0
    fleet.restart_master()
    fleet.master.signal(signal.SIGINT)
    assert fleet.master.wait(10) in {0, 130}


@pytest.mark.parametrize(("level", "is_there"), [("debug", True), ("warning", False), ("error", False)])
def test_the_level_of_the_log_is_an_option(fleet: Fleet, level: str, is_there: bool) -> None:
    fleet.master.words = (*fleet.master.words, "-l", level)
    fleet.configure_master()
    fleet.master.start()
    wait_until(lambda: is_served(fleet), 20, "the master to answer")
    leave_pending_key(fleet, "web-1")
    said = [line for line in fleet.master.log().splitlines() if MASTER_READY not in line]
    assert bool([line for line in said if re.search("info|debug", line, re.IGNORECASE)]) is is_there, said


def is_served(fleet: Fleet) -> bool:
    try:
        return fleet.client().status().pid == fleet.master.pid
    except FleetError:
        return False


def test_a_setting_comes_from_the_file_the_environment_and_the_command_line(fleet: Fleet) -> None:
    other = fleet.publish_port, *(port + 1 for port in (fleet.request_port, fleet.enrol_port))
    fleet.master.environment["FLEET_MASTER_REQUEST_PORT"] = str(other[1])
    fleet.start_master()
    assert f":{other[1]}" in fleet.master.log()
    assert f":{fleet.request_port}" not in fleet.master.log()
    fleet.master.stop()
    file = fleet.folder / "another.yaml"
    file.write_text((fleet.master_root / "etc/fleet/master.yaml").read_text().replace("127.0.0.1", "0.0.0.0"))
    fleet.master.words = (*fleet.master.words, "-c", str(file))
    fleet.restart_master()
    assert "0.0.0.0" in fleet.master.log()


def test_a_mistake_in_the_configuration_names_file_key_and_the_nearest_name(
    fleet: Fleet, loaded: Mapping[str, Loaded]
) -> None:
    file = fleet.master_root / "etc/fleet/master.yaml"
    file.parent.mkdir(parents=True)
    for text, parts in (
        ("publish_prot: 4605\n", ("publish_prot", "publish_port")),
        ("publish_port: many\n", ("publish_port", "many")),
        ("request_port: 70000\n", ("request_port", "65535")),
    ):
        file.write_text(text)
        done = loaded["fleet-master"].run(fleet.environment())
        assert done.code == 1, str(done)
        for part in ("master.yaml", *parts):
            assert part in done.stderr


def test_a_port_that_is_taken_is_named(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", fleet.request_port)):
        file = fleet.master_root / "etc/fleet/master.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(
            yaml.safe_dump(
                {
                    "interface": "127.0.0.1",
                    "publish_port": fleet.publish_port,
                    "request_port": fleet.request_port,
                    "enrol_port": fleet.enrol_port,
                }
            )
        )
        done = fleet.run("fleet-master", seconds=10)
    assert done.code == 1, str(done)
    assert str(fleet.request_port) in done.stderr
    assert MASTER_READY not in done.stderr


def test_every_setting_of_a_daemon_is_in_its_help(fleet: Fleet, loaded: Mapping[str, Loaded]) -> None:
    from fleet.core.settings import describe_settings
    from fleet.master.config import MasterSettings
    from fleet.minion.config import MinionSettings

    for command, settings in (("fleet-master", MasterSettings), ("fleet-minion", MinionSettings)):
        shown = loaded[command].run(fleet.environment(), "--help").stdout
        for row in describe_settings(settings):
            assert row.name in shown, f"{command} --help lacks {row.name}"


def test_with_no_option_at_all_the_paths_of_the_system_count() -> None:
    from fleet.core.paths import Paths

    paths = Paths(Path("/"))
    assert str(paths.master_config) == "/etc/fleet/master.yaml"
    assert str(paths.control_socket) == "/run/fleet/master.sock"
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    done = subprocess.run([BIN / "fleet", "status"], env=environment, capture_output=True, text=True, check=False)
    if not paths.control_socket.exists():
        assert (done.returncode, "/run/fleet/master.sock" in done.stderr) == (1, True)


# Status


def test_the_control_socket_is_for_its_owner_alone_and_found_by_option_or_variable(three: Fleet) -> None:
    path = three.master_root / "run/fleet/master.sock"
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0
    environment = {key: value for key, value in three.environment().items() if key != "FLEET_ROOT"}
    for words, variables in (
        (("--socket", str(path)), {}),
        (("--root", str(three.master_root)), {}),
        ((), {"FLEET_SOCKET": str(path)}),
        ((), {"FLEET_ROOT": str(three.master_root)}),
    ):
        done = subprocess.run(
            [BIN / "fleet", *words, "web-1", "test.ping", "--out", "json"],
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout.split()) == (0, ["{", '"web-1":', "true", "}"]), done.stderr


def test_other_accounts_may_do_nothing(three: Fleet) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another account")
    path = three.master_root / "run/fleet/master.sock"
    program = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n    socket.socket(socket.AF_UNIX).connect(sys.argv[1])\n"
        "except PermissionError:\n    print('denied')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert done.stdout == "denied\n"


def test_the_status_shows_master_identity_version_and_fleet(three: Fleet) -> None:
    status = three.json("fleet", "status")
    assert status["version"] == package.__version__
    assert status["fingerprint"] in three.ok("fleet-master", "--fingerprint")
    assert status["pid"] == three.master.pid
    assert set(status["counters"]) == set(COUNTERS), "docs/reference.md explains each counter"
    for group, names in (("queues", QUEUES), ("job_cache", JOB_CACHE), ("process", PROCESS), ("machine", MACHINE)):
        assert set(status[group]) == set(names), f"docs/reference.md explains each of {group}"
    assert all(0 <= queue["now"] <= queue["limit"] for queue in status["queues"].values())
    cache = status["job_cache"]
    assert 0 < cache["used_bytes"] <= cache["file_bytes"] + cache["log_bytes"]
    assert status["process"]["rss_bytes"] >= status["process"]["pss_bytes"] > 0
    assert status["machine"]["cpus"] == os.cpu_count()
    assert len(status["load"]) == 3
    grains = three.answers("*", "grains.item", "id", "num_cpus", "mem_total", "fleetversion")
    for minion, facts in grains.items():
        assert facts["id"] == minion
        assert facts["num_cpus"] == os.cpu_count()
        assert 100 < facts["mem_total"] < 10_000_000
        assert facts["fleetversion"] == package.__version__


def test_the_list_of_minions_says_when_each_was_last_heard_and_which_version_it_has(three: Fleet) -> None:
    minions = three.json("fleet", "minions")
    assert set(minions) == set(three.minions)
    for row in minions.values():
        assert row["state"] == "up"
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", row["last_seen"])
        assert row["version"] == package.__version__
        assert "127.0.0.1" in row["address"]


def test_the_versions_of_command_and_master_are_both_shown(three: Fleet) -> None:
    out = three.ok("fleet", "version")
    assert out.count(package.__version__) >= 2


def test_a_command_of_another_version_than_the_master_warns(three: Fleet) -> None:
    overlay = three.folder / "overlay"
    shutil.copytree(Path(package.__file__).parent, overlay / "fleet")
    (overlay / "fleet/__init__.py").write_text('"""Another version."""\n\n__version__ = "9.9.9"\n')
    done = subprocess.run(
        [BIN / "fleet", "version"],
        env=three.environment() | {"PYTHONPATH": str(overlay)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "9.9.9" in done.stdout
    assert package.__version__ in done.stdout
    assert "warning" in done.stderr


def test_a_connection_is_an_event_with_the_id_of_the_minion(one_master: Fleet) -> None:
    before = one_master.client().status().newest_event
    one_master.grow("seen")
    events = one_master.events("*", "--out", "jsonl", "--after", str(before))
    one_master.minions["seen"].stop()
    events.wait_for_log("fleet/minion/seen/down")
    one_master.restart_minion("seen")
    wait_until(lambda: events.log().count("fleet/minion/seen/start") == 2, 20, "an event of the second start")
    events.stop()


def test_the_identity_of_a_minion_stays_the_same_over_jobs_addresses_and_restarts(one_master: Fleet) -> None:
    one_master.grow("web-1")
    before = one_master.rows()["web-1"]["fingerprint"]
    one_master.minions["web-1"].stop()
    one_master.start_minion("web-1", master=f"localhost:{one_master.enrol_port}")
    one_master.wait_until_ready(["web-1"])
    assert one_master.rows()["web-1"]["fingerprint"] == before
    assert set(one_master.record(one_master.submit("*", "test.ping"))["returns"]) == {"web-1"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_there_by_both_names(three: Fleet, loaded: Mapping[str, Loaded], command: str) -> None:
    shown = three.ok(command, "--help")
    again = loaded[command].run(three.environment(), "-h") if command in loaded else three.run(command, "-h")
    assert (again.code, again.stdout) == (0, shown)
    assert "--root" in shown


def test_everything_lives_in_one_environment_apart_from_the_system() -> None:
    import fleet.core

    assert Path(sys.prefix) in Path(fleet.core.__file__).parents
    assert sys.prefix != sys.base_prefix
    for command in COMMANDS:
        assert (BIN / command).read_text().startswith(f"#!{BIN}/python")
