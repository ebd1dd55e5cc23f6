from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.errors import StateError
from fleet.keys import record
from fleet.keys.record import RecordForm, read_hex, read_record, write_record

FORM = RecordForm("fleet-test", 2, "restore it")
PATH = Path("/state/test")
words = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
LINE = write_record(FORM, ["00ff", "word"])


def test_the_line_is_written_down() -> None:
    # Files of this form lie on machines: another release must read them.
    assert LINE == b"fleet-test 1 00ff word 931fe3e9d5a5384c\n"


@given(words, words)
def test_what_was_written_is_read(one: str, other: str) -> None:
    assert read_record(FORM, PATH, write_record(FORM, [one, other])) == [one, other]


@pytest.mark.parametrize("position", range(len(LINE)))
@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80])
def test_each_damaged_byte_is_found(position: int, flip: int) -> None:
    damaged = LINE[:position] + bytes((LINE[position] ^ flip,)) + LINE[position + 1 :]

    with pytest.raises(StateError, match=r"damaged|no file of fleet") as caught:
        read_record(FORM, PATH, damaged)
    assert caught.value.hint == "restore it"


@pytest.mark.parametrize("length", range(len(LINE)))
def test_each_torn_end_is_found(length: int) -> None:
    with pytest.raises(StateError):
        read_record(FORM, PATH, LINE[:length])


@given(st.binary())
def test_anything_else_is_a_state_error(content: bytes) -> None:
    with pytest.raises(StateError):
        read_record(FORM, PATH, content)
    with pytest.raises(StateError):
        read_record(FORM, PATH, b"fleet-test " + content)


def test_something_after_the_line_is_found() -> None:
    with pytest.raises(StateError):
        read_record(FORM, PATH, LINE + b"\n")
    with pytest.raises(StateError):
        read_record(FORM, PATH, LINE + LINE)


def test_a_wrong_file_is_told_from_a_damaged_one() -> None:
    other = write_record(RecordForm("fleet-other", 2, ""), ["00ff", "word"])

    with pytest.raises(StateError, match="is a fleet-other file, not a fleet-test file"):
        read_record(FORM, PATH, other)


def test_a_file_of_a_newer_release_is_told_from_a_damaged_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(record, "_VERSION", 2)
        newer = write_record(FORM, ["00ff", "word"])

    with pytest.raises(StateError, match="has format 2, this release reads 1") as caught:
        read_record(FORM, PATH, newer)
    assert "upgrade" in caught.value.hint


def test_another_number_of_fields_is_refused() -> None:
    with pytest.raises(StateError, match="3 fields in place of 2"):
        read_record(FORM, PATH, write_record(FORM, ["a", "b", "c"]))


@pytest.mark.parametrize(("field", "length"), [("0g", None), ("0", None), ("00", 2), ("", 1)])
def test_a_field_that_is_not_that_many_bytes_is_refused(field: str, length: int | None) -> None:
    with pytest.raises(StateError, match="damaged"):
        read_hex(FORM, PATH, field, length)


def test_a_field_of_bytes_is_read() -> None:
    assert read_hex(FORM, PATH, "00ff", 2) == b"\x00\xff"
