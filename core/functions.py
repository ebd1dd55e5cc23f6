"""Functions: how an author registers one, and the typed description that everything else is made from.

An execution module is a plain Python file of plain functions, each under ``@function(...)``, with typed parameters and a
Google-style docstring whose ``Args`` section names exactly these; ``modules/network.py`` is a good one to read.

The decorator records and returns the function unchanged: it can be imported, called and tested as it stands.
``describe`` turns it into a ``FunctionSpec``, which drives the command line, its checks, the help and the web form.
A function that needs something of its minion declares a first parameter ``context: Context``.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, TypeVar, get_args, get_origin

from .dataclass import dataclass
from .errors import FleetError
from .function_spec import KINDS, FunctionSpec, Parameter
from .names import FunctionName, MinionId, check_function_name
from .values import Value

Anyfunction = TypeVar("Anyfunction", bound=Callable[..., object])

_MARK = "__fleet_function__"


class CommandFailedError(FleetError):
    """A function could not do what it was asked to; the message says why. Not a bug: no traceback is kept.

    Attributes:
        value: what to return all the same, such as a partial result.
        retcode: the exit code of the program behind it, where there is one.
    """

    def __init__(self, message: str, *, value: Value = None, retcode: int | None = None) -> None:
        """Keep the partial value and the exit code beside the message."""
        super().__init__(message)
        self.value = value
        self.retcode = retcode


class UnavailableError(CommandFailedError):
    """This machine lacks what the function needs, such as a program; the message names it."""


@dataclass(frozen=True, slots=True)
class Program:
    """What a function returns to have its supervisor run a program: the program's end is the function's end.

    The supervisor connects stdin, stdout and stderr, enforces the limits and keeps the exit code.

    Attributes:
        words: the program and its arguments; nothing is interpreted by a shell.
        cwd: where it runs; the home folder of the account when empty.
        env: variables added to the environment (a value of "" is an empty variable).
        runas: the account it runs as; the minion's own when empty.
        stdin: what it reads; closed at once when empty.
        timeout_seconds: its own limit; 0 for none. The job's limit counts as well.
        success_retcodes: exit codes that are a success.
        answer: which value the job returns: ``text`` (stdout, then stderr, last newline stripped), ``stdout``,
            ``stderr``, ``retcode``, or ``all`` (a dictionary of pid, retcode, stdout and stderr).
    """

    words: tuple[str, ...]
    cwd: str = ""
    env: tuple[tuple[str, str], ...] = ()
    runas: str = ""
    stdin: bytes = b""
    timeout_seconds: float = 0.0
    success_retcodes: tuple[int, ...] = (0,)
    answer: Literal["text", "stdout", "stderr", "retcode", "all"] = "text"


@dataclass(frozen=True, slots=True)
class RunningJob:
    """One job that this minion has and has not finished."""

    jid: str
    function: str
    arguments: tuple[Value, ...]
    user: str
    state: str
    pid: int | None
    started: str


class Context(Protocol):
    """What a function may ask of the minion that runs it."""

    @property
    def minion_id(self) -> MinionId:
        """The id of this minion."""

    @property
    def grains(self) -> Mapping[str, Value]:
        """The grains of this minion, as it last reported them."""

    def functions(self) -> "Mapping[FunctionName, FunctionSpec]":
        """Every function that this minion has."""

    def running(self) -> tuple[RunningJob, ...]:
        """The jobs that have not ended, oldest first."""

    def cancel(self, jid: str) -> bool:
        """Ask a running job to stop: TERM to its process group, then KILL. False when no such job runs."""

    def set_grain(self, key: str, value: Value) -> None:
        """Write a static grain into the grains file of this minion and report it; ``None`` removes it."""


@dataclass(frozen=True, slots=True)
class _Mark:
    instant: bool
    reads: bool
    disruptive: bool
    name: str


def function(
    *, instant: bool = False, reads: bool = False, changes: bool = False, disruptive: bool = False, name: str = ""
) -> Callable[[Anyfunction], Anyfunction]:
    """Register a function of an execution module; the function itself stays as it is.

    Args:
        instant: it is bounded and nothing in it can hang (no file system that may be remote, no program, no name
            look-up); it then runs in the minion's loop and skips the journal. Called twice it does no more than once:
            it reads, or (``changes``) sets something of the minion's own.
        reads: it changes nothing, so a minion may run it again after a crash.
        changes: an instant function that sets something; without this one that is instant reads.
        disruptive: a person should think twice.
        name: what it is called on the wire where Python forbids the name (``exec``, ``true``).
    """

    def mark(target: Anyfunction) -> Anyfunction:
        setattr(target, _MARK, _Mark(instant, reads or (instant and not changes), disruptive, name or target.__name__))
        return target

    return mark


def functions_of(module: object) -> dict[FunctionName, Callable[..., object]]:
    """Find the registered functions that a module itself defines, by wire name, in the order of their definition."""
    module_name = str(getattr(module, "__name__", ""))
    short = module_name.rpartition(".")[2].rstrip("_")
    found: dict[FunctionName, Callable[..., object]] = {}
    for candidate in vars(module).values():
        marked = getattr(candidate, _MARK, None)
        if isinstance(marked, _Mark) and getattr(candidate, "__module__", "") == module_name:
            found[check_function_name(f"{short}.{marked.name}")] = candidate
    return found


def wants_context(target: Callable[..., object]) -> bool:
    """Tell whether the function's first parameter is ``context``, to be filled in by the minion."""
    return next(iter(inspect.signature(target).parameters), "") == "context"


def describe(name: FunctionName, target: Callable[..., object]) -> FunctionSpec:
    """Describe a registered function as data.

    Raises:
        TypeError: a parameter has no annotation or one that no command line can fill, or the ``Args`` section of the
            docstring does not name exactly the parameters. A bug of the author, found in the first test run.
    """
    marked = getattr(target, _MARK, None)
    if not isinstance(marked, _Mark):
        raise TypeError(f"{name} is not registered with @function")
    summary, doc, helps = split_docstring(inspect.getdoc(target) or "")
    if not summary:
        raise TypeError(f"{name} has no docstring")
    parameters = tuple(
        _describe_parameter(name, parameter, helps)
        for parameter in inspect.signature(target).parameters.values()
        if parameter.name != "context"
    )
    named = {parameter.name for parameter in parameters}
    if named != set(helps):
        raise TypeError(f"{name}: the docstring describes {sorted(helps)}, the signature has {sorted(named)}")
    return FunctionSpec(name, summary, doc, parameters, marked.instant, marked.reads, marked.disruptive)


def _describe_parameter(function_name: str, parameter: inspect.Parameter, helps: Mapping[str, str]) -> Parameter:
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        raise TypeError(f"{function_name}: **{parameter.name} cannot be described")
    kind, choices, optional = _kind_of(function_name, parameter.name, parameter.annotation)
    variadic = parameter.kind is inspect.Parameter.VAR_POSITIONAL
    required = parameter.default is inspect.Parameter.empty and not variadic
    default = None if required or variadic else parameter.default
    if isinstance(default, tuple):
        default = list(default)
    return Parameter(
        name=parameter.name,
        kind=kind,
        required=required,
        default=default,
        optional=optional,
        variadic=variadic,
        keyword_only=parameter.kind is inspect.Parameter.KEYWORD_ONLY,
        choices=choices,
        help=helps.get(parameter.name, ""),
    )


def _kind_of(function_name: str, name: str, hint: object) -> tuple[str, tuple[str, ...], bool]:
    """Name the kind of an annotation: (kind, choices, whether None is allowed)."""
    members = get_args(hint)
    if type(None) in members and get_origin(hint) is not Literal:
        rest = [member for member in members if member is not type(None)]
        if len(rest) == 1:
            kind, choices, _ = _kind_of(function_name, name, rest[0])
            return kind, choices, True
    if get_origin(hint) is Literal and all(isinstance(member, str) for member in members):
        return "choice", tuple(members), False
    if hint == Value:
        return "value", (), True
    kind = hint.__name__ if isinstance(hint, type) and not members else str(hint).replace(" ", "")
    if kind not in KINDS:
        raise TypeError(f"{function_name}: {name} is annotated {hint!r}; allowed are {', '.join(KINDS)} and Literal")
    return kind, (), False


_ARGUMENT_LINE = re.compile(r"    ([A-Za-z_]\w*): (.*)")


def split_docstring(text: str) -> tuple[str, str, dict[str, str]]:
    """Split a Google-style docstring into summary, body and the help of each argument."""
    summary, _, rest = text.partition("\n")
    body: list[str] = []
    helps: dict[str, str] = {}
    current = ""
    in_arguments = False
    for line in rest.splitlines():
        if line.strip() == "Args:" and not line.startswith(" "):
            in_arguments = True
        elif in_arguments and line and not line.startswith(" "):
            in_arguments = False
            body.append(line)
        elif in_arguments:
            matched = _ARGUMENT_LINE.fullmatch(line)
            if matched:
                current = matched[1]
                helps[current] = matched[2].strip()
            elif current and line.strip():
                helps[current] += " " + line.strip()
        else:
            body.append(line)
    return summary.strip(), "\n".join(body).strip(), helps
