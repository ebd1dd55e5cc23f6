"""The typed description of a function: data only, cheap to import, the same on every side."""

from .dataclass import dataclass
from .names import FunctionName
from .values import Value

KINDS = ("str", "int", "float", "bool", "bytes", "list[str]", "list[int]", "list[float]", "dict[str,str]", "value")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function, as data.

    Attributes:
        name: its name, also the keyword.
        kind: one of ``KINDS``, or ``choice`` when ``choices`` lists what is allowed.
        required: it has no default.
        default: used when it is not given.
        optional: ``None`` is allowed, written ``null``.
        variadic: takes every word that is left (``*arguments``).
        keyword_only: cannot be given by position.
        choices: the allowed texts.
        help: one sentence from the docstring.
    """

    name: str
    kind: str
    required: bool
    default: Value = None
    optional: bool = False
    variadic: bool = False
    keyword_only: bool = False
    choices: tuple[str, ...] = ()
    help: str = ""


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """Everything about a function that is data: what a catalogue holds and the master learns.

    Attributes:
        name: ``module.function``.
        summary: the first line of the docstring.
        doc: the rest of the docstring, without the ``Args`` section.
        parameters: in order.
        instant: bounded, nothing in it can hang: runs in the minion's own loop.
        reads: changes nothing, so it may run again.
        disruptive: a person should think twice (reboot, remove, stop).
    """

    name: FunctionName
    summary: str
    doc: str
    parameters: tuple[Parameter, ...]
    instant: bool = False
    reads: bool = False
    disruptive: bool = False
