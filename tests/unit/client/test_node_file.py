"""What is a line of a node file, what is said of one that is none, and that a file of any length is read without being held."""

import io
import sys
import tracemalloc
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import pytest

from fleet.client.fleet_command import main
from fleet.client.node_file import LINE_LIMIT_BYTES, choose_nodes, open_nodes, read_names
from fleet.core.control_answers import Done, TargetPreview
from fleet.core.control_requests import PreviewTarget, Submit, Watch
from fleet.core.errors import UsageError
from fleet.core.names import MinionId
from support.fake_master import JID, FakeMaster, Start, Step, created, ran

Captured = pytest.CaptureFixture[str]


def names_of(data: bytes) -> list[str]:
    return list(read_names(io.BytesIO(data), "file"))


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"", []),
        (b"\n \t\n# nobody\n   # nobody\n", []),
        (b"web-1\nweb-2\n", ["web-1", "web-2"]),
        (b"web-1\nweb-2", ["web-1", "web-2"]),
        (b"  web-1\t# in rack 3\r\nweb-2#x\r\n", ["web-1", "web-2"]),
        (b"web-1\nweb-1\n", ["web-1", "web-1"]),
        (b'"web-1"\n "web-2" \n', ["web-1", "web-2"]),
        (b'{"state": "up", "minion": "web-1", "jobs": []}\n{"minion":"web-2"}\n', ["web-1", "web-2"]),
        (b'web-1\n"web-2"\n{"minion": "web-3"}\n', ["web-1", "web-2", "web-3"]),
        (b'{"minion": "web-1", "value": "#"}\n{"summary": {"targeted": 1}}\n', ["web-1"]),
        (b"\xef\xbb\xbfweb-1\n", ["web-1"]),
    ],
)
def test_a_line_names_a_minion_plainly_or_as_json_or_nobody(data: bytes, names: list[str]) -> None:
    assert names_of(data) == names


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"web-1 web-2", "is no minion id: 'web-1 web-2'"),
        (b"web-[01-12]", "is no minion id"),
        (b"../x", "is no minion id"),
        (b'"../x"', "is no minion id"),
        (b'{"minion": 7}', "is no minion id: 7"),
        (b'{"minion": null}', "is no minion id: None"),
        (b'{"host": "web-1"}', 'is an object without "minion"'),
        (b'{"summary": 1, "x": 2}', 'is an object without "minion"'),
        (b"{", "is no JSON"),
        (b'"web-1" # comment', "is no JSON"),
        (b'{"minion": ' + b"[" * 100_000, "is no JSON"),
        (b"[1]", "is no minion id"),
        (b"\x7fELF\x02\x01\x00\x00", "is no text: it has a zero byte"),
        (b"\xff\xfe\x41", "is no text in UTF-8"),
        (b"\xef\xbb\xbfweb-1", "is no minion id"),
        (b"x" * (LINE_LIMIT_BYTES + 1), "has more than 1,048,576 bytes"),
    ],
)
def test_a_line_that_is_none_is_told_with_its_number_and_what_was_expected(line: bytes, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        names_of(b"# nodes\nweb-1\n\n" + line + b"\nweb-2\n")
    assert caught.value.message.startswith("line 4 of file ")
    assert problem in caught.value.message
    assert len(caught.value.message) < 200
    assert '{"minion": "ID"}' in caught.value.hint


def test_nothing_is_read_ahead() -> None:
    taken: list[int] = []

    def lines() -> Iterator[bytes]:
        for number in count():
            taken.append(number)
            yield b"web-%d\n" % number

    assert list(islice(read_names(lines(), "file"), 3)) == ["web-0", "web-1", "web-2"]
    assert len(taken) == 3


def test_what_is_held_grows_with_the_minions_that_there_are_and_not_with_the_names() -> None:
    accepted = [MinionId("web-7"), MinionId("web-19999"), MinionId("db-1")]
    lines = (b"web-%d\n" % (number % 20_000) for number in range(40_000))
    tracemalloc.start()
    try:
        choice = choose_nodes(read_names(lines, "file"), accepted)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert choice.minions == {"web-7", "web-19999"}
    assert (choice.named, choice.unknown) == (40_000, 39_996)
    assert choice.told_names == "web-0, web-1, web-2, web-3, web-4, …"
    assert peak_bytes < 64 * 1024


def test_a_name_that_stands_there_twice_is_chosen_and_told_once() -> None:
    names = [MinionId(name) for name in ("web-1", "x", "web-1", "x")]
    choice = choose_nodes(names, [MinionId("web-1")])
    assert choice.minions == {"web-1"}
    assert (choice.named, choice.unknown) == (4, 2)
    assert choice.told_names == "x"


@pytest.mark.parametrize(
    ("name", "reason"),
    [(".", "is a directory"), ("gone", "no such file or directory"), ("a\0b", "embedded null byte")],
)
def test_a_file_that_cannot_be_read_is_told_with_the_reason(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"cannot be read: {reason}"), open_nodes(f"{tmp_path}/{name}"):
        pass


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom"])
def test_a_device_without_an_end_is_left_at_its_first_line(device: str) -> None:
    with open_nodes(device) as names, pytest.raises(UsageError, match=r"line \d+ of '/dev/"):
        list(names)


# The option


@pytest.fixture
def master(start: Start) -> FakeMaster:
    """A master that has web-1, web-2 and db-1."""
    accepted = TargetPreview(tuple(MinionId(name) for name in ("db-1", "web-1", "web-2")), ())
    submitted: list[Step] = [created("web-1", "web-2"), ran("web-1", b"x"), ran("web-2", b"x"), Done()]
    return start({PreviewTarget: [accepted], Submit: submitted})


def nodes(folder: Path, text: str) -> str:
    """Write a node file; its name."""
    file = folder / "nodes"
    file.write_text(text, encoding="utf-8")
    return str(file)


def request_of(master: FakeMaster) -> Submit:
    (request,) = master.asked(Submit)
    assert isinstance(request, Submit)
    return request


@pytest.mark.parametrize("words", [("cmd.run", "a", "b=c", "--", "-d"), ("--", "cmd.run", "a"), ("cmd.run", "web.x")])
def test_the_target_is_left_out_and_the_request_names_the_minions_short(
    master: FakeMaster, tmp_path: Path, words: tuple[str, ...], capsys: Captured
) -> None:
    assert main(["--nodes", nodes(tmp_path, "web-2\nweb-1\nweb-2\n"), *words]) == 0
    request = request_of(master)
    assert (request.target, request.target_kind, request.function) == ("web-[1-2]", "list", "cmd.run")
    first = words.index("cmd.run") + 1
    assert [*request.words, *request.literals] == [word for word in words[first:] if word != "--"]
    assert [ask.target for ask in master.asked(PreviewTarget) if isinstance(ask, PreviewTarget)] == ["*"]
    assert "warning" not in capsys.readouterr().err


def test_our_own_stdin_is_a_node_file_too(master: FakeMaster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"minion": "web-1"}\nweb-2\n')))
    assert main(["--nodes=-", "cmd.run", "cat", "--stdin-text", ""]) == 0
    assert request_of(master).target == "web-[1-2]"


def test_names_that_nobody_has_are_counted_in_one_line_and_in_the_exit_code(
    master: FakeMaster, tmp_path: Path, capsys: Captured
) -> None:
    file = nodes(tmp_path, "".join(f"x-{number}\n" for number in range(1_200)) + "web-1\nweb-2\n")
    assert main(["--nodes", file, "cmd.run", "--out", "jsonl"]) == 12
    said = capsys.readouterr()
    warning = f"warning: 1,200 of 1,202 names in {file!r} have no accepted key: x-0, x-1, x-2, x-3, x-4, …\n"
    assert said.err == warning
    assert '"more_unknown": 1200, "exit_code": 12' in said.out.splitlines()[-1]
    assert main(["--nodes", file, "cmd.run", "--out", "fold"]) == 12
    assert "2 ok · 1,200 unknown · 2 targeted" in capsys.readouterr().out
    assert main(["--nodes", file, "-f", "cmd.run"]) == 12
    assert capsys.readouterr().err.startswith(warning)


def test_async_and_preview_take_a_node_file_too(start: Start, tmp_path: Path, capsys: Captured) -> None:
    accepted = TargetPreview((MinionId("web-1"),), ())
    master = start({PreviewTarget: [accepted], Submit: [created("web-1")]})
    file = nodes(tmp_path, "web-1\nx\n")
    assert main(["--nodes", file, "cmd.run", "--async"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{JID}\n"
    assert "warning: 1 of 2 names in" in said.err
    assert "has no accepted key: x\n" in said.err
    assert main(["--nodes", file, "--preview-target"]) == 0
    assert capsys.readouterr().out == "web-1\n"
    assert main(["--nodes", file, "--preview-target", "--out", "json"]) == 0
    assert '"more_unknown": 1' in capsys.readouterr().out
    assert len(master.asked(Submit)) == 1


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", 2, "names no minion"),
        ("# nobody\n", 2, "names no minion"),
        ("x\ny\n", 3, "none of the 2 names in"),
        ("web-1\nweb 2\n", 2, "line 2 of"),
    ],
)
def test_without_a_name_that_counts_nothing_is_run(
    master: FakeMaster, tmp_path: Path, text: str, code: int, said: str, capsys: Captured
) -> None:
    assert main(["--nodes", nodes(tmp_path, text), "cmd.run"]) == code
    told = capsys.readouterr().err
    assert said in told
    assert "hint: " in told
    assert not master.asked(Submit)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-G", "cmd.run"), "-G says how a target is written"),
        (("--list", "cmd.run"), "-L says how a target is written"),
        (("web-1", "cmd.run"), "'web-1' is none"),
        (("web-1", "--preview-target"), "'web-1' is none"),
        ((), "a function is missing"),
        (("minions",), "--nodes is no option of fleet minions"),
        (("jobs", "list"), "--nodes is no option of fleet jobs list"),
    ],
)
def test_whatever_else_says_which_minions_does_not_go_with_it(
    words: tuple[str, ...], said: str, capsys: Captured
) -> None:
    assert main(["--nodes", "nodes", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "hint: " in told


def test_our_own_stdin_is_read_once(capsys: Captured) -> None:
    assert main(["--nodes", "-", "--stdin", "-", "cmd.run", "cat"]) == 2
    assert "--nodes - and --stdin - would both read" in capsys.readouterr().err


def test_a_file_is_looked_for_before_a_master(tmp_path: Path, capsys: Captured) -> None:
    assert main(["--nodes", str(tmp_path / "gone"), "cmd.run", "--root", str(tmp_path)]) == 2
    assert "no such file or directory" in capsys.readouterr().err


def test_a_closed_stdin_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["--nodes", "-", "--preview-target"]) == 2
    assert "stdin is closed" in capsys.readouterr().err


def test_the_count_of_unknown_names_outlives_a_restart_of_the_master(
    start: Start, tmp_path: Path, capsys: Captured
) -> None:
    accepted = TargetPreview((MinionId("web-1"),), ())
    watched: list[Step] = [created("web-1"), ran("web-1", b"x\n"), Done()]
    start({PreviewTarget: [accepted], Submit: [created("web-1"), None], Watch: watched})
    assert main(["--nodes", nodes(tmp_path, "web-1\nx\n"), "-f", "cmd.run"]) == 12
    assert "the master is back" in capsys.readouterr().err
