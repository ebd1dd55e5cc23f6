"""The form of a terminal: identical results together, failures first, the summary last. The only user of rich.

::

    ✗ db-[03,07,11] (3)  failed, exit 127
        stderr:
          /bin/sh: 1: unamee: not found
    ! edge-01  silent: down since 2026-11-18 09:12:44 UTC
    ✓ web-[001-812] (812)
        6.1.0-44-amd64

    812 ok · 3 failed · 1 silent · 816 targeted in 1.2 s   fleet jobs show 000042

Where nothing folds, such as the output of ``uptime``, each minion has a line, and what they said stands in a column.
"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..core.job_states import JobState
from ..core.node_names import fold_names, natural_key
from ..core.visible import columns, visible_line
from .blocks import indented
from .groups import Group, fold
from .moments import span
from .ranks import RANKS, Rank
from .results import RunResult
from .shown import Shown

if TYPE_CHECKING:
    from .difference import Comparison

_MARKS = {Rank.FAILED: "✗", Rank.SILENT: "!", Rank.REFUSED: "⊘", Rank.OK: "✓"}
_STYLES = {Rank.FAILED: "bold red", Rank.SILENT: "bold yellow", Rank.REFUSED: "bold magenta", Rank.OK: "bold green"}
_DIFF_STYLES = {"-": "red", "+": "green", "@": "cyan"}
#: From more groups than this, those of one line stand in a table also when others fold or say more.
_MANY_GROUPS = 20
_ROWS_LIMIT = 200
#: Writes a text without line ends to stdout in a style.
StyledWriter = Callable[[str, str], None]


def summary_line(outcome: RunResult, *, is_kept: bool = True) -> str:
    """Count the results: ``9 ok · 1 silent · 10 targeted in 0.3 s   fleet jobs show 000042``; the last part if the job is kept."""
    alike = Counter((each.state, each.is_silent) for each in outcome.results.values())
    counts: Counter[str] = Counter()
    for state, is_silent in sorted(alike, key=lambda each: (RANKS[each[0]] is not Rank.OK, RANKS[each[0]])):
        counts[_word(state, is_silent=is_silent)] += alike[state, is_silent]
    parts = [f"{count:,} {word}" for word, count in counts.items()]
    if unknown := len(outcome.unknown) + outcome.more_unknown:
        parts.append(f"{unknown:,} unknown")
    parts.append(f"{len(outcome):,} targeted in {span(outcome.duration_seconds)}")
    return f"{' · '.join(parts)}{f'   fleet jobs show {outcome.jid[-6:]}' if is_kept else ''}"


def _word(state: JobState, *, is_silent: bool) -> str:
    if is_silent:
        return "silent"
    return {JobState.SUCCEEDED: "ok", JobState.TIMED_OUT: "timed out"}.get(state, state.value)


def print_fold(outcome: RunResult, shown: Shown, write: StyledWriter) -> None:
    """Print the results that are shown, folded, and a summary of all; ``write`` is what ``styled_writer`` gives."""
    groups = fold(filter(shown.only.shows, outcome.results.values()), shown.folding)
    reference = _reference(groups) if shown.has_diff else None
    comparison = _comparison(reference)
    for rank in Rank:
        ranked = [group for group in groups if group.rank is rank]
        rows = [] if reference and reference.rank is rank else _rows(ranked)
        for group in ranked:
            if not (rows and group.is_one_line):
                _print_block(group, reference, comparison, write)
        kept = rows if shown.is_all else rows[:_ROWS_LIMIT]
        _print_table(kept, write)
        if len(kept) < len(rows):
            again = f"   fleet jobs show {outcome.jid[-6:]} --out fold --all" if shown.is_kept else ""
            sys.stdout.write(f"… {len(rows) - len(kept):,} more: --all{again}\n")
    if outcome.unknown and shown.only.shows_unknown:
        names = visible_line(", ".join(outcome.unknown))
        write(f"! {names}  unknown: no accepted key has this id", _STYLES[Rank.SILENT])
        sys.stdout.write("\n")
    sys.stdout.write("\n")
    write(summary_line(outcome, is_kept=shown.is_kept), "bold" if outcome.exit_code == 0 else "bold yellow")
    sys.stdout.write("\n")


def _rows(ranked: Sequence[Group]) -> list[Group]:
    """Choose what stands in a table: all when nothing folds and nobody says more than a line, or most of very many."""
    short = [group for group in ranked if group.is_one_line]
    nothing_folds = len(short) == len(ranked) > 1
    are_many = len(ranked) > _MANY_GROUPS and len(short) > 0.6 * len(ranked)
    return sorted(short, key=lambda group: natural_key(group.minions[0])) if nothing_folds or are_many else []


def _print_table(rows: Sequence[Group], write: StyledWriter) -> None:
    """Print a line for each minion, the names filled up to one width."""
    width = max((columns(group.minions[0]) for group in rows), default=0)
    for group in rows:
        name = group.minions[0]
        text = "  ".join(part for part in (group.title, *group.lines) if part)
        padding = " " * (width - columns(name)) if text else ""
        write(f"{_MARKS[group.rank]} {name}{padding}", _STYLES[group.rank])
        sys.stdout.write(f"  {text}\n" if text else "\n")


def _print_block(group: Group, reference: Group | None, comparison: "Comparison | None", write: StyledWriter) -> None:
    """Print who it is and how it ended, and below it what they said, or how that differs from the reference."""
    notes = [group.title] if group.title else []
    if group.numbers_differ:
        notes.append(f"the numbers differ; these are of {group.minions[0]}")
    changes: list[str] | None = None
    if reference and comparison and group is not reference and _are_comparable(group, reference):
        changes = comparison.difference(group.lines)
        with_whom = f"from {reference.minions[0]}"
        notes.append(f"too much to compare: differs {with_whom}" if changes is None else f"differs {with_whom}:")
    count = f" ({len(group.minions):,})" if len(group.minions) > 1 else ""
    heading = "  ".join((f"{_MARKS[group.rank]} {visible_line(fold_names(group.minions))}{count}", *notes))
    write(heading, _STYLES[group.rank])
    sys.stdout.write("\n")
    if changes is None:
        sys.stdout.writelines(indented(group.lines))
        return
    for line in changes:
        sys.stdout.write("    ")
        write(line, _DIFF_STYLES.get(line[:1], ""))
        sys.stdout.write("\n")


def _reference(groups: Sequence[Group]) -> Group | None:
    """Find the group that others are compared with: the largest that has something to say; of equals, successes."""
    return max(
        (group for group in groups if group.lines), key=lambda each: (len(each.minions), each.rank), default=None
    )


def _comparison(reference: Group | None) -> "Comparison | None":
    if reference is None:
        return None
    from .difference import Comparison  # difflib is for those who ask for it.

    return Comparison(reference.lines)


def _are_comparable(group: Group, reference: Group) -> bool:
    is_alike = (group.state, group.retcode) == (reference.state, reference.retcode)
    return is_alike and group.lines != reference.lines


def styled_writer(*, color: bool) -> StyledWriter:
    """Give the function that writes text in a style; without colours rich is not even loaded."""
    if not color:
        return lambda text, _style: _write_plain(text)
    from rich.color import ColorSystem
    from rich.style import Style

    # Not through a console of rich: what minions sent is never markup, never wrapped, never highlighted.
    def write(text: str, style: str) -> None:
        sys.stdout.write(Style.parse(style).render(text, color_system=ColorSystem.STANDARD))

    return write


def _write_plain(text: str) -> None:
    sys.stdout.write(text)
