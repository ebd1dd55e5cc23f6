"""Failed, silent, refused, ok: how grave a result is, and which results are shown (``--only``)."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType

from ..core.dataclass import dataclass
from ..core.errors import UsageError
from ..core.job_states import JobState, Result, result_of
from ..core.options import nearest
from .blocks import shows_streams
from .results import MinionResult


class Rank(IntEnum):
    """How grave a result is, in the order in which people see them.

    ``FAILED``: it ran and failed, timed out, was lost or cancelled; ``SILENT``: it has not ended, or is expired or abandoned;
    ``REFUSED``; ``OK``. Exit codes 11, 12, 13 and 0 follow the same division.
    """

    FAILED = 0
    SILENT = 1
    REFUSED = 2
    OK = 3


_RANK_WORDS: Mapping[str, Rank] = MappingProxyType({rank.name.lower(): rank for rank in Rank})
_NON_EMPTY = "non-empty"
#: What ``--only`` takes.
ONLY_WORDS = (*_RANK_WORDS, _NON_EMPTY)


def _rank_of_state(state: JobState) -> Rank:
    if result_of(state) is Result.FAILURE:
        return Rank.FAILED
    if state is JobState.SUCCEEDED:
        return Rank.OK
    return Rank.REFUSED if state is JobState.REFUSED else Rank.SILENT


#: Asked several times of each of ten thousand results.
RANKS: Mapping[JobState, Rank] = MappingProxyType({state: _rank_of_state(state) for state in JobState})


def rank_of(result: MinionResult) -> Rank:
    """Say how grave a result is."""
    return RANKS[result.state]


@dataclass(frozen=True, slots=True)
class Only:
    """Which results are shown; all of them unless something is said. Summaries and exit codes count all of them all the same.

    Attributes:
        ranks: those of these ranks,
        non_empty: but not those that have nothing to show.
    """

    ranks: frozenset[Rank] = frozenset(Rank)
    non_empty: bool = False

    def shows(self, result: MinionResult) -> bool:
        """Tell whether this result is shown."""
        return RANKS[result.state] in self.ranks and not (self.non_empty and _is_empty(result))

    @property
    def shows_unknown(self) -> bool:
        """Whether ids that no minion has are shown: they are among the silent."""
        return Rank.SILENT in self.ranks and not self.non_empty


def read_only(values: Sequence[str]) -> Only:
    """Read every ``--only``: a word, or several with commas between. Ranks add up; all of them when none is named.

    Raises:
        UsageError: a word is none of ``ONLY_WORDS``.
    """
    words = [word.strip() for value in values for word in value.split(",")]
    for word in words:
        if word not in ONLY_WORDS:
            near = nearest(word, ONLY_WORDS)
            raise UsageError(
                f"--only takes no {word[:40]!r}",
                f"{f'did you mean {near}? ' if near else ''}any of: {','.join(ONLY_WORDS)}",
            )
    ranks = frozenset(_RANK_WORDS[word] for word in words if word in _RANK_WORDS)
    return Only(ranks or frozenset(Rank), _NON_EMPTY in words)


def _is_empty(result: MinionResult) -> bool:
    """Nothing was written, or the value is none, or an empty text, list or dictionary; ``False`` and 0 are something."""
    if result.traceback:
        return False
    if shows_streams(result):
        return not result.stdout and not result.stderr
    value = result.value
    return value is None or (isinstance(value, str | bytes | Sequence | Mapping) and not value)
