"""Typed data ↔ JSON, for the files that a daemon and its supervisors exchange.

JSON because a supervisor must stay small: msgpack and the codec behind it cost more memory than the rest of it. Bytes have no
form in JSON, so values are tagged: ``{"bytes": base64}`` and ``{"map": {…}}``; everything else is itself.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping

from ..core.errors import StateError
from ..core.outcome import Outcome, OutcomeKind
from ..core.values import Value


class Fields:
    """A JSON object that was read, whose fields are asked for by name and type.

    Args:
        data: the bytes of the object.
        source: where they come from, for messages.

    Every method raises StateError when the field is missing or has another type.
    """

    def __init__(self, data: bytes | Mapping[str, object], source: str) -> None:
        self._source = source
        raw: object = data
        if isinstance(data, bytes):
            try:
                raw = json.loads(data)
            except (ValueError, RecursionError) as problem:
                raise StateError(f"{source} is damaged: {problem}") from problem
        if not isinstance(raw, Mapping):
            raise StateError(f"{source} is damaged: it holds no object")
        self._raw: Mapping[str, object] = raw

    def text(self, name: str) -> str:
        """A text."""
        found = self._raw.get(name)
        if not isinstance(found, str):
            raise self._damaged(name)
        return found

    def integer(self, name: str) -> int:
        """A whole number."""
        found = self._raw.get(name)
        if not isinstance(found, int) or isinstance(found, bool):
            raise self._damaged(name)
        return found

    def optional_integer(self, name: str) -> int | None:
        """A whole number, or null."""
        return None if self._raw.get(name) is None else self.integer(name)

    def real(self, name: str) -> float:
        """A number."""
        found = self._raw.get(name)
        if not isinstance(found, int | float) or isinstance(found, bool):
            raise self._damaged(name)
        return float(found)

    def flag(self, name: str) -> bool:
        """True or false."""
        found = self._raw.get(name)
        if not isinstance(found, bool):
            raise self._damaged(name)
        return found

    def items(self, name: str) -> list[object]:
        """A list."""
        found = self._raw.get(name)
        if not isinstance(found, list):
            raise self._damaged(name)
        return found

    def integers(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers."""
        found = self.items(name)
        numbers = tuple(item for item in found if isinstance(item, int) and not isinstance(item, bool))
        if len(numbers) != len(found):
            raise self._damaged(name)
        return numbers

    def nested(self, name: str) -> "Fields":
        """An object."""
        return Fields(self._object(self._raw.get(name), name), f"{name} in {self._source}")

    def optional_nested(self, name: str) -> "Fields | None":
        """An object, or null."""
        return None if self._raw.get(name) is None else self.nested(name)

    def nested_items(self, name: str) -> "list[Fields]":
        """A list of objects."""
        return [Fields(self._object(item, name), f"{name} in {self._source}") for item in self.items(name)]

    def value(self, name: str) -> Value:
        """A plain value."""
        try:
            return _value_from_json(self._raw[name])
        except (KeyError, TypeError, ValueError):
            raise self._damaged(name) from None

    def values(self, name: str) -> tuple[Value, ...]:
        """A list of plain values."""
        try:
            return tuple(_value_from_json(item) for item in self.items(name))
        except (TypeError, ValueError):
            raise self._damaged(name) from None

    def mapping(self, name: str) -> Mapping[str, Value]:
        """Plain values by name."""
        found = self.value(name)
        if not isinstance(found, Mapping):
            raise self._damaged(name)
        return found

    def _object(self, found: object, name: str) -> Mapping[str, object]:
        if not isinstance(found, Mapping):
            raise self._damaged(name)
        return found

    def _damaged(self, name: str) -> StateError:
        return StateError(f"{self._source} is damaged: {name!r} is missing or of another type")


def write_json(fields: Mapping[str, object]) -> bytes:
    """Write an object on one line, without the newline."""
    return json.dumps(fields, separators=(",", ":")).encode()


def value_to_json(value: Value) -> object:
    """Give a plain value its tagged form."""
    if isinstance(value, bytes):
        return {"bytes": b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {"map": {key: value_to_json(item) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return [value_to_json(item) for item in value]
    return value


def _value_from_json(raw: object) -> Value:
    if isinstance(raw, list):
        return [_value_from_json(item) for item in raw]
    if isinstance(raw, Mapping):
        ((tag, content),) = raw.items()
        if tag == "bytes" and isinstance(content, str):
            return b64decode(content, validate=True)
        if tag == "map" and isinstance(content, Mapping):
            return {str(key): _value_from_json(item) for key, item in content.items()}
        raise ValueError(f"{tag!r} is no tag")
    if raw is None or isinstance(raw, bool | int | float | str):
        return raw
    raise TypeError(type(raw).__name__)


def outcome_to_json(outcome: Outcome) -> Mapping[str, object]:
    """Write an outcome without its value, which lies encoded in a file of its own."""
    return {
        "kind": str(outcome.kind),
        "message": outcome.message,
        "has_value": outcome.has_value,
        "value_from": outcome.value_from,
        "retcode": outcome.retcode,
        "traceback": outcome.traceback,
    }


def outcome_from_json(fields: Fields) -> Outcome:
    """Read an outcome, without its value.

    Raises:
        StateError: it is none.
    """
    try:
        kind = OutcomeKind(fields.text("kind"))
    except ValueError as problem:
        raise StateError(f"an outcome is damaged: {problem}") from problem
    return Outcome(
        kind=kind,
        message=fields.text("message"),
        has_value=fields.flag("has_value"),
        value_from=fields.text("value_from"),
        retcode=fields.optional_integer("retcode"),
        traceback=fields.text("traceback"),
    )
