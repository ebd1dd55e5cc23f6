"""The options that say what is shown and where, through the commands that take them."""

import json
import os
from pathlib import Path

import pytest

from fleet.client.fleet_command import main
from fleet.core.control_answers import Done
from fleet.core.control_requests import ShowJob, Submit, Watch
from fleet.core.job_states import JobState
from support.fake_master import JID, SUMMARY, Start, Step, created, ran, returned, silent, without_value

Captured = pytest.CaptureFixture[str]

ANSWERS: list[Step] = [
    ran("db-1", b"", b"bad\n", retcode=3),
    without_value("old-1", JobState.EXPIRED, "since 2026-11-18T09:12:44Z"),
    without_value("shy-1", JobState.REFUSED, "no role"),
    ran("web-1"),
    ran("web-2", b"fine\n"),
]
RUN: list[Step] = [created("db-1", "old-1", "shy-1", "web-1", "web-2"), *ANSWERS, Done()]
SCRIPT = {Submit: RUN, Watch: RUN, ShowJob: [SUMMARY, *ANSWERS, Done()]}
RUNNING = ("*", "cmd.run")
FOLLOWING = ("jobs", "follow", "last")
SHOWING = ("jobs", "show", "last")
EVERY = [RUNNING, FOLLOWING, SHOWING]


@pytest.mark.parametrize("command", EVERY)
@pytest.mark.parametrize(
    ("only", "shown"),
    [
        (("--only", "ok"), {"web-1", "web-2"}),
        (("--only=ok,non-empty",), {"web-2"}),
        (("--only", "non-empty"), {"db-1", "web-2"}),
        (("--only", "failed", "--only", "silent,refused"), {"db-1", "old-1", "shy-1"}),
    ],
)
def test_only_the_chosen_are_in_any_form_and_the_exit_code_counts_all(
    start: Start, capsys: Captured, command: tuple[str, ...], only: tuple[str, ...], shown: set[str]
) -> None:
    start(SCRIPT)
    for form in ("fold", "nested", "txt", "json", "yaml", "jsonl", "raw"):
        assert main([*command, *only, "--out", form]) == (0 if command == SHOWING else 11)
        out, err = capsys.readouterr()
        assert "web-2" not in err
        if form == "raw":
            assert (out == "fine\n") == ("web-2" in shown)
        elif form == "jsonl":
            *lines, summary = map(json.loads, out.splitlines())
            assert {line["minion"] for line in lines} == shown
            assert (summary["summary"]["targeted"], summary["summary"]["exit_code"]) == (5, 11)
        else:
            hidden = {"db-1", "old-1", "shy-1", "web-1", "web-2"} - shown
            assert not [name for name in hidden if name in out + err]
            expected = shown if form == "fold" or (form == "json" and command == SHOWING) else shown & {"web-2"}
            assert not [name for name in expected if name not in out]
        if form == "fold":
            assert "2 ok · 1 failed · 1 expired · 1 refused · 5 targeted" in out


def test_the_text_of_a_job_has_only_the_chosen_and_says_of_how_many(start: Start, capsys: Captured) -> None:
    start(SCRIPT)
    assert main([*SHOWING, "--only", "failed"]) == 0
    out = capsys.readouterr().out
    assert "\n1/5\n" in out
    assert "web-" not in out.partition("\n\n")[2]


@pytest.mark.parametrize("command", EVERY)
def test_folding_options_mean_the_form_fold_also_in_a_pipe(
    start: Start, capsys: Captured, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    start(SCRIPT)
    monkeypatch.setenv("FLEET_OUT", "json")
    for options in (("--fold", "off"), ("--fold=numbers",), ("--diff",)):
        main([*command, *options])
        assert "5 targeted in" in capsys.readouterr().out
    main([*command, "--all"])
    assert "5 targeted in" not in capsys.readouterr().out


@pytest.mark.parametrize("command", EVERY)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--fold", "yes"), "--fold takes no 'yes'"),
        (("--fold", "off", "--out", "json"), "--fold is for the form fold, not for json"),
        (("--diff", "--out", "nested"), "--diff is for the form fold, not for nested"),
        (("--only", "bad"), "--only takes no 'bad'"),
        (("--out-file", ""), "--out-file needs a path"),
        (("--out-dir", "a\0b"), "--out-dir needs a path"),
        (("--out-file", "a", "--out-dir", "b"), "--out-file and --out-dir do not go together"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_runs(
    start: Start, capsys: Captured, command: tuple[str, ...], options: tuple[str, ...], said: str
) -> None:
    master = start(SCRIPT)
    assert main([*command, *options]) == 2
    out, err = capsys.readouterr()
    assert (out, master.requests) == ("", [])
    assert err.startswith(f"error: {said}")
    assert "\nhint: " in err


@pytest.mark.parametrize("options", [("--async",), ("--preview-target",)])
def test_where_there_are_no_results_there_is_no_file(start: Start, capsys: Captured, options: tuple[str, ...]) -> None:
    master = start(SCRIPT)
    assert main([*RUNNING, *options, "--out-file", "x"]) == 2
    assert main([*RUNNING, *options, "--out-dir", "x"]) == 2
    assert master.requests == []
    assert "there are no results, which --out-dir is for" in capsys.readouterr().err


@pytest.mark.parametrize("command", EVERY)
@pytest.mark.parametrize("form", ["fold", "nested", "txt", "json", "jsonl", "yaml"])
def test_a_file_gets_what_stdout_would_get_and_notes_stay_on_stderr(
    start: Start, capsys: Captured, tmp_path: Path, command: tuple[str, ...], form: str
) -> None:
    start(SCRIPT)
    code = main([*command, "--out", form])
    expected = capsys.readouterr()
    file = tmp_path / "results"
    assert main([*command, "--out", form, "--out-file", str(file)]) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{expected.err}results written to {file}\n")
    without_times = [line for line in file.read_text("utf-8").splitlines() if "targeted" not in line]
    assert without_times == [line for line in expected.out.splitlines() if "targeted" not in line]


def test_raw_bytes_reach_a_file(start: Start, tmp_path: Path) -> None:
    start({ShowJob: [SUMMARY, ran("a", b"\xff\x1b\r\n"), returned("b", "x"), Done()]})
    assert main([*SHOWING, "--out", "raw", "--out-file", str(tmp_path / "results")]) == 0
    assert (tmp_path / "results").read_bytes() == b"\xff\x1b\r\nx\n"


def test_one_minion_of_a_job_can_go_into_a_file(start: Start, capsys: Captured, tmp_path: Path) -> None:
    start(SCRIPT)
    assert main([*SHOWING, "--minion", "web-1", "--out-file", str(tmp_path / "results")]) == 0
    assert "[STDOUT]\nNo content.\n[STDERR]\nNo content.\n" in (tmp_path / "results").read_text()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("command", EVERY)
def test_a_folder_gets_a_file_a_minion_and_the_others_are_named(
    start: Start, capsys: Captured, tmp_path: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    start(SCRIPT)
    folder = tmp_path / "results"
    main([*command, "--out-dir", str(folder)])
    out, err = capsys.readouterr()
    assert sorted(os.listdir(folder)) == ["db-1", "db-1~stderr", "web-1", "web-2"]
    assert out == ""
    assert err == (
        "db-1: failed, exit 3\n"
        "old-1: expired: since 2026-11-18 09:12:44 UTC\n"
        "shy-1: refused: no role\n"
        f"3 minions written to {folder}; 2 had nothing to write\n"
    )


def test_a_place_that_cannot_be_written_to_starts_no_job(start: Start, capsys: Captured, tmp_path: Path) -> None:
    master = start(SCRIPT)
    for option in ("--out-file", "--out-dir"):
        assert main([*RUNNING, option, str(tmp_path / "no/place")]) == 1
        out, err = capsys.readouterr()
        assert (out, err) == (
            "",
            f"error: cannot write to '{tmp_path}/no/place': No such file or directory\nhint: make the folder first\n",
        )
    assert master.requests == []


@pytest.mark.parametrize("command", EVERY)
def test_when_the_disk_is_full_the_job_is_named_and_nothing_half_is_left(
    start: Start, capsys: Captured, tmp_path: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    start(SCRIPT)
    monkeypatch.setattr(os, "fsync", full)
    assert main([*command, "--out-file", str(tmp_path / "results")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"error: the results cannot be written to {tmp_path}/results: No space left on device\n" in err
    assert f"hint: make room, or choose another disk; nothing is lost: fleet jobs show {JID}\n" in err
    assert [name for name in os.listdir(tmp_path) if "results" in name] == []


def test_colours_follow_the_options_then_the_environment(
    start: Start, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start({ShowJob: [SUMMARY, ran("a", b"x"), Done()]})
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def is_colored(*options: str, **environment: str) -> bool:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            assert main([*SHOWING, "--out", "fold", *options]) == 0
        return "\x1b" in capsys.readouterr().out

    assert not is_colored()
    assert is_colored("--color")
    assert is_colored(FORCE_COLOR="1")
    assert is_colored(FORCE_COLOR="1", TERM="dumb")
    assert not is_colored(FORCE_COLOR="")
    assert not is_colored(FORCE_COLOR="1", NO_COLOR="1")
    assert not is_colored("--no-color", FORCE_COLOR="1")
    assert is_colored("--color", NO_COLOR="1")
    assert not is_colored("--no-color", "--color")


def test_times_of_the_master_are_in_the_zone_of_people_and_in_utc_for_programs(
    start: Start, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    reason = "down since 2026-11-18T20:12:44Z"
    start(
        {
            Submit: [created("a"), silent("a", reason), Done()],
            ShowJob: [SUMMARY, without_value("a", JobState.LOST, reason), Done()],
        }
    )
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "KST-9")
        time.tzset()
        for command in (RUNNING, SHOWING, (*SHOWING, "--minion", "a")):
            for form in ("", "fold", "nested", "txt", "json", "jsonl", "yaml"):
                main([*command, *(["--out", form] if form else [])])
                captured = capsys.readouterr()
                is_document = form == "jsonl" or (form in {"json", "yaml"} and command != RUNNING)
                if form not in {"nested", "txt"} or command == RUNNING:
                    assert (
                        "2026-11-18T20:12:44Z" if is_document else "2026-11-19 05:12:44 KST"
                    ) in captured.out + captured.err
                assert "2026-11-18T20:12:44Z" not in captured.out + captured.err or is_document
        main([*RUNNING, "-v"])
        assert "a: silent: down since 2026-11-19 05:12:44 KST\n" in capsys.readouterr().err
    time.tzset()


HOSTILE = "\x1b]52;c;ZXZpbA==\x07 \x1b]0;title\x07 \x1b[6n \x1bPq\x1b\\ [bold]b[/bold] \u202e \x9b31m \r \x08 \u2028"


@pytest.mark.parametrize("form", ["", "fold", "nested", "txt", "json", "yaml", "jsonl"])
@pytest.mark.parametrize("command", [RUNNING, SHOWING, (*SHOWING, "--minion", "b")])
def test_nothing_that_a_terminal_obeys_gets_through_in_any_form(
    start: Start, capsys: Captured, command: tuple[str, ...], form: str
) -> None:
    evil = HOSTILE.encode()
    answers: list[Step] = [
        ran("a", evil, evil, retcode=1),
        returned("b", {HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}], "bytes": evil}),
        returned("c", HOSTILE),
        without_value("d", JobState.REFUSED, HOSTILE),
        ran("e", evil),
        ran("f", evil + b"2"),
    ]
    start({Submit: [created(*"abcdef", unknown=[HOSTILE]), *answers, Done()], ShowJob: [SUMMARY, *answers, Done()]})
    for options in ((), ("--fold", "off"), ("--diff",)) if form in {"", "fold"} else ((),):
        main([*command, *(["--out", form] if form else []), *options])
        captured = capsys.readouterr()
        for text in (captured.out, captured.err):
            assert not set(text) & set("\x1b\x07\x08\r\x9b\u202e\u2028\x90")
        assert "[bold]b[/bold]" in captured.out
