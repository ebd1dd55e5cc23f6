import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from fleet.core.visible import columns, cut_to_columns, has_hidden, visible, visible_in_json, visible_line

#: Letters, a symbol and marks that show nothing.
_UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
ANY_TEXT = st.text(st.characters())
#: Latin, Greek, accents, Hebrew points, enclosing marks, Hangul in syllables and in jamo, kana, CJK, full-width forms, emoji,
#: a non-joiner and variation selectors; not what joins emoji or makes one of a narrow character: terminals disagree on those.
_ALPHABET_RANGES = (
    (0x20, 0x7E),
    (0xA0, 0x36F),
    (0x391, 0x3A1),
    (0x488, 0x489),
    (0x591, 0x5BD),
    (0x1100, 0x115E),
    (0x1160, 0x11FF),
    (0x200B, 0x200C),
    (0x20D0, 0x20F0),
    (0x3041, 0x3096),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xFE00, 0xFE0E),
    (0xFF01, 0xFF60),
    (0x1F600, 0x1F64F),
)
_ALPHABET = st.one_of(*(st.characters(min_codepoint=first, max_codepoint=last) for first, last in _ALPHABET_RANGES))


def dangerous(text: str) -> set[str]:
    return {each for each in text if unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"} or each in _UNSEEN}


@given(ANY_TEXT)
def test_no_control_character_remains_but_newline_and_tab(text: str) -> None:
    assert dangerous(visible(text)) <= {"\n", "\t"}
    assert dangerous(visible_line(text)) == set()


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp"), exclude_characters=_UNSEEN)))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text
    assert visible_line(text) == text
    assert not has_hidden(text)


@given(st.text(st.characters(codec="utf-8")))
def test_json_stays_the_same_document_and_hides_nothing(text: str) -> None:
    document = visible_in_json(json.dumps({"value": text}, ensure_ascii=False))
    assert json.loads(document) == {"value": text}
    assert dangerous(document) == set()


def test_no_character_that_is_not_seen_is_left_out() -> None:
    for code in range(0x110000):
        if dangerous(chr(code)) - {"\n", "\t"}:
            assert visible(chr(code)) != chr(code), hex(code)
            assert has_hidden(chr(code)) or code < 0x20, hex(code)


def test_texts_that_would_look_the_same_look_different() -> None:
    assert visible("ro\u00adot") == "ro\\u00adot"
    assert visible_line("root\u200d\U000e0001\u3164") == "root\\u200d\\U000e0001\\u3164"
    assert visible_in_json('"a\U000e0041"') == '"a\\udb40\\udc41"'
    assert visible("❤\ufe0f") == "❤\ufe0f"


def test_an_escape_sequence_can_be_read_and_does_nothing() -> None:
    assert visible("\x1b]0;owned\x07\r\n\x7f\x9b1m") == "␛]0;owned␇␍\n␡\\x9b1m"
    assert visible_line("a\nb\tc\u202e") == "a␊b␉c\\u202e"


def test_wide_and_combining_characters_are_counted_as_a_terminal_shows_them() -> None:
    assert [columns(text) for text in ("abc", "개발자", "e\u0301", "")] == [3, 6, 1, 0]


@given(st.text(_ALPHABET))
def test_columns_are_those_that_another_library_counts(text: str) -> None:
    assert columns(text) == cell_len(text)


@given(st.text(_ALPHABET), st.integers(0, 40))
def test_a_text_is_cut_by_columns_and_never_earlier_than_needed(text: str, limit: int) -> None:
    cut = cut_to_columns(text, limit)
    assert text.startswith(cut)
    assert columns(cut) <= limit
    assert cut == text or columns(text[: len(cut) + 1]) > limit


def test_a_syllable_in_jamo_takes_the_columns_of_the_syllable() -> None:
    syllable = "발"
    assert columns(unicodedata.normalize("NFD", syllable)) == columns(syllable) == 2
    assert columns("👩\u200d💻\ufe0f") == 4
