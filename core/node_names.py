"""Many names written short, and back: ``web-[01-12],db-1`` stands for thirteen minion ids.

::

    names  = [name *((","|space) name)]
    name   = 1*(text | "[" range *("," range) "]")
    range  = digits | digits "-" digits          zero padding counts: [01-12] is 01 02 … 12, [1-12] is 1 2 … 12

The names are minion ids, so they hold neither brackets nor commas nor spaces.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import product
from math import prod
from typing import NamedTuple

from .errors import ArgumentError, TargetError
from .excerpt import point_at, shorten
from .names import MINION_ID_LIMIT_CHARACTERS, MinionId, check_minion_id

#: ``[1-9999999999]`` is a slip of the finger: it must end in a message and not in a full memory.
NAMES_LIMIT = 100_000

_DIGITS = re.compile(r"([0-9]+)")
_SEPARATORS = re.compile(r"[\s,]*")
_NAME = re.compile(r"(?:[^\s,\[\]]|\[[^\[\]]*\])+")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")


class _Range(NamedTuple):
    first: int
    last: int
    width: int


def fold_names(names: Iterable[str]) -> str:
    """Write names short, in natural order: ``web-[01-12],web-[1-3].example.org``.

    Names fold when they differ in one number alone. Where they have several numbers, the one is taken that leaves the
    fewest groups, and of equals the last. Numbers with unequal zero padding stay apart. ``expand_names`` undoes it.
    """
    shapes: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for name in set(names):
        parts = tuple(_DIGITS.split(name))
        shapes.setdefault(parts[0::2], []).append(parts)
    folded = [group for members in shapes.values() for group in _fold_shape(members)]
    return ",".join(text for _, text in sorted(folded))


def natural_key(name: str) -> tuple[str | int, ...]:
    """Return the key that sorts ``web-2`` before ``web-10``."""
    return tuple(int(part) if index % 2 else part for index, part in enumerate(_DIGITS.split(name)))


def _fold_shape(members: list[tuple[str, ...]]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Fold names that differ in their digits alone; yields each group with its place in the order."""
    if len(members) == 1:
        name = "".join(members[0])
        yield natural_key(name), name
        return

    def rests_without(position: int) -> int:
        return len({parts[:position] + parts[position + 1 :] for parts in members})

    chosen = min(range(len(members[0]) - 2, 0, -2), key=rests_without)
    groups: dict[tuple[str, str], list[str]] = {}
    for parts in members:
        ends = "".join(parts[:chosen]), "".join(parts[chosen + 1 :])
        groups.setdefault(ends, []).append(parts[chosen])
    for (before, after), digits in groups.items():
        for first, numbers in _fold_numbers(digits):
            yield natural_key(f"{before}{first}{after}"), f"{before}{numbers}{after}"


def _fold_numbers(digits: list[str]) -> Iterator[tuple[str, str]]:
    """Fold numbers, one group a zero padding; yields the first number and the text of all."""
    padded_widths = {len(text) for text in digits if len(text) > 1 and text.startswith("0")}
    by_width: dict[int, list[int]] = {}
    for text in digits:
        by_width.setdefault(len(text) if len(text) in padded_widths else 1, []).append(int(text))
    for width, numbers in by_width.items():
        runs: list[tuple[int, int]] = []
        for number in sorted(numbers):
            if runs and number == runs[-1][1] + 1:
                runs[-1] = (runs[-1][0], number)
            else:
                runs.append((number, number))
        texts = [f"{a:0{width}d}" if a == b else f"{a:0{width}d}-{b:0{width}d}" for a, b in runs]
        body = ",".join(texts)
        yield f"{runs[0][0]:0{width}d}", body if len(numbers) == 1 else f"[{body}]"


def expand_names(text: str, limit: int = NAMES_LIMIT) -> tuple[MinionId, ...]:
    """Read names that are separated by commas or spaces, with ranges in brackets; sorted, each once.

    Raises:
        TargetError: a bracket or range cannot be read, a name is no minion id, or there are more than ``limit`` names
            (counted before anything is expanded). The message points at the place.
    """
    found: set[MinionId] = set()
    budget = limit
    position = _skip_separators(text, 0)
    while position < len(text):
        matched = _NAME.match(text, position)
        if matched is None or text[matched.end() : matched.end() + 1] in ("[", "]"):
            place = position if matched is None else matched.end()
            raise TargetError(f"a bracket without its partner, {point_at(text, place)}", "a range reads web[01-12]")
        pieces = _BRACKETS.split(matched[0])
        ranges = [_read_ranges(text, position, body) for body in pieces[1::2]]
        count = prod(sum(last - first + 1 for first, last, _ in body) for body in ranges)
        if count > budget:
            problem = f"too many names, {NAMES_LIMIT:,} is the limit, {point_at(text, position)}"
            raise TargetError(problem, "choose by a glob or a grain")
        budget -= count
        _check_length(text, position, pieces[0::2], ranges)
        found.update(_expand_one(text, position, pieces[0::2], ranges))
        position = _skip_separators(text, matched.end())
    return tuple(sorted(found))


def _skip_separators(text: str, position: int) -> int:
    matched = _SEPARATORS.match(text, position)
    return matched.end() if matched else position


def _read_ranges(text: str, position: int, body: str) -> list[_Range]:
    ranges: list[_Range] = []
    for part in body.split(","):
        matched = _RANGE.fullmatch(part)
        if matched is None or len(part) > 2 * MINION_ID_LIMIT_CHARACTERS:
            problem = f"{shorten(part)} is no range of numbers"
        else:
            first, last = matched[1], matched[2] or matched[1]
            width = len(first)
            if int(last) < int(first):
                problem = f"{shorten(part)} runs backwards"
            elif last != f"{int(last):0{width}d}":
                problem = f"{shorten(part)} is padded with zeros in two ways"
            else:
                ranges.append(_Range(int(first), int(last), width))
                continue
        raise TargetError(f"{problem}, {point_at(text, position)}", "a range reads web[01-12] or web[1,3-5]")
    return ranges


def _check_length(text: str, position: int, literals: list[str], ranges: list[list[_Range]]) -> None:
    """Refuse names too long for an id before 100,000 of them are made."""
    numbers = sum(max(max(len(str(last)), width) for _, last, width in body) for body in ranges)
    if sum(map(len, literals)) + numbers > MINION_ID_LIMIT_CHARACTERS:
        raise TargetError(
            f"a name is longer than a minion id may be, {point_at(text, position)}",
            f"an id has {MINION_ID_LIMIT_CHARACTERS} characters at most",
        )


def _expand_one(text: str, position: int, literals: list[str], ranges: list[list[_Range]]) -> Iterator[MinionId]:
    choices = [
        [f"{number:0{width}d}" for first, last, width in body for number in range(first, last + 1)] for body in ranges
    ]
    for numbers in product(*choices):
        name = literals[0] + "".join(number + literal for number, literal in zip(numbers, literals[1:], strict=True))
        try:
            yield check_minion_id(name)
        except ArgumentError as problem:
            raise TargetError(f"{problem.message}, {point_at(text, position)}", problem.hint) from problem
