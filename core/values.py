"""The plain values that travel: what a function may take from the wire and give back."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TypeAlias

from .dataclass import fields, is_dataclass

Value: TypeAlias = bool | int | float | str | bytes | Sequence["Value"] | Mapping[str, "Value"] | None

_INTEGER_LIMIT = 2**63
_DEPTH_LIMIT = 32


def plain(value: object, depth: int = 0) -> Value:
    """Turn what a function returned into a plain value.

    Frozen dataclasses become dictionaries, enumerations their value, tuples and sets lists.

    Raises:
        TypeError: the value, or something in it, has no plain form; the message names its type. Also for
            more than 32 levels, an integer beyond 64 bits, or a key that is no text.
    """
    if depth > _DEPTH_LIMIT:
        raise TypeError(f"a value nested deeper than {_DEPTH_LIMIT} levels cannot travel")
    if isinstance(value, Enum):
        return plain(value.value, depth)
    if isinstance(value, int) and not isinstance(value, bool):
        if not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
            raise TypeError("an integer beyond 64 bits cannot travel")
        return int(value)
    if isinstance(value, str):
        return _without_lone_surrogates(value)
    if value is None or isinstance(value, bool | float | bytes):
        return value
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, set | frozenset):
        return [plain(item, depth + 1) for item in sorted(value, key=repr)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"a key of type {type(key).__name__} cannot travel: keys are text")
        return {_without_lone_surrogates(key): plain(item, depth + 1) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), depth + 1) for field in fields(value)}
    raise TypeError(f"a value of type {type(value).__name__} cannot travel")


def _without_lone_surrogates(text: str) -> str:
    """Give text that UTF-8 can carry: file names and command lines of others may hold bytes that are no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
    return text
