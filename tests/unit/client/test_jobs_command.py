import json
from dataclasses import replace

import pytest

from fleet.client.fleet_command import main
from fleet.client.invocation import Invocation
from fleet.core.control_answers import Done, Failure, JobList
from fleet.core.control_requests import ListJobs, ShowJob
from fleet.core.job_states import JobState
from fleet.core.visible import columns
from support.fake_master import JID, MOMENT_US, SUMMARY, Start, Step, ran, returned, without_value

Captured = pytest.CaptureFixture[str]

DB = replace(
    ran("db-1", b"  lead\r\n", b"bad\n", retcode=3),
    pid=83,
    force_stopped=True,
    notes=("a second return",),
    host="db-01",
)
SHOWN: list[Step] = [SUMMARY, returned("web-1", None), DB, Done()]


def test_a_list_of_jobs_ends_with_how_many_there_are(start: Start, capsys: Captured) -> None:
    master = start({ListJobs: [JobList((SUMMARY,), 12)]})
    assert main(["jobs", "list", "--limit", "1", "--before", JID]) == 0
    assert capsys.readouterr().out == (
        "JID                   CREATED                  USER            STATE     TARGETS               TARGET"
        "  FUNCTION\n"
        "20261120221012000042  2026-11-20 22:10:12 UTC  ada (uid 1000)  finished  1 failed 1 succeeded  web-* "
        "  cmd.run 'echo a b' cwd=/tmp -- --x\n"
        "1/12\n"
    )
    assert master.requests == [ListJobs(1, JID)]


def test_wide_characters_of_a_job_keep_the_columns_aligned(start: Start, capsys: Captured) -> None:
    start({ListJobs: [JobList((replace(SUMMARY, target="APP 개발자", user="e\u0301mile"), SUMMARY), 2)]})
    assert main(["jobs", "list"]) == 0
    heading, *rows, _ = capsys.readouterr().out.splitlines()
    assert {columns(row.partition("cmd.run")[0]) for row in rows} == {heading.index("FUNCTION")}
    assert {columns(row.partition("finished")[0]) for row in rows} == {heading.index("STATE")}


def test_long_arguments_are_cut_by_columns_on_a_terminal_alone(
    start: Start, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    start({ListJobs: [JobList((replace(SUMMARY, words=("개발자\x1b" * 30,), literals=()),), 1)]})
    assert main(["jobs", "list"]) == 0
    assert capsys.readouterr().out.count("개발자␛") == 30
    monkeypatch.setattr(Invocation, "is_terminal", True)
    assert main(["jobs", "list"]) == 0
    shown = capsys.readouterr().out.splitlines()[1].partition("cmd.run")[2]
    assert 52 <= columns(f"cmd.run{shown}") <= 60
    assert shown.endswith("…")


def test_a_list_of_jobs_is_a_document_too(start: Start, capsys: Captured) -> None:
    master = start({ListJobs: [JobList((SUMMARY,), 12)]})
    assert main(["jo", "li", "--out", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["shown"], document["total"]) == (1, 12)
    assert document["jobs"][0] == {
        "jid": JID,
        "function": "cmd.run",
        "arguments": ["echo a b", "cwd=/tmp", "--x"],
        "options": {},
        "target": "web-*",
        "target_kind": "glob",
        "user": "ada (uid 1000)",
        "created": "2026-11-20T22:10:12.000042Z",
        "expires": "2026-11-20T22:10:42.000042Z",
        "finished": "2026-11-20T22:10:12.300042Z",
        "timeout_seconds": 0.0,
        "stdin_bytes": 0,
        "retry_of": "",
        "state": "finished",
        "counts": {"succeeded": 1, "failed": 1},
        "signed_by": "ozmg-3c4f",
    }
    assert master.requests == [ListJobs(20, "")]


def test_a_job_shows_its_facts_a_row_a_minion_and_what_each_said(start: Start, capsys: Captured) -> None:
    master = start({ShowJob: SHOWN})
    assert main(["jobs", "show", "last"]) == 0
    facts, table, output = capsys.readouterr().out.split("\n\n")
    assert "FUNCTION     cmd.run 'echo a b' cwd=/tmp -- --x\n" in facts
    assert "SIGNED-BY    ozmg-3c4f" in facts
    assert table == (
        "MINION  HOST   ADDRESS   STATUS     RESULT   EXIT  TIME   DETAIL\n"
        "db-1    db-01  10.0.0.1  failed     failure  3     12 ms  exit code 3\n"
        "web-1   -      10.0.0.1  succeeded  success  -     12 ms  -\n"
        "2/2"
    )
    assert output == "db-1:  failed, exit 3\n      lead␍\n    stderr:\n      bad\nweb-1:\n    None\n"
    assert master.requests == [ShowJob("last", (), True)]


def test_one_minion_of_a_job_is_shown_with_everything(start: Start, capsys: Captured) -> None:
    start({ShowJob: SHOWN})
    assert main(["jobs", "show", "000042", "--minion", "db-1"]) == 0
    assert capsys.readouterr().out == (
        f"JID            {JID}\n"
        "MINION         db-1\n"
        "HOST           db-01\n"
        "ADDRESS        10.0.0.1\n"
        "ACCOUNT        root\n"
        "STATUS         failed\n"
        "RESULT         failure\n"
        "REASON         exit code 3\n"
        "EXIT-CODE      3\n"
        "FORCE-STOPPED  yes\n"
        "PID            83\n"
        "STARTED        2026-11-20 22:10:12 UTC\n"
        "FINISHED       2026-11-20 22:10:12 UTC\n"
        "NOTE           a second return\n"
        "[STDOUT]\n"
        "  lead␍\n"
        "[STDERR]\n"
        "bad\n"
        "\n"
    )


def test_an_empty_stream_is_said_to_be_empty_and_a_value_has_a_section(start: Start, capsys: Captured) -> None:
    start({ShowJob: SHOWN})
    assert main(["jobs", "show", "last", "--minion", "web-1"]) == 0
    out = capsys.readouterr().out
    assert "[VALUE]\nNone\n[STDOUT]\nNo content.\n[STDERR]\nNo content.\n" in out
    assert "EXIT-CODE      -\n" in out


def test_a_choice_that_leaves_nothing_is_said_to(start: Start, capsys: Captured) -> None:
    start({ShowJob: SHOWN})
    assert main(["jobs", "show", "last", "--minion", "web-1", "--only", "failed"]) == 0
    assert capsys.readouterr() == ("", "nothing fits --only failed: 1 target is left out\n")
    assert main(["jobs", "show", "last", "--minion", "db-1", "--only", "failed"]) == 0
    assert capsys.readouterr().err == ""


def test_a_minion_that_is_no_target_is_not_found(start: Start, capsys: Captured) -> None:
    start({ShowJob: SHOWN})
    assert main(["jobs", "show", "last", "--minion", "mail-1"]) == 1
    assert "mail-1 is no target" in capsys.readouterr().err


def test_a_running_job_shows_its_process_and_nothing_that_has_not_happened(start: Start, capsys: Captured) -> None:
    running = replace(without_value("web-1", JobState.RUNNING, ""), pid=4711)
    start({ShowJob: [replace(SUMMARY, finished_us=None, state="running"), running, Done()]})
    assert main(["jobs", "show", "last"]) == 0
    out = capsys.readouterr().out
    assert "web-1   -     10.0.0.1  running  n/a     -     -     pid 4711\n" in out
    assert "FINISHED     -\n" in out


def test_the_document_of_a_job_is_what_scripts_rely_on(start: Start, capsys: Captured) -> None:
    start({ShowJob: [SUMMARY, DB, without_value("web-1", JobState.QUEUED, "down"), Done()]})
    assert main(["jobs", "show", "last", "--out", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"jid", "function", "arguments", "target", "target_kind", "user", "created", "finished", "state"} <= set(
        document
    )
    assert list(document["returns"]) == ["db-1", "web-1"]
    assert document["returns"]["db-1"] == {
        "state": "failed",
        "result": "failure",
        "reason": "exit code 3",
        "retcode": 3,
        "has_value": True,
        "value": "  lead\r\nbad",
        "stdout": "  lead\r\n",
        "stderr": "bad\n",
        "duration_ms": 12.5,
        "started": "2026-11-20T22:10:12.000042Z",
        "finished": "2026-11-20T22:10:12.012542Z",
        "kind": "failed",
        "pid": 83,
        "account": "root",
        "address": "10.0.0.1",
        "host": "db-01",
        "force_stopped": True,
        "notes": ["a second return"],
    }
    queued = document["returns"]["web-1"]
    assert [queued[key] for key in ("state", "reason", "retcode", "value", "started", "finished", "duration_ms")] == [
        "queued",
        "down",
        *[None] * 5,
    ]


def test_a_job_can_be_shown_in_every_form_of_a_run(start: Start, capsys: Captured) -> None:
    start({ShowJob: [SUMMARY, ran("web-1", b"x\n"), Done()]})
    shown = {}
    for form in ("nested", "txt", "raw", "fold", "jsonl"):
        assert main(["jobs", "show", "last", "--out", form]) == 0
        shown[form] = capsys.readouterr().out
    assert shown["nested"] == "web-1:\n    x\n"
    assert shown["txt"] == "web-1: x\n"
    assert shown["fold"].endswith("1 ok · 1 targeted in 0.3 s   fleet jobs show 000042\n")
    lines = [json.loads(line) for line in shown["jsonl"].splitlines()]
    assert (lines[0]["minion"], lines[1]["summary"]["counts"]) == ("web-1", {"succeeded": 1})


def test_a_job_that_is_not_there_is_an_error(start: Start, capsys: Captured) -> None:
    start({ShowJob: [Failure("NotFoundError", "there is no job 7", "fleet jobs list")]})
    assert main(["jobs", "show", "7"]) == 1
    assert capsys.readouterr().err == "error: there is no job 7\nhint: fleet jobs list\n"
    assert main(["jobs", "show"]) == 2


def test_moments_of_the_job_are_in_the_zone_of_the_reader(start: Start, capsys: Captured) -> None:
    start({ShowJob: [replace(SUMMARY, created_us=MOMENT_US), Done()]})
    assert main(["jobs", "show", "last"]) == 0
    assert "CREATED      2026-11-20 22:10:12 UTC\n" in capsys.readouterr().out
