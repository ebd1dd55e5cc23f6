"""The states of one job on one minion, and which may follow which.

::

    queued ─▶ sent ─▶ acked ─▶ running ─▶ succeeded | failed | refused | cancelled | timed_out | lost
       │        │        └───────────────▶ (any of those, and expired)
       │        └────────────────────────▶ (any terminal state)
       └─▶ expired | cancelled | refused | abandoned          by the master's word alone

Once something was handed over, only the minion's word ends it, or the operator's (``abandoned``). A terminal state is final.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class JobState(StrEnum):
    """The state of one job on one minion; ``docs/reference.md`` explains each."""

    QUEUED = "queued"
    SENT = "sent"
    ACKED = "acked"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    EXPIRED = "expired"
    ABANDONED = "abandoned"


class Result(StrEnum):
    """What a state means for whoever asked: ``n/a`` while nothing has run to its end."""

    SUCCESS = "success"
    FAILURE = "failure"
    NOT_APPLICABLE = "n/a"


_S = JobState

TERMINAL = frozenset(
    {_S.SUCCEEDED, _S.FAILED, _S.REFUSED, _S.CANCELLED, _S.TIMED_OUT, _S.LOST, _S.EXPIRED, _S.ABANDONED}
)

#: What the minion may say: after a hand-over its word is what ends a job.
BY_MINION: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        _S.SENT: frozenset({_S.ACKED, _S.RUNNING} | (TERMINAL - {_S.ABANDONED})),
        _S.ACKED: frozenset({_S.RUNNING} | (TERMINAL - {_S.ABANDONED})),
        # Refused too: the supervisor looks the function up anew, and its module may have been removed meanwhile.
        _S.RUNNING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.REFUSED, _S.CANCELLED, _S.TIMED_OUT, _S.LOST}),
    }
)

#: What the master, or the operator through it, may decide.
BY_MASTER: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.SENT, _S.EXPIRED, _S.CANCELLED, _S.REFUSED, _S.ABANDONED}),
        _S.SENT: frozenset({_S.LOST, _S.ABANDONED}),
        _S.ACKED: frozenset({_S.LOST, _S.ABANDONED}),
        _S.RUNNING: frozenset({_S.LOST, _S.ABANDONED}),
    }
)

_RESULTS: Mapping[JobState, Result] = MappingProxyType(
    {
        _S.SUCCEEDED: Result.SUCCESS,
        _S.FAILED: Result.FAILURE,
        _S.TIMED_OUT: Result.FAILURE,
        _S.CANCELLED: Result.FAILURE,
        _S.LOST: Result.FAILURE,
    }
)


def may_follow(before: JobState, after: JobState, *, by_minion: bool) -> bool:
    """Tell whether ``after`` may follow ``before`` by the word of the minion, or of the master."""
    table = BY_MINION if by_minion else BY_MASTER
    return after in table.get(before, frozenset())


def result_of(state: JobState) -> Result:
    """Derive RESULT from STATUS."""
    return _RESULTS.get(state, Result.NOT_APPLICABLE)
