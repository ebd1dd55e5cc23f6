"""Target expressions as a tree, and which minions a tree selects; ``core/target_parser.py`` reads and writes the text.

What decides is data and set algebra: no text is evaluated, and every matcher runs in linear time.

A grain answers nothing for a minion that has reported no grains: such a minion is selected neither by ``G@env:prod`` nor
by ``not G@env:prod``. Otherwise "everything but production" would reach the production machine that was accepted a
second ago. (Kleene's three values, where *unknown* selects nothing; De Morgan's laws hold.)
"""

import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache
from itertools import islice
from typing import TypeAlias

from .dataclass import dataclass
from .errors import TargetError
from .excerpt import visible
from .names import MinionId
from .values import Value


class TargetKind(StrEnum):
    """How a target is written; the letter is the option of ``fleet`` that says so."""

    GLOB = "glob"  # no letter
    LIST = "list"  # -L
    GRAIN = "grain"  # -G
    REGEX = "regex"  # -E
    COMPOUND = "compound"  # -C


@dataclass(frozen=True, slots=True)
class Glob:
    """Minions whose whole id fits a pattern of ``*``, ``?``, ``[1-3]`` and ``[!a]``; upper and lower case differ."""

    pattern: str


@dataclass(frozen=True, slots=True)
class IdList:
    """The minions with these ids."""

    ids: frozenset[MinionId]


@dataclass(frozen=True, slots=True)
class GrainGlob:
    """Minions of whose grain ``key`` the value, as text, fits the whole pattern.

    A list fits when one of its elements does. In a dictionary the pattern up to its next ``:`` names the entry that the
    rest must fit; a pattern without ``:`` must fit one of the keys. True and False are these words; None fits nothing.
    """

    key: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Regex:
    """Minions whose whole id matches a regular expression in RE2's syntax."""

    pattern: str


@dataclass(frozen=True, slots=True)
class And:
    """Minions that each of two or more parts selects."""

    parts: tuple["Target", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Minions that one of two or more parts selects."""

    parts: tuple["Target", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Minions that the part does not select, as far as that is known."""

    part: "Target"


Target: TypeAlias = Glob | IdList | GrainGlob | Regex | And | Or | Not
_Matcher: TypeAlias = Callable[[str], object]

#: So much of a grain is compared with a pattern. A minion writes its grains itself, and a vast one must not hold up the master;
#: what the rest of it holds is not known, so neither the grain nor its negation selects the minion.
ELEMENTS_LIMIT = 10_000
#: Of the program that RE2 makes of a regular expression. For one of many times that, its sets run out of memory and fit nothing.
_SET_LIMIT_STEPS = 2_000
_NUMBERS = frozenset({bool, int, float})


def select(target: Target, minions: Mapping[MinionId, Mapping[str, Value]]) -> frozenset[MinionId]:
    """Select from ``minions`` (grains by id; an empty mapping where none were reported) those that the target means."""
    return _narrow(target, frozenset(minions), minions, wanted=True)


def matches(target: Target, minion_id: MinionId, grains: Mapping[str, Value]) -> bool:
    """Tell whether the target selects this one minion."""
    return bool(select(target, {minion_id: grains}))


def explicit_ids(target: Target) -> frozenset[MinionId]:
    """Collect the ids that the target spells out, so that a caller can name those that no minion has.

    Excluded ids count as well: whoever mistypes ``* and not web-9`` should hear of it.
    """
    match target:
        case IdList(ids):
            return ids
        case Glob(pattern):
            return frozenset() if has_wildcard(pattern) else frozenset({MinionId(pattern)})
        case And(parts) | Or(parts):
            return frozenset().union(*(explicit_ids(part) for part in parts))
        case Not(part):
            return explicit_ids(part)
        case GrainGlob() | Regex():
            return frozenset()


def has_wildcard(pattern: str) -> bool:
    """Tell whether a glob may fit more than the one text that it is."""
    return any(character in "*?[" for character in pattern)


def regex_matcher(pattern: str) -> _Matcher:
    """Compile a regular expression for a whole text with RE2, whose time is linear in the text.

    Raises:
        TargetError: RE2 does not take it: a mistake, a back-reference, a look-around, or too large a repetition.
    """
    import re2

    options = re2.Options()
    options.log_errors = False  # it writes to stderr by itself otherwise
    try:
        compiled = re2.compile(pattern, options)
        matcher: _Matcher = compiled.fullmatch
        if compiled.programsize <= _SET_LIMIT_STEPS:
            # A set of one pattern says whether a text fits without making an object of the match: a sixth of the time.
            whole = re2.Set.FullMatchSet(options)
            whole.Add(pattern)
            whole.Compile()
            matcher = whole.Match
    except (re2.error, UnicodeEncodeError) as problem:
        reason = problem.args[0]
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else "it is not text"
        raise TargetError(
            f"the regular expression cannot be read: {visible(text)}",
            "the syntax is RE2's (github.com/google/re2/wiki/Syntax), without back-references and look-around",
        ) from problem
    return matcher


def _narrow(
    target: Target,
    candidates: frozenset[MinionId],
    minions: Mapping[MinionId, Mapping[str, Value]],
    *,
    wanted: bool,
) -> frozenset[MinionId]:
    """Keep the candidates for which it is known that the target selects them (``wanted``) or that it does not."""
    match target:
        case Not(part):
            return _narrow(part, candidates, minions, wanted=not wanted)
        case And(parts) | Or(parts):
            if isinstance(target, And) == wanted:
                for part in parts:
                    candidates = _narrow(part, candidates, minions, wanted=wanted)
                return candidates
            found: frozenset[MinionId] = frozenset()
            for part in parts:
                found |= _narrow(part, candidates - found, minions, wanted=wanted)
            return found
        case GrainGlob(key, pattern):
            fits = _GrainPattern(pattern).fits
            return frozenset(
                minion for minion in candidates if (grains := minions[minion]) and fits(grains.get(key)) == wanted
            )
        case Glob() | IdList() | Regex():
            fitting = _fitting_ids(target, candidates)
            return fitting if wanted else candidates - fitting


def _fitting_ids(target: Glob | IdList | Regex, candidates: frozenset[MinionId]) -> frozenset[MinionId]:
    match target:
        case IdList(ids):
            return candidates & ids
        case Glob("*"):
            return candidates
        case Glob(pattern) if not has_wildcard(pattern):
            return candidates & {MinionId(pattern)}
        case Glob(pattern):
            return frozenset(filter(_glob_matcher(pattern), candidates))
        case Regex(pattern):
            return frozenset(filter(regex_matcher(pattern), candidates))


# Once for each pattern, not for each minion: a dictionary's path leaves another pattern than the one that was written.
@lru_cache(maxsize=256)
def _glob_matcher(pattern: str) -> _Matcher:
    return re.compile(translate(pattern)).fullmatch


class _GrainPattern:
    """Compares one grain of many minions with a pattern: most of them share a few texts, and each is compared once."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._matcher = _glob_matcher(pattern)
        self._known: dict[str, bool] = {}
        name, colon, rest = pattern.partition(":")
        self._name, self._rest = name, rest if colon else None
        self._inside: _GrainPattern | None = None

    def fits(self, value: Value) -> bool | None:
        """Tell whether a grain fits; None where ``_grain_fits`` cannot tell."""
        if isinstance(value, str):
            return self._fits_text(value)
        if type(value) in _NUMBERS:
            return self._fits_text(str(value))
        if isinstance(value, list) and len(value) < ELEMENTS_LIMIT:
            return self._fits_one_of(value)
        if isinstance(value, dict) and self._rest is not None and isinstance(entry := value.get(self._name), str):
            if self._inside is None:
                self._inside = _GrainPattern(self._rest)
            return self._inside.fits(entry)
        return _grain_fits(value, self._pattern)

    def _fits_text(self, text: str) -> bool:
        fits = self._known.get(text)
        if fits is None:
            fits = self._known[text] = self._matcher(text) is not None
        return fits

    def _fits_one_of(self, values: list[Value]) -> bool | None:
        for value in values:
            if not isinstance(value, str):
                return _grain_fits(values, self._pattern)
            if self._fits_text(value):
                return True
        return False


def _grain_fits(value: Value, pattern: str) -> bool | None:
    """Tell whether a grain fits; None when nothing fits among its first ``ELEMENTS_LIMIT`` elements and there are more."""
    elements = _elements_fit(value, pattern)
    if any(islice(elements, ELEMENTS_LIMIT)):
        return True
    return False if next(elements, None) is None else None


def _elements_fit(value: Value, pattern: str) -> Iterator[bool]:
    """Say of one element after the other whether it fits, so that whoever counts the words bounds the work."""
    if isinstance(value, Mapping):
        name, colon, rest = pattern.partition(":")
        if colon:
            yield False
            yield from _elements_fit(value[name], rest) if name in value else ()
        else:
            yield not has_wildcard(pattern) and pattern in value
            yield from (_glob_matcher(pattern)(key) is not None for key in value)
    elif isinstance(value, list | tuple):
        yield False
        for item in value:
            yield from _elements_fit(item, pattern)
    else:
        yield isinstance(value, str | bool | int | float) and _glob_matcher(pattern)(str(value)) is not None
