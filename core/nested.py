"""A value as indented lines for people: what stands under the name of a minion."""

from collections.abc import Mapping, Sequence

from .values import Value
from .visible import visible, visible_line

_INDENT = "    "


def nested_lines(value: Value) -> list[str]:
    """Write a value as lines: scalars behind their name, lists as ``- item``, dictionaries indented."""
    if isinstance(value, Mapping):
        return [line for key, item in value.items() for line in _named(key, item)] or ["{}"]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [line for item in value for line in _item(item)] or ["[]"]
    return scalar_lines(value)


def scalar_lines(value: Value) -> list[str]:
    """Write a value that holds no others: text line by line, everything else on one."""
    return text_lines(scalar_text(value))


def scalar_text(value: Value) -> str:
    """Write a value that holds no others as text: ``True``, ``1.10``, ``None``; bytes as UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def text_lines(text: str) -> list[str]:
    """Cut a text into lines, control characters made visible; an empty text has none."""
    return visible(text.removesuffix("\n")).split("\n") if text else []


def _named(key: str, item: Value) -> list[str]:
    name = f"{visible_line(key)}:"
    lines = nested_lines(item)
    if _is_container(item) and item:
        return [name, *(_INDENT + line for line in lines)]
    if len(lines) > 1:
        return [name, *(_INDENT + line for line in lines)]
    return [f"{name} {lines[0]}" if lines else name]


def _item(item: Value) -> list[str]:
    first, *rest = nested_lines(item) or [""]
    return [f"- {first}".rstrip(), *(f"  {line}" for line in rest)]


def _is_container(value: Value) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str | bytes))
