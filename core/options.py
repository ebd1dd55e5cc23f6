"""Reading a command line: options anywhere, before, between and after the words; after ``--`` every word is a word.

argparse cannot do that together with words that belong to somebody else's function, and takes 6 ms to load. One scan knows the
options of every verb of a command, so an option means the same wherever it stands; which of them the verb takes is checked
when the verb is known.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from types import MappingProxyType
from typing import Literal

from .dataclass import dataclass
from .errors import UsageError

_UNITS = MappingProxyType({"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0})
_SIZES = MappingProxyType({"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40})
_SIZE_LIMIT_BYTES = 1 << 62
#: Three thousand years: beyond it clocks overflow.
_TIME_LIMIT_SECONDS = 1e11


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        names: as typed, the long one last: ``("-t", "--timeout")``.
        help: one line.
        kind: ``flag`` takes no value; ``seconds`` a number, with ``m``, ``h`` or ``d`` behind it for longer times;
            ``count`` a whole number; ``size`` bytes, with ``K``, ``M``, ``G`` or ``T`` behind it for more; ``choice`` one of
            ``choices``.
        value_name: what the help calls the value.
        choices: the allowed values of a ``choice``.
        repeats: may be given several times; of the others the last one counts.
    """

    names: tuple[str, ...]
    help: str
    kind: Literal["flag", "text", "seconds", "count", "size", "choice"] = "flag"
    value_name: str = ""
    choices: tuple[str, ...] = ()
    repeats: bool = False

    @property
    def name(self) -> str:
        """The long name, by which everything else knows the option."""
        return self.names[-1]


@dataclass(frozen=True, slots=True)
class Scanned:
    """A command line, taken apart.

    Attributes:
        words: what is no option, up to ``--``.
        literals: everything after ``--``.
        is_separated: a ``--`` was there.
        found: the values of each option that was given, by long name, in the order of the command line.
    """

    words: tuple[str, ...]
    literals: tuple[str, ...]
    is_separated: bool
    found: Mapping[str, tuple[str, ...]]

    def flag(self, name: str) -> bool:
        """Tell whether the option was given."""
        return name in self.found

    def text(self, name: str, default: str = "") -> str:
        """Give the option's value, or ``default``."""
        return self.found[name][-1] if name in self.found else default

    def texts(self, name: str) -> tuple[str, ...]:
        """Give every value of an option that may be repeated."""
        return self.found.get(name, ())

    def names(self, name: str) -> tuple[str, ...]:
        """Give every name of an option that takes several: with commas between, repeated, or both."""
        return tuple(part for text in self.texts(name) for word in text.split(",") if (part := word.strip()))

    def seconds(self, name: str) -> float | None:
        """Give a time in seconds; None when the option was not given."""
        return read_seconds(self.found[name][-1]) if name in self.found else None

    def size_bytes(self, name: str) -> int:
        """Give a size in bytes; 0 when the option was not given."""
        return read_size(self.found[name][-1]) if name in self.found else 0

    def count(self, name: str, default: int) -> int:
        """Give a whole number, or ``default``."""
        return int(self.found[name][-1]) if name in self.found else default


def scan(arguments: Sequence[str], options: Sequence[Option]) -> Scanned:
    """Take a command line apart.

    Understood are ``--name value``, ``--name=value``, ``-t 5``, ``-t5`` and flags written together (``-vC``).

    Raises:
        UsageError: an unknown option, a value that is missing, not wanted or of the wrong form, or a word that is no UTF-8.
    """
    arguments = _as_text(arguments)
    by_name = {name: option for option in options for name in option.names}
    words: list[str] = []
    found: dict[str, tuple[str, ...]] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return Scanned(tuple(words), tuple(rest), True, MappingProxyType(found))
        if argument == "-" or not argument.startswith("-"):
            words.append(argument)
        elif argument.startswith("--"):
            name, equals, value = argument.partition("=")
            option = _look_up(name, by_name)
            _keep(option, name, _value_of(option, name, value if equals else None, rest), found)
        else:
            _scan_short(argument, by_name, rest, found)
    return Scanned(tuple(words), (), False, MappingProxyType(found))


def _as_text(arguments: Sequence[str]) -> Sequence[str]:
    """Read the words as UTF-8 whatever the locale says; refuse those whose bytes are none: they could not travel."""
    if all(argument.isascii() for argument in arguments):
        return arguments
    return [_read_utf8(argument) for argument in arguments]


def _read_utf8(argument: str) -> str:
    # Python keeps the bytes that its locale cannot read as lone surrogates: all of UTF-8, where that is plain ASCII.
    try:
        return argument.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError as problem:
        shown = argument.encode("utf-8", "surrogateescape" if _is_escaped(argument) else "replace")
        raise UsageError(
            f"'{shown[:60].decode('utf-8', 'backslashreplace')}' is no UTF-8",
            "send other bytes in a file, or escaped by the shell there",
        ) from problem


def _is_escaped(argument: str) -> bool:
    """Tell whether every lone surrogate stands for a byte."""
    return all("\udc80" <= letter <= "\udcff" for letter in argument if "\ud800" <= letter <= "\udfff")


def _scan_short(
    argument: str, by_name: Mapping[str, Option], rest: list[str], found: dict[str, tuple[str, ...]]
) -> None:
    """Read ``-v``, ``-vC``, ``-t5``, ``-t=5`` or ``-t`` with its value in the next word."""
    letters = argument[1:]
    while letters:
        name, letters = f"-{letters[0]}", letters[1:]
        option = _look_up(name, by_name, argument)
        if option.kind == "flag":
            if letters.startswith("="):
                raise UsageError(f"{name} takes no value", "write it alone")
            _keep(option, name, "", found)
            continue
        _keep(option, name, _value_of(option, name, letters.removeprefix("=") or None, rest), found)
        return


def _look_up(name: str, by_name: Mapping[str, Option], argument: str = "") -> Option:
    option = by_name.get(name)
    if option is not None:
        return option
    near = nearest(name, [known for known in by_name if known.startswith("--")]) if name.startswith("--") else ""
    raise UsageError(
        f"{argument or name!r} is no option", f"did you mean {near}?" if near else "--help lists the options"
    )


def nearest(name: str, known: Sequence[str]) -> str:
    """Give the known name that looks most like ``name``; empty when none does."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, known, n=1)), "")


def complete(word: str, names: Sequence[str]) -> str:
    """Give the one name that ``word`` is or begins; empty when there is none.

    Raises:
        UsageError: it begins several.
    """
    if word in names:
        return word
    candidates = [name for name in names if word and name.startswith(word)]
    if len(candidates) > 1:
        raise UsageError(f"{word!r} begins several words", f"which one: {', '.join(candidates)}?")
    return candidates[0] if candidates else ""


def _value_of(option: Option, name: str, attached: str | None, rest: list[str]) -> str:
    if option.kind == "flag":
        if attached is not None:
            raise UsageError(f"{name} takes no value", "write it alone")
        return ""
    if attached is not None:
        return attached
    if not rest or rest[0] == "--":
        raise UsageError(f"{name} needs a value: {name} {option.value_name}", option.help)
    return rest.pop(0)


def _keep(option: Option, name: str, value: str, found: dict[str, tuple[str, ...]]) -> None:
    if option.kind == "seconds":
        read_seconds(value, name)
    elif option.kind == "size":
        read_size(value, name)
    elif option.kind == "count" and not (value.isascii() and value.isdigit() and len(value) < 19):
        raise UsageError(f"{name} takes a whole number, not {value[:40]!r}", option.help)
    elif option.kind == "choice" and value not in option.choices:
        raise UsageError(f"{name} takes no {value[:40]!r}", f"one of: {', '.join(option.choices)}")
    found[option.name] = (*found.get(option.name, ()), value) if option.repeats else (value,)


def read_seconds(text: str, name: str = "") -> float:
    """Read ``90``, ``1.5``, ``10m``, ``2h`` or ``7d`` as seconds.

    Raises:
        UsageError: it is none of these; ``name`` is the option that the message names.
    """
    unit = _UNITS.get(text[-1:], 0.0)
    try:
        number = float(text[:-1] if unit else text) * (unit or 1.0)
    except ValueError:
        number = -1.0
    if not (isfinite(number) and 0 <= number <= _TIME_LIMIT_SECONDS):
        raise UsageError(f"{name or 'a time'} takes seconds, not {text[:40]!r}", "such as 30, 1.5, 10m, 2h or 7d")
    return number


def read_size(text: str, name: str = "") -> int:
    """Read ``4096``, ``500M`` or ``1.5G`` as bytes; K is 1,024 of them.

    Raises:
        UsageError: it is none of these; ``name`` is the option that the message names.
    """
    unit = _SIZES.get(text[-1:].upper(), 0)
    try:
        number = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        number = -1.0
    if not 0 <= number < _SIZE_LIMIT_BYTES:
        raise UsageError(f"{name or 'a size'} takes a size, not {text[:40]!r}", "such as 4096, 500M, 10G or 1.5T")
    return round(number)
