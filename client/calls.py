"""The request for one function call, from a program or from a command line."""

import os
from collections.abc import Mapping, Sequence

from ..core.control_answers import JobSummary
from ..core.control_requests import Submit
from ..core.dataclass import dataclass, replace
from ..core.errors import ArgumentError
from ..core.names import MinionId, check_function_name
from ..core.values import Value, plain

#: As long as the settings of the master say.
TTL_SECONDS = 0.0
_REQUEST_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class JobTerms:
    """On which minions and how a function is to run.

    Attributes:
        target: which minions.
        kind: how the target is written, a value of ``core.targets.TargetKind``.
        ttl_seconds: how long the job waits for a minion that is not there; 0 for what the settings of the master say.
        job_timeout_seconds: the job's own limit; 0 for none.
        is_watched: the results are to be streamed.
        is_live: and what is written, as it is written.
        stdin: what the command reads, to be uploaded before the request is sent.
    """

    target: str
    kind: str = "glob"
    ttl_seconds: float = TTL_SECONDS
    job_timeout_seconds: float = 0.0
    is_watched: bool = True
    is_live: bool = False
    stdin: bytes = b""


def call_request(terms: JobTerms, function: str, arguments: Sequence[Value], options: Mapping[str, Value]) -> Submit:
    """Make the request for a call with typed arguments, by position and by name.

    Raises:
        ArgumentError: an argument cannot travel, or ``function`` is no function name.
    """
    try:
        values = tuple(plain(argument) for argument in arguments)
        named = {name: plain(value) for name, value in options.items()}
    except TypeError as problem:
        hint = "arguments are text, bytes, numbers, booleans, lists and dictionaries"
        raise ArgumentError(str(problem), hint) from problem
    return _request(terms, function, values=values, options=named)


def words_request(terms: JobTerms, function: str, words: Sequence[str], literals: Sequence[str]) -> Submit:
    """Make the request for a call as a command line says it; the minion coerces the words to the types of the function.

    ``name=value`` among ``words`` may be an argument by name; ``literals`` are always by position.

    Raises:
        ArgumentError: ``function`` is no function name.
    """
    return _request(terms, function, words=tuple(words), literals=tuple(literals))


def retry_request(terms: JobTerms, summary: JobSummary, minions: Sequence[MinionId]) -> Submit:
    """Make the request to run a job again on some of its minions: as it was asked for, linked to the first of its kind.

    The target of ``terms`` does not count: what was written then is kept.
    """
    again = _request(
        replace(terms, target=summary.target, kind=summary.target_kind),
        summary.function,
        words=summary.words,
        literals=summary.literals,
        values=summary.values,
        options=summary.options,
    )
    return replace(again, minions=tuple(minions), retry_of=summary.retry_of or summary.jid)


def _request(
    terms: JobTerms,
    function: str,
    *,
    words: tuple[str, ...] = (),
    literals: tuple[str, ...] = (),
    values: tuple[Value, ...] = (),
    options: Mapping[str, Value] | None = None,
) -> Submit:
    return Submit(
        # The same id gets the same job: a request that is sent twice runs once.
        request_id=os.urandom(_REQUEST_ID_BYTES),
        function=check_function_name(function),
        words=words,
        literals=literals,
        values=values,
        options=options or {},
        target=terms.target,
        target_kind=terms.kind,
        ttl_seconds=terms.ttl_seconds,
        timeout_seconds=terms.job_timeout_seconds,
        watch=terms.is_watched,
        is_live=terms.is_live,
        stdin_bytes=len(terms.stdin),
    )
