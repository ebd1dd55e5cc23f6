"""What an operator can learn of a job on each minion: its state, its result, and the facts of its run."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.core.job_states import JobState
from fleet.core.visible import columns
from support.fleet import BIN, Fleet
from support.processes import run_command
from support.sharing import added
from support.wait import wait_until


def rows_of(text: str) -> dict[str, list[str]]:
    """The rows of a table by their first cell, the cells apart where two blanks are."""
    lines = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]
    return {cells[0]: cells for cells in lines if len(cells) > 2}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet whose jobs are stopped soon, for tests that stop some."""
    with Fleet(tmp_path_factory.mktemp("f")) as one:
        one.start_master()
        one.start_minion("web-1", jobs_running_limit=1, kill_after_seconds=0.5)
        one.start_minion("web-2", kill_after_seconds=0.5)
        one.start_minion("db-1", kill_after_seconds=0.5)
        one.accept_all()
        yield one


def facts_of(text: str) -> dict[str, str]:
    """Names and values of a page of facts, up to its sections."""
    head = text.partition("[")[0]
    return {name: value.strip() for name, _, value in (line.partition("  ") for line in head.splitlines())}


def test_every_state_is_reached_is_one_of_the_closed_set_and_has_its_result_apart(shared: Fleet) -> None:
    """The states of the reference, each by what leads to it on real daemons."""
    found: dict[str, str] = {}

    def keep(state: str, minion: str, *words: str) -> str:
        jid = shared.submit(minion, *words)
        found[state] = shared.wait_for_state(jid, minion, state)["result"]
        return jid

    keep("succeeded", "web-1", "cmd.run", "true")
    keep("failed", "web-1", "cmd.run", "exit 3")
    keep("refused", "web-1", "test.nothing")
    keep("timed_out", "web-1", "cmd.run", "sleep 60", "--job-timeout", "0.2")
    running = keep("running", "web-1", "cmd.run", "sleep 60")
    keep("acked", "web-1", "cmd.run", "true")
    shared.ok("fleet", "jobs", "cancel", running)
    found["cancelled"] = shared.wait_for_state(running, "web-1", "cancelled")["result"]

    shared.minions["web-2"].pause()
    keep("sent", "web-2", "test.ping")
    shared.minions["web-2"].resume()

    with added(shared, "db-2"):
        lost = shared.submit("db-2", "cmd.run", "exec sleep 60")
        pid = shared.wait_for_pid(lost, "db-2")
        shared.minions["db-2"].kill()
        (shared.minion_root("db-2") / "var/lib/fleet/minion/journal").unlink()
        shared.restart_minion("db-2")
        found["lost"] = shared.wait_for_state(lost, "db-2", "lost")["result"]
        os.kill(pid, signal.SIGKILL)

        shared.minions["db-2"].stop()
        wait_until(lambda: shared.client().minion("db-2").state == "down", 10, "db-2 to be down")
        keep("expired", "db-2", "test.ping", "--ttl", "0.1")
        queued = keep("queued", "db-2", "test.ping", "--ttl", "1h")
        shared.change_keys("delete", "db-2")
        found["abandoned"] = shared.wait_for_state(queued, "db-2", "abandoned")["result"]

    results = {
        "succeeded": "success",
        **dict.fromkeys(("failed", "timed_out", "cancelled", "lost"), "failure"),
        **dict.fromkeys(("queued", "sent", "acked", "running", "refused", "expired", "abandoned"), "n/a"),
    }
    assert found == results
    assert set(found) == set(JobState)


def test_a_running_job_is_asked_about_again_and_again_and_is_not_started_anew(three: Fleet) -> None:
    gate, ran = three.folder / "gate-again", three.folder / "ran-again"
    jid = three.submit("web-*", "cmd.run", f"echo $FLEET_ROOT >> {ran}; until [ -e {gate} ]; do sleep 0.1; done")
    for minion in ("web-1", "web-2"):
        three.wait_for_state(jid, minion, "running")
    for _ in range(3):
        rows = rows_of(three.ok("fleet", "jobs", "show", jid))
        assert [rows[minion][3:5] for minion in ("web-1", "web-2")] == [["running", "n/a"]] * 2
    gate.touch()
    three.wait_for_job(jid)
    rows = rows_of(three.ok("fleet", "jobs", "show", jid))
    assert [rows[minion][3:5] for minion in ("web-1", "web-2")] == [["succeeded", "success"]] * 2
    assert len(ran.read_text().splitlines()) == 2


def test_the_short_id_of_a_job_that_is_shown_serves_in_every_later_command(three: Fleet) -> None:
    shown = three.run("fleet", "web-*", "cmd.run", "true", "--out", "fold").stdout
    short = shown.rsplit("fleet jobs show ", 1)[1].strip()
    assert (len(short), short.isdigit()) == (6, True)
    jid = three.job(short)["jid"]
    assert jid.endswith(short)
    assert three.ok("fleet", "jobs", "follow", short, "--out", "fold").count("ok") == 1
    assert three.ok("fleet", "jobs", "wait", short).startswith(jid)
    assert three.run("fleet", "jobs", "cancel", short).code == 1, "it has ended: nothing is left to stop"
    older = three.json("fleet", "jobs", "list", "--before", short)["jobs"]
    assert jid not in [job["jid"] for job in older]
    assert three.ok("fleet", "jobs", "delete", short) == f"{jid}: deleted\n"


def test_a_job_has_a_row_a_minion_with_host_address_state_and_result_and_says_how_many(three: Fleet) -> None:
    jid = three.submit("*", "cmd.run", 'test "${FLEET_ROOT##*/}" != db-1')
    three.wait_for_job(jid)
    text = three.ok("fleet", "jobs", "show", jid)
    host = three.json("fleet", "web-1", "grains.get", "host")["web-1"]
    rows = rows_of(text)
    assert rows["MINION"][:5] == ["MINION", "HOST", "ADDRESS", "STATUS", "RESULT"]
    assert rows["web-1"][:5] == ["web-1", host, "127.0.0.1", "succeeded", "success"]
    assert rows["db-1"][:5] == ["db-1", host, "127.0.0.1", "failed", "failure"]
    assert "\n3/3\n" in text


def test_one_minion_of_a_job_has_the_ten_facts(three: Fleet) -> None:
    jid = three.submit("db-1", "cmd.run", "exit 4")
    three.wait_for_job(jid)
    facts = facts_of(three.ok("fleet", "jobs", "show", jid, "--minion", "db-1"))
    kept = three.job(jid)["returns"]["db-1"]
    assert {name: facts[name] for name in ("MINION", "ADDRESS", "ACCOUNT", "STATUS", "RESULT", "EXIT-CODE")} == {
        "MINION": "db-1",
        "ADDRESS": "127.0.0.1",
        "ACCOUNT": kept["account"],
        "STATUS": "failed",
        "RESULT": "failure",
        "EXIT-CODE": "4",
    }
    assert facts["HOST"] == kept["host"] != ""
    assert facts["FORCE-STOPPED"] == "no"
    assert facts["STARTED"][:2] == facts["FINISHED"][:2] == "20"

    never = three.submit("db-1", "test.nothing")
    three.wait_for_job(never)
    facts = facts_of(three.ok("fleet", "jobs", "show", never, "--minion", "db-1"))
    assert [facts[name] for name in ("STATUS", "RESULT", "EXIT-CODE", "STARTED")] == ["refused", "n/a", "-", "-"]


@pytest.mark.parametrize(
    ("command", "stdout", "stderr"),
    [
        ("printf ' 07:14 up \\r\\n\\n'", " 07:14 up \r\n\n", ""),
        ("printf 'a\\t ' >&2; exit 1", "", "a\t "),
        ("printf out; printf err >&2", "out", "err"),
    ],
)
def test_both_streams_are_kept_apart_and_byte_for_byte(three: Fleet, command: str, stdout: str, stderr: str) -> None:
    jid = three.submit("web-1", "cmd.run", command)
    three.wait_for_job(jid)
    kept = three.job(jid)["returns"]["web-1"]
    assert (kept["stdout"], kept["stderr"]) == (stdout, stderr)
    page = three.ok("fleet", "jobs", "show", jid, "--minion", "web-1")
    out, err = page.partition("[STDOUT]\n")[2].split("[STDERR]\n")
    assert ("No content." in out, "No content." in err) == (not stdout, not stderr)
    assert stdout == "" or stdout.splitlines()[0].rstrip("\r") in out
    raw = three.run("fleet", "jobs", "show", jid, "--out", "raw")
    assert (raw.stdout, raw.stderr) == (stdout.replace("\r\n", "\n"), stderr)


def test_times_are_moments_shown_in_the_zone_of_the_caller_and_missing_where_nothing_ran(three: Fleet) -> None:
    jid = three.submit("web-1", "cmd.run", "true")
    three.wait_for_job(jid)
    kept = three.job(jid)["returns"]["web-1"]
    assert kept["started"].endswith("Z")
    shown = {}
    for zone in ("Asia/Seoul", "UTC"):
        done = run_in_zone(three, zone, "jobs", "show", jid, "--minion", "web-1")
        shown[zone] = facts_of(done)["STARTED"]
    assert shown["Asia/Seoul"].endswith("KST")
    assert shown["UTC"] == f"{kept['started'][:19].replace('T', ' ')} UTC"
    assert (int(shown["Asia/Seoul"][11:13]) - int(shown["UTC"][11:13])) % 24 == 9
    never = three.submit("web-1", "test.nothing")
    three.wait_for_job(never)
    kept = three.job(never)["returns"]["web-1"]
    assert kept["started"] is None


def run_in_zone(fleet: Fleet, zone: str, *words: str) -> str:
    done = run_command((str(BIN / "fleet"), *words), {**fleet.environment(), "TZ": zone})
    assert done.code == 0, str(done)
    return done.stdout


def test_cancelling_says_what_stopped_and_its_exit_codes_are_its_own(shared: Fleet) -> None:
    child = shared.folder / "child"
    jid = shared.submit("*", "cmd.run", f"(sleep 300 & echo $! >> {child}; wait)")
    for minion in ("web-1", "web-2", "db-1"):
        shared.wait_for_state(jid, minion, "running")
    wait_until(lambda: child.exists() and len(child.read_text().split()) == 3, 10, "three children")

    wrong = shared.run("fleet", "jobs", "cancel", jid, "--minion", "web-1", "--minion", "nope")
    assert (wrong.code, "nope is no target of job" in wrong.stderr) == (2, True), str(wrong)
    assert shared.job(jid)["returns"]["web-1"]["state"] == "running", "nothing is cancelled"
    assert shared.ok("fleet", "jobs", "cancel", jid, "--minion", "db-1") == "db-1: stopped\n"
    again = shared.run("fleet", "jobs", "cancel", jid, "--minion", "db-1")
    assert (again.code, again.stderr) == (1, "db-1: had ended before\nnothing to stop there\n"), str(again)
    states = {minion: one["state"] for minion, one in shared.job(jid)["returns"].items()}
    assert states == {"db-1": "cancelled", "web-1": "running", "web-2": "running"}
    shared.minions["web-2"].pause()
    failed = shared.run("fleet", "jobs", "cancel", jid, "-t", "2")
    shared.minions["web-2"].resume()
    assert (failed.code, failed.stdout) == (1, "web-1: stopped\n"), str(failed)
    assert "web-2: asked to stop, has not confirmed it" in failed.stderr
    kept = shared.wait_for_state(jid, "web-2", "cancelled")
    assert (kept["result"], kept["force_stopped"]) == ("failure", True)
    assert shared.job(jid)["state"] == "cancelled"
    assert [pid for pid in child.read_text().split() if is_alive(int(pid))] == []
    assert shared.run("fleet", "jobs", "cancel", "20200101000000000000").code == 2
    assert shared.run("fleet", "jobs", "cancel").code == 64
    assert shared.run("fleet", "jobs", "cancel", "last", "--nonsense").code == 64


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_lists_end_with_shown_and_total_and_take_a_limit(three: Fleet) -> None:
    for _ in range(2):
        three.wait_for_job(three.submit("web-1", "test.ping"))
    lists: dict[str, tuple[str, ...]] = {
        "jobs": ("fleet", "jobs", "list"),
        "minions": ("fleet", "minions"),
        "functions": ("fleet", "doc"),
        "keys": ("fleet-key", "-L"),
    }
    three.wait_for_job(three.submit("*", "test.ping"))
    table = three.ok("fleet", "jobs", "show", "last", "--limit", "1")
    assert "\n1/3\n" in table
    assert ("db-1" in table, "web-1" in table) == (True, False)
    for words in lists.values():
        whole = three.ok(*words, *(("--limit", "0") if "jobs" in words else ())).splitlines()[-1]
        shown, _, total = whole.partition("/")
        assert shown == total, whole
        assert int(total) >= 2
        assert three.ok(*words, "--limit", "1").splitlines()[-1] == f"1/{total}"


def test_wide_characters_keep_columns_aligned_and_survive_the_way(three: Fleet) -> None:
    names = ("APP 개발자", "db 관리자 팀", "ascii")
    for name in names:
        three.wait_for_job(three.submit("web-1", "cmd.run", f"echo '{name}'"))
    assert three.job()["returns"]["web-1"]["value"] == "ascii"
    lines = three.ok("fleet", "jobs", "list", "--limit", "3").splitlines()
    values: list[Any] = [three.job(line.split()[0])["returns"]["web-1"]["value"] for line in lines[1:4]]
    assert values == list(reversed(names))
    assert [name in line for name, line in zip(names, lines[3:0:-1], strict=True)] == [True] * 3
    three.ok("fleet", "db-1", "grains.setval", "team", names[0])
    rows = three.ok("fleet", "minions", "--columns", "minion,team,state").splitlines()
    assert names[0] in rows[1]
    assert len({columns(row[: row.rindex("up")]) for row in rows[1:4]}) == 1


def test_a_signal_that_ended_a_program_is_its_exit_code(three: Fleet) -> None:
    jid = three.submit("web-1", "cmd.run", "kill -9 $$")
    three.wait_for_job(jid)
    assert three.job(jid)["returns"]["web-1"]["retcode"] == -signal.SIGKILL
