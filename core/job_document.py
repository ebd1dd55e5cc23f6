"""The documents inside of messages: a job as it is signed, a catalogue, a probe."""

from collections.abc import Mapping

from .dataclass import dataclass
from .function_spec import FunctionSpec
from .names import FunctionName, Jid
from .values import Value


@dataclass(frozen=True, slots=True)
class JobDocument:
    """One function call as it is signed, journaled and run.

    Attributes:
        jid: its name.
        function: what to call.
        words: command-line words, coerced by the minion; ``name=value`` may be a keyword argument.
        literals: words after ``--``: always by position.
        values: typed values, checked and never coerced.
        options: typed keyword arguments.
        user: who asked, for the log.
        created_us: microseconds since 1970 by the master's clock.
        expires_us: not to be started after this moment of the master's clock.
        timeout_seconds: the job's own limit; 0 for none.
        output_limit_bytes: how much of stdout, and of stderr, is kept.
        stdin_bytes: how long its stdin is, which does not travel in here: a minion asks for it; 0 for none.
        stdin_digest: BLAKE2b-256 of that; empty for none.
    """

    jid: Jid
    function: FunctionName
    words: tuple[str, ...]
    literals: tuple[str, ...]
    values: tuple[Value, ...]
    options: Mapping[str, Value]
    user: str
    created_us: int
    expires_us: int
    timeout_seconds: float
    output_limit_bytes: int
    stdin_bytes: int = 0
    stdin_digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The functions of a minion, as one document: what ``CatalogueReport`` carries deflated."""

    functions: tuple[FunctionSpec, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """In a broadcast: no job, only proof that broadcasts arrive."""

    number: int
