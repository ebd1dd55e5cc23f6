"""``fleet version`` and ``fleet doc``, and what no list lets through to the terminal."""

import json
from dataclasses import replace

import pytest

from fleet import __version__
from fleet.client.fleet_command import main
from fleet.core.control_answers import Done, EventNote, FunctionsShown, MasterStatus, MinionRow
from fleet.core.control_requests import AskStatus, FollowEvents, ListMinions, ShowFunctions
from fleet.core.function_spec import FunctionSpec, Parameter
from fleet.core.names import FunctionName, MinionId
from support.fake_master import MOMENT_US, Start

Captured = pytest.CaptureFixture[str]

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
UP = MinionRow(
    MinionId("web-1"), "up", MOMENT_US, MOMENT_US + 1, "10.0.0.1", "0.1.0", "Debian 12", "ozmg", 1500, -20, 1, 2
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
    capsys.readouterr()
    assert main(["doc", "--limit", "1"]) == 0
    assert capsys.readouterr().out == "FUNCTION  WHAT IT DOES\ncmd.run   Run a shell command.\n1/2\n"


@pytest.mark.parametrize("words", [("doc", "cmd.run"), ("help", "cmd.run")])
def test_one_function_is_explained_and_never_run(start: Start, capsys: Captured, words: tuple[str, ...]) -> None:
    master = start({ShowFunctions: [FunctionsShown((RUN,))]})
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith("cmd.run command [timeout=SECONDS] [words…] [shell=sh|bash]\n    Run a shell command.\n")
    assert "      timeout (SECONDS, 0 when not given): Its limit.\n" in out
    assert "      words (TEXT, any number): The rest.\n" in out
    assert "      shell (sh|bash, sh when not given): Which.\n" in out
    assert "(disruptive: think twice)" in out
    assert master.requests == [ShowFunctions(("cmd.run",))]


def test_an_unknown_function_is_told_with_the_nearest_names(start: Start, capsys: Captured) -> None:
    calls = iter([FunctionsShown(()), FunctionsShown((PING, RUN))])
    start({ShowFunctions: [lambda: next(calls)]})
    assert main(["doc", "cmd.rn"]) == 1
    assert capsys.readouterr().err == "error: no minion has a function 'cmd.rn'\nhint: did you mean cmd.run?\n"


def test_one_unknown_word_among_known_ones_is_told(start: Start, capsys: Captured) -> None:
    start({ShowFunctions: [FunctionsShown((PING, RUN))]})
    assert main(["doc", "cmd.run", "cmd.rnn", "test"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: no minion has a function 'cmd.rnn'\nhint: did you mean cmd.run?\n"


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
            AskStatus: [STATUS],
            FollowEvents: [replace(NOTE, payload={evil: evil})],
        }
    )
    for words, forms in (
        (("doc",), ("text", "json", "yaml")),
        (("doc", "cmd.run"), ("text", "json", "yaml")),
        (("minions",), ("text", "json", "jsonl", "yaml")),
        (("events", "--count", "1"), ("text", "jsonl")),
    ):
        for form in forms:
            assert main([*words, "--out", form]) == 0
            captured = capsys.readouterr()
            assert not set(captured.out + captured.err) & set("\x1b\x07\r\x9b\u202e"), (words, form)
