"""YAML as a tree of what was written, without YAML's guessing: the only reader of configuration files.

Only the parser of PyYAML is used, never its constructors, so no tag builds anything. Refused are tags (``!!python/…`` runs
code elsewhere), aliases (nine lines of them grow to gigabytes), repeated keys, a second document, and more than 32 levels.

A word keeps its spelling until somebody asks for a type: ``no`` is not False, ``1.10`` is not 1.1, ``0644`` is not 420,
``12:30`` is not 750, and ``2026-11-20`` is no date.
"""

from typing import TYPE_CHECKING, TypeAlias

from .dataclass import dataclass
from .errors import SettingsError
from .excerpt import shorten, visible
from .values import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml.events import Event

DEPTH_LIMIT = 32
_NULLS = ("", "~", "null", "Null", "NULL")
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}


@dataclass(frozen=True, slots=True)
class Word:
    """A scalar as it was written.

    Attributes:
        text: the characters, without quotes.
        is_plain: it stood without quotes, so it may mean a number, a boolean or nothing.
        line: where, counted from 1.
    """

    text: str
    is_plain: bool
    line: int

    @property
    def is_null(self) -> bool:
        """Whether nothing stands here, or ``null``."""
        return self.is_plain and self.text in _NULLS


@dataclass(frozen=True, slots=True)
class Items:
    """A sequence."""

    items: tuple["Node", ...]
    line: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping, with the line of the key."""

    key: str
    value: "Node"
    line: int


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping; each key stands in it once."""

    entries: tuple[Entry, ...]
    line: int


Node: TypeAlias = Word | Items | Entries


def read_yaml(text: str) -> Node | None:
    """Read one YAML document; None when there is nothing in it but comments.

    Raises:
        SettingsError: it is no YAML, or has something in it that is refused; the message starts with line and column.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Reader(yaml.parse(text, Loader=loader)).read_document()
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise SettingsError(f"{place}{visible(str(problem.problem or problem.context))}") from problem
    except (yaml.YAMLError, UnicodeError) as problem:
        raise SettingsError(f"no YAML: {visible(str(problem).partition(chr(10))[0])}") from problem


def plain_value(node: Node) -> Value:
    """Give a node the value that its spelling stands for, where nothing of the spelling is lost by it.

    ``4`` and ``2.5`` are numbers, ``true`` and ``false`` booleans, ``null`` is None; ``1.10``, ``007`` and ``yes`` are text.
    """
    match node:
        case Entries(entries):
            return {entry.key: plain_value(entry.value) for entry in entries}
        case Items(items):
            return [plain_value(item) for item in items]
        case Word(text, is_plain):
            return _plain_word(text) if is_plain else text


def _plain_word(text: str) -> Value:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    # Longer than any number that a float or 64 bits can spell.
    if len(text) <= 25 and text[-1].isdecimal():
        for number_type in (int, float):
            try:
                number = number_type(text)
            except ValueError:
                continue
            if str(number) == text and abs(number) < 2**63:
                return number
    return text


class _Reader:
    """Builds the tree from the events of the parser."""

    def __init__(self, events: "Iterator[Event]") -> None:
        self._events = events

    def read_document(self) -> Node | None:
        import yaml

        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise _error(event, "a second document")
                root = self._read_node(next(self._events), 0)
        return None if isinstance(root, Word) and root.is_null else root

    def _read_node(self, event: "Event", depth: int) -> Node:
        import yaml

        if depth > DEPTH_LIMIT:
            raise _error(event, f"more than {DEPTH_LIMIT} levels")
        if isinstance(event, yaml.AliasEvent):
            raise _error(event, "an alias, which is not allowed here; write the value out")
        if getattr(event, "tag", None) is not None:
            raise _error(event, "a tag, which is not allowed here")
        line, _ = _place(event)
        if isinstance(event, yaml.MappingStartEvent):
            return Entries(tuple(self._read_entries(depth)), line)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                items.append(self._read_node(item, depth + 1))
            return Items(tuple(items), line)
        if not isinstance(event, yaml.ScalarEvent):
            raise _error(event, "no value")
        return Word(event.value, not event.style, line)

    def _read_entries(self, depth: int) -> "Iterator[Entry]":
        import yaml

        seen: set[str] = set()
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._read_node(event, depth + 1)
            if not isinstance(key, Word):
                raise _error(event, "a key that is no text")
            if key.text in seen:
                raise _error(event, f"the key {shorten(key.text)} is given twice")
            seen.add(key.text)
            yield Entry(key.text, self._read_node(next(self._events), depth + 1), key.line)


def _error(event: "Event", problem: str) -> SettingsError:
    line, column = _place(event)
    return SettingsError(f"line {line}, column {column}: {problem}")


def _place(event: "Event") -> tuple[int, int]:
    """Line and column of an event, counted from 1."""
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (0, 0)
