"""Deleting jobs on both sides: what runs is stopped, and nothing of it is left, whoever was away or restarted meanwhile."""

from pathlib import Path

from support.fleet import Fleet
from support.jobs import is_alive
from support.wait import wait_until


def folders(fleet: Fleet, minion: str) -> set[str]:
    """The jobs of which something lies on a minion."""
    return {path.name for path in (fleet.minion_root(minion) / "var/lib/fleet/minion/jobs").iterdir()}


def running(fleet: Fleet, minion: str) -> tuple[str, int]:
    """A job that runs, and its process."""
    jid = fleet.submit(minion, "cmd.run", "exec sleep 600")
    return jid, fleet.wait_for_pid(jid, minion)


def test_jobs_are_deleted_on_both_sides_whoever_was_away_or_restarted_meanwhile(fleet: Fleet) -> None:
    fleet.start_master()
    fleet.start_minion("web-1", kill_after_seconds=0.5)
    fleet.start_minion("web-2", kill_after_seconds=0.5)
    fleet.accept_all()

    # There: stopped and forgotten before the command ends.
    jid, pid = running(fleet, "web-1")
    assert fleet.run("fleet", "jobs", "delete", jid).code == 1
    assert is_alive(pid)
    assert fleet.ok("fleet", "jobs", "delete", jid, "--force") == f"{jid}: deleted\n"
    assert not is_alive(pid)
    assert fleet.run("fleet", "jobs", "show", jid).code == 1
    wait_until(lambda: jid not in folders(fleet, "web-1"), 10, "the folder of the job to be gone")

    # Away while its job is deleted, and the master is restarted before it comes back.
    jid, pid = running(fleet, "web-2")
    fleet.minions["web-2"].kill()
    wait_until(lambda: fleet.client().minion("web-2").state == "down", 20, "the master to miss it")
    done = fleet.run("fleet", "jobs", "delete", "last", "--force")
    assert (done.code, done.stdout) == (0, f"{jid}: deleted\n")
    assert done.stderr == "web-2: away; what is left of it there goes when it comes back\n"
    assert is_alive(pid)
    fleet.master.kill()
    fleet.restart_master()
    fleet.restart_minion("web-2")
    wait_until(lambda: not is_alive(pid), 20, "the program to be stopped")
    wait_until(lambda: folders(fleet, "web-2") == set(), 20, "the folder of the job to be gone")
    assert fleet.run("fleet", "jobs", "show", jid).code == 1

    # A run that leaves nothing behind; what is waited for; all at once.
    fleet.wait_until_ready()
    assert fleet.json("fleet", "*", "cmd.run", "echo x", "--rm") == {"web-1": "x", "web-2": "x"}
    assert fleet.json("fleet", "jobs", "list", "--out", "json")["total"] == 0
    gate = Path(fleet.folder, "gate")
    jid = fleet.submit("*", "cmd.run", f"until test -e {gate}; do sleep 0.02; done")
    assert fleet.run("fleet", "jobs", "wait", jid, "-t", "0.1").code == 12
    gate.touch()
    assert fleet.ok("fleet", "jobs", "wait", jid) == f"{jid}  finished  2 succeeded\n"
    assert fleet.ok("fleet", "jobs", "delete", "--all", "-y") == "1 job deleted\n"
    for minion in ("web-1", "web-2"):
        assert folders(fleet, minion) == set()
