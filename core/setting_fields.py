"""What one field of a settings class takes, and how a text, a node of YAML or a typed value becomes it.

A field is described as the parameter of a function would be, so a word means the same in a file, in a variable and on a
command line (``core/argument_kinds.py``).
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from .argument_kinds import UnfitError, check_value, coerce_word, expected_text
from .dataclass import dataclass, fields, replace
from .function_spec import Parameter
from .values import Value
from .yaml_tree import Items, Node, Word, plain_value, read_yaml

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

METADATA_KEY = "fleet.setting"
_KINDS: Mapping[object, str] = MappingProxyType({str: "str", int: "int", float: "float", bool: "bool"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What ``setting()`` says about a field besides its type and default.

    Attributes:
        help: one sentence.
        minimum: the smallest number allowed.
        maximum: the largest number allowed.
        pattern: what a text, or each text of several, must match as a whole.
    """

    help: str
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class SettingField:
    """One field. The three ways in raise UnfitError when something does not fit.

    Attributes:
        parameter: its name and type.
        is_mapping: it takes keys and plain values.
        limits: its range and its help.
    """

    parameter: Parameter
    is_mapping: bool
    limits: Limits

    @property
    def type_text(self) -> str:
        """What it takes, in words, with its range."""
        span = self._range_text()
        return f"{self._expected()}, {span}" if span else self._expected()

    def read_text(self, text: str) -> Value:
        """Read the value of an environment variable; several texts are separated by commas, keys and values are YAML."""
        if self.is_mapping:
            node = read_yaml(text)
            if node is None:
                raise UnfitError(self._expected())
            return self.read_node(node)
        if self.parameter.kind == "list[str]" and text.startswith("["):
            return self._limited(text.split(","))  # [::1]:4607 is an address and not the start of a JSON array
        return self._limited(coerce_word(self.parameter, text))

    def read_node(self, node: Node) -> Value:
        """Read a node of YAML: words without quotes are coerced, all else must have the type."""
        if isinstance(node, Word) and node.is_null:
            return self.check(None)
        if self.parameter.kind == "list[str]":
            return self._limited(self._read_texts(node))
        if isinstance(node, Word) and node.is_plain and not self.is_mapping:
            return self._limited(coerce_word(self.parameter, node.text))
        return self.check(plain_value(node))

    def check(self, value: Value) -> Value:
        """Check a typed value; a single text stands for several where several are taken."""
        if self.is_mapping and not isinstance(value, Mapping) and not (value is None and self.parameter.optional):
            raise UnfitError(self._expected())
        if self.parameter.kind == "list[str]" and isinstance(value, str):
            value = [value]
        return self._limited(check_value(self.parameter, value))

    def _read_texts(self, node: Node) -> Value:
        """Take one text, or a sequence of them, as they were written: ``[1.10, no]`` are two texts."""
        words = node.items if isinstance(node, Items) else (node,)
        texts = [word.text for word in words if isinstance(word, Word) and not word.is_null]
        if len(texts) < len(words):
            raise UnfitError(self._expected())
        return texts

    def _limited(self, value: Value) -> Value:
        if isinstance(value, int | float) and not isinstance(value, bool):
            low, high = self.limits.minimum, self.limits.maximum
            if (low is not None and value < low) or (high is not None and value > high):
                raise UnfitError(self._range_text())
        if self.limits.pattern:
            for text in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
                if not re.fullmatch(self.limits.pattern, str(text)):
                    raise UnfitError(f"text that matches {self.limits.pattern}")
        return tuple(value) if isinstance(value, list) else value

    def _expected(self) -> str:
        if not self.is_mapping:
            return expected_text(self.parameter)
        return "keys and values, or null" if self.parameter.optional else "keys and values"

    def _range_text(self) -> str:
        low, high = self.limits.minimum, self.limits.maximum
        if low is not None and high is not None:
            return f"{low} to {high}"
        if low is not None:
            return f"{low} or more"
        return f"{high} or less" if high is not None else ""


def fields_of(cls: "type[DataclassInstance]") -> dict[str, SettingField]:
    """List the fields of a settings class by name, in order.

    Raises:
        TypeError: a field is not made with ``setting()`` or has a type that no setting can have: a bug of the author.
    """
    found: dict[str, SettingField] = {}
    for each in fields(cls):
        limits = each.metadata.get(METADATA_KEY)
        if not isinstance(limits, Limits):
            raise TypeError(f"{cls.__name__}.{each.name} is not made with setting()")
        found[each.name] = _field_of(each.name, each.type, limits)
    return found


def _field_of(name: str, annotation: object, limits: Limits) -> SettingField:
    members = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        parameter = Parameter(name, "choice", required=False, choices=members, help=limits.help)
        return SettingField(parameter, is_mapping=False, limits=limits)
    if type(None) in members and len(members) == 2:
        inner = _field_of(name, next(member for member in members if member is not type(None)), limits)
        return replace(inner, parameter=replace(inner.parameter, optional=True))
    if origin is dict and members[0] is str:
        return SettingField(Parameter(name, "value", required=False, help=limits.help), is_mapping=True, limits=limits)
    kind = "list[str]" if origin is tuple and members == (str, ...) else _KINDS.get(annotation, "")
    if not kind:
        raise TypeError(f"{name} is annotated {annotation!r}, which no setting can have")
    return SettingField(Parameter(name, kind, required=False, help=limits.help), is_mapping=False, limits=limits)
