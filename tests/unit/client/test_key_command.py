import io
import json
import os
import sys
from pathlib import Path

import pytest

from fleet import __version__
from fleet.client.key_command import main
from fleet.core.control_answers import Failure, KeyRow
from fleet.core.control_requests import ChangeKeys, KeyChoice, ListKeys
from support.fake_keys import DB_1, OLD, OTHER_DB, ROWS, TWIN, WEB_1, WEB_2, run_master
from support.fake_master import FakeMaster, Start

Captured = pytest.CaptureFixture[str]


def choices(master: FakeMaster) -> list[tuple[str, list[KeyRow]]]:
    """What the master was asked to change, as the rows that it had listed."""
    rows = {KeyChoice(row.minion, row.fingerprint): row for row in (*ROWS, TWIN)}
    return [
        (request.action, [rows[each] for each in request.keys])
        for request in master.requests
        if isinstance(request, ChangeKeys)
    ]


class Terminal(io.StringIO):
    """A stdin on which a person types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("words", "action", "chosen", "line"),
    [
        (("-a", "web-1"), "accept", [WEB_1], "Key for minion web-1 accepted.\n"),
        (("accept", "web-1", "-y"), "accept", [WEB_1], "Key for minion web-1 accepted.\n"),
        (
            ("-a", "web-*"),
            "accept",
            [WEB_1, WEB_2],
            "Key for minion web-1 accepted.\nKey for minion web-2 accepted.\n",
        ),
        (("-a", "web-1", "-a", "web-[1]"), "accept", [WEB_1], "Key for minion web-1 accepted.\n"),
        (("-a", "web-1", "--fingerprint", WEB_1.fingerprint), "accept", [WEB_1], "Key for minion web-1 accepted.\n"),
        (
            ("-a", "web-1", "--fingerprint", WEB_1.pairing_code.upper()),
            "accept",
            [WEB_1],
            "Key for minion web-1 accepted.\n",
        ),
        (("-a", "old-1"), "accept", [OLD], "Key for minion old-1 accepted.\n"),
        (("-r", "web-2"), "reject", [WEB_2], "Key for minion web-2 rejected.\n"),
        (("reject", "db-1", "--fingerprint", DB_1.fingerprint), "reject", [DB_1], "Key for minion db-1 rejected.\n"),
        (("-d", "old-1"), "delete", [OLD], "Key for minion old-1 deleted.\n"),
        (("-d", "db-1"), "delete", [DB_1], "Key for minion db-1 deleted.\n"),
        (("delete", "*", "--state", "pending", "-y"), "delete", [WEB_1, WEB_2], None),
        (("-A", "-y"), "accept", [WEB_1, WEB_2], None),
        (("accept", "--all", "--yes"), "accept", [WEB_1, WEB_2], None),
        (("-R", "-y"), "reject", [WEB_1, WEB_2], None),
        (("-D", "-y"), "delete", [DB_1, OTHER_DB, OLD, WEB_1, WEB_2], None),
    ],
)
def test_exactly_the_keys_that_are_meant_are_changed(
    start: Start, capsys: Captured, words: tuple[str, ...], action: str, chosen: list[KeyRow], line: str | None
) -> None:
    master = run_master(start)
    assert main(words) == 0
    ((asked, rows),) = choices(master)
    assert asked == action
    assert sorted(rows, key=repr) == sorted(chosen, key=repr)
    out = capsys.readouterr().out
    assert out == line if line else out.count("Key for minion ") == len(chosen)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("-a", "web-1", "--fingerprint", WEB_2.fingerprint), 1, "nothing was changed"),
        (("-a", "web-1", "--fingerprint", "abc"), 2, "is no fingerprint"),
        (("-a", "web-*", "--fingerprint", WEB_1.fingerprint), 2, "one key of one minion"),
        (("-a", "web-1", "web-2", "--fingerprint", WEB_1.fingerprint), 2, "one key of one minion"),
        (("-A", "--fingerprint", WEB_1.fingerprint), 2, "one key of one minion"),
        (("-a", "mail-1"), 1, "no key was offered for mail-1"),
        (("-a", "mail-*"), 1, "no pending key fits mail-*"),
        (("-d", "mail-*"), 1, "no key fits mail-*"),
        (("-a", "web-1", "-r", "web-2"), 2, "one thing at a time"),
        (("-A", "-D"), 2, "one thing at a time"),
        (("-A", "web-1"), 2, "not both"),
        (("accept",), 2, "which keys to accept?"),
        (("list", "accepted", "--state", "pending"), 2, "one state at a time"),
        (("bless", "web-1"), 2, "'bless' is no command"),
        (("-L", "web-1"), 2, "one word too many"),
        (("-l", "green"), 2, "is no state"),
        (("-a", "web-1", "--state", "pending"), 2, "--state does not go with accept"),
        (("--fingerprnt", "x"), 2, "--fingerprnt"),
        (("--out", "xml"), 2, "--out takes no 'xml'"),
    ],
)
def test_what_is_wrong_changes_nothing(
    start: Start, capsys: Captured, words: tuple[str, ...], code: int, said: str
) -> None:
    master = run_master(start)
    assert main(words) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert choices(master) == []


def test_what_is_so_already_is_no_error(start: Start, capsys: Captured) -> None:
    master = run_master(start)
    assert main(["-a", "db-1", "--fingerprint", DB_1.fingerprint]) == 0
    assert "db-1 is accepted already" in capsys.readouterr().err
    assert choices(master) == []


def test_accepting_all_with_none_waiting_is_no_error(start: Start, capsys: Captured) -> None:
    run_master(start, (DB_1,))
    assert main(["-A"]) == 0
    assert capsys.readouterr().err == "There is no pending key to accept.\n"


def test_several_keys_under_one_id_need_a_person_to_choose(start: Start, capsys: Captured) -> None:
    master = run_master(start, (WEB_1, TWIN, WEB_2))
    assert main(["-A", "-y"]) == 0
    assert choices(master) == [("accept", [WEB_2])]
    err = capsys.readouterr().err
    assert WEB_1.fingerprint in err
    assert TWIN.fingerprint in err
    assert "fleet-key accept web-1 --fingerprint CODE" in err
    assert main(["-a", "web-1"]) == 1
    assert choices(master) == [("accept", [WEB_2])]
    assert main(["-a", "web-1", "--fingerprint", TWIN.pairing_code]) == 0
    assert choices(master)[1:] == [("accept", [TWIN])]


@pytest.mark.parametrize(
    ("typed", "code", "count"),
    [("y\n", 0, 1), ("\n", 0, 1), ("YES\n", 0, 1), ("n\n", 1, 0), ("what\n", 1, 0), ("", 2, 0)],
)
def test_accepting_all_lists_them_and_asks(
    start: Start, capsys: Captured, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, count: int
) -> None:
    master = run_master(start)
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert main(["-A"]) == code
    assert len(choices(master)) == count
    err = capsys.readouterr().err
    assert "The following keys are going to be accepted:\nPending Keys:\n    web-1  " in err
    assert WEB_2.pairing_code in err
    assert "Proceed? [n/Y] " in err


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("-D",), 5),
        (("-R",), 2),
        (("-d", "web-*"), 2),
        (("-r", "web-[1]"), 1),
        (("delete", "db-1", "--state", "all"), 2),
    ],
)
@pytest.mark.parametrize(("typed", "is_done"), [("y\n", True), ("\n", False), ("n\n", False)])
def test_what_takes_away_more_than_named_keys_lists_them_and_an_empty_line_takes_nothing(
    start: Start,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    count: int,
    typed: str,
    is_done: bool,
) -> None:
    master = run_master(start)
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert main(words) == (0 if is_done else 1)
    assert [len(rows) for _, rows in choices(master)] == [count] * is_done
    err = capsys.readouterr().err
    assert err.startswith("The following keys are going to be ")
    assert err.count("    ") >= count
    assert "Proceed? [y/N] " in err


def test_of_several_keys_of_one_id_each_is_told_by_its_fingerprint(start: Start, capsys: Captured) -> None:
    run_master(start)
    assert main(["-D", "-y"]) == 0
    lines = capsys.readouterr().out.splitlines()
    of_db = sorted(f"Key for minion db-1 ({row.fingerprint}) deleted." for row in (DB_1, OTHER_DB))
    assert lines == [*of_db, *(f"Key for minion {minion} deleted." for minion in ("old-1", "web-1", "web-2"))]


@pytest.mark.parametrize("words", [("-L",), ("list",), ()])
def test_a_list_is_of_the_state_that_is_asked_for(start: Start, capsys: Captured, words: tuple[str, ...]) -> None:
    run_master(start)
    assert main([*words, "--state", "pending", "--out", "json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"pending"}


@pytest.mark.parametrize("action", ["-A", "-R", "-D"])
def test_where_nobody_answers_nothing_is_asked_twice_and_nothing_is_changed(
    start: Start, capsys: Captured, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    master = run_master(start)
    with Path(os.devnull).open(encoding="utf-8") as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        assert main([action]) == 2
    assert choices(master) == []
    assert "hint: add -y" in capsys.readouterr().err


def test_an_answer_may_come_through_a_pipe(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    master = run_master(start)
    reading, writing = os.pipe()
    os.write(writing, b"y\n")
    os.close(writing)
    with os.fdopen(reading) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        assert main(["-A"]) == 0
    assert len(choices(master)) == 1


def test_what_was_changed_is_a_document_too(start: Start, capsys: Captured) -> None:
    run_master(start)
    assert main(["-a", "web-1", "--out", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"accepted": {"web-1": WEB_1.fingerprint}}
    assert main(["-D", "-y", "--out", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["deleted"]["db-1"] == sorted([DB_1.fingerprint, OTHER_DB.fingerprint])


def test_who_may_not_is_told_so_with_four(start: Start, capsys: Captured) -> None:
    start({ListKeys: [Failure("NotPermittedError", "no", "ask root")]})
    assert main(["-L"]) == 4
    assert capsys.readouterr().err == "error: no\nhint: ask root\n"


def test_the_version_and_the_help_need_no_master(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fleet-key {__version__}\n"
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.splitlines()[2] == "Examples:"
