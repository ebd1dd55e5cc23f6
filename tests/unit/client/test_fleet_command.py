import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.client import fleet_command
from fleet.client.fleet_command import choose, main
from fleet.client.verbs import ALL_OPTIONS, RUN, VERBS
from fleet.core.control_answers import Done, Failure, KeyList
from fleet.core.control_requests import AskStatus, ListKeys, Submit
from fleet.core.options import scan
from support.fake_master import JID, Start, created, ran

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("words", "verb", "rest"),
    [
        (("jobs",), ("jobs", "list"), ()),
        (("jo", "li"), ("jobs", "list"), ()),
        (("jobs", "s", "last"), ("jobs", "show"), ("last",)),
        (("j", "c", "last"), ("jobs", "cancel"), ("last",)),
        (("events", "fleet/*"), ("events",), ("fleet/*",)),
        (("doc", "cmd.run"), ("doc",), ("cmd.run",)),
        (("help", "cmd.run"), ("help",), ("cmd.run",)),
        (("s",), ("status",), ()),
        (("*", "cmd.run", "jobs"), (), ("*", "cmd.run", "jobs")),
        (("status", "test.ping"), (), ("status", "test.ping")),
        (("minions", "web.example"), ("minions",), ("web.example",)),
        (("min", "web-*"), ("minions",), ("web-*",)),
        (("minions", "show", "web-1"), ("minions", "show"), ("web-1",)),
        (("minions", "sh"), ("minions",), ("sh",)),
        (("ping", "web.example"), ("ping",), ("web.example",)),
        (("d", "cmd.run"), (), ("d", "cmd.run")),
    ],
)
def test_the_words_choose_the_command(words: tuple[str, ...], verb: tuple[str, ...], rest: tuple[str, ...]) -> None:
    chosen, left, _ = choose(scan(words, ALL_OPTIONS))
    assert (chosen.words, left) == (verb, rest)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ((), "nothing to do", "--help"),
        (("web-1",), "as a target it needs a function", "cmd.run uptime"),
        (("jbos",), "'jbos' is no command", "did you mean fleet jobs?"),
        (("*", "uptime"), "'uptime' is no function", "module.function"),
        (("jobs", "x"), "'x' is no command of fleet jobs", "list, show, follow, wait, cancel, delete, purge"),
        (("minions", "web-1", "web-2"), "'web-2' is one word too many", "usage: fleet minions"),
        (("minions", "-G"), "a target is missing", "fleet minions -G"),
        (("minions", "--state", "silnt"), "'silnt' is no state of a minion", "did you mean silent?"),
        (("minions", "show"), "which minion?", "fleet minions show ID"),
        (("ping",), "which minion?", "fleet ping MINION"),
        (("status", "--", "x"), "'x' is one word too many", ""),
        (("minions", "--ttl", "3"), "--ttl is no option of fleet minions", "fleet minions --help"),
        (("*", "test.ping", "--count", "3"), "--count is no option of running a function", "fleet --help"),
        (("*", "test.ping", "--tiemout", "3"), "'--tiemout' is no option", "--timeout"),
        (("*", "cmd.run", "ls", "-la"), "-l takes no 'a'", "goes after '--'"),
        (("*", "test.echo", "-5"), "'-5' is no option", "goes after '--'"),
        (("*", "test.ping", "--out", "jsn"), "--out jsn", "did you mean json?"),
        (("jobs", "follow"), "which job?", ""),
        (("help", "nothing"), "no help on 'nothing'", "exit-codes"),
        (("help", "jobs", "nosuch"), "'nosuch' is no command of fleet jobs", "there are: list, show, follow"),
        (("help", "status", "nosuch"), "'nosuch' is no command of fleet status", "fleet help status"),
        (("minions", "--count-by", "os", "--columns", "os"), "--count-by has columns of its own", "--columns"),
        (("ping", "web-1", "-n", "x"), "-n takes a whole number", "how many to send"),
        (("jobs", "list", "--limit", "x"), "--limit takes a whole number", "0 for all (20)"),
        (("jobs", "show", "1", "--limit", "x"), "--limit takes a whole number", "0 for all (the default)"),
        (("jobs", "delete", "1", "-t"), "-t needs a value", "for the minions to confirm"),
    ],
)
def test_what_cannot_be_meant_is_two_with_a_way_out(
    words: tuple[str, ...], message: str, hint: str, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_ROOT", str(tmp_path))
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    error, _, way_out = captured.err.partition("\nhint: ")
    assert error.startswith("error: ")
    assert message in error.replace("'jsn'", "jsn")
    assert hint in way_out


@given(st.permutations(["-t", "--out", "-v"]), st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_options_stand_anywhere_among_the_words(order: list[str], places: list[int]) -> None:
    written = {"-t": ["-t", "5"], "--out": ["--out=json"], "-v": ["-v"]}
    pieces = [["web-*"], ["cmd.run"], ["uptime"]]
    for name, place in zip(order, places, strict=True):
        pieces.insert(place, written[name])
    scanned = scan([part for piece in pieces for part in piece], ALL_OPTIONS)
    verb, words, _ = choose(scanned)
    assert (verb, words) == (RUN, ("web-*", "cmd.run", "uptime"))
    assert (scanned.seconds("--timeout"), scanned.text("--out"), scanned.flag("--verbose")) == (5.0, "json", True)


def test_an_option_means_the_same_in_every_command() -> None:
    """The scanner reads options before it knows the command, so whether one takes a value may not depend on that."""
    seen: dict[str, tuple[tuple[str, ...], str]] = {}
    for verb in (RUN, *VERBS):
        for option in verb.all_options:
            for name in option.names:
                assert seen.setdefault(name, (option.names, option.kind)) == (option.names, option.kind)


@pytest.mark.parametrize("words", [(), *(verb.words for verb in VERBS)])
def test_every_help_starts_with_examples_and_fits(words: tuple[str, ...], capsys: Captured) -> None:
    assert main([*words, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "Examples:"
    assert lines[3].startswith("  fleet")
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("words", [("jobs", "--help"), ("help", "jobs"), ("j", "-h")])
def test_a_word_that_begins_several_commands_lists_them_all(words: tuple[str, ...], capsys: Captured) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    for verb in VERBS:
        if verb.words[0] == "jobs":
            assert f"  fleet {verb.usage}" in out
            assert verb.summary in out


def test_help_on_one_command_of_several_is_its_own(capsys: Captured) -> None:
    assert main(["help", "jobs", "cancel"]) == 0
    own = capsys.readouterr().out
    assert main(["jobs", "cancel", "--help"]) == 0
    assert own == capsys.readouterr().out
    assert "stop waiting for the minions to confirm" in own


@pytest.mark.parametrize("topic", ["exit-codes", "targets", "output", "columns", "environment", "jobs", "run", ""])
def test_there_is_help_on_topics(topic: str, capsys: Captured) -> None:
    assert main(["help", *filter(None, [topic])]) == 0
    assert capsys.readouterr().out


def test_the_exit_codes_of_each_command_are_told(capsys: Captured) -> None:
    assert main(["help", "exit-codes"]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line and line[0] != " "] == [
        "Exit codes of fleet:",
        "fleet jobs cancel:",
        "fleet-key; where nothing fits it has 1, not 3:",
    ]


def test_a_bug_of_ours_is_said_to_be_one_and_has_its_traceback_on_request(
    start: Start, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise ZeroDivisionError("oh\x1b")

    monkeypatch.setattr(fleet_command, "choose", stumble)
    assert main(["status"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: a bug in fleet: ZeroDivisionError: oh␛\nhint: ")
    assert "Traceback" not in err
    assert main(["status", "-l", "debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_error_of_ours_has_no_traceback_but_on_request(tmp_path: Path, capsys: Captured) -> None:
    assert main(["status", "--root", str(tmp_path)]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert main(["status", "--root", str(tmp_path), "-l", "debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_what_the_master_says_cannot_reach_the_terminal(start: Start, capsys: Captured) -> None:
    start({AskStatus: [Failure("FleetError", "\x1b]0;x\x07", "\x9b2J")]})
    assert main(["status"]) == 1
    assert capsys.readouterr().err == "error: ␛]0;x␇\nhint: \\x9b2J\n"


def test_the_option_counts_more_than_the_environment(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = start({AskStatus: [None]})
    monkeypatch.setenv("FLEET_SOCKET", "/nowhere.sock")
    assert main(["status", "--root", str(tmp_path)]) == 1
    assert len(master.requests) == 1
    assert main(["status", "--socket", str(master.path)]) == 1
    assert len(master.requests) == 2
    assert main(["status"]) == 1
    assert len(master.requests) == 2


def run_fresh(program: str, root: Path, *, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FLEET_ROOT": str(root)}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


HEAVY = (
    "{'zmq', 'nacl', 'rich', 'yaml', 'psutil', 're2', 'asyncio', 'tornado', 'argparse', 'sqlite3', 'distro', 'logging'}"
)


@pytest.mark.parametrize(
    ("module", "words", "more"),
    [
        ("fleet_command", ["--help"], "socket json msgpack"),
        ("key_command", ["--help"], "socket json msgpack hashlib"),
        ("fleet_command", ["*", "test.ping"], "json"),
        ("fleet_command", ["*", "test.ping", "--out", "json"], ""),
        ("key_command", ["-L"], ""),
    ],
)
def test_a_command_loads_nothing_that_it_does_not_need(
    start: Start, tmp_path: Path, module: str, words: list[str], more: str
) -> None:
    start({Submit: [created("web-1"), ran("web-1"), Done()], ListKeys: [KeyList((), "ozmg", 0)]})
    program = (
        f"import sys; from fleet.client.{module} import main; code = main({words!r});"
        f"print(sorted(({HEAVY} | set({more.split()!r})) & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    done = run_fresh(program, tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "[]"), done.stderr


def test_a_reader_that_goes_away_is_no_traceback(start: Start, tmp_path: Path) -> None:
    start({Submit: [created("web-1"), ran("web-1", b"x" * 200_000), Done()]})
    reading, writing = os.pipe()
    os.close(reading)
    program = "import sys; from fleet.client.fleet_command import main; sys.exit(main(['*', 'cmd.run']))"
    done = run_fresh(program, tmp_path, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_full_disk_is_said_to_be_one(start: Start, tmp_path: Path) -> None:
    start({Submit: [created("web-1"), ran("web-1", b"x"), Done()]})
    full = os.open("/dev/full", os.O_WRONLY)
    program = "import sys; from fleet.client.fleet_command import main; sys.exit(main(['*', 'cmd.run']))"
    done = run_fresh(program, tmp_path, stdout=full)
    os.close(full)
    assert done.returncode == 1
    assert done.stderr == (
        "error: the results cannot be written to stdout: No space left on device\n"
        f"hint: make room, or choose another disk; nothing is lost: fleet jobs show {JID}\n"
    )


def test_an_encoding_that_lacks_a_character_gets_an_escape(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start({Submit: [created("web-1"), ran("web-1", "ä €".encode()), Done()]})
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    program = "import sys; from fleet.client.fleet_command import main; sys.exit(main(['*', 'cmd.run']))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FLEET_ROOT": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"web-1:\n    \xe4 \\u20ac\n")
