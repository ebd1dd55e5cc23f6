"""A release meets the one before: its state folders, its minions."""

import sqlite3
import stat
import sys
import tarfile
from pathlib import Path

from fleet.master.store_schema import SCHEMA_VERSION
from support import first_release
from support.fleet import Fleet
from support.wait import wait_until

STATE_OF_FORMAT_1 = Path(__file__).parents[1] / "fixtures/state-format-1.tar.xz"
LATE = "20261125161347456026"


def format_of(file: Path) -> int:
    connection = sqlite3.connect(file)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    finally:
        connection.close()
    return int(version)


def test_state_folders_of_the_first_release_go_on_with_everything_that_was_in_them(fleet: Fleet) -> None:
    with tarfile.open(STATE_OF_FORMAT_1) as packed:
        packed.extraction_filter = lambda member, _: member  # Python 3.11.2 has no argument for it.
        packed.extractall(fleet.folder / "kept")
    (fleet.folder / "kept/master").rename(fleet.master_root)
    fleet.minion_root("web-1").parent.mkdir()
    (fleet.folder / "kept/web-1").rename(fleet.minion_root("web-1"))
    spool = fleet.minion_root("web-1") / "var/lib/fleet/minion"
    journal_id = (spool / "journal").read_bytes()[:36]
    assert (spool / f"jobs/{LATE}/status").exists()

    fleet.start_master()
    fleet.start_minion("web-1")
    fleet.wait_until_ready()

    # The job cache was brought up to date, and a copy of what it was is kept.
    cache = fleet.master_root / "var/lib/fleet/master/jobs.sqlite"
    copy = cache.with_name("jobs.sqlite.format-1")
    assert (format_of(cache), format_of(copy)) == (SCHEMA_VERSION, 1)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    # The keys are in the states that they were in, and nobody had to accept anything anew.
    keys = fleet.keys()
    assert {state: sorted(keys[state]) for state in keys} == {
        "accepted": ["web-1", "web-2"],
        "pending": ["db-1"],
        "rejected": ["db-2"],
        "denied": [],
    }
    # The return that lay in the spool arrives, and the spool forgets it.
    assert fleet.wait_for_state(LATE, "web-1", "succeeded")["value"] == "late"
    wait_until(lambda: not (spool / f"jobs/{LATE}").exists(), 10, "the spool to be empty")
    assert (spool / "journal").read_bytes()[:36] == journal_id
    # Every job of before is there with its results.
    jobs = fleet.json("fleet", "jobs", "list", "--limit", "0")
    assert [(job["function"], job["state"], job["counts"]) for job in jobs["jobs"]] == [
        ("cmd.run", "finished", {"succeeded": 1}),
        ("test.ping", "finished", {"expired": 1}),
        ("cmd.run", "cancelled", {"cancelled": 1}),
        ("test.nothing", "finished", {"refused": 1}),
        ("cmd.run", "finished", {"failed": 2}),
        ("cmd.run", "finished", {"succeeded": 2}),
        ("test.ping", "finished", {"succeeded": 2}),
    ]
    failed = fleet.job(jobs["jobs"][4]["jid"])["returns"]["web-2"]
    assert (failed["retcode"], failed["stdout"], failed["stderr"]) == (3, "hello\n", "oops\n")
    # And it works: new jobs, and deleting old ones without taking along what others still show.
    assert fleet.json("fleet", "web-1", "cmd.run", "echo hello") == {"web-1": "hello"}
    fleet.ok("fleet", "jobs", "delete", jobs["jobs"][5]["jid"])
    assert fleet.job(jobs["jobs"][4]["jid"])["returns"]["web-2"]["stdout"] == "hello\n"


def test_a_minion_of_the_release_before_is_served(fleet: Fleet) -> None:
    fleet.start_master()
    fleet.minion_command = (sys.executable, "-P", first_release.__file__)
    fleet.grow("web-1", kill_after_seconds=0.5)
    assert fleet.json("fleet", "web-1", "cmd.run", "head -c 100000 /dev/zero | tr '\\0' x") == {"web-1": "x" * 100_000}
    stopped = fleet.submit("web-1", "cmd.run", "sleep 60")
    fleet.wait_for_state(stopped, "web-1", "running")
    assert fleet.ok("fleet", "jobs", "cancel", stopped) == "web-1: stopped\n"

    # It knows nothing of deleted jobs: it is asked to stop, and its return is not wanted.
    deleted = fleet.submit("web-1", "cmd.run", "sleep 60")
    fleet.wait_for_state(deleted, "web-1", "running")
    assert fleet.ok("fleet", "jobs", "delete", deleted, "--force") == f"{deleted}: deleted\n"
    spool = fleet.minion_root("web-1") / "var/lib/fleet/minion/jobs"
    wait_until(lambda: not list(spool.iterdir()), 10, "the spool to be empty")
    # Nor of a stdin: it would run a job without it, so it gets none that has one.
    other = fleet.lines("web-1", "cmd.run", "cat", "--stdin-text", "x", code=13)
    assert [(line["state"], "too old" in line["reason"]) for line in other] == [("refused", True)]
    assert fleet.json("fleet", "status")["counters"]["messages_malformed"] == 0
    assert "dropped" not in fleet.minions["web-1"].log()
