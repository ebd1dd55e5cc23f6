"""`make demo`: what a newcomer sees first."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.processes import MARK, marked_processes
from support.source import ROOT
from support.wait import wait_until

DEMO = (sys.executable, "-P", str(ROOT / "tests/demo.py"))


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": str(folder), "TMPDIR": str(folder), MARK: str(folder)}


def left_behind(folder: Path) -> list[str]:
    return [*marked_processes(folder).values(), *(entry.name for entry in folder.iterdir())]


def test_the_demo_shows_a_first_session_and_leaves_nothing_behind(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("d")
    done = subprocess.run(DEMO, env=environment(folder), capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    out = done.stdout
    commands = re.findall(r"^\$ (.*)$", out, re.MULTILINE)
    assert commands == [
        "fleet-key -L",
        "fleet-key -A -y",
        "fleet '*' cmd.run uptime",
        "fleet -G 'os:*' test.ping",
        "fleet '*' cmd.run 'cat $FLEET_ROOT/srv/index.html'",
        "fleet jobs list",
        "fleet jobs show last --minion db-1",
        "fleet minions --columns minion,state,since,address,version,os",
    ]
    for minion in ("web-1", "web-2", "db-1"):
        assert f"Key for minion {minion} accepted." in out
    assert out.count("load average") == 3
    assert "(exit code 11)" in out
    assert out.count("It works") == 2
    assert left_behind(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_cleans_up(number: signal.Signals, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("d")
    with subprocess.Popen(DEMO, env=environment(folder), stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        while "fleet-key -A" not in demo.stdout.readline():
            assert demo.poll() is None
        demo.send_signal(number)
        demo.stdout.read()
        assert demo.wait(30) in {130, 128 + number}
    assert left_behind(folder) == []


def test_a_kept_demo_says_how_to_use_and_how_to_stop_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("d")
    done = subprocess.run(
        (*DEMO, "--keep"), env=environment(folder), stdout=subprocess.PIPE, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout
    use = next(line for line in done.stdout.splitlines() if line.strip().startswith("export "))
    stop = next(line for line in done.stdout.splitlines() if line.strip().startswith("kill "))
    answer = subprocess.run(
        ["sh", "-c", f"{use}; fleet web-1 test.ping --out json"],
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    subprocess.run(["sh", "-c", stop], env=environment(folder), check=True)
    wait_until(lambda: left_behind(folder) == [], 15, "the demo to be gone")
    assert '"web-1": true' in answer.stdout
