"""The functions of this minion: whether a job can be called at all, and the catalogue that the master learns."""

import zlib
from collections.abc import Callable, Mapping
from functools import partial

from ..core.arguments import BoundArguments, Call, bind
from ..core.crypto import digest
from ..core.errors import ArgumentError, FleetError
from ..core.from_minion import CatalogueReport
from ..core.function_spec import FunctionSpec
from ..core.functions import Context, describe, wants_context
from ..core.job_document import Catalogue, JobDocument
from ..core.names import FunctionName
from ..core.outcome import OutcomeKind
from ..core.packing import encode
from ..core.stdin_fit import check_stdin_fits
from ..modules.catalogue import UnknownFunctionError, function_specs, load_function


class FunctionsHere:
    """Looks functions up; a module is imported when one of its functions is asked for.

    Args:
        on_problem: takes what is wrong with a module of another package.
    """

    def __init__(self, on_problem: Callable[[FleetError], None]) -> None:
        self._on_problem = on_problem
        self._specs: dict[FunctionName, FunctionSpec] = {}
        self._ready: dict[FunctionName, Callable[..., object]] = {}

    def spec(self, name: FunctionName) -> FunctionSpec:
        """The signature of one function.

        Raises:
            UnknownFunctionError: this minion has no such function.
            FleetError: the module that should hold it is broken.
        """
        if name not in self._specs:
            self._specs[name] = describe(name, load_function(name))
        return self._specs[name]

    def ready(self, name: FunctionName, context: Context) -> Callable[..., object]:
        """A function that takes the arguments of a job alone: with the context in it, which is this minion's one, where it wants that.

        Raises:
            UnknownFunctionError: this minion has no such function.
            FleetError: the module that should hold it is broken.
        """
        if name not in self._ready:
            target = load_function(name)
            self._ready[name] = partial(target, context) if wants_context(target) else target
        return self._ready[name]

    def all(self) -> Mapping[FunctionName, FunctionSpec]:
        """Every function of this minion; imports every module."""
        return function_specs(self._on_problem)

    def bind(self, document: JobDocument) -> BoundArguments:
        """The arguments of a job as its function takes them.

        Raises:
            UnknownFunctionError: this minion has no such function.
            ArgumentError: they do not fit its signature.
        """
        call = Call(document.words, document.literals, document.values, document.options)
        return bind(self.spec(document.function), call)

    def refuse(self, document: JobDocument) -> tuple[OutcomeKind, str] | None:
        """Say why a job cannot be called here; None when it can."""
        try:
            bound = self.bind(document)
            check_stdin_fits(self.spec(document.function), bound, document.stdin_bytes)
        except UnknownFunctionError as problem:
            return OutcomeKind.UNKNOWN_FUNCTION, _sentence(problem)
        except ArgumentError as problem:
            return OutcomeKind.BAD_ARGUMENT, _sentence(problem)
        except FleetError as problem:
            return OutcomeKind.UNAVAILABLE, _sentence(problem)
        return None

    def is_instant(self, document: JobDocument) -> bool:
        """Tell whether the function runs in the daemon's loop."""
        return self.spec(document.function).instant

    def report(self) -> CatalogueReport:
        """The catalogue of this minion, deflated, under its digest."""
        raw = encode(Catalogue(tuple(self.all().values())))
        return CatalogueReport(digest(raw), zlib.compress(raw, 9))


def _sentence(problem: FleetError) -> str:
    return f"{problem.message}; {problem.hint}" if problem.hint else problem.message
