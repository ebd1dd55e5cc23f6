"""Names that cross borders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.errors import ArgumentError
from fleet.core.names import (
    Jid,
    check_function_name,
    check_jid,
    check_minion_id,
    jid_from_microseconds,
    microseconds_from_jid,
)


@pytest.mark.parametrize("text", ["a", "web-1.example_A", "0", "a" * 128])
def test_a_minion_id(text: str) -> None:
    assert check_minion_id(text) == text


@pytest.mark.parametrize(
    "text", ["", ".", "..", "-a", "_a", "a/b", "../x", "a\n", "a b", "ä", "a" * 129, "a\0", "*", "\u0661"]
)
def test_no_minion_id(text: str) -> None:
    with pytest.raises(ArgumentError):
        check_minion_id(text)


@pytest.mark.parametrize("text", ["", "1" * 19, "1" * 21, "1" * 19 + "\n", "١" * 20, "2026112022101200004x"])
def test_no_jid(text: str) -> None:
    with pytest.raises(ArgumentError):
        check_jid(text)


@pytest.mark.parametrize(
    "text", ["run", "cmd.", ".run", "cmd.run.x", "Cmd.run", "cmd.run\n", "os.__class__", "a." + "b" * 65]
)
def test_no_function_name(text: str) -> None:
    with pytest.raises(ArgumentError):
        check_function_name(text)


@given(st.integers(0, 253_402_300_799_999_999))
def test_a_jid_is_its_moment_and_sorts_like_it(microseconds: int) -> None:
    jid = jid_from_microseconds(microseconds)

    assert check_jid(jid) == jid
    assert microseconds_from_jid(jid) == microseconds
    assert microseconds == 0 or jid_from_microseconds(microseconds - 1) < jid


def test_digits_that_are_no_date_are_no_moment() -> None:
    with pytest.raises(ArgumentError):
        microseconds_from_jid(Jid("20261399000000000000"))
