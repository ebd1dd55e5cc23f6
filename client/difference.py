"""How the lines of one result differ from those of another, as a unified diff: pure, and bounded in what it costs."""

from collections import Counter
from collections.abc import Sequence

#: Minions wrote what is compared: neither lines that repeat nor lines in another order may keep a terminal busy for long.
_LINES_LIMIT = 4_000
_PAIRS_LIMIT = 100_000
#: difflib leaves out of the comparison what makes up more than a hundredth of a text of this many lines.
_MANY_LINES = 200


def difference(reference: Sequence[str], lines: Sequence[str]) -> list[str] | None:
    """Write what turns ``reference`` into ``lines``, from the first ``@@`` on; None when it would take too long to find."""
    if _is_costly(reference, lines):
        return None
    from difflib import unified_diff

    return list(unified_diff(reference, lines, lineterm=""))[2:]


def _is_costly(reference: Sequence[str], lines: Sequence[str]) -> bool:
    """Estimate the work by the number of pairs of equal lines."""
    if max(len(reference), len(lines)) > _LINES_LIMIT:
        return True
    counts, reference_counts = Counter(lines), Counter(reference)
    popular = len(lines) // 100 + 1 if len(lines) >= _MANY_LINES else len(lines)
    pairs = sum(count * reference_counts[line] for line, count in counts.items() if count <= popular)
    return pairs > _PAIRS_LIMIT
