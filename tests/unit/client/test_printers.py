import json
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fleet.client.fleet_command import main
from fleet.core.control_answers import Done
from fleet.core.control_requests import ShowJob, Submit
from fleet.core.job_states import JobState
from fleet.core.names import MinionId
from fleet.core.values import Value
from support.fake_master import JID, SUMMARY, Start, Step, created, ran, returned, silent, without_value

Captured = pytest.CaptureFixture[str]

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


@pytest.mark.parametrize("form", ["raw", "json", "yaml", "txt"])
def test_a_form_without_a_mark_names_on_stderr_whose_stream_was_cut(start: Start, capsys: Captured, form: str) -> None:
    a_cut, web_cut = (
        replace(ran("a-1"), stdout=b"fine\n", stdout_total_bytes=5, stderr_total_bytes=7),
        replace(WEB, stdout_total_bytes=17_000_000),
    )
    start(
        {Submit: [created("a-1", "web-1", "web-2"), a_cut, web_cut, replace(web_cut, minion=MinionId("web-2")), Done()]}
    )
    assert main(["*", "cmd.run", "--out", form]) == 0
    assert capsys.readouterr().err == (
        "a-1: stderr was cut: 0 of 7 bytes are kept\nweb-[1-2]: stdout was cut: 5 of 17,000,000 bytes are kept\n"
    )


def test_a_folder_of_results_names_on_stderr_whose_stream_was_cut(
    start: Start, capsys: Captured, tmp_path: Path
) -> None:
    start({Submit: [created("web-1"), replace(WEB, stdout_total_bytes=99), Done()]})
    assert main(["*", "cmd.run", "--out-dir", str(tmp_path / "new")]) == 0
    assert "web-1: stdout was cut: 5 of 99 bytes are kept\n" in capsys.readouterr().err


@pytest.mark.parametrize(("form", "says"), [("raw", True), ("txt", True), ("nested", False), ("json", False)])
def test_a_stored_job_names_on_stderr_whose_stream_was_cut_where_the_form_does_not_tell(
    start: Start, capsys: Captured, form: str, says: bool
) -> None:
    start({ShowJob: [SUMMARY, replace(WEB, stdout_total_bytes=99), Done()]})
    assert main(["jobs", "show", JID, "--out", form]) == 0
    shown = capsys.readouterr()
    assert shown.err == ("web-1: stdout was cut: 5 of 99 bytes are kept\n" if says else "")
    assert says or "99" in shown.out


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
