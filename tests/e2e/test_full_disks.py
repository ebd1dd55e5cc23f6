"""Disks without room, by a file system of the test's own: work is refused with the reason, and nothing that was done is lost."""

import io
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.fleet import Fleet
from support.wait import wait_until

pytestmark = pytest.mark.system


@contextmanager
def small_disk(folder: Path, state: Path, size: str) -> Iterator[Path]:
    """Put a small file system below ``folder``, and a daemon's state folder on it; yield where it is mounted."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder], check=True)
    try:
        (folder / "state").mkdir(mode=0o700)
        state.parent.mkdir(parents=True)
        state.symlink_to(folder / "state")
        yield folder
    finally:
        # Lazily: a daemon of a test that failed may still have files there.
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> None:
    """Leave no room."""
    with (disk / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        write_for_ever(file)


def write_for_ever(file: io.RawIOBase) -> None:
    while True:
        file.write(bytes(4096))


def events_of(fleet: Fleet, tag: str, text: str) -> int:
    return sum(tag in line and text in line for line in (fleet.folder / "events.log").read_text().splitlines())


def last_heard(fleet: Fleet) -> dict[str, int]:
    return {row.minion: row.last_seen_us or 0 for row in fleet.client().minions()}


def test_a_full_disk_under_the_job_cache_refuses_jobs_and_loses_no_return(fleet: Fleet) -> None:
    with small_disk(fleet.folder / "disk", fleet.master_root / "var/lib/fleet/master", "4m") as disk:
        fleet.start_master(heartbeat_seconds=0.3)
        fleet.grow("web-1", "web-2")
        listener = fleet.events("*", "--out", "jsonl")
        gate = fleet.folder / "gate"
        jid = fleet.submit("*", "cmd.run", f"until test -e {gate}; do sleep 0.05; done; echo done")
        for minion in fleet.minions:
            fleet.wait_for_state(jid, minion, "running")
        fill(disk)
        done = fleet.run("fleet", "*", "cmd.run", "touch $FLEET_ROOT/refused")
        assert (done.code, done.stdout) == (1, ""), str(done)
        assert "the job cache" in done.stderr
        assert "cannot be written: the disk is full" in done.stderr
        assert "hint: free some space" in done.stderr
        gate.touch()
        returning = f"returning ok of cmd.run for job {jid}"

        def send_again() -> bool:
            return all(daemon.log().count(returning) >= 2 for daemon in fleet.minions.values())

        wait_until(send_again, 30, "returns to be sent again")
        heard = last_heard(fleet)
        wait_until(
            lambda: all(at > heard[minion] for minion, at in last_heard(fleet).items()), 20, "heartbeats to go on"
        )
        assert {row["state"] for row in fleet.json("fleet", "minions").values()} == {"up"}
        assert {each["state"] for each in fleet.job(jid)["returns"].values()} == {"running"}, (
            "what is stored can be read"
        )
        assert fleet.run("fleet", "*", "test.ping").code == 1

        (disk / "filler").unlink()
        job = fleet.wait_for_job(jid)
        assert {each["value"] for each in job["returns"].values()} == {"done"}
        wait_until(lambda: fleet.run("fleet", "*", "test.ping").code == 0, 20, "new jobs to be taken")
        assert not [root for root in fleet.minions if (fleet.minion_root(root) / "refused").exists()]
        said = fleet.master.log().splitlines()
        assert len([line for line in said if "the disk is full" in line]) == 1
        assert len([line for line in said if "the job cache stores again" in line]) == 1
        listener.wait_for_log('"reason": ""}')
        assert events_of(fleet, "fleet/limit/store", "the disk is full") == 1
        assert events_of(fleet, "fleet/limit/store", '"reason": ""}') == 1
        listener.stop()
        fleet.stop_minions()
        fleet.master.stop()


def test_a_full_disk_under_the_spool_refuses_jobs_and_drops_no_return(fleet: Fleet) -> None:
    with small_disk(fleet.folder / "disk", fleet.minion_root("web-1") / "var/lib/fleet/minion", "12m") as disk:
        fleet.start_master(ttl_seconds=600)
        fleet.grow("web-1", "web-2")
        kept = fleet.submit("*", "cmd.run", f"until test -e {fleet.folder}/gate; do sleep 0.05; done; echo kept")
        for minion in fleet.minions:
            fleet.wait_for_state(kept, minion, "running")
        fleet.master.stop()
        (fleet.folder / "gate").touch()
        jobs = fleet.minion_root("web-1") / "var/lib/fleet/minion/jobs"
        wait_until(lambda: b"kept" in (jobs / kept / "stdout").read_bytes(), 20, "the job to end")
        fill(disk)
        fleet.restart_master()
        assert {each["value"] for each in fleet.wait_for_job(kept)["returns"].values()} == {"kept"}

        done = fleet.run("fleet", "*", "cmd.run", "echo new >> $FLEET_ROOT/ran")
        assert done.code == 13, str(done)
        refusal = next(line for line in done.stderr.splitlines() if line.startswith("web-1: refused: "))
        assert "the disk of the minion is full" in refusal
        assert "free some space there" in refusal
        assert fleet.json("fleet", "*", "test.ping") == {"web-1": True, "web-2": True}, "what needs no disk goes on"
        assert fleet.run("fleet", "web-1", "cmd.run", "echo new >> $FLEET_ROOT/ran").code == 13

        (disk / "filler").unlink()
        assert fleet.json("fleet", "web-1", "cmd.run", "echo again") == {"web-1": "again"}
        log = fleet.minions["web-1"].log()
        assert log.count("the disk of the minion is full") == 1
        assert "there is room on the disk" in log
        assert not (fleet.minion_root("web-1") / "ran").exists()
        assert (fleet.minion_root("web-2") / "ran").read_text() == "new\n"
        fleet.stop_minions()
        fleet.master.stop()
