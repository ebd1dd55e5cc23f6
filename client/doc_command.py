"""``fleet doc``: what minions can do, from the descriptions of their functions."""

import sys
from collections.abc import Sequence

from ..core.errors import NotFoundError
from ..core.function_spec import FunctionSpec, Parameter
from ..core.values import Value
from ..core.visible import visible, visible_line
from .client import Client
from .documents import function_document
from .invocation import Invocation
from .output import print_document
from .table import table
from .verb_options import LIST_FORMS, SHOW_LIMIT


def doc(call: Invocation) -> int:
    """Print all functions, those of modules, or one with its arguments.

    Raises:
        NotFoundError: a word names no function that a minion has.
    """
    form = call.form(LIST_FORMS, "text")
    words = call.words + call.literals
    client = call.client()
    specs = _find(client, words)
    shown = specs[: call.options.count(SHOW_LIMIT.name, 0) or None]
    if form != "text":
        print_document({spec.name: function_document(spec) for spec in shown}, form)
    elif words and all(word in {spec.name for spec in specs} for word in words):
        sys.stdout.write("\n".join(page(spec) for spec in shown))
    else:
        rows = [(spec.name, spec.summary) for spec in shown]
        sys.stdout.write(table(("FUNCTION", "WHAT IT DOES"), rows, len(specs)))
    return 0


def _find(client: Client, words: Sequence[str]) -> list[FunctionSpec]:
    """Find the functions that the words name, each of them at least one: ``cmd.run``, ``cmd`` (all of a module), or a glob."""
    from fnmatch import fnmatchcase

    patterns = [word if "." in word or set(word) & set("*?[") else f"{word}.*" for word in words]
    specs = sorted(client.functions(*patterns), key=lambda spec: spec.name)
    unknown = [
        word
        for word, pattern in zip(words, patterns, strict=True)
        if not any(fnmatchcase(spec.name, pattern) for spec in specs)
    ]
    if not unknown:
        return specs
    from difflib import get_close_matches

    known = [str(spec.name) for spec in client.functions()]
    modules = sorted({name.partition(".")[0] for name in known})
    near = get_close_matches(unknown[0], known if "." in unknown[0] else modules, n=3)
    raise NotFoundError(
        f"no minion has a function {unknown[0][:80]!r}",
        f"did you mean {', '.join(near)}?" if near else "fleet doc lists all functions",
    )


def page(spec: FunctionSpec) -> str:
    """Write the page of one function: how it is called, what it does, its arguments."""
    from ..core.arguments import usage_line

    lines = [visible_line(usage_line(spec)), f"    {visible_line(spec.summary)}"]
    lines += [f"    {line}".rstrip() for line in visible(spec.doc).split("\n")] if spec.doc else []
    if spec.parameters:
        lines += ["", "    Arguments:"]
        lines += [f"      {visible_line(_describe(parameter))}" for parameter in spec.parameters]
    kinds = [
        text
        for holds, text in (
            (spec.instant, "answers at once"),
            (spec.reads, "changes nothing"),
            (spec.disruptive, "disruptive: think twice"),
        )
        if holds
    ]
    lines += ["", f"    ({', '.join(kinds)})"] if kinds else []
    return "\n".join(lines) + "\n"


def _describe(parameter: Parameter) -> str:
    from ..core.arguments import usage_word

    takes = usage_word(parameter) + (", any number" if parameter.variadic else "")
    default = "" if parameter.required or parameter.variadic else _as_word(parameter.default)
    takes += f", {default} when not given" if default else ""
    return f"{parameter.name} ({takes}): {parameter.help}"


def _as_word(default: Value) -> str:
    """Write a default as one would type it; nothing for an empty one: what that means is told in words."""
    match default:
        case None | "":
            return ""
        case bool():
            return "true" if default else "false"
        case float():
            return f"{default:g}"
        case list() | tuple():
            return ",".join(map(_as_word, default))
        case dict():
            return ",".join(f"{key}={_as_word(value)}" for key, value in default.items())
        case _:
            return str(default)
