"""Jobs stay until they are deleted or too old, and go on both sides."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from fleet.core.control_requests import Watch
from support import shifted_clock
from support.fleet import Fleet
from support.sharing import added, put_right
from support.wait import wait_until


def spooled(fleet: Fleet, minion: str) -> list[str]:
    return sorted(folder.name for folder in (fleet.minion_root(minion) / "var/lib/fleet/minion/jobs").iterdir())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet that tests share which restart its daemons and delete its jobs."""
    with Fleet(tmp_path_factory.mktemp("f")) as one:
        one.start_master()
        one.grow("web-1", "web-2", kill_after_seconds=0.5)
        yield one


@pytest.fixture
def empty(shared: Fleet) -> Fleet:
    """The shared fleet, whole and without a job."""
    put_right(shared)
    shared.client().delete_all_jobs(is_forced=True)
    assert stored(shared) == spooled(shared, "web-1") == spooled(shared, "web-2") == []
    return shared


def stored(fleet: Fleet) -> list[str]:
    return [job.jid for job in fleet.client().jobs(0).jobs]


def jids(fleet: Fleet, *words: str) -> list[str]:
    return [job["jid"] for job in fleet.json("fleet", "jobs", "list", "--limit", "0", *words)["jobs"]]


def test_a_job_stays_over_restarts_until_it_is_deleted_and_is_then_gone(empty: Fleet) -> None:
    kept, deleted, other = (empty.submit("web-1", "cmd.run", f"echo {word}") for word in ("kept", "gone", "other"))
    for jid in (kept, deleted, other):
        empty.wait_for_job(jid)
    empty.master.stop()
    empty.restart_master()
    assert jids(empty) == [other, deleted, kept]

    assert empty.ok("fleet", "jobs", "delete", deleted[-6:]) == f"{deleted}: deleted\n"
    assert stored(empty) == [other, kept]
    assert empty.record(kept)["returns"]["web-1"]["value"] == "kept"
    gone = empty.run("fleet", "jobs", "show", deleted)
    assert (gone.code, "there is no job" in gone.stderr) == (1, True), str(gone)
    assert empty.run("fleet", "jobs", "delete", kept, deleted).code == 1
    assert stored(empty) == [other, kept], "all are deleted, or none"
    assert empty.ok("fleet", "jobs", "delete", "--all", "-y") == "2 jobs deleted\n"
    assert empty.json("fleet", "jobs", "list") == {"jobs": [], "shown": 0, "total": 0}


def test_a_running_job_is_deleted_by_force_alone_and_leaves_nothing_on_its_minions(empty: Fleet) -> None:
    jid = empty.submit("*", "cmd.run", "echo started; sleep 300")
    for minion in ("web-1", "web-2"):
        empty.wait_for_state(jid, minion, "running")
    refused = empty.run("fleet", "jobs", "delete", jid)
    assert (refused.code, "--force" in refused.stderr) == (1, True), str(refused)
    assert spooled(empty, "web-1") == spooled(empty, "web-2") == [jid]

    assert empty.ok("fleet", "jobs", "delete", jid, "--force") == f"{jid}: deleted\n"
    assert stored(empty) == []
    # The command has confirmed it: nothing need be waited for.
    assert spooled(empty, "web-1") == spooled(empty, "web-2") == []


def test_a_forced_deletion_works_while_a_minion_is_away_and_leaves_no_record_behind(empty: Fleet) -> None:
    started = empty.folder / "started"
    jid = empty.submit("web-1", "cmd.run", f"touch {started}; sleep 300")
    empty.wait_for_state(jid, "web-1", "running")
    empty.minions["web-1"].kill()
    wait_until(lambda: empty.client().minion("web-1").state == "down", 10, "web-1 to be down")

    done = empty.run("fleet", "jobs", "delete", jid, "--force")
    assert (done.code, done.stdout) == (0, f"{jid}: deleted\n"), str(done)
    assert "web-1: away" in done.stderr
    assert stored(empty) == []
    # Also when the master does not remember it by itself.
    empty.master.stop()
    empty.restart_master()
    empty.restart_minion("web-1")
    wait_until(lambda: spooled(empty, "web-1") == [], 15, "the minion to forget the job")
    assert stored(empty) == []
    assert empty.answers("web-1", "test.ping") == {"web-1": True}


def test_a_lost_job_can_be_deleted(empty: Fleet) -> None:
    with added(empty, "web-3"):
        jid = empty.submit("web-3", "cmd.run", "exec sleep 300")
        pid = empty.wait_for_pid(jid, "web-3")
        empty.minions["web-3"].kill()
        (empty.minion_root("web-3") / "var/lib/fleet/minion/journal").unlink()
        empty.restart_minion("web-3")
        empty.wait_for_state(jid, "web-3", "lost")
        os.kill(pid, signal.SIGKILL)
        empty.ok("fleet", "jobs", "delete", jid)
        assert stored(empty) == []


def test_a_run_that_is_not_to_be_kept_leaves_no_job(three: Fleet) -> None:
    before = stored(three)
    assert three.json("fleet", "web-*", "cmd.run", "echo secret", "--rm") == {"web-1": "secret", "web-2": "secret"}
    failed = three.run("fleet", "db-1", "cmd.run", "exit 3", "--rm", "--summary")
    assert (failed.code, "1 failed" in failed.stderr, "fleet jobs" in failed.stderr) == (11, True, False), str(failed)
    assert stored(three) == before


def test_a_run_that_has_not_ended_everywhere_is_kept_and_says_so(empty: Fleet) -> None:
    empty.minions["web-2"].pause()
    done = empty.run("fleet", "*", "test.ping", "--rm")
    empty.minions["web-2"].resume()
    assert (done.code, "is kept" in done.stderr) == (12, True), str(done)
    assert len(stored(empty)) == 1


@pytest.mark.parametrize("limit", ["jobs_age_limit_seconds", "jobs_count_limit"])
def test_old_jobs_go_by_themselves_when_their_time_is_over_and_open_ones_stay(fleet: Fleet, limit: str) -> None:
    ahead = fleet.folder / "ahead"
    fleet.master.words = (sys.executable, "-P", str(shifted_clock.__file__))
    fleet.master.environment[shifted_clock.FILE] = str(ahead)
    fleet.start_master(**{limit: 86_400.0 if limit == "jobs_age_limit_seconds" else 2})
    fleet.grow("web-1")
    gate = fleet.folder / "gate"
    waits = fleet.submit("web-1", "cmd.run", f"until [ -e {gate} ]; do sleep 0.1; done")
    old = fleet.submit("web-1", "test.ping")
    fleet.wait_for_job(old)
    if limit == "jobs_age_limit_seconds":
        shifted_clock.put_ahead(ahead, 80_000)
        recent = fleet.submit("web-1", "test.ping")
        shifted_clock.put_ahead(ahead, 90_000)
    else:
        recent = fleet.submit("web-1", "test.ping")
        shifted_clock.put_ahead(ahead, 61)
    fleet.wait_for_job(recent)
    wait_until(lambda: old not in stored(fleet), 15, "the old job to go")
    assert stored(fleet) == [recent, waits]
    gate.touch()
    fleet.wait_for_job(waits)


def test_a_purge_keeps_the_newest(empty: Fleet) -> None:
    every = [
        empty.submit("web-1", "cmd.run", f"head -c 200000 /dev/urandom | base64 # {number}") for number in range(6)
    ]
    for jid in every:
        empty.wait_for_job(jid)
    nothing = empty.run("fleet", "jobs", "purge")
    assert (nothing.code, "limit" in nothing.stderr) == (2, True), str(nothing)
    unasked = empty.run("fleet", "jobs", "purge", "--keep", "1")
    assert (unasked.code, len(stored(empty))) == (2, 6), str(unasked)
    refused = empty.run("fleet", "jobs", "purge", "--keep", "1", stdin="\n")
    assert (refused.code, len(stored(empty))) == (1, 6), str(refused)

    purged = empty.json("fleet", "jobs", "purge", "--keep", "4", "-y")
    assert purged["jobs"] == 2
    assert purged["freed_bytes"] > 400_000
    assert stored(empty) == every[:1:-1]
    assert empty.json("fleet", "jobs", "purge", "--keep-bytes", "100K", "-y")["jobs"] == 4
    assert empty.json("fleet", "jobs", "purge", "--older-than", "1h", "-y")["jobs"] == 0


def test_jobs_are_found_by_user_function_target_minion_state_and_time(three: Fleet) -> None:
    begin = three.json("fleet", "status")["now"]
    ping = three.submit("web-*", "test.ping")
    failed = three.submit("db-1", "cmd.run", "exit 7")
    both = three.submit("*", "cmd.run", "true")
    for jid in (ping, failed, both):
        three.wait_for_job(jid)

    def found(*words: str) -> list[str]:
        return jids(three, "--since", begin, *words)

    assert found() == [both, failed, ping]
    assert found("--function", "cmd.*") == [both, failed]
    assert found("--target", "web-?") == [ping]
    assert found("--target", "db-[!2]") == [failed]
    assert found("--target", "db-[!1]") == []
    assert found("--minion", "db-1") == [both, failed]
    assert found("--state", "failed") == [failed]
    assert found("--state", "failed,lost", "--state", "running") == [failed]
    assert found("--state", "succeeded,failed") == [both, failed, ping]
    assert found("--state", "failed,succeeded", "--function", "cmd.*", "--target", "db-*") == [failed]
    assert three.run("fleet", "jobs", "list", "--state", "failed,1=1 OR failed").code == 2
    nobody = three.run("fleet", "jobs", "list", "--minion", "nothere")
    assert (nobody.code, "no job was for nothere" in nobody.stderr) == (0, True), str(nobody)
    assert found("--state", "finished", "--user", "nobody") == []
    assert found("--state", "running") == []
    assert found("--until", begin) == []
    page = three.json("fleet", "jobs", "list", "--since", begin, "--function", "cmd.*", "--limit", "1")
    assert ([job["jid"] for job in page["jobs"]], page["shown"], page["total"]) == ([both], 1, 2)
    rest = three.json("fleet", "jobs", "list", "--since", begin, "--function", "cmd.*", "--before", both)
    assert [job["jid"] for job in rest["jobs"]] == [failed]
    wrong = three.run("fleet", "jobs", "list", "--state", "done")
    assert (wrong.code, "one of: running, finished" in wrong.stderr) == (2, True), str(wrong)


def test_waiting_for_a_job_ends_with_its_end_and_its_exit_code(three: Fleet) -> None:
    gate = three.folder / "gate-wait"
    jid = three.submit("web-*", "cmd.run", f"until [ -e {gate} ]; do sleep 0.1; done; echo written; exit 3")
    short = three.run("fleet", "jobs", "wait", jid, "-t", "0.2")
    assert (short.code, "the job goes on" in short.stderr) == (12, True), str(short)
    gate.touch()
    answers = three.client().watch(Watch(jid, has_output=False))
    outputs = [(result.retcode, result.has_value, result.stdout) for result in answers]
    assert outputs == [(3, False, b"")] * 2, "who waits is not sent what the programs wrote"
    done = three.run("fleet", "jobs", "wait", jid[-6:])
    assert (done.code, done.stdout) == (11, f"{jid}  finished  2 failed\n"), str(done)
