import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.errors import CryptoError
from fleet.keys.fingerprint import fingerprint, is_fingerprint, normalise, pairing_code, same_fingerprint

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
keys = st.binary(min_size=32, max_size=32)


def test_fingerprint_and_pairing_code_are_written_down() -> None:
    # What operators have noted must not change with a release.
    assert fingerprint(KEY) == "z46p-4cc3-q5ii-yds2-kq4m-dvmd-jref-6sa4"
    assert pairing_code(KEY, OTHER) == "ozfc-nq5n-xhpo-n5nx-nb3b-5olf-7qhk-wncm"


@given(keys)
def test_a_fingerprint_is_eight_groups_of_four(key: bytes) -> None:
    assert re.fullmatch(r"([a-z2-7]{4}-){7}[a-z2-7]{4}", fingerprint(key))
    assert is_fingerprint(fingerprint(key))


@given(keys, keys)
def test_codes_of_different_keys_or_purposes_differ(one: bytes, other: bytes) -> None:
    codes = {fingerprint(one), fingerprint(other), pairing_code(one, other), pairing_code(other, one)}

    assert len(codes) == (2 if one == other else 4)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_has_no_code(length: int) -> None:
    with pytest.raises(CryptoError):
        fingerprint(bytes(length))
    with pytest.raises(CryptoError):
        pairing_code(KEY, bytes(length))
    with pytest.raises(CryptoError):
        pairing_code(bytes(length), bytes(64 - length))


@given(keys, st.integers(0, 39))
def test_a_code_is_the_same_however_it_is_typed(key: bytes, place: int) -> None:
    code = fingerprint(key)

    for typed in (
        code.upper(),
        code.replace("-", ""),
        code.replace("-", " "),
        code.replace("-", "\u2013"),
        f"  {code}\n",
        f"{code[:place]}\t{code[place:]}",
    ):
        assert same_fingerprint(typed, code)
        assert normalise(typed) == code.replace("-", "")


@given(keys, st.integers(1, 38))
def test_a_part_of_a_code_is_not_the_code(key: bytes, length: int) -> None:
    code = fingerprint(key)

    assert not same_fingerprint(code[:length], code)
    assert not same_fingerprint(code, code[:length])
    assert not same_fingerprint(code[:length], code[:length])


@pytest.mark.parametrize("text", ["", "-", " ", "0" * 32, "a" * 31, "a" * 33, "ä" * 32, "a" * 32 + "\0"])
def test_what_is_no_code_equals_nothing(text: str) -> None:
    assert not is_fingerprint(text)
    assert not same_fingerprint(text, text)


@given(st.text(), st.text())
def test_any_text_may_be_compared(one: str, other: str) -> None:
    assert same_fingerprint(one, other) == (is_fingerprint(one) and normalise(one) == normalise(other))
