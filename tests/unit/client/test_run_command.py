import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.client.client import Client
from fleet.client.fleet_command import main
from fleet.client.progress import Progress
from fleet.core.control_answers import Done, Failure, TargetPreview
from fleet.core.control_requests import PreviewTarget, ShowJob, Submit, Watch
from fleet.core.job_states import JobState
from fleet.core.names import FunctionName, MinionId
from support.fake_master import JID, SUMMARY, Start, Step, created, ran, silent, without_value

Captured = pytest.CaptureFixture[str]

WEB_FUNCTION = FunctionName("cmd.run")
WEB = ran("web-1", b"fine\n")


def submitted(start: Start, *words: str) -> Submit:
    """Run ``fleet`` against a master that takes any job, and return what it was asked."""
    master = start({Submit: [created("web-1"), WEB, Done()]})
    assert main(words) == 0
    (request,) = master.asked(Submit)
    assert isinstance(request, Submit)
    return request


def test_words_and_options_reach_the_master_as_they_were_written(start: Start) -> None:
    request = submitted(
        start, "-t5", "web-*", "--ttl", "2m", "cmd.run", "ls", "a=b", "--job-timeout=1.5", "--", "-la", "c=d"
    )
    assert len(request.request_id) == 16
    assert replace(request, request_id=b"") == Submit(
        b"", WEB_FUNCTION, ("ls", "a=b"), ("-la", "c=d"), (), {}, "web-*", "glob", 120.0, 1.5, True
    )


@pytest.mark.parametrize(
    ("words", "target", "arguments", "literals"),
    [
        (("*", "cmd.run", "--", "-x"), "*", (), ("-x",)),
        (("*", "--", "cmd.run", "x"), "*", (), ("x",)),
        (("--", "-odd", "cmd.run", "x=1"), "-odd", (), ("x=1",)),
        (("--", "jobs", "cmd.run"), "jobs", (), ()),
        (("jobs", "cmd.run", "list"), "jobs", ("list",), ()),
        (("status", "cmd.run"), "status", (), ()),
        (("*", "cmd.run", "a", "--", "--", "b"), "*", ("a",), ("--", "b")),
    ],
)
def test_if_the_second_word_is_a_function_the_first_is_a_target(
    start: Start, words: tuple[str, ...], target: str, arguments: tuple[str, ...], literals: tuple[str, ...]
) -> None:
    request = submitted(start, *words)
    assert (request.target, request.words, request.literals) == (target, arguments, literals)


@pytest.mark.parametrize(
    ("option", "kind"),
    [("-G", "grain"), ("-E", "regex"), ("-L", "list"), ("-C", "compound"), ("--grain", "grain"), ("--summary", "glob")],
)
def test_an_option_says_how_the_target_is_written(start: Start, option: str, kind: str) -> None:
    assert submitted(start, option, "x", "cmd.run").target_kind == kind


def test_a_target_is_written_in_one_way(capsys: Captured) -> None:
    assert main(["-G", "-L", "x", "cmd.run"]) == 2
    assert "-G -L" in capsys.readouterr().err


def test_async_prints_the_jid_alone(start: Start, capsys: Captured) -> None:
    master = start({Submit: [created("web-1", unknown=["web-9"])]})
    assert main(["-L", "web-1,web-9", "test.ping", "--async"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{JID}\n"
    assert "web-9" in captured.err
    (request,) = master.requests
    assert isinstance(request, Submit)
    assert not request.watch


def test_an_id_that_nobody_has_is_named_and_is_no_success(start: Start, capsys: Captured) -> None:
    start({Submit: [created("web-1", unknown=["web-9"]), WEB, Done()]})
    assert main(["-L", "web-1,web-9", "cmd.run", "--out", "json"]) == 12
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"web-1": "fine"}
    assert captured.err == "web-9: unknown: no accepted key has this id\n"


def test_no_match_is_three_with_a_way_out(start: Start, capsys: Captured) -> None:
    start({Submit: [Failure("NoMatchError", "no minion matches 'mail-*'", "fleet minions lists them")]})
    assert main(["mail-*", "test.ping"]) == 3
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error: no minion matches 'mail-*'\nhint: fleet minions lists them\n")


def test_a_preview_runs_nothing(start: Start, capsys: Captured) -> None:
    preview = TargetPreview((MinionId("web-1"), MinionId("web-2")), ("web-9",))
    master = start({PreviewTarget: [preview]})
    assert main(["--preview-target", "-L", "web-1,web-2,web-9"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "web-1\nweb-2\n"
    assert "web-9" in captured.err
    assert captured.err.endswith("2/2 minions; nothing was run\n")
    assert main(["web-*", "cmd.run", "rm", "--preview-target", "--out", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"minions": ["web-1", "web-2"], "unknown": ["web-9"]}
    assert master.requests == [PreviewTarget("web-1,web-2,web-9", "list"), PreviewTarget("web-*", "glob")]
    assert main(["web-*", "--preview-target", "--limit", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "web-1\n"
    assert captured.err.endswith("1/2 minions; nothing was run\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--limit", "2"), "--limit is for --preview-target"),
        (("--async", "--out", "json"), "with --async there are no results, which --out is for"),
        (("--async", "--summary"), "with --async there are no results, which --summary is for"),
        (("--async", "--out-file", "x"), "with --async there are no results, which --out-file is for"),
        (("--async", "--only", "failed"), "with --async there are no results, which --only is for"),
    ],
)
def test_what_would_be_ignored_is_usage_and_runs_nothing(
    start: Start, capsys: Captured, words: tuple[str, ...], said: str
) -> None:
    master = start({Submit: [created("web-1"), WEB, Done()]})
    assert main(["*", "cmd.run", *words]) == 2
    assert said in capsys.readouterr().err
    assert master.requests == []


def test_a_preview_of_nobody_is_no_match(start: Start) -> None:
    start({PreviewTarget: [TargetPreview((), ())]})
    assert main(["--preview-target", "x"]) == 3


def test_the_end_of_the_wait_tells_where_each_job_stands(start: Start, capsys: Captured) -> None:
    never = threading.Event()
    start(
        {
            Submit: [created("a", "b"), ran("a", b"done"), never],
            ShowJob: [SUMMARY, ran("a", b"done"), without_value("b", JobState.RUNNING, "started 2 s ago"), Done()],
        }
    )
    assert main(["*", "cmd.run", "sleep 9", "-t", "0.1", "--out", "fold"]) == 12
    never.set()
    out, err = capsys.readouterr()
    assert err == "the time is up; the job goes on: fleet jobs follow 000042 · stop it: fleet jobs cancel 000042\n"
    assert "! b  running: started 2 s ago\n" in out
    assert "1 ok · 1 running · 2 targeted" in out


def test_a_master_that_goes_away_costs_nothing_that_has_arrived(start: Start, capsys: Captured) -> None:
    start({Submit: [created("a", "b"), ran("a", b"here"), None], ShowJob: [None]})
    assert main(["*", "cmd.run", "--out", "json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": "here"}
    assert "went away" in captured.err
    assert f"hint: it lives on: fleet jobs follow {JID}" in captured.err


def test_an_interrupt_prints_what_arrived_and_how_to_go_on(
    start: Start, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "tick", interrupt)
    never = threading.Event()
    master = start(
        {
            Submit: [created("a", "b"), ran("a", b"here"), never],
            ShowJob: [SUMMARY, without_value("b", JobState.RUNNING, ""), Done()],
        }
    )
    assert main(["*", "cmd.run"]) == 130
    never.set()
    captured = capsys.readouterr()
    assert captured.out == "a:\n    here\n"
    assert "b: running\n" in captured.err
    assert "fleet jobs follow 000042" in captured.err
    assert "fleet jobs cancel 000042" in captured.err
    assert "deleted" not in captured.err
    assert len(master.asked(ShowJob)) == 1
    assert main(["*", "cmd.run", "--rm"]) == 130
    assert capsys.readouterr().err.endswith(
        "fleet jobs cancel 000042; it is kept, delete it later: fleet jobs delete 000042\n"
    )


def test_verbose_says_who_asks_whom_and_who_is_silent(start: Start, capsys: Captured, tmp_path: Path) -> None:
    start({Submit: [created("old-1", "old-2", "web-1"), silent("old-1"), silent("old-2"), WEB, Done()]})
    assert main(["*", "cmd.run", "-v", "--out", "json"]) == 12
    out, err = capsys.readouterr()
    assert set(json.loads(out)) == {"web-1"}
    first, second, *rest = err.splitlines()
    assert first.startswith(f"master: {tmp_path}/run/fleet/master.sock, as user ")
    assert f"uid {os.geteuid()}" in first
    assert second == f"jid: {JID}"
    assert rest[:2] == ["old-1: silent: down since 09:12", "old-2: silent: down since 09:12"]


def test_summary_and_jid_go_to_stderr(start: Start, capsys: Captured) -> None:
    start({Submit: [created("web-1"), WEB, Done()]})
    assert main(["*", "cmd.run", "--summary", "--show-jid"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "web-1:\n    fine\n"
    assert captured.err.startswith(f"jid: {JID}\n1 ok · 1 targeted in ")


def test_follow_waits_for_a_job_that_was_started_before(start: Start, capsys: Captured) -> None:
    master = start({Watch: [created("web-1"), WEB, Done()]})
    assert main(["jobs", "follow", "last", "--out", "txt"]) == 0
    assert capsys.readouterr().out == "web-1: fine\n"
    assert master.requests == [Watch("last")]


def test_follow_says_that_the_time_is_up_only_while_the_job_goes_on(start: Start, capsys: Captured) -> None:
    never = threading.Event()
    running: list[Step] = [SUMMARY, without_value("a", JobState.RUNNING, ""), Done()]
    master = start({Watch: [created("a"), never], ShowJob: running})
    assert main(["jobs", "follow", "last", "-t", "0.1"]) == 12
    assert "the time is up; the job goes on: fleet jobs follow 000042" in capsys.readouterr().err
    running[1] = ran("a", b"done")
    assert main(["jobs", "follow", "last", "-t", "0.1"]) == 0
    never.set()
    assert capsys.readouterr() == ("done", "")
    assert len(master.asked(ShowJob)) == 2


def test_follow_of_a_job_that_has_ended_has_its_results_and_its_exit_code(start: Start, capsys: Captured) -> None:
    web, db = WEB, ran("db-1", b"bad\n", retcode=1)
    start({Watch: [created("db-1", "web-1"), web, db, Done()]})
    assert main(["jobs", "follow", "last", "--out", "txt"]) == 11
    assert capsys.readouterr().out == "db-1: bad\nweb-1: fine\n"


def test_an_interrupt_before_the_job_is_confirmed_says_that_it_may_exist(
    start: Start, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "watch", interrupt)
    assert main(["*", "cmd.run"]) == 130
    assert capsys.readouterr().err == "interrupted before the master confirmed the job; it may exist: fleet jobs list\n"


def test_the_environment_says_how_to_print_when_nothing_else_does(
    start: Start, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    start({Submit: [created("web-1"), WEB, Done()]})
    monkeypatch.setenv("FLEET_OUT", "txt")
    assert main(["*", "cmd.run"]) == 0
    assert main(["*", "cmd.run", "--out", "json"]) == 0
    monkeypatch.setenv("FLEET_OUT", "xml")
    assert main(["*", "cmd.run"]) == 2
    captured = capsys.readouterr()
    assert captured.out == 'web-1: fine\n{\n  "web-1": "fine"\n}\n'
    assert "FLEET_OUT is 'xml'" in captured.err


def test_a_file_of_the_person_says_it_too(start: Start, capsys: Captured, tmp_path: Path) -> None:
    start({Submit: [created("web-1"), WEB, Done()]})
    file = tmp_path / "etc/fleet/client.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("out: txt\n")
    assert main(["*", "cmd.run"]) == 0
    file.write_text("oot: txt\n")
    assert main(["*", "cmd.run"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "web-1: fine\n"
    assert "oot" in captured.err
    assert "out" in captured.err
