"""Grains by name, and what is inside of them by a path: ``ip4_interfaces:lo:0``."""

from collections.abc import Mapping, Sequence

from .values import Value


def find_grain(grains: Mapping[str, Value], key: str, delimiter: str = ":") -> tuple[Value, ...]:
    """Find a grain or a member of one: a tuple of its value, empty when there is none.

    A grain whose whole name is the key comes first. Members of mappings are found by name, those of lists by number.
    """
    if key in grains:
        return (grains[key],)
    node: Value = grains
    for part in key.split(delimiter):
        if isinstance(node, Mapping) and part in node:
            node = node[part]
        elif isinstance(node, Sequence) and not isinstance(node, str | bytes) and _is_index(part, len(node)):
            node = node[int(part)]
        else:
            return ()
    return (node,)


def _is_index(text: str, length: int) -> bool:
    return text.isdecimal() and len(text) < 10 and int(text) < length
