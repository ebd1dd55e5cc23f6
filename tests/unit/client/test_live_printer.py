"""What jobs write, shown as they write it: of one minion byte for byte, of several by line; and never twice."""

import pytest

from fleet.client.fleet_command import main
from fleet.core.control_answers import Done, OutputPart
from fleet.core.control_requests import OutputPosition, Submit, Watch
from fleet.core.names import MinionId
from support.fake_master import Start, Step, created, ran, returned, silent

Captured = pytest.CaptureFixture[str]


def part(minion: str, offset: int, data: bytes, stream: str = "stdout") -> OutputPart:
    return OutputPart(MinionId(minion), stream, offset, data)


def run(start: Start, capsys: Captured, steps: list[Step], *options: str) -> tuple[int, str, str]:
    start({Submit: steps, Watch: steps})
    code = main(["-f", "*", "cmd.run", "x", *options])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_of_one_minion_its_streams_are_ours_byte_for_byte(start: Start, capsys: Captured) -> None:
    steps: list[Step] = [
        created("web-1"),
        part("web-1", 0, b"one\n\x1b[1mtw"),
        part("web-1", 0, b"bad\n", "stderr"),
        ran("web-1", b"one\n\x1b[1mtwo", b"bad\nworse\n"),
        Done(),
    ]
    assert run(start, capsys, steps) == (0, "one\n\x1b[1mtwo", "bad\nworse\n")


def test_of_several_whole_lines_are_shown_with_their_names_and_what_a_terminal_obeys_is_made_visible(
    start: Start, capsys: Captured
) -> None:
    steps: list[Step] = [
        created("db-1", "web-1"),
        part("web-1", 0, b"on"),
        part("db-1", 0, "h\u00e9".encode()[:2]),
        part("web-1", 2, b"e\n\x1b]0;title\x07\nthr"),
        part("db-1", 2, "h\u00e9\n".encode()[2:]),
        ran("web-1", b"one\n\x1b]0;title\x07\nthree"),
        ran("db-1", "h\u00e9\n".encode(), b"bad\n", retcode=3),
        Done(),
    ]
    code, out, err = run(start, capsys, steps)
    assert (code, out) == (11, "web-1: one\nweb-1: \u241b]0;title\u2407\ndb-1: h\u00e9\nweb-1: three\n")
    assert err == "db-1: bad\ndb-1: failed, exit 3\n"


def test_a_piece_that_was_shown_is_not_shown_again(start: Start, capsys: Captured) -> None:
    steps: list[Step] = [created("web-1"), part("web-1", 0, b"abc"), part("web-1", 0, b"abc"), part("web-1", 1, b"bcd")]
    assert run(start, capsys, [*steps, ran("web-1", b"abcde"), Done()])[1] == "abcde"


def test_a_value_is_shown_at_the_end_and_the_silent_are_named(start: Start, capsys: Captured) -> None:
    steps: list[Step] = [created("old-1", "web-1"), returned("web-1", {"a": [1, 2]}), silent("old-1"), Done()]
    code, out, err = run(start, capsys, steps)
    assert (code, out) == (12, "web-1: a:\nweb-1:     - 1\nweb-1:     - 2\n")
    assert err == "old-1: silent: down since 09:12\n"


def test_a_position_is_asked_for_and_what_lies_before_it_is_left_out(start: Start, capsys: Captured) -> None:
    master = start({Watch: [created("web-1"), part("web-1", 4, b"x"), ran("web-1", b"0123x!"), Done()]})
    assert main(["jobs", "follow", "last", "web-1", "--skip", "4"]) == 0
    assert capsys.readouterr().out == "x!"
    (request,) = [each for each in master.requests if isinstance(each, Watch)]
    assert request == Watch("last", True, True, (MinionId("web-1"),), (OutputPosition(MinionId("web-1"), 4, 0),))


@pytest.mark.parametrize("words", [["last", "--skip", "4"], ["last", "a", "b", "--skip", "4"], []])
def test_what_cannot_be_followed_is_said(capsys: Captured, words: list[str]) -> None:
    assert main(["jobs", "follow", *words]) == 2
    assert "fleet jobs follow JID" in capsys.readouterr().err
