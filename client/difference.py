"""How the lines of a result differ from those of another, as a unified diff: pure, and bounded in what it costs."""

from collections.abc import Sequence
from difflib import Match, SequenceMatcher
from itertools import accumulate

#: Minions wrote what is compared: neither lines that repeat nor lines in another order may keep a terminal busy for long. A step is
#: a line, or a pair of equal lines, that is looked at; difflib looks at them again for each match that it finds.
_LINES_LIMIT = 4_000
_STEPS_LIMIT = 5_000_000
#: All diffs of a command together; one text is to use up a part of it only.
STEPS_LIMIT_OF_ALL = 20_000_000
_CONTEXT_LINES = 3


class Comparison:
    """Compares texts with one reference, and gives up what would take too long to find.

    Attributes:
        steps_left: what may still be spent on further texts.
    """

    def __init__(self, reference: Sequence[str], limit_steps: int = STEPS_LIMIT_OF_ALL) -> None:
        self._reference = reference
        self.steps_left = limit_steps

    def difference(self, lines: Sequence[str]) -> list[str] | None:
        """Write what turns the reference into ``lines``, from the first ``@@`` on; None when it would take too long to find."""
        if self.steps_left <= 0 or max(len(self._reference), len(lines)) > _LINES_LIMIT:
            return None
        matcher = _Matcher(self._reference, lines, min(self.steps_left, _STEPS_LIMIT))
        try:
            matcher.get_matching_blocks()
        except _TooManyStepsError:
            return None
        finally:
            self.steps_left -= matcher.steps
        return _unified(matcher, self._reference, lines)


class _TooManyStepsError(Exception):
    pass


class _Matcher(SequenceMatcher[str]):
    """A matcher that counts before each search how much it may have to look at, and stops when that is too much."""

    #: Documented by difflib: where in the second text each line stands, but for too frequent ones.
    b2j: dict[str, list[int]]

    def __init__(self, reference: Sequence[str], lines: Sequence[str], limit_steps: int) -> None:
        super().__init__(None, reference, lines)
        self.steps = 0
        self._limit_steps = limit_steps
        each = (1 + len(self.b2j.get(line, ())) for line in reference)
        self._steps_before = list(accumulate(each, initial=0))

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Match:
        steps = self._steps_before[-1 if ahi is None else ahi] - self._steps_before[alo]
        if self.steps + steps > self._limit_steps:
            raise _TooManyStepsError
        self.steps += steps
        return super().find_longest_match(alo, ahi, blo, bhi)


def _unified(matcher: SequenceMatcher[str], reference: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Write what a matcher found as ``difflib.unified_diff`` would, without the names of files."""
    written: list[str] = []
    for group in matcher.get_grouped_opcodes(_CONTEXT_LINES):
        first, last = group[0], group[-1]
        written.append(f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@")
        for tag, old_start, old_end, new_start, new_end in group:
            if tag == "equal":
                written += [f" {line}" for line in reference[old_start:old_end]]
                continue
            written += [f"-{line}" for line in reference[old_start:old_end]]
            written += [f"+{line}" for line in lines[new_start:new_end]]
    return written


def _range(start: int, end: int) -> str:
    """Write the place of some lines as unified diffs do: counted from one, but of none the line before."""
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"
