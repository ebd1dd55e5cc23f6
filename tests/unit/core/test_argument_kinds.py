"""One word, or one typed value, for one parameter."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.argument_kinds import UnfitError, check_value, coerce_word, expected_text
from fleet.core.function_spec import KINDS, Parameter
from fleet.core.values import Value


def parameter(kind: str, *, optional: bool = False, choices: tuple[str, ...] = ()) -> Parameter:
    return Parameter("p", kind, required=True, optional=optional, choices=choices)


@pytest.mark.parametrize(
    ("kind", "word", "value"),
    [
        ("str", "1.10", "1.10"),
        ("str", "yes", "yes"),
        ("str", "", ""),
        ("str", "null", "null"),
        ("str", "[1,2]", "[1,2]"),
        ("str", " a ", " a "),
        ("int", "-12", -12),
        ("int", "0", 0),
        ("int", "9223372036854775807", 2**63 - 1),
        ("float", "1", 1.0),
        ("float", "-2.50", -2.5),
        ("float", "1e3", 1000.0),
        ("float", ".5", 0.5),
        ("bool", "true", True),
        ("bool", "False", False),
        ("bytes", "é", b"\xc3\xa9"),
        ("bytes", "\udcff", b"\xff"),
        ("list[str]", "a,b c,1.10", ["a", "b c", "1.10"]),
        ("list[str]", "", []),
        ("list[str]", '["a,b","c"]', ["a,b", "c"]),
        ("list[int]", "1,-2", [1, -2]),
        ("list[int]", "[1, 2]", [1, 2]),
        ("list[float]", "1,2.5", [1.0, 2.5]),
        ("list[float]", "[1, 2.5]", [1.0, 2.5]),
        ("dict[str,str]", "a=1,b=x=y", {"a": "1", "b": "x=y"}),
        ("dict[str,str]", "a=", {"a": ""}),
        ("dict[str,str]", "", {}),
        ("dict[str,str]", '{"a": "1,2"}', {"a": "1,2"}),
        ("value", "1", 1),
        ("value", "null", None),
        ("value", '{"a": [1, 2.5, true]}', {"a": [1, 2.5, True]}),
        ("value", "hello", "hello"),
        ("value", '"1"', "1"),
        ("value", "1.2.3", "1.2.3"),
        ("value", "NaN", "NaN"),
        ("value", "1e999", "1e999"),
        ("value", "20261120221012000042", "20261120221012000042"),
        ("value", '{"a":1,"a":2}', '{"a":1,"a":2}'),
    ],
)
def test_a_word_becomes_what_the_parameter_takes(kind: str, word: str, value: Value) -> None:
    found = coerce_word(parameter(kind), word)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            "int",
            ["", "four", "1.0", "0x10", "1_000", " 1", "1 ", "+1", "007", "-0x1", "٣", "9223372036854775808", "1e3"],
        ),
        ("int", ["9" * 5000, "true", "null"]),
        ("float", ["", "nan", "inf", "-inf", "1_0", "1e999", "0x1p3", " 1", "1,5", "٣", "1e", "."]),
        ("bool", ["yes", "no", "on", "off", "1", "0", "TRUE", "", "t", "null"]),
        ("bytes", ["\ud800"]),
        ("list[str]", ["[1]", "[", '["a"', '["a"] x', "[null]", "[1.10]"]),
        ("list[int]", ["1,", "a", "[1.5]", '["1"]', "[true]", "1, 2", "[99999999999999999999]"]),
        ("list[float]", ["[NaN]", "[1e999]", "nan", "[[1]]"]),
        ("dict[str,str]", ["a", "=1", "a=1,b", "a=1,a=2", '{"a":1}', '{"a":"1","a":"2"}', '{"a"', "a=1,"]),
        ("value", ["[" * 40 + "]" * 40, "[" * 100_000]),
        ("choice", ["Text", "", "all "]),
        ("list[dict]", ["a"]),
        ("uuid", ["a"]),
    ],
)
def test_a_word_that_does_not_fit_is_refused_and_not_guessed(kind: str, words: list[str]) -> None:
    for word in words:
        with pytest.raises(UnfitError) as caught:
            coerce_word(parameter(kind, choices=("text", "all") if kind == "choice" else ()), word)
        assert caught.value.expected, word


def test_null_is_none_only_where_none_is_allowed() -> None:
    for kind in KINDS:
        assert coerce_word(parameter(kind, optional=True), "null") is None
        assert check_value(parameter(kind, optional=True), None) is None
    assert coerce_word(parameter("str"), "null") == "null"
    with pytest.raises(UnfitError):
        check_value(parameter("str"), None)
    assert coerce_word(parameter("choice", optional=True, choices=("a",)), "null") is None


def test_a_leading_zero_is_refused_because_somebody_means_octal() -> None:
    with pytest.raises(UnfitError) as caught:
        coerce_word(parameter("int"), "0644")
    assert "007" in caught.value.reason


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        ("str", "x", "x"),
        ("int", 4, 4),
        ("float", 4, 4.0),
        ("float", 4.5, 4.5),
        ("bool", False, False),
        ("bytes", b"x", b"x"),
        ("list[str]", ("a", "b"), ["a", "b"]),
        ("list[float]", [1, 2.5], [1.0, 2.5]),
        ("dict[str,str]", {"a": "b"}, {"a": "b"}),
        ("value", {"a": (1, None)}, {"a": [1, None]}),
    ],
)
def test_a_typed_value_is_taken_as_it_is(kind: str, value: Value, result: Value) -> None:
    found = check_value(parameter(kind), value)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("str", [1, None, b"x", True, ["a"]]),
        ("int", ["1", 1.0, True, 2**63, -(2**63) - 1]),
        ("float", ["1", True, float("nan"), float("inf"), 2**64]),
        ("bool", ["true", 1, 0, None]),
        ("bytes", ["x", [1]]),
        ("list[str]", ["a", [1], [None], {"a": 1}]),
        ("list[int]", [[True], ["1"], 1]),
        ("dict[str,str]", ["a=1", {"a": 1}, [["a", "b"]]]),
        ("value", [2**64]),
        ("choice", ["x", 1, None]),
        ("uuid", ["x"]),
    ],
)
def test_a_typed_value_of_another_type_is_refused(kind: str, values: list[Value]) -> None:
    for value in values:
        with pytest.raises(UnfitError):
            check_value(parameter(kind, choices=("a",) if kind == "choice" else ()), value)


def test_what_fits_is_said_in_words() -> None:
    assert expected_text(parameter("int")) == "a whole number"
    assert expected_text(parameter("int", optional=True)) == "a whole number, or null"
    assert expected_text(parameter("choice", choices=("a", "b"))) == "one of a, b"
    assert "does not know" in expected_text(parameter("uuid"))
    for kind in KINDS:
        assert "does not know" not in expected_text(parameter(kind))


whole_numbers = st.integers(-(2**63), 2**63 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
plain_values: st.SearchStrategy[Value] = st.recursive(
    st.one_of(st.none(), st.booleans(), whole_numbers, finite, st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=10,
)


@given(st.text())
def test_text_stays_as_written_whatever_it_is(word: str) -> None:
    assert coerce_word(parameter("str"), word) == word


@given(whole_numbers, finite, st.booleans())
def test_what_python_writes_is_read_back(whole: int, number: float, flag: bool) -> None:
    assert coerce_word(parameter("int"), str(whole)) == whole
    assert coerce_word(parameter("float"), repr(number)) == number
    assert coerce_word(parameter("bool"), str(flag)) is flag


@given(st.lists(st.text()), st.lists(whole_numbers), st.dictionaries(st.text(), st.text()), plain_values)
def test_json_is_read_back(texts: list[str], numbers: list[int], by_name: dict[str, str], value: Value) -> None:
    assert coerce_word(parameter("list[str]"), json.dumps(texts)) == texts
    assert coerce_word(parameter("list[int]"), json.dumps(numbers)) == numbers
    assert coerce_word(parameter("dict[str,str]"), json.dumps(by_name)) == by_name
    assert coerce_word(parameter("value"), json.dumps(value)) == value


@given(st.sampled_from(KINDS), st.text(alphabet='0123456789.-+eEtrufalsn[]{}",:=_ \x00é\ud800'), st.booleans())
def test_what_a_word_becomes_fits_as_a_typed_value_too(kind: str, word: str, optional: bool) -> None:
    wanted = parameter(kind, optional=optional)
    try:
        value = coerce_word(wanted, word)
    except UnfitError:
        return
    assert check_value(wanted, value) == value
