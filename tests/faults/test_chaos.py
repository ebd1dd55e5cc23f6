"""A short run of ``make chaos``, always the same one: faults of every kind, and nothing that must not be."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from faults.disks import unmount_below
from faults.run import sweep
from support.processes import MARK, marked_processes
from support.source import ROOT

#: Half a minute where nothing else runs, and far more beside a whole suite.
pytestmark = pytest.mark.timeout(300)

SEED, SECONDS, MINIONS = 1, 16, 4


def chaos(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What ``make chaos`` runs, in a temporary folder of its own."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "tests"), "TMPDIR": str(folder)}
    return subprocess.run(
        [sys.executable, "-P", "-m", "faults.run", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_a_fleet_under_faults_keeps_its_promises(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("c")
    done = chaos(
        folder, "--seed", f"{SEED}", "--seconds", f"{SECONDS}", "--minions", f"{MINIONS}", "--jobs-per-second", "3"
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    document = json.loads(done.stdout.splitlines()[-1])
    assert document["findings"] == {}
    assert document["jobs"] > SECONDS
    assert len(document["faults"]) > 5
    assert list(folder.iterdir()) == [], "nothing is left behind"


def test_a_run_clears_away_what_one_left_that_was_killed(tmp_path: Path) -> None:
    left, kept, alive = (tmp_path / f"fleet-chaos-{name}" for name in ("left", "kept", "alive"))
    for folder in (left, kept, alive):
        folder.mkdir()
        (folder / "owner").write_text("999999999" if folder is not alive else str(os.getpid()))
    (kept / "kept").mkdir()
    process = subprocess.Popen(["sleep", "600"], env={MARK: str(left), "PATH": os.environ["PATH"]})
    try:
        assert sweep(tmp_path) == [left]
        assert process.wait(10) == -9
    finally:
        process.kill()
        process.wait()
    assert sorted(tmp_path.iterdir()) == [alive, kept]
    assert unmount_below(tmp_path) == []
    assert marked_processes(left) == {}
