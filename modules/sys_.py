"""The functions of this minion themselves: which there are, and what they take."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from ..core.function_spec import FunctionSpec, Parameter
from ..core.functions import CommandFailedError, Context, function


@function(instant=True)
def doc(context: Context, *names: str) -> dict[str, str]:
    """Return the documentation of functions: what they do, what they take, what they are.

    Args:
        names: functions or modules, '*' and '?' allowed; every function when none is given.
    """
    return {spec.name: describe_in_words(spec) for spec in _select(context, names)}


@function(instant=True)
def list_functions(context: Context, *modules: str) -> list[str]:
    """List the functions of this minion.

    Args:
        modules: only those of these modules, '*' and '?' allowed.
    """
    return [spec.name for spec in _select(context, modules)]


@function(instant=True)
def list_modules(context: Context) -> list[str]:
    """List the execution modules of this minion."""
    return sorted({name.partition(".")[0] for name in context.functions()})


@function(instant=True)
def argspec(context: Context, *names: str) -> dict[str, tuple[Parameter, ...]]:
    """Return the parameters of functions as data.

    Args:
        names: functions or modules, '*' and '?' allowed; every function when none is given.
    """
    return {spec.name: spec.parameters for spec in _select(context, names)}


def _select(context: Context, patterns: Sequence[str]) -> list[FunctionSpec]:
    """Find the functions that one of the patterns names, sorted; every one without a pattern."""
    specs = context.functions()
    selected = sorted(name for name in specs if not patterns or _matches(name, patterns))
    if not selected:
        raise CommandFailedError(f"this minion has no function that matches {' or '.join(map(repr, patterns))}")
    return [specs[name] for name in sorted(selected)]


def _matches(name: str, patterns: Iterable[str]) -> bool:
    module = name.partition(".")[0]
    return any(fnmatchcase(name, pattern) or fnmatchcase(module, pattern) for pattern in patterns)


def describe_in_words(spec: FunctionSpec) -> str:
    """Write the description of a function as a page of text: signature, what it does, its parameters, what it is."""
    paragraphs = [f"{spec.name}{signature_of(spec)}", spec.summary]
    if spec.doc:
        paragraphs.append(spec.doc)
    if spec.parameters:
        paragraphs.append("\n".join(f"  {parameter.name}: {parameter.help}" for parameter in spec.parameters))
    traits = [word for word, holds in (("instant", spec.instant), ("reads only", spec.reads)) if holds]
    traits += ["disruptive: think twice"] if spec.disruptive else []
    if traits:
        paragraphs.append(f"({', '.join(traits)})")
    return "\n\n".join(paragraphs)


def signature_of(spec: FunctionSpec) -> str:
    """Write the parameters the way Python does: ``(command: str, *, cwd: str = '')``."""
    words: list[str] = []
    has_star = False
    for parameter in spec.parameters:
        if parameter.keyword_only and not has_star:
            words.append("*")
        has_star = has_star or parameter.keyword_only or parameter.variadic
        words.append(_word_for(parameter))
    return f"({', '.join(words)})"


def _word_for(parameter: Parameter) -> str:
    kind = "|".join(parameter.choices) if parameter.choices else parameter.kind
    kind += "|null" if parameter.optional and parameter.kind != "value" else ""
    if parameter.variadic:
        return f"*{parameter.name}: {kind}"
    if parameter.required:
        return f"{parameter.name}: {kind}"
    default = "null" if parameter.default is None else repr(parameter.default)
    return f"{parameter.name}: {kind} = {default}"
