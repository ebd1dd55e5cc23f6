"""``fleet minions``, ``events``, ``status``, ``version`` and ``doc``."""

import json
from dataclasses import replace

import pytest

from fleet import __version__
from fleet.client.fleet_command import main
from fleet.core.control import (
    AskStatus,
    Done,
    EventNote,
    FollowEvents,
    FunctionsShown,
    ListMinions,
    MasterStatus,
    MinionRow,
    ShowFunctions,
)
from fleet.core.function_spec import FunctionSpec, Parameter
from fleet.core.names import FunctionName, MinionId
from support.fake_master import MOMENT_US, Start

Captured = pytest.CaptureFixture[str]

UP = MinionRow(
    MinionId("web-1"), "up", MOMENT_US, MOMENT_US + 1, "10.0.0.1", "0.1.0", "Debian 12", "ozmg", 1500, -20, 1, 2
)
DOWN = MinionRow(MinionId("db-1"), "down", None, None, "", "", "", "abcd", 0, 0, 0, 0)
STATUS = MasterStatus(
    __version__,
    "ozmg-3c4f",
    42,
    MOMENT_US,
    MOMENT_US + 5_000_000,
    "root",
    {"publish": "0.0.0.0:4605"},
    {"up": 3},
    {"pending": 1},
    {"garbage": 0},
)
NOTE = EventNote(7, "fleet/job/1/new\x1b", MOMENT_US, {"minions": ["web-1"], "raw": b"\xff"}, 0)
RUN = FunctionSpec(
    FunctionName("cmd.run"),
    "Run a shell command.",
    "More about it.",
    (
        Parameter("command", "str", required=True, help="What to run."),
        Parameter("timeout", "float", required=False, default=0.0, help="Its limit."),
        Parameter("words", "str", required=False, variadic=True, help="The rest."),
        Parameter("shell", "choice", required=False, default="sh", choices=("sh", "bash"), help="Which."),
    ),
    disruptive=True,
)
PING = FunctionSpec(FunctionName("test.ping"), "Answer.", "", (), instant=True, reads=True)


def test_minions_are_sorted_and_those_never_seen_are_there(start: Start, capsys: Captured) -> None:
    start({ListMinions: [UP, DOWN, Done()]})
    assert main(["minions"]) == 0
    head, down, up, footer = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["MINION", "STATE", "SINCE", "LAST-SEEN"]
    assert down.split() == ["db-1", "down", "never", "never", "-", "-", "-", "0", "0", "-"]
    assert "10.0.0.1  0.1.0    Debian 12  1        2        1.5 ms" in up
    assert footer == "2/2"


def test_the_document_of_minions_is_what_scripts_rely_on(start: Start, capsys: Captured) -> None:
    start({ListMinions: [UP, DOWN, Done()]})
    assert main(["min", "--out", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["db-1", "web-1"]
    assert document["web-1"] == {
        "state": "up",
        "since": "2026-11-20T22:10:12.000042Z",
        "last_seen": "2026-11-20T22:10:12.000043Z",
        "address": "10.0.0.1",
        "version": "0.1.0",
        "os": "Debian 12",
        "fingerprint": "ozmg",
        "round_trip_ms": 1.5,
        "skew_ms": -0.02,
        "running": 1,
        "waiting": 2,
        "conflict": "",
    }
    assert document["db-1"]["last_seen"] is None


def test_events_are_a_line_each_and_end_after_the_count(start: Start, capsys: Captured) -> None:
    master = start({FollowEvents: [NOTE, replace(NOTE, number=9, missed=1), NOTE]})
    assert main(["events", "fleet/job/*", "--count", "2", "--after", "6"]) == 0
    captured = capsys.readouterr()
    line = '2026-11-20 22:10:12 UTC  fleet/job/1/new␛  {"minions": ["web-1"], "raw": {"base64": "/w=="}}\n'
    assert captured.out == line * 2
    assert captured.err == "warning: 1 events before number 9 are no longer kept\n"
    assert master.requests == [FollowEvents("fleet/job/*", 6)]


def test_events_are_documents_too(start: Start, capsys: Captured) -> None:
    master = start({FollowEvents: [NOTE]})
    assert main(["events", "--count=1", "--out", "jsonl"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "number": 7,
        "tag": "fleet/job/1/new\x1b",
        "time": "2026-11-20T22:10:12.000042Z",
        "data": {"minions": ["web-1"], "raw": {"base64": "/w=="}},
    }
    assert master.requests == [FollowEvents("*", -1)]


def test_the_status_is_facts_or_a_document(start: Start, capsys: Captured) -> None:
    start({AskStatus: [STATUS]})
    assert main(["status"]) == 0
    out = capsys.readouterr().out
    assert "FINGERPRINT      ozmg-3c4f\n" in out
    assert "STARTED          2026-11-20 22:10:12 UTC, 5.0 s ago\n" in out
    assert "SOCKET publish   0.0.0.0:4605\n" in out
    assert main(["stat", "--out", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["pid"], document["minions"], document["counters"]) == (42, {"up": 3}, {"garbage": 0})


def test_versions_of_both_sides_are_shown_and_a_difference_is_told(start: Start, capsys: Captured) -> None:
    start({AskStatus: [replace(STATUS, version="9.9.9")]})
    assert main(["version"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"client  {__version__}\nmaster  9.9.9\n"
    assert captured.err.startswith(f"warning: the master is 9.9.9, this command {__version__}")


def test_equal_versions_need_no_warning(start: Start, capsys: Captured) -> None:
    start({AskStatus: [STATUS]})
    assert main(["version", "--out", "json"]) == 0
    captured = capsys.readouterr()
    assert (json.loads(captured.out), captured.err) == ({"client": __version__, "master": __version__}, "")


def test_without_a_master_the_own_version_is_still_told(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("FLEET_ROOT", str(tmp_path))
    assert main(["version"]) == 1
    assert capsys.readouterr().out == f"client  {__version__}\nmaster  not reached\n"
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fleet {__version__}\n"


def test_functions_are_listed(start: Start, capsys: Captured) -> None:
    master = start({ShowFunctions: [FunctionsShown((PING, RUN))]})
    assert main(["doc"]) == 0
    assert capsys.readouterr().out == (
        "FUNCTION   WHAT IT DOES\ncmd.run    Run a shell command.\ntest.ping  Answer.\n2/2\n"
    )
    assert main(["doc", "cmd", "test.*"]) == 0
    assert master.requests == [ShowFunctions(()), ShowFunctions(("cmd.*", "test.*"))]


@pytest.mark.parametrize("words", [("doc", "cmd.run"), ("help", "cmd.run")])
def test_one_function_is_explained_and_never_run(start: Start, capsys: Captured, words: tuple[str, ...]) -> None:
    master = start({ShowFunctions: [FunctionsShown((RUN,))]})
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith("cmd.run command [timeout=SECONDS] [words…] [shell=sh|bash]\n    Run a shell command.\n")
    assert "      timeout (float, 0.0 when not given): Its limit.\n" in out
    assert "      words (str, any number): The rest.\n" in out
    assert "      shell (sh|bash, 'sh' when not given): Which.\n" in out
    assert "(disruptive: think twice)" in out
    assert master.requests == [ShowFunctions(("cmd.run",))]


def test_an_unknown_function_is_told_with_the_nearest_names(start: Start, capsys: Captured) -> None:
    calls = iter([FunctionsShown(()), FunctionsShown((PING, RUN))])
    start({ShowFunctions: [lambda: next(calls)]})
    assert main(["doc", "cmd.rn"]) == 1
    assert capsys.readouterr().err == "error: no minion has a function 'cmd.rn'\nhint: did you mean cmd.run?\n"


def test_what_minions_say_of_functions_and_of_themselves_cannot_reach_the_terminal(
    start: Start, capsys: Captured
) -> None:
    evil = "\x1b]52;c;eA==\x07\x1b[6n\x1bP\u202e\x9b1m\r"
    parameter = Parameter("x", "choice", required=False, default=evil, choices=(evil,), help=evil)
    function = replace(RUN, summary=evil, doc=f"{evil}\n{evil}", parameters=(parameter,))
    minion = replace(UP, os=evil, version=evil, address=evil, conflict=evil)
    start(
        {
            ShowFunctions: [FunctionsShown((function,))],
            ListMinions: [minion, Done()],
            FollowEvents: [replace(NOTE, payload={evil: evil})],
        }
    )
    for words, forms in (
        (("doc",), ("text", "json", "yaml")),
        (("doc", "cmd.run"), ("text", "json", "yaml")),
        (("minions",), ("text", "json", "yaml")),
        (("events", "--count", "1"), ("text", "jsonl")),
    ):
        for form in forms:
            assert main([*words, "--out", form]) == 0
            captured = capsys.readouterr()
            assert not set(captured.out + captured.err) & set("\x1b\x07\r\x9b\u202e"), (words, form)
