"""What `make wheelhouse` makes is all that a machine without a network needs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fleet
from support.ports import free_ports
from support.processes import MARK, end_marked_processes, run_command
from support.source import ROOT

#: An environment is made of wheels, ten seconds where nothing else runs and far more beside a whole suite.
pytestmark = pytest.mark.timeout(300)

#: A fresh environment outside of the repository, and from it a master, a minion and an answer. The pip is that of the environment which
#: runs this test: one of its own would be the same, and takes as long to install as everything else together.
INSTALL_AND_PING = """\
set -eu
cd "$HOME"
python3 -m venv --without-pip own
"$PIP" --python own/bin/python install -q --disable-pip-version-check --no-index --find-links "$WHEELHOUSE" fleetmq
PATH=$HOME/own/bin:$PATH
fleet --version
fleet-master -d
fleet-minion -d
until answer=$(fleet '*' test.ping --out json 2> refused); do sleep 0.1; done
echo "$answer"
"""
#: Only root makes a network namespace, and only where tests may alter the machine.
MAY_ISOLATE = os.geteuid() == 0 and os.environ.get("FLEET_TEST_SYSTEM") == "1"
ISOLATED = """\
set -eu
ip link set lo up
grep -c : /proc/net/dev
exec "$@"
"""


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheelhouse, made in a copy of the tree: building leaves files beside the sources."""
    copy = tmp_path_factory.mktemp("tree")
    left_out = shutil.ignore_patterns(".*", "build", "dist", "fleet", "tests", "docs", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=left_out, dirs_exist_ok=True)
    (copy / ".venv").symlink_to(sys.prefix)
    # The environment is the one that runs this test: whatever its age, it is not to be made anew.
    done = subprocess.run(
        ["make", "-o", ".venv/.made", "wheelhouse"], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "dist/wheelhouse"


def lines_of(words: tuple[str, ...], wheelhouse: Path, home: Path) -> list[str]:
    """Install and ping below ``home``, and return what that printed."""
    ports = free_ports(3)
    environment = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).resolve().parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "PIP": str(Path(sys.executable).with_name("pip")),
        # What is never imported need not be compiled.
        "PIP_NO_COMPILE": "1",
        "WHEELHOUSE": str(wheelhouse),
        "FLEET_ROOT": str(home),
        "FLEET_MASTER_INTERFACE": "127.0.0.1",
        "FLEET_MASTER_PUBLISH_PORT": str(ports[0]),
        "FLEET_MASTER_REQUEST_PORT": str(ports[1]),
        "FLEET_MASTER_ENROL_PORT": str(ports[2]),
        "FLEET_MASTER_AUTO_ACCEPT": "true",
        "FLEET_MINION_ID": "web-1",
        "FLEET_MINION_MASTER": f"127.0.0.1:{ports[2]}",
        MARK: str(home),
    }
    try:
        done = run_command((*words, "sh", "-c", INSTALL_AND_PING), environment, seconds=250)
    finally:
        end_marked_processes(home)
    logs = "".join(log.read_text() for log in home.glob("var/log/fleet/*.log"))
    assert done.code == 0, f"{done}\n{logs}"
    return done.stdout.splitlines()


ANSWER = [f"fleet {fleet.__version__}", "{", '  "web-1": true', "}"]


def test_the_wheelhouse_installs_without_an_index_and_what_it_installed_works(
    wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Where the tests may alter the machine there is no network either, but for the loopback."""
    words = ("unshare", "-n", "sh", "-c", ISOLATED, "sh") if MAY_ISOLATE else ()
    only_the_loopback = ["1"] if MAY_ISOLATE else []
    assert lines_of(words, wheelhouse, tmp_path_factory.mktemp("home")) == [*only_the_loopback, *ANSWER]
