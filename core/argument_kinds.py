"""One word, or one typed value, for one parameter: what it becomes, or why it does not fit.

=============  =====================================================  =======================================
kind           a word of the command line                             a typed value
=============  =====================================================  =======================================
str            as it is written: ``1.10``, ``yes``, ``007``           text
int            decimal digits, no leading zero, 64 bits: ``-12``      a whole number
float          a finite decimal number: ``1``, ``2.5``, ``1e3``       a finite number (1 becomes 1.0)
bool           ``true`` or ``false`` (or ``True``, ``False``)         a boolean
bytes          UTF-8 of the word                                      bytes
list[…]        comma separated, or a JSON array                       a list of fitting values
dict[str,str]  ``k=v,k=v``, or a JSON object                          a mapping from text to text
value          JSON where it is JSON, else text                       any plain value
choice         one of the choices                                     one of the choices
=============  =====================================================  =======================================

``null`` is None where None is allowed. A repeated key, NaN, infinity and whole numbers beyond 64 bits are no JSON here, so a
jid given to a ``value`` stays text. Nothing else is guessed: there is no YAML in it.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from math import isfinite
from typing import TypeVar

from .function_spec import Parameter
from .values import Value, plain

_Input = TypeVar("_Input")

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_INTEGER_LIMIT = 2**63
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}
_EXPECTED = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "bytes": "bytes",
    "list[str]": "a list of texts",
    "list[int]": "a list of whole numbers",
    "list[float]": "a list of numbers",
    "dict[str,str]": "a mapping from text to text",
    "value": "a plain value",
}


class UnfitError(Exception):
    """A word or value does not fit a parameter; ``core/arguments.py`` turns it into a message with the function's name.

    Attributes:
        expected: what would fit.
        reason: what exactly is wrong, where that is not plain from ``expected``.
    """

    def __init__(self, expected: str, reason: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.reason = reason


def expected_text(parameter: Parameter) -> str:
    """Say in words what fits a parameter: ``a whole number, or null``."""
    text = f"one of {', '.join(parameter.choices)}" if parameter.kind == "choice" else _EXPECTED.get(parameter.kind, "")
    # A signature may come from a minion of a newer release.
    text = text or f"a {parameter.kind}, which this release does not know"
    return f"{text}, or null" if parameter.optional and parameter.kind != "value" else text


def coerce_word(parameter: Parameter, word: str) -> Value:
    """Turn a word of the command line into what the parameter takes.

    Raises:
        UnfitError: it does not fit.
    """
    if parameter.optional and word == "null":
        return None
    if parameter.kind == "choice":
        return _choice(parameter, word)
    return _apply(parameter, _FROM_WORD.get(parameter.kind), word)


def check_value(parameter: Parameter, value: Value) -> Value:
    """Check that a typed value is what the parameter takes; nothing is coerced but a whole number to a float.

    Raises:
        UnfitError: it does not fit.
    """
    if value is None and parameter.optional:
        return None
    if parameter.kind == "choice":
        return _choice(parameter, value)
    return _apply(parameter, _CHECKED.get(parameter.kind), value)


def _apply(parameter: Parameter, step: Callable[[_Input], Value] | None, given: _Input) -> Value:
    if step is None:
        raise UnfitError(expected_text(parameter))
    try:
        return step(given)
    except (ValueError, TypeError, RecursionError) as problem:
        raise UnfitError(expected_text(parameter), str(problem)) from problem


def _choice(parameter: Parameter, value: Value) -> str:
    if isinstance(value, str) and value in parameter.choices:
        return value
    raise UnfitError(expected_text(parameter))


def _text(word: str) -> str:
    return word


def _whole(word: str) -> int:
    if not _WHOLE.fullmatch(word):
        raise ValueError("write 7 for 007" if word.startswith("0") and word.isdecimal() else "")
    return _checked_whole(int(word))


def _number(word: str) -> float:
    if not _NUMBER.fullmatch(word):
        raise ValueError
    return _checked_number(float(word))


def _boolean(word: str) -> bool:
    if word not in _BOOLEANS:
        raise ValueError
    return _BOOLEANS[word]


def _utf8(word: str) -> bytes:
    # Bytes of the command line that are no UTF-8 arrive as surrogates, and leave as the bytes that they were.
    return word.encode("utf-8", "surrogateescape")


def _list_from_word(element: str, word: str) -> list[Value]:
    if word.startswith("["):
        return _checked_list(element, _json(word))
    return [_FROM_WORD[element](part) for part in word.split(",")] if word else []


def _texts_by_name(word: str) -> dict[str, str]:
    if word.startswith("{"):
        return _checked_texts_by_name(_json(word))
    found: dict[str, str] = {}
    for pair in word.split(",") if word else []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"{pair[:40]!r} is no key=value; write values with commas as a JSON object")
        if key in found:
            raise ValueError(f"{key[:40]!r} is given twice")
        found[key] = value
    return found


def _json_or_text(word: str) -> Value:
    try:
        return plain(_json(word))
    except ValueError:
        return plain(word)


def _json(word: str) -> Value:
    """Read JSON, without the parts that Python adds to it."""
    import json

    def refuse(word: str) -> Value:
        raise ValueError(f"{word} is no number")

    def read_number(word: str) -> float:
        return _checked_number(float(word))

    def read_whole(word: str) -> int:
        return _checked_whole(int(word))

    def read_object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key of the JSON object is given twice")
        return found

    value: Value = json.loads(
        word, parse_constant=refuse, parse_float=read_number, parse_int=read_whole, object_pairs_hook=read_object
    )
    return value


def _checked_text(value: Value) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _checked_whole(value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    if not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
        raise ValueError("64 bits are the limit")
    return value


def _checked_number(value: Value) -> float:
    number = value if isinstance(value, float) else float(_checked_whole(value))
    if not isfinite(number):
        raise ValueError("it is not finite")
    return number


def _checked_boolean(value: Value) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _checked_bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError
    return value


def _checked_list(element: str, value: Value) -> list[Value]:
    if not isinstance(value, list | tuple):
        raise TypeError
    return [_CHECKED[element](item) for item in value]


def _checked_texts_by_name(value: Value) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError
    return {_checked_text(key): _checked_text(item) for key, item in value.items()}


_FROM_WORD: dict[str, Callable[[str], Value]] = {
    "str": _text,
    "int": _whole,
    "float": _number,
    "bool": _boolean,
    "bytes": _utf8,
    "list[str]": partial(_list_from_word, "str"),
    "list[int]": partial(_list_from_word, "int"),
    "list[float]": partial(_list_from_word, "float"),
    "dict[str,str]": _texts_by_name,
    "value": _json_or_text,
}
_CHECKED: dict[str, Callable[[Value], Value]] = {
    "str": _checked_text,
    "int": _checked_whole,
    "float": _checked_number,
    "bool": _checked_boolean,
    "bytes": _checked_bytes,
    "list[str]": partial(_checked_list, "str"),
    "list[int]": partial(_checked_list, "int"),
    "list[float]": partial(_checked_list, "float"),
    "dict[str,str]": _checked_texts_by_name,
    "value": plain,
}
