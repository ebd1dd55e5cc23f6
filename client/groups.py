"""Identical results together, the gravest first: pure; ``client/fold.py`` prints them."""

import re
from collections.abc import Iterable
from enum import StrEnum

from ..core.dataclass import dataclass
from ..core.job_states import JobState
from ..core.names import MinionId
from ..core.node_names import natural_key
from ..core.visible import visible_line
from .blocks import body, own_reason, shows_streams, standing
from .ranks import Rank, rank_of
from .results import MinionResult

_NUMBER = re.compile(r"[0-9]+")


class Folding(StrEnum):
    """What counts as the same: nothing, what is the same in every line, or what differs in numbers alone."""

    OFF = "off"
    EXACT = "exact"
    NUMBERS = "numbers"


@dataclass(frozen=True, slots=True)
class Group:
    """Minions with the same result; all of them in one state and with one exit code, however results are folded.

    Attributes:
        rank: how grave it is.
        state: where the job stands on all of them.
        retcode: the exit code of all of them; None where there was none.
        title: how it ended, in a few words; empty when all is well.
        lines: what there is to show.
        minions: in natural order.
        numbers_differ: title and lines are those of the first minion; the others have other numbers in them.
    """

    rank: Rank
    state: JobState
    retcode: int | None
    title: str
    lines: tuple[str, ...]
    minions: tuple[MinionId, ...]
    numbers_differ: bool = False

    @property
    def is_one_line(self) -> bool:
        """Whether it is one minion with one line at the most."""
        return len(self.minions) == 1 and len(self.lines) <= 1


#: Lines, or where numbers do not count, one text in which they are masked.
_Compared = tuple[str, ...] | str
#: State, silence, exit code, whether stderr is among the lines, title, lines; the last is the minion where nothing is folded.
_Likeness = tuple[JobState, bool, int | None, bool, str, _Compared, str]


class _Gathered:
    """Minions that are alike, and how the first of them looks."""

    def __init__(self, result: MinionResult, title: str, lines: tuple[str, ...]) -> None:
        self.minions = [result.minion]
        self.numbers_differ = False
        self._shown = result
        self._title = title
        self._lines = lines

    def add(self, result: MinionResult, title: str, lines: tuple[str, ...]) -> None:
        self.minions.append(result.minion)
        if title != self._title or lines != self._lines:
            self.numbers_differ = True
            if natural_key(result.minion) < natural_key(self._shown.minion):
                self._shown, self._title, self._lines = result, title, lines

    def group(self) -> Group:
        shown = self._shown
        minions = tuple(sorted(self.minions, key=natural_key))
        return Group(rank_of(shown), shown.state, shown.retcode, self._title, self._lines, minions, self.numbers_differ)


def fold(results: Iterable[MinionResult], folding: Folding = Folding.EXACT) -> tuple[Group, ...]:
    """Fold results together: failures first, then who is silent, then who refused, then successes; the largest groups first."""
    found: dict[_Likeness, _Gathered] = {}
    bodies = _Bodies(folding)
    titles: dict[tuple[object, ...], str] = {}
    for result in results:
        lines, compared = bodies.of(result)
        standing_so = result.state, result.is_silent, result.retcode, result.reason, not lines
        title = titles.get(standing_so)
        if title is None:
            title = titles[standing_so] = _title(result, has_body=bool(lines))
        alike = _NUMBER.sub("#", title) if folding is Folding.NUMBERS else title
        alone = result.minion if folding is Folding.OFF else ""
        has_stderr = bool(result.stderr) and shows_streams(result)
        likeness = (result.state, result.is_silent, result.retcode, has_stderr, alike, compared, alone)
        gathered = found.get(likeness)
        if gathered is None:
            found[likeness] = _Gathered(result, title, lines)
        else:
            gathered.add(result, title, lines)
    groups = [gathered.group() for gathered in found.values()]
    return tuple(sorted(groups, key=lambda group: (group.rank, -len(group.minions), natural_key(group.minions[0]))))


class _Bodies:
    """The lines of results, and by what they are compared; what many programs wrote alike is worked out once."""

    def __init__(self, folding: Folding) -> None:
        self._masks_numbers = folding is Folding.NUMBERS
        self._known: dict[tuple[object, ...], tuple[tuple[str, ...], _Compared]] = {}

    def of(self, result: MinionResult) -> tuple[tuple[str, ...], _Compared]:
        if result.has_value and not result.value_from:
            return self._work_out(result)  # a value may hold dictionaries, which are no keys
        totals = result.stdout_total_bytes, result.stderr_total_bytes
        ending = result.has_value, result.value_from, result.state, result.traceback
        key = (result.stdout, result.stderr, *totals, *ending)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._work_out(result)
        return known

    def _work_out(self, result: MinionResult) -> tuple[tuple[str, ...], _Compared]:
        lines = tuple(body(result))
        return lines, _NUMBER.sub("#", "\n".join(lines)) if self._masks_numbers else lines


def _title(result: MinionResult, *, has_body: bool) -> str:
    # What a program said is the reason; "exit code 1" need not be told twice.
    needs_reason = result.reason and not (has_body and result.state is JobState.FAILED and result.retcode)
    reason = own_reason(result) if needs_reason else ""
    return visible_line(": ".join(part for part in (standing(result), reason) if part))
