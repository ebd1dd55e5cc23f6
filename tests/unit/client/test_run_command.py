import json
import os
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fleet.client.fleet_command import main
from fleet.client.progress import Progress
from fleet.core.control import Done, Failure, PreviewTarget, ShowJob, Submit, TargetPreview, Watch
from fleet.core.job_states import JobState
from fleet.core.names import FunctionName, MinionId
from fleet.core.values import Value
from support.fake_master import JID, SUMMARY, Start, Step, created, ran, returned, silent, without_value

Captured = pytest.CaptureFixture[str]

WEB_FUNCTION = FunctionName("cmd.run")
WEB = ran("web-1", b"fine\n")
BROKEN = ran("db-1", b"half\n", b"bad \x1b[31m\n", retcode=3)
REFUSED = without_value("app-1", JobState.REFUSED, "unknown function")
MIXED: list[Step] = [
    created("app-1", "db-1", "old-1", "old-2", "web-1"),
    WEB,
    silent("old-1"),
    silent("old-2"),
    BROKEN,
    REFUSED,
    Done(),
]


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


def run_mixed(start: Start, capsys: Captured, *options: str) -> tuple[int, str, str]:
    start({Submit: MIXED})
    code = main(["*", "cmd.run", "x", *options])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


MISSING = "app-1: refused: unknown function\nold-[1-2]: silent: down since 09:12\n"
OTHERS = "app-1: refused: unknown function\ndb-1: failed, exit 3\nold-[1-2]: silent: down since 09:12\n"


def test_nested_is_what_a_pipe_gets(start: Start, capsys: Captured) -> None:
    assert run_mixed(start, capsys) == (
        11,
        "db-1:  failed, exit 3\n    half\n    stderr:\n      bad ␛[31m\nweb-1:\n    fine\n",
        MISSING,
    )


def test_txt_has_the_minion_on_every_line(start: Start, capsys: Captured) -> None:
    assert run_mixed(start, capsys, "--out", "txt") == (
        11,
        "db-1: half\ndb-1: bad ␛[31m\nweb-1: fine\n",
        OTHERS,
    )


def test_json_is_one_document_of_values_and_the_others_are_named(start: Start, capsys: Captured) -> None:
    code, out, err = run_mixed(start, capsys, "--out", "json")
    assert (code, err) == (11, OTHERS)
    assert out == '{\n  "db-1": "half\\nbad \\u001b[31m",\n  "web-1": "fine"\n}\n'


def test_yaml_is_the_same_document(start: Start, capsys: Captured) -> None:
    code, out, err = run_mixed(start, capsys, "--out", "yaml")
    assert (code, err) == (11, OTHERS)
    assert yaml.safe_load(out) == {"db-1": "half\nbad \x1b[31m", "web-1": "fine"}
    assert "\x1b" not in out


def test_fold_has_failures_first_then_the_silent_then_the_refusing_and_the_summary_last(
    start: Start, capsys: Captured
) -> None:
    code, out, err = run_mixed(start, capsys, "--out", "fold")
    assert (code, err) == (11, "")
    assert re.sub(r"in [\d.]+ m?s", "in 0.1 s", out) == (
        "✗ db-1  failed, exit 3\n"
        "    half\n"
        "    stderr:\n"
        "      bad ␛[31m\n"
        "! old-[1-2] (2)  silent: down since 09:12\n"
        "⊘ app-1  refused: unknown function\n"
        "✓ web-1\n"
        "    fine\n"
        "\n"
        "1 ok · 1 failed · 2 silent · 1 refused · 5 targeted in 0.1 s   fleet jobs show 000042\n"
    )


def test_jsonl_has_a_line_as_each_target_settles_the_silent_at_the_end_and_a_summary(
    start: Start, capsys: Captured
) -> None:
    code, out, err = run_mixed(start, capsys, "--out", "jsonl")
    assert (code, err) == (11, "")
    *lines, summary = [json.loads(line) for line in out.splitlines()]
    assert [(line["minion"], line["state"]) for line in lines] == [
        ("web-1", "succeeded"),
        ("db-1", "failed"),
        ("app-1", "refused"),
        ("old-1", "queued"),
        ("old-2", "queued"),
    ]
    assert lines[1] == {
        "jid": JID,
        "minion": "db-1",
        "state": "failed",
        "result": "failure",
        "reason": "exit code 3",
        "retcode": 3,
        "has_value": True,
        "value": "half\nbad \x1b[31m",
        "stdout": "half\n",
        "stderr": "bad \x1b[31m\n",
        "duration_ms": 12.5,
    }
    assert summary["summary"].pop("duration_ms") >= 0
    assert summary == {
        "summary": {
            "jid": JID,
            "function": "cmd.run",
            "targeted": 5,
            "counts": {"failed": 1, "queued": 2, "refused": 1, "succeeded": 1},
            "silent": {"old-1": "down since 09:12", "old-2": "down since 09:12"},
            "unknown": [],
            "exit_code": 11,
        }
    }


def test_bytes_that_are_no_text_are_base64(start: Start, capsys: Captured) -> None:
    start({Submit: [created("web-1"), ran("web-1", b"\xff\x00\xfe", b"ok"), Done()]})
    assert main(["*", "cmd.run", "--out", "jsonl"]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (line["stdout"], line["stdout_base64"], line["stderr"]) == (None, "/wD+", "ok")


def test_a_cut_stream_says_so(start: Start, capsys: Captured) -> None:
    start({Submit: [created("web-1"), replace(WEB, stdout_total_bytes=99), Done()]})
    assert main(["*", "cmd.run"]) == 0
    assert capsys.readouterr().out == "web-1:\n    fine\n    [stdout was cut: 5 of 99 bytes are kept]\n"


def test_raw_is_byte_for_byte_each_stream_to_its_own(start: Start, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    answers: list[Step] = [
        created("a", "b", "c"),
        ran("a", b" \xff\r\n\n", b"e\x1b"),
        returned("b", "text"),
        returned("c", [1]),
        Done(),
    ]
    start({Submit: answers})
    assert main(["*", "cmd.run", "--out", "raw"]) == 0
    captured = capfdbinary.readouterr()
    assert (captured.out, captured.err) == (b" \xff\r\n\ntext\n[1]\n", b"e\x1b")


def test_values_of_every_kind_are_shown(start: Start, capsys: Captured) -> None:
    value: Value = {"os": "Debian", "roles": ["web", {"x": 1}], "none": None, "on": True, "text": "a\nb", "empty": []}
    start({Submit: [created("web-1"), returned("web-1", value), Done()]})
    assert main(["*", "grains.items"]) == 0
    assert capsys.readouterr().out == (
        "web-1:\n"
        "    os: Debian\n"
        "    roles:\n"
        "        - web\n"
        "        - x: 1\n"
        "    none: None\n"
        "    on: True\n"
        "    text:\n"
        "        a\n"
        "        b\n"
        "    empty: []\n"
    )


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
    assert main(["web-*", "cmd.run", "rm", "--preview-target", "--out", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"minions": ["web-1", "web-2"], "unknown": ["web-9"]}
    assert master.requests == [PreviewTarget("web-1,web-2,web-9", "list"), PreviewTarget("web-*", "glob")]


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
    out = capsys.readouterr().out
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
    assert len(master.asked(ShowJob)) == 1


def test_verbose_says_who_asks_whom_and_who_is_silent(start: Start, capsys: Captured, tmp_path: Path) -> None:
    _, out, err = run_mixed(start, capsys, "-v", "--out", "json")
    assert set(json.loads(out)) == {"db-1", "web-1"}
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


def test_who_ended_in_the_last_moment_has_a_line_all_the_same(start: Start, capsys: Captured) -> None:
    never = threading.Event()
    start(
        {
            Submit: [created("a", "b", "c"), ran("a"), silent("c"), never],
            ShowJob: [SUMMARY, ran("a"), ran("b", b"just"), ran("c", b"too"), Done()],
        }
    )
    assert main(["*", "cmd.run", "-t", "0.1", "--out", "jsonl"]) == 0
    never.set()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("minion") for line in lines] == ["a", "b", "c", None]
    assert lines[2]["value"] == "too"


def test_blanks_at_the_end_of_a_line_are_kept(start: Start, capsys: Captured) -> None:
    start({Submit: [created("a"), ran("a", b" x \n\n y\t\n"), Done()]})
    for form, expected in (
        ("nested", "a:\n     x \n\n     y\t\n"),
        ("txt", "a:  x \na:\na:  y\t\n"),
        ("fold", "✓ a\n     x \n\n     y\t\n"),
    ):
        assert main(["*", "cmd.run", "--out", form]) == 0
        assert capsys.readouterr().out.startswith(expected)
