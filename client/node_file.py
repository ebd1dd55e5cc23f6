"""A node file names the minions of a run, one a line; it is read line by line and never held, however long it is.

::

    # plain: an id a line; blank lines, and what follows "#", do not count
    web-1
    web-2     # behind the balancer
    "db-1"
    {"minion": "db-2", "state": "up"}

The last two lines are JSON: a text, or an object whose ``minion`` is the id. So what ``fleet minions --out jsonl`` prints is a node
file, and what ``fleet TARGET FUNCTION --out jsonl`` prints is one too, but for its last line, the summary, which does not count.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO

from ..core.dataclass import dataclass
from ..core.errors import UsageError
from ..core.excerpt import shorten
from ..core.names import MinionId, is_minion_id

#: What the option says for this command's own stdin.
OWN_STDIN = "-"
#: A result with its output may stand in a line; a longer one is no node file, and ``/dev/zero`` is a single line without an end.
LINE_LIMIT_BYTES = 1024 * 1024
#: So many of the names that nobody has are told; the others are counted.
TOLD_LIMIT = 5

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NO_SUCH_NAME = "name a file that can be read, or - for this command's own stdin; nothing was run"
_FORMAT = 'a line holds a minion id, or as JSON "ID" or {"minion": "ID"}, and # begins a comment; nothing was run'


@dataclass(frozen=True, slots=True)
class NodeChoice:
    """Which of the minions that there are a node file names.

    Attributes:
        minions: those, each once.
        named: how many names the file has; one that stands there twice counts twice.
        unknown: how many of them no accepted key has.
        told: the first few of those, each once.
        has_untold: there are others beside these few.
    """

    minions: frozenset[MinionId]
    named: int
    unknown: int = 0
    told: tuple[MinionId, ...] = ()
    has_untold: bool = False

    @property
    def told_names(self) -> str:
        """The first few of those that no accepted key has, as a message names them."""
        return ", ".join((*self.told, *("…" for _ in range(self.has_untold))))


def choose_nodes(names: Iterable[MinionId], accepted: Iterable[MinionId]) -> NodeChoice:
    """Choose the minions that are named and have an accepted key, and count the names that no accepted key has.

    What is kept grows with the minions that there are, not with the names.
    """
    known = frozenset(accepted)
    chosen: set[MinionId] = set()
    told: list[MinionId] = []
    named = unknown = 0
    has_untold = False
    for name in names:
        named += 1
        if name in known:
            chosen.add(name)
            continue
        unknown += 1
        if name in told:
            continue
        if len(told) < TOLD_LIMIT:
            told.append(name)
        else:
            has_untold = True
    return NodeChoice(frozenset(chosen), named, unknown, tuple(told), has_untold)


def source_name(path: str) -> str:
    """How messages call a node file."""
    return "this command's own stdin" if path == OWN_STDIN else shorten(path, 200)


@contextmanager
def open_nodes(path: str) -> Iterator[Iterator[MinionId]]:
    """Open a node file; gives the names in it, which are read as they are asked for.

    Raises:
        UsageError: it cannot be read, or later, with the number of the line, that it is no node file.
    """
    source = source_name(path)
    if path == OWN_STDIN:
        if sys.stdin is None:
            raise UsageError("this command's own stdin is closed, so no node can be read from it", _NO_SUCH_NAME)
        yield read_names(_lines(sys.stdin.buffer, source), source)
        return
    try:
        file = open(path, "rb")  # noqa: SIM115 -- closed below; an error of whoever reads the names is none of opening it
    except (OSError, ValueError) as problem:
        raise _unreadable(source, problem) from problem
    with closing(file):
        yield read_names(_lines(file, source), source)


def read_names(lines: Iterable[bytes], source: str) -> Iterator[MinionId]:
    """Read the names in the lines of a node file; none is read ahead.

    Args:
        lines: with their line ends, or cut after ``LINE_LIMIT_BYTES`` and one more.
        source: what messages call the file.

    Raises:
        UsageError: a line is no line of a node file, with its number and what was expected.
    """
    for number, line in enumerate(lines, 1):
        try:
            name = _read_line(line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line)
        except ValueError as problem:
            raise UsageError(f"line {number:,} of {source} {problem}", _FORMAT) from problem
        if name is not None:
            yield name


def _lines(file: BinaryIO, source: str) -> Iterator[bytes]:
    while True:
        try:
            line = file.readline(LINE_LIMIT_BYTES + 1)
        except OSError as problem:
            raise _unreadable(source, problem) from problem
        if not line:
            return
        yield line


def _unreadable(source: str, problem: OSError | ValueError) -> UsageError:
    # A name with a NUL in it is refused with a ValueError.
    reason = os.strerror(problem.errno).lower() if isinstance(problem, OSError) and problem.errno else str(problem)
    return UsageError(f"the node file {source} cannot be read: {reason}", _NO_SUCH_NAME)


def _read_line(line: bytes) -> MinionId | None:
    """Read one line; None when it names nobody.

    Raises:
        ValueError: it is no line of a node file; the message goes on after "line 7".
    """
    if len(line) > LINE_LIMIT_BYTES:
        raise ValueError(f"has more than {LINE_LIMIT_BYTES:,} bytes")
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("is no text in UTF-8") from None
    if "\0" in text:
        raise ValueError("is no text: it has a zero byte")
    if text.startswith(("{", '"')):
        return _read_json(text)
    name = text.partition("#")[0].rstrip()
    return _checked(name) if name else None


def _read_json(text: str) -> MinionId | None:
    import json

    try:
        value = json.loads(text)
    # A document may be nested deeper than Python reads.
    except (ValueError, RecursionError):
        raise ValueError(f"is no JSON, although it begins as such: {shorten(text)}") from None
    if isinstance(value, dict):
        if set(value) == {"summary"}:
            return None
        if "minion" not in value:
            raise ValueError(f'is an object without "minion": {shorten(text)}')
        value = value["minion"]
    return _checked(value)


def _checked(name: object) -> MinionId:
    if not (isinstance(name, str) and is_minion_id(name)):
        raise ValueError(f"is no minion id: {shorten(name)}")
    return MinionId(name)
