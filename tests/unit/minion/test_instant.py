"""Instant functions: whatever they do, it becomes data."""

import sys
from collections.abc import Callable

import pytest

from fleet.core.functions import CommandFailedError, Program, UnavailableError
from fleet.core.outcome import OutcomeKind
from fleet.core.packing import decode_value, encode
from fleet.minion.instant import TRACEBACK_LIMIT_CHARACTERS, finish


def _raise(problem: BaseException) -> Callable[[], object]:
    def call() -> object:
        raise problem

    return call


class _UnspeakableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def test_a_value_is_kept_encoded() -> None:
    finished = finish(lambda: {"a": (1, 2)})

    assert finished.outcome.kind is OutcomeKind.OK
    assert decode_value(finished.value) == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (CommandFailedError("no"), OutcomeKind.FAILED),
        (UnavailableError("no"), OutcomeKind.UNAVAILABLE),
        (ValueError("no"), OutcomeKind.CRASHED),
        (RecursionError("no"), OutcomeKind.CRASHED),
        (MemoryError(), OutcomeKind.CRASHED),
        (SystemExit(3), OutcomeKind.CRASHED),
        (_UnspeakableError(), OutcomeKind.CRASHED),
        (CommandFailedError("no", value=object()), OutcomeKind.CRASHED),  # type: ignore[arg-type]
        (CommandFailedError("no", value=2**70), OutcomeKind.CRASHED),
    ],
    ids=lambda case: type(case).__name__,
)
def test_an_exception_is_an_outcome(problem: BaseException, kind: OutcomeKind) -> None:
    finished = finish(_raise(problem))

    assert finished.outcome.kind is kind
    assert bool(finished.outcome.traceback) is (kind is OutcomeKind.CRASHED)
    encode(finished.outcome)


def test_a_partial_value_and_an_exit_code_are_kept() -> None:
    finished = finish(_raise(CommandFailedError("no", value=["part"], retcode=3)))

    assert (finished.outcome.has_value, finished.outcome.retcode) == (True, 3)
    assert decode_value(finished.value) == ["part"]


@pytest.mark.parametrize("kind", [CommandFailedError, OSError])
def test_a_message_that_is_no_text_for_the_wire_is_made_one(kind: type[Exception]) -> None:
    finished = finish(_raise(kind("no file 'a\udcffb'")))

    assert encode(finished.outcome)
    assert "no file 'a" in finished.outcome.message


def test_a_program_is_not_for_the_loop() -> None:
    assert finish(lambda: Program(("true",))).outcome.kind is OutcomeKind.CRASHED


def test_a_traceback_is_cut_to_its_end() -> None:
    def deep(depth: int) -> object:
        return deep(depth - 1) if depth else _raise(ValueError("x" * 50_000))()

    finished = finish(lambda: deep(sys.getrecursionlimit() // 2))

    assert len(finished.outcome.traceback) == TRACEBACK_LIMIT_CHARACTERS


def test_what_stops_the_daemon_stops_it() -> None:
    with pytest.raises(KeyboardInterrupt):
        finish(_raise(KeyboardInterrupt()))
