import io
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO, TextIO

import pytest

from fleet.client import question
from fleet.client.question import ask
from fleet.core.errors import UsageError

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[BinaryIO]:
    """The other end of a stdin that is a pipe."""
    reading, writing = os.pipe()
    with open(reading) as stdin, open(writing, "wb", buffering=0) as other_end:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(question, "_ANSWER_SECONDS", 0.1)
        yield other_end


class Terminal(io.StringIO):
    """A stdin on which a person types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "is_yes", "answer"),
    [
        ("y\n", False, True),
        (" YES \n", False, True),
        ("n\n", True, False),
        ("\n", False, False),
        ("\n", True, True),
        ("yep\n", True, False),
        ("sure\n", False, False),
    ],
)
def test_only_yes_is_yes_and_an_empty_line_is_what_it_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, typed: str, is_yes: bool, answer: bool
) -> None:
    terminal: TextIO = Terminal(typed)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert ask("Sure?", is_yes=is_yes) is answer
    assert capsys.readouterr() == ("", f"Sure? [{'n/Y' if is_yes else 'y/N'}] ")


def test_whoever_pipes_an_answer_in_is_heard(pipe: BinaryIO) -> None:
    pipe.write(b"y\n")
    assert ask("Sure?", is_yes=False)


def test_a_pipe_that_nobody_writes_to_hangs_nothing(pipe: BinaryIO) -> None:
    with pytest.raises(UsageError) as caught:
        ask("Sure?", is_yes=True)
    assert "-y" in caught.value.hint


@pytest.mark.parametrize("is_yes", [False, True])
def test_an_end_instead_of_an_answer_is_no_yes(pipe: BinaryIO, is_yes: bool) -> None:
    pipe.close()
    with pytest.raises(UsageError):
        ask("Sure?", is_yes=is_yes)


def test_without_a_stdin_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError):
        ask("Sure?", is_yes=True)
