"""What a function returns, as it travels."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
from hypothesis import given

from fleet.core.packing import decode_value, encode_value
from fleet.core.values import plain
from support.messages import VALUES


class _Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class _Point:
    x: int
    colour: _Colour


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (_Point(1, _Colour.RED), {"x": 1, "colour": "red"}),
        ((1, (2, 3)), [1, [2, 3]]),
        ({3, 1, 2}, [1, 2, 3]),
        ({"a": True, "b": b"\xff"}, {"a": True, "b": b"\xff"}),
        ("a\udcffb", "a\ufffdb"),
        ({"\udc80": "x"}, {"\ufffd": "x"}),
    ],
)
def test_what_has_a_plain_form(value: object, expected: object) -> None:
    assert plain(value) == expected


@pytest.mark.parametrize("value", [object(), 2**63, -(2**63) - 1, {1: 2}, {b"x": 1}, 1j, [object()]])
def test_what_has_none(value: object) -> None:
    with pytest.raises(TypeError):
        plain(value)


def test_what_contains_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(TypeError, match="nested"):
        plain(endless)


@given(VALUES)
def test_a_plain_value_stays_as_it_is_and_travels(value: Any) -> None:
    assert decode_value(encode_value(plain(value))) == value
