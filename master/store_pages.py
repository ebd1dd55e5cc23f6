"""Which jobs a list means: its filters as SQL. What is asked for is bound as parameters, never written into the statement."""

from ..core.control_requests import ListJobs
from ..core.errors import ArgumentError
from .store_interned import storable_integer
from .store_schema import STATE_COLUMNS

_OF_JOB = {
    "running": "finished_us IS NULL",
    "finished": "finished_us IS NOT NULL AND NOT cancel_asked",
    "cancelled": "finished_us IS NOT NULL AND cancel_asked",
}
#: ``running`` and ``cancelled`` are states of a job first; a target's own are counted in its columns.
JOB_STATES = (*_OF_JOB, *(name for name in STATE_COLUMNS if name not in _OF_JOB))

PATTERN_LIMIT_CHARACTERS = 4_000

_HAS_MINION = (
    "EXISTS (SELECT 1 FROM job_targets WHERE job_targets.jid_us = jobs.jid_us"
    " AND minion = (SELECT id FROM texts WHERE text = ?))"
)


def filter_of(query: ListJobs) -> tuple[str, tuple[int | str, ...]]:
    """The condition and its parameters; which page of them is meant is not in it.

    Raises:
        ArgumentError: there is no such state, or a pattern is too long.
    """
    conditions: list[str] = []
    parameters: list[int | str] = []
    for condition, value in (
        ("jid_us >= ?", storable_integer(query.since_us)),
        ("jid_us < ?", storable_integer(query.until_us)),
        ("user = ?", query.user),
        ("function GLOB ?", _glob(query.function)),
        ("target GLOB ?", _glob(query.target)),
        (_HAS_MINION, query.minion),
    ):
        if value:
            conditions.append(condition)
            parameters.append(value)
    if query.state:
        conditions.append(_state_condition(query.state))
    return " AND ".join(conditions), tuple(parameters)


def _state_condition(states: str) -> str:
    """The condition of one state, or of several with commas between: any of them. Nothing but our own names gets into it."""
    names = dict.fromkeys(states.split(","))
    for name in names:
        if name not in JOB_STATES:
            raise ArgumentError(f"{name[:40]!r} is no state of a job", f"one of: {', '.join(JOB_STATES)}")
    return f"({' OR '.join(_OF_JOB.get(name, f'{name} > 0') for name in names)})"


def _glob(pattern: str) -> str:
    """A glob as SQLite writes it: its own negation is ``[^a]``.

    Raises:
        ArgumentError: it is longer than anything that it could fit; SQLite takes no more than 50,000 bytes.
    """
    if len(pattern) > PATTERN_LIMIT_CHARACTERS:
        raise ArgumentError(f"a pattern of {len(pattern)} characters", f"at most {PATTERN_LIMIT_CHARACTERS} are taken")
    return pattern.replace("[!", "[^")
