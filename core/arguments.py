"""From what somebody wrote to the arguments of a function, or a reason why they do not fit.

What an author of a function may rely on: each argument has exactly the type of its annotation, or the function is not
called. What an author decides by the signature: ``name=value`` on the command line is a keyword argument only where
``name`` is a parameter; everywhere else it is text, so ``cmd.run 'x=1; echo $x'`` arrives as written. Therefore

- options belong behind a bare ``*`` (``def run(command: str, *, cwd: str = "")``): a misspelt option is then one word too
  many and is refused by name, instead of becoming the next argument by position;
- a parameter for free text gets a name that free text hardly begins with (``command``, not ``x``);
- words after ``--`` are never keyword arguments, whatever they look like.
"""

import re
from collections.abc import Iterable, Mapping

from .argument_kinds import UnfitError, check_value, coerce_word, expected_text
from .dataclass import dataclass, field
from .errors import ArgumentError
from .excerpt import shorten
from .function_spec import FunctionSpec, Parameter
from .values import Value

_KEYWORD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_USAGE_WORDS = {
    "str": "TEXT",
    "int": "NUMBER",
    "float": "NUMBER",
    "bool": "true|false",
    "bytes": "TEXT",
    "list[str]": "TEXT,…",
    "list[int]": "NUMBER,…",
    "list[float]": "NUMBER,…",
    "dict[str,str]": "KEY=TEXT,…",
    "value": "JSON",
}


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of a call as they were given; they fill the parameters in the order words, literals, values.

    Attributes:
        words: words of a command line: coerced; ``name=value`` is a keyword argument where ``name`` is a parameter.
        literals: words that followed ``--``: coerced, always by position.
        values: typed values of an API, by position: checked, not coerced.
        options: typed values of an API, by name.
    """

    words: tuple[str, ...] = ()
    literals: tuple[str, ...] = ()
    values: tuple[Value, ...] = ()
    options: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BoundArguments:
    """Arguments that fit: ``target(*positional, **keyword)`` is the call. Defaults are left to the function."""

    positional: tuple[Value, ...]
    keyword: dict[str, Value]


@dataclass(frozen=True, slots=True)
class _Given:
    """One argument, as a word or as a typed value."""

    value: Value
    is_word: bool


def bind(spec: FunctionSpec, call: Call) -> BoundArguments:
    """Bind what was given to a function's parameters.

    Raises:
        ArgumentError: one is missing, unknown, given twice, too many or of the wrong type. The message names function,
            parameter, what was given and what was expected; the hint is the usage line.
    """
    by_position, by_name = _sort_out(spec, call)
    positional: list[Value] = []
    slots = [parameter for parameter in spec.parameters if not (parameter.keyword_only or parameter.variadic)]
    variadic = next((parameter for parameter in spec.parameters if parameter.variadic), None)
    for index, given in enumerate(by_position):
        parameter = slots[index] if index < len(slots) else variadic
        if parameter is None:
            raise _too_many(spec, by_position, len(slots), given)
        if parameter.name in by_name:
            raise _error(spec, f"{parameter.name} is given twice, by position and by name")
        positional.append(_fit(spec, parameter, given))
    filled = {parameter.name for parameter in slots[: len(by_position)]}
    for parameter in spec.parameters:
        if parameter.required and parameter.name not in filled and parameter.name not in by_name:
            raise _error(spec, f"{parameter.name} is missing, expected {expected_text(parameter)}")
    parameters = {parameter.name: parameter for parameter in spec.parameters}
    keyword = {name: _fit(spec, parameters[name], given) for name, given in by_name.items()}
    return BoundArguments(tuple(positional), keyword)


def usage_line(spec: FunctionSpec) -> str:
    """Write how a function is called: ``cmd.run command [cwd=TEXT] [timeout=SECONDS]``."""
    return " ".join([spec.name, *(_usage_of(parameter) for parameter in spec.parameters)])


def _usage_of(parameter: Parameter) -> str:
    if parameter.variadic:
        return f"[{parameter.name}…]"
    if parameter.required and not parameter.keyword_only:
        return parameter.name
    text = f"{parameter.name}={usage_word(parameter)}"
    return text if parameter.required else f"[{text}]"


def usage_word(parameter: Parameter) -> str:
    """Say in a word what is written for a parameter: ``TEXT``, ``SECONDS``, ``KEY=TEXT,…``, ``sh|bash``."""
    if parameter.choices:
        return "|".join(parameter.choices)
    word = _USAGE_WORDS.get(parameter.kind, "VALUE")
    is_duration = parameter.name == "timeout" or parameter.name.endswith("_seconds")
    return "SECONDS" if word == "NUMBER" and is_duration else word


def _sort_out(spec: FunctionSpec, call: Call) -> tuple[list[_Given], dict[str, _Given]]:
    """Tell arguments by position from arguments by name."""
    names = [parameter.name for parameter in spec.parameters if not parameter.variadic]
    by_position: list[_Given] = []
    by_name: dict[str, _Given] = {}
    for word in call.words:
        name, equals, text = word.partition("=")
        if not equals or name not in names:
            by_position.append(_Given(word, is_word=True))
        elif name in by_name:
            raise _error(spec, f"{name} is given twice")
        else:
            by_name[name] = _Given(text, is_word=True)
    by_position += [_Given(word, is_word=True) for word in call.literals]
    by_position += [_Given(value, is_word=False) for value in call.values]
    for name, value in call.options.items():
        if any(parameter.name == name and parameter.variadic for parameter in spec.parameters):
            raise _error(spec, f"{name} is given by position only")
        if name not in names:
            raise _unknown(spec, name, names)
        if name in by_name:
            raise _error(spec, f"{name} is given twice")
        by_name[name] = _Given(value, is_word=False)
    return by_position, by_name


def _fit(spec: FunctionSpec, parameter: Parameter, given: _Given) -> Value:
    try:
        if given.is_word and isinstance(given.value, str):
            return coerce_word(parameter, given.value)
        return check_value(parameter, given.value)
    except UnfitError as problem:
        text = f"{parameter.name}: expected {problem.expected}, got {shorten(given.value)}"
        raise _error(spec, f"{text} ({problem.reason})" if problem.reason else text) from problem


def _too_many(spec: FunctionSpec, by_position: list[_Given], room: int, first: _Given) -> ArgumentError:
    """Say that there is no parameter for ``first``; it may be an option whose name is misspelt."""
    if first.is_word and (matched := _KEYWORD.match(str(first.value))):
        return _unknown(spec, matched[1], [parameter.name for parameter in spec.parameters])
    takes = {0: "takes no argument", 1: "takes one argument"}.get(room, f"takes {room} arguments")
    return _error(spec, f"{takes} by position, got {len(by_position)}; {shorten(first.value)} is left over")


def _unknown(spec: FunctionSpec, name: str, names: Iterable[str]) -> ArgumentError:
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1)
    guess = f"; did you mean {near[0]}?" if near else ""
    return _error(spec, f"there is no argument {shorten(name)}{guess}")


def _error(spec: FunctionSpec, problem: str) -> ArgumentError:
    return ArgumentError(f"{spec.name}: {problem}", f"usage: {usage_line(spec)}")
