"""Jobs as an operator sees them: submitted, watched, listed and shown, with each state explained."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from support.fleet import Fleet
from support.sharing import added

JID = re.compile(r"20[0-9]{18}")


def test_every_minion_answers_a_command(three: Fleet) -> None:
    uptimes = three.json("fleet", "*", "cmd.run", "uptime")
    assert sorted(uptimes) == ["db-1", "web-1", "web-2"]
    assert all("load average" in uptime for uptime in uptimes.values())
    answers = three.json("fleet", "*", "cmd.run", "echo up; echo $((40 + 2))")
    assert answers == dict.fromkeys(("db-1", "web-1", "web-2"), "up\n42")


def test_text_arrives_as_it_was_written(three: Fleet) -> None:
    assert three.json("fleet", "web-1", "test.echo", "1.10") == {"web-1": "1.10"}
    quoted = 'x="a b"; echo "$x" k=v'
    assert three.json("fleet", "web-1", "cmd.run", quoted) == {"web-1": "a b k=v"}
    words = ("test.arg", "--", "--color", "a=b", "yes", "", "ä €")
    assert three.json("fleet", "web-1", *words) == {"web-1": ["--color", "a=b", "yes", "", "ä €"]}


def test_every_run_has_an_id_of_its_own_also_when_many_run_at_once(three: Fleet) -> None:
    with ThreadPoolExecutor(8) as pool:
        jids = list(pool.map(lambda _: three.submit("web-1", "test.ping"), range(16)))
    assert len(set(jids)) == 16
    assert all(JID.fullmatch(jid) for jid in jids)


def test_a_jid_is_the_time_of_its_job_in_utc_and_sorts_by_it(three: Fleet) -> None:
    before = datetime.now(UTC)
    jids = [three.submit("web-1", "test.ping") for _ in range(3)]
    after = datetime.now(UTC)
    moments = [datetime.strptime(jid, "%Y%m%d%H%M%S%f").replace(tzinfo=UTC) for jid in jids]
    assert moments == sorted(moments)
    assert before <= moments[0] < moments[-1] <= after


def test_submitting_prints_the_jid_alone_and_does_not_wait(three: Fleet) -> None:
    done = three.run("fleet", "--async", "web-1", "cmd.run", "sleep 600")
    assert done.code == 0
    assert JID.fullmatch(done.stdout.removesuffix("\n"))
    jid = done.stdout.strip()
    assert three.job(jid)["state"] == "running"
    three.ok("fleet", "jobs", "cancel", jid)
    three.wait_for_state(jid, "web-1", "cancelled")


def test_a_job_without_waiting_says_that_it_started_and_under_which_id(three: Fleet) -> None:
    done = three.run("fleet", "--async", "-v", "web-1", "test.ping")
    assert done.stdout.strip() in done.stderr
    assert three.wait_for_state(done.stdout.strip(), "web-1", "succeeded")["value"] is True


def test_one_that_refuses_does_not_stop_the_others(three: Fleet) -> None:
    """The minions of one fleet need not be alike: only odd-1 has a package that brings ``extra.hello``."""
    package = three.folder / "package"
    (package / "extra-1.dist-info").mkdir(parents=True)
    (package / "extra-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1\n")
    (package / "extra-1.dist-info/entry_points.txt").write_text("[fleet.modules]\nextra = extra_module\n")
    (package / "extra_module.py").write_text(
        "from fleet.core.functions import function\n\n"
        '@function(instant=True)\ndef hello() -> str:\n    """Greet."""\n    return \'hello\'\n'
    )
    with added(three, "odd-1", variables={"PYTHONPATH": str(package)}), added(three, "odd-2"):
        lines = {line["minion"]: line for line in three.lines("odd-*", "extra.hello", code=13)}
    assert lines.keys() == {"odd-1", "odd-2"}, "what is outside of the target is absent, what refuses is present"
    assert (lines["odd-1"]["state"], lines["odd-1"]["value"]) == ("succeeded", "hello")
    assert (lines["odd-2"]["state"], lines["odd-2"]["retcode"]) == ("refused", None)
    assert "extra.hello" in lines["odd-2"]["reason"]


def test_an_unknown_function_is_refused_on_each_minion_with_its_reason(three: Fleet) -> None:
    done = three.run("fleet", "*", "test.pong", "--out", "jsonl")
    assert done.code in {2, 13}, str(done)
    assert "test.pong" in done.stdout + done.stderr
    assert "test.ping" in done.stdout + done.stderr, "the nearest name is offered"


def test_a_failure_keeps_its_exit_code_and_what_never_ran_has_none(three: Fleet) -> None:
    lines = three.lines("web-1", "cmd.run", "echo out; echo err >&2; exit 7", code=11)
    assert [(line["state"], line["retcode"], line["stdout"], line["stderr"]) for line in lines] == [
        ("failed", 7, "out\n", "err\n")
    ]
    assert three.lines("web-1", "test.ping")[0]["retcode"] is None
    killed = three.lines("web-1", "cmd.run", "kill -9 $$", code=11)[0]
    assert killed["retcode"] == -9


def test_a_bug_in_a_function_is_a_failure_with_a_traceback(three: Fleet) -> None:
    jid = three.submit("web-1", "test.exception", "the reason")
    result = three.wait_for_state(jid, "web-1", "failed")
    assert "RuntimeError: the reason" in result["reason"] + str(result.get("traceback"))


def test_a_job_shows_who_signed_it_and_who_ran_it_where(three: Fleet) -> None:
    jid = three.submit("web-1", "cmd.run", "echo hello")
    three.wait_for_state(jid, "web-1", "succeeded")
    job = three.job(jid)
    fingerprint = three.ok("fleet-master", "--fingerprint").strip()
    assert job["signed_by"] in fingerprint
    assert job["user"].startswith(three.ok("fleet", "web-1", "cmd.run", "id -un", "--out", "raw").strip())
    assert job["function"] == "cmd.run"
    assert job["arguments"] == ["echo hello"]
    assert (job["target"], job["target_kind"], job["state"]) == ("web-1", "glob", "finished")
    for moment in (job["created"], job["finished"], job["returns"]["web-1"]["started"]):
        assert datetime.fromisoformat(moment).utcoffset() is not None


def test_the_key_that_a_job_was_sent_to_is_visible(three: Fleet) -> None:
    minions = three.json("fleet", "minions")
    accepted = three.keys()["accepted"]
    assert {minion: row["fingerprint"] for minion, row in minions.items()} == accepted


def test_the_process_of_a_running_command_is_visible(three: Fleet) -> None:
    jid = three.submit("web-1", "cmd.run", "echo $$; exec sleep 600")
    pid = three.wait_for_pid(jid, "web-1")
    assert three.job(jid)["returns"]["web-1"]["pid"] == pid
    shown = three.ok("fleet", "jobs", "show", jid, "--minion", "web-1")
    assert str(pid) in shown
    three.ok("fleet", "jobs", "cancel", jid)
    cancelled = three.wait_for_state(jid, "web-1", "cancelled")
    assert cancelled["retcode"] in {-15, None}


def test_a_list_of_jobs_is_keyed_and_complete_for_programs(three: Fleet) -> None:
    jid = three.submit("-L", "web-1,web-2", "cmd.run", "printf 12345; test $FLEET_ROOT != x")
    three.wait_for_job(jid)
    listed = three.json("fleet", "jobs", "list", "--limit", "1")
    assert [row["jid"] for row in listed["jobs"]] == [jid]
    assert {"function", "arguments", "target", "user", "created", "finished", "state", "signed_by"} <= set(
        listed["jobs"][0]
    )
    job = three.job(jid)
    assert set(job["returns"]) == {"web-1", "web-2"}
    for minion in ("web-1", "web-2"):
        result = job["returns"][minion]
        expected = {"state", "reason", "retcode", "value", "stdout", "stderr", "started", "finished", "duration_ms"}
        assert expected <= set(result)
        assert (result["stdout"], result["retcode"], result["value"]) == ("12345", 0, "12345")


def test_a_job_is_found_by_the_end_of_its_jid_and_the_newest_as_last(three: Fleet) -> None:
    jid = three.submit("web-1", "test.echo", "found")
    three.wait_for_state(jid, "web-1", "succeeded")
    assert three.job(jid[-8:])["jid"] == jid
    assert three.job("last")["jid"] == jid
    assert three.run("fleet", "jobs", "show", "99999999999999999999").code == 1


def test_results_are_printed_as_plain_stdout(three: Fleet) -> None:
    jid = three.submit("web-1", "cmd.run", r"printf '  a\r\n\tb\n\n'; printf 'warned\n' >&2")
    three.wait_for_state(jid, "web-1", "succeeded")
    done = three.run("fleet", "jobs", "show", jid, "--out", "raw")
    assert "  a" in done.stdout
    assert done.stdout.encode().endswith(b"\tb\n\n")
    assert "warned" in done.stderr
    assert "warned" not in done.stdout


def test_the_pair_of_job_and_minion_is_unique(three: Fleet) -> None:
    jid = three.submit("*", "test.ping")
    three.wait_for_job(jid)
    lines = three.ok("fleet", "jobs", "show", jid, "--out", "jsonl").splitlines()
    pairs = [(row["jid"], row["minion"]) for row in map(json.loads, lines) if "minion" in row]
    assert sorted(pairs) == [(jid, "db-1"), (jid, "web-1"), (jid, "web-2")]


def test_the_state_and_the_result_of_a_target_are_from_closed_sets_that_agree(three: Fleet) -> None:
    from fleet.core.job_states import JobState, Result, result_of

    jid = three.submit("*", "cmd.run", "case $FLEET_ROOT in *web-1) exit 3;; esac")
    three.wait_for_job(jid)
    states = {minion: result["state"] for minion, result in three.job(jid)["returns"].items()}
    assert states == {"db-1": "succeeded", "web-1": "failed", "web-2": "succeeded"}
    assert {result_of(JobState(state)) for state in states.values()} == {Result.SUCCESS, Result.FAILURE}


def test_a_job_that_runs_too_long_is_ended_with_everything_it_started(three: Fleet) -> None:
    command = "sleep 600 & echo $! > $FLEET_ROOT/child; trap '' TERM; sleep 600"
    line = three.lines("web-1", "cmd.run", command, "--job-timeout", "0.5", code=11)[0]
    assert line["state"] == "timed_out"
    child = (three.minion_root("web-1") / "child").read_text().strip()
    assert (
        three.ok("fleet", "web-1", "cmd.run", f"kill -0 {child} 2>&1 || echo gone", "--out", "raw")
        .strip()
        .endswith("gone")
    )


def test_the_wait_of_the_command_line_ends_without_ending_the_job(three: Fleet) -> None:
    jid_lines = three.run("fleet", "--show-jid", "-t", "0.3", "web-1", "cmd.run", "sleep 1.5; echo late", seconds=20)
    assert jid_lines.code == 12, str(jid_lines)
    assert "the time is up; the job goes on: fleet jobs follow " in jid_lines.stderr
    jid = JID.search(jid_lines.stderr)
    assert jid is not None
    assert three.wait_for_state(jid.group(), "web-1", "succeeded")["value"] == "late"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("*", "test.ping"), 0),
        (("*", "test.retcode", "3"), 11),
        (("nobody", "test.ping"), 3),
        (("-C", "(", "test.ping"), 2),
        (("*", "test.ping", "--unknown-option"), 2),
        (("jobs", "show", "12345678901234567890"), 1),
    ],
)
def test_exit_codes_are_what_scripts_rely_on(three: Fleet, words: tuple[str, ...], code: int) -> None:
    assert three.run("fleet", *words).code == code


def test_a_master_that_is_not_there_is_said_so(fleet: Fleet) -> None:
    done = fleet.run("fleet", "*", "test.ping")
    assert (done.code, done.stdout) == (1, "")
    assert "master" in done.stderr
