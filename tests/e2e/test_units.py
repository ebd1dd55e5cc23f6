"""The systemd units that are shipped: what the daemons print is right, and a restart by them ends no job."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fleet.client import Client
from fleet.core.errors import FleetError
from support.fleet import BIN, Fleet
from support.ports import free_ports
from support.systemd import PACKAGE, OwnSystemd, own_systemd
from support.wait import wait_until

DAEMONS = ("fleet-master", "fleet-minion")
#: Says what it is about early and late, and ends in a way of its own.
JOB = "echo run >> {folder}/ran; echo early; until test -e {folder}/gate; do sleep 0.05; done; echo late; exit 5"


def shown_units(fleet: Fleet, *words: str, root: Path = Path("/")) -> dict[str, str]:
    return {f"{name}.service": fleet.ok(name, "--show-unit", *words, root=root) for name in DAEMONS}


def test_systemd_takes_the_units_that_the_daemons_print(fleet: Fleet) -> None:
    plain, moved = shown_units(fleet), shown_units(fleet, "-c", "/etc/own $x.yaml", root=Path("/srv/a b"))
    for name in DAEMONS:
        assert f"\nExecStart={BIN}/{name}\n" in plain[f"{name}.service"]
        assert f'\nExecStart={BIN}/{name} --root "/srv/a b" --config "/etc/own $$x.yaml"\n' in moved[f"{name}.service"]
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    for number, units in enumerate((plain, moved)):
        folder = fleet.folder / str(number)
        folder.mkdir()
        for name, text in units.items():
            (folder / name).write_text(text)
        files = [str(folder / name) for name in units]
        done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
        said = [line for line in done.stderr.splitlines() if "fleet" in line]
        assert (done.returncode, said) == (0, []), done.stderr


def test_a_restart_that_ends_the_daemons_alone_loses_no_key_and_no_running_job(fleet: Fleet) -> None:
    fleet.start_master()
    fleet.grow("web-1")
    jid = fleet.submit("web-1", "cmd.run", JOB.format(folder=fleet.folder))
    fleet.wait_for_state(jid, "web-1", "running")
    assert fleet.minions["web-1"].stop() == 0, "TERM to the main process, as KillMode=process does"
    assert fleet.master.stop() == 0
    fleet.restart_master()
    fleet.restart_minion("web-1")
    assert [(key.minion, key.state) for key in fleet.client().keys().keys] == [("web-1", "accepted")]
    (fleet.folder / "gate").touch()
    result = fleet.wait_for_state(jid, "web-1", "failed")
    assert (result["stdout"], result["retcode"]) == ("early\nlate\n", 5)
    assert (fleet.folder / "ran").read_text() == "run\n"


@pytest.mark.system
def test_with_systemd_a_restart_of_either_daemon_loses_no_key_and_no_running_job(fleet: Fleet) -> None:
    ports = free_ports(3)
    settings: dict[str, dict[str, str | int]] = {
        "fleet-master.service": {
            "FLEET_MASTER_INTERFACE": "127.0.0.1",
            "FLEET_MASTER_PUBLISH_PORT": ports[0],
            "FLEET_MASTER_REQUEST_PORT": ports[1],
            "FLEET_MASTER_ENROL_PORT": ports[2],
            "FLEET_MASTER_AUTO_ACCEPT": "true",
        },
        "fleet-minion.service": {"FLEET_MINION_ID": "web-1", "FLEET_MINION_MASTER": f"127.0.0.1:{ports[2]}"},
    }
    folder = fleet.folder / "systemd"
    folder.mkdir()
    units = {}
    for name, text in shown_units(fleet).items():
        # The installed package lies elsewhere in there, and a script names its interpreter by the place where it was installed.
        started = f"ExecStart={PACKAGE}/bin/python3 -P {PACKAGE}/bin/"
        own = [f'Environment="{key}={value}"' for key, value in settings[name].items()]
        own += [f"StandardError=append:{folder}/{name}.log"]
        units[name] = text.replace(f"ExecStart={BIN}/", started).replace(
            "[Install]", "\n".join([*own, "", "[Install]"])
        )
    with own_systemd(folder, units) as systemd:
        systemd.systemctl("start", *units)
        client = Client(Path(f"/proc/{systemd.pid}/root"))

        def is_up() -> bool:
            try:
                return [row.state for row in client.minions()] == ["up"]
            except FleetError:
                return False

        wait_until(is_up, 30, "the minion to be up")
        jid = client.submit("web-1", "cmd.run", JOB.format(folder=folder))
        wait_until(lambda: state(client, jid) == "running", 20, "the job to run")
        for name in ("fleet-minion.service", "fleet-master.service"):
            restart(systemd, name)
            wait_until(is_up, 30, "the minion to be up again")
            assert state(client, jid) == "running"
        assert [key.state for key in client.keys().keys] == ["accepted"]
        (folder / "gate").touch()
        wait_until(lambda: state(client, jid) == "failed", 20, "the job to end")
        result = client.job(jid).results[client.minions()[0].minion]
        assert (result.stdout, result.retcode) == (b"early\nlate\n", 5)
        assert (folder / "ran").read_text() == "run\n"
        systemd.systemctl("stop", *units)
        assert systemd.systemctl("show", "-p", "Result", "--value", *units).split() == ["success", "success"]


def state(client: Client, jid: str) -> str:
    (result,) = client.job(jid).results.values()
    return result.state


def restart(systemd: OwnSystemd, name: str) -> None:
    before = systemd.main_pid(name)
    systemd.systemctl("restart", name)
    assert systemd.main_pid(name) not in {0, before}
