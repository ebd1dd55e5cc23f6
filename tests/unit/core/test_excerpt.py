"""Pointing at a place in a text."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.core.excerpt import point_at, shorten


def test_a_short_text_is_shown_whole_with_the_place_marked() -> None:
    assert point_at("web* and )", 9) == "at character 10: web* and >>>)"


def test_the_end_of_a_text_is_a_place_too() -> None:
    assert point_at("web* and", 8) == "at character 9: web* and>>>"


def test_a_long_text_is_cut_on_both_sides() -> None:
    assert point_at("a" * 100 + "b" * 100, 100) == f"at character 101: …{'a' * 24}>>>{'b' * 24}…"


def test_control_characters_do_not_reach_a_terminal() -> None:
    assert point_at("a\x1b[31m\n", 1) == "at character 2: a>>>\\x1b[31m\\n"


@given(st.text(), st.integers(0, 50))
def test_whatever_the_text_the_excerpt_is_short_and_can_be_printed(text: str, position: int) -> None:
    shown = point_at(text, min(position, len(text)))
    assert shown.isprintable()
    assert len(shown) < 24 + 48 * 10


@given(st.text(max_size=500), st.integers(10, 80))
def test_a_shortened_value_keeps_within_its_limit(text: str, limit: int) -> None:
    assert len(shorten(text, limit)) <= limit


def test_a_value_that_fits_is_written_as_python_does() -> None:
    assert shorten("four") == "'four'"
    assert shorten(4) == "4"
