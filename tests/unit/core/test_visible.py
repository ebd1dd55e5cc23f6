import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from fleet.core.visible import columns, has_hidden, visible, visible_in_json, visible_line

#: Categories Cc, Cs and the bidirectional controls are what a terminal, or a reader, can be fooled with.
_BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
ANY_TEXT = st.text(st.characters())


def dangerous(text: str) -> set[str]:
    return {each for each in text if unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"} or each in _BIDI}


@given(ANY_TEXT)
def test_no_control_character_remains_but_newline_and_tab(text: str) -> None:
    assert dangerous(visible(text)) <= {"\n", "\t"}
    assert dangerous(visible_line(text)) == set()


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp"))))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text
    assert visible_line(text) == text
    assert not has_hidden(text)


@given(st.text(st.characters(codec="utf-8")))
def test_json_stays_the_same_document_and_hides_nothing(text: str) -> None:
    document = visible_in_json(json.dumps({"value": text}, ensure_ascii=False))
    assert json.loads(document) == {"value": text}
    assert dangerous(document) == set()


def test_an_escape_sequence_can_be_read_and_does_nothing() -> None:
    assert visible("\x1b]0;owned\x07\r\n\x7f\x9b1m") == "␛]0;owned␇␍\n␡\\x9b1m"
    assert visible_line("a\nb\tc\u202e") == "a␊b␉c\\u202e"


def test_wide_and_combining_characters_are_counted_as_a_terminal_shows_them() -> None:
    assert [columns(text) for text in ("abc", "개발자", "e\u0301", "")] == [3, 6, 1, 0]
