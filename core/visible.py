"""Make what minions sent safe to show: every control character becomes something that can be seen.

A terminal obeys escape sequences (titles, clipboard, colours, moving the cursor over what was printed before), an override of
writing direction makes text read as something else, and a character that is not seen makes two texts look the same. None of them
reaches the terminal; newline and tab stay, and so do variation selectors, which choose how the character before them looks.
"""

from collections.abc import Mapping
from functools import cache, lru_cache

_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "␡"}
_C1 = {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}
#: Category Cf of Unicode 16, whole (direction marks and overrides, joiners, soft hyphens, operators, tags), line separators, letters
#: and marks without a glyph (fillers of Hangul, Khmer and Braille, the grapheme joiner), and halves of surrogate pairs.
_HIDDEN_RANGES = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x0600, 0x0605),
    (0x061C, 0x061C),
    (0x06DD, 0x06DD),
    (0x070F, 0x070F),
    (0x0890, 0x0891),
    (0x08E2, 0x08E2),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180E, 0x180E),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xD800, 0xDFFF),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF9, 0xFFFB),
    (0x110BD, 0x110BD),
    (0x110CD, 0x110CD),
    (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0001, 0xE0001),
    (0xE0020, 0xE007F),
)
#: What takes no column besides combining marks: medial and final jamo, and joiners, marks and operators that are not seen.
_WIDTHLESS_RANGES = (
    (0x1160, 0x11FF),
    (0x180E, 0x180E),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x2064),
    (0xD7B0, 0xD7FF),
)


# The tables hold two thousand texts each, and most of what is shown is plain ASCII: they are made when they are used, so that a
# minion at rest holds none of them.


@cache
def _hidden() -> Mapping[int, str]:
    return {
        code: f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
        for first, last in _HIDDEN_RANGES
        for code in range(first, last + 1)
    }


@cache
def _of_line() -> Mapping[int, str]:
    return {**_PICTURES, **_C1, **_hidden()}


@cache
def _of_text() -> Mapping[int, str]:
    return {code: shown for code, shown in _of_line().items() if code not in {0x09, 0x0A}}


@cache
def _of_json() -> Mapping[int, str]:
    return {code: _json_escape(code) for code in (0x7F, *_C1, *_hidden())}


def _json_escape(code: int) -> str:
    """Write a character as JSON does: beyond 16 bits as the two halves of a surrogate pair."""
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def visible(text: str) -> str:
    """Make control characters visible; newline and tab stay."""
    return text if text.isascii() and text.isprintable() else text.translate(_of_text())


def visible_line(text: str) -> str:
    """Make every control character visible, also newline and tab: for what must stay on one line."""
    return text if text.isascii() and text.isprintable() else text.translate(_of_line())


def visible_in_json(document: str) -> str:
    """Escape in a JSON document what a terminal might obey: outside of its strings there is none of it."""
    return document if document.isascii() and "\x7f" not in document else document.translate(_of_json())


def has_hidden(text: str) -> bool:
    """Tell whether ``visible`` would change something other than plain C0 control characters."""
    return any(ord(character) in _of_json() for character in text)


def columns(text: str) -> int:
    """Count the columns that a text takes on a terminal: two for wide East Asian characters, none for combining ones."""
    return len(text) if text.isascii() else sum(_width(character) for character in text)


def cut_to_columns(text: str, limit_columns: int) -> str:
    """Cut a text where it would take more than this many columns; a wide character that does not fit whole is left out."""
    if text.isascii():
        return text[:limit_columns]
    room = limit_columns
    for index, character in enumerate(text):
        room -= _width(character)
        if room < 0:
            return text[:index]
    return text


@lru_cache(4096)
def _width(character: str) -> int:
    """The columns of one character; a jamo that closes a syllable stands in the columns of the one that opens it."""
    from unicodedata import category, east_asian_width  # A megabyte that no daemon needs.

    code = ord(character)
    if code < 0x300:
        return 1
    if any(first <= code <= last for first, last in _WIDTHLESS_RANGES) or category(character) in {"Mn", "Me"}:
        return 0
    return 2 if east_asian_width(character) in {"W", "F"} else 1
