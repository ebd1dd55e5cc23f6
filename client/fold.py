"""The form of a terminal: identical results together, failures first, the summary last. The only user of rich.

::

    ✗ db-[03,07,11] (3)  failed, exit 127
        stderr:
          /bin/sh: 1: unamee: not found
    ! edge-01  silent: down since 2026-11-18 09:12:44 UTC
    ✓ web-[001-812] (812)
        6.1.0-44-amd64

    812 ok · 3 failed · 1 silent · 816 targeted in 1.2 s   fleet jobs show 000042

Results fold only when state, exit code and every line are the same.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..core.job_states import JobState, Result
from ..core.names import MinionId
from ..core.node_names import fold_names, natural_key
from ..core.visible import columns, visible_line
from .blocks import body, indented, standing
from .moments import span
from .results import MinionResult, RunResult

_FAILED, _SILENT, _REFUSED, _OK = range(4)
_MARKS = ("✗", "!", "⊘", "✓")
_STYLES = ("bold red", "bold yellow", "bold magenta", "bold green")
#: ``uptime`` never folds: from this many groups of one minion and one line each, they stand in two columns.
_MANY_GROUPS = 20
#: Writes a text to stdout in a style.
StyledWriter = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Group:
    """Minions with the same result.

    Attributes:
        rank: where it stands among the groups, failures first.
        title: how it ended, in a few words; empty when all is well.
        lines: what there is to show.
        minions: in natural order.
    """

    rank: int
    title: str
    lines: tuple[str, ...]
    minions: tuple[MinionId, ...]

    @property
    def is_one_line(self) -> bool:
        """Whether it is one minion with one line at the most."""
        return len(self.minions) == 1 and len(self.lines) <= 1


def fold(results: Sequence[MinionResult]) -> tuple[Group, ...]:
    """Fold identical results together: failures first, then who is silent, then who refused, then successes by size."""
    found: dict[tuple[int, str, int | None, tuple[str, ...]], list[MinionId]] = {}
    for result in results:
        lines = tuple(body(result))
        key = (_rank(result), _title(result, has_body=bool(lines)), result.retcode, lines)
        found.setdefault(key, []).append(result.minion)
    groups = [
        Group(rank, title, lines, tuple(sorted(minions, key=natural_key)))
        for (rank, title, _, lines), minions in found.items()
    ]
    return tuple(sorted(groups, key=lambda each: (each.rank, -len(each.minions), natural_key(each.minions[0]))))


def _rank(result: MinionResult) -> int:
    if result.result is Result.FAILURE:
        return _FAILED
    if result.state is JobState.SUCCEEDED:
        return _OK
    return _REFUSED if result.state is JobState.REFUSED else _SILENT


def _title(result: MinionResult, *, has_body: bool) -> str:
    # What a program said is the reason; "exit code 1" need not be told twice.
    needs_reason = result.reason and not (has_body and result.state is JobState.FAILED and result.retcode)
    return visible_line(": ".join(part for part in (standing(result), result.reason if needs_reason else "") if part))


def summary_line(outcome: RunResult) -> str:
    """Count the results: ``9 ok · 1 silent · 10 targeted in 0.3 s   fleet jobs show 000042``."""
    counts: dict[str, int] = {}
    for result in sorted(outcome.values(), key=lambda each: (_rank(each) != _OK, _rank(each))):
        word = _word(result)
        counts[word] = counts.get(word, 0) + 1
    parts = [f"{count:,} {word}" for word, count in counts.items()]
    if outcome.unknown:
        parts.append(f"{len(outcome.unknown):,} unknown")
    parts.append(f"{len(outcome):,} targeted in {span(outcome.duration_seconds)}")
    return f"{' · '.join(parts)}   fleet jobs show {outcome.jid[-6:]}"


def _word(result: MinionResult) -> str:
    if result.is_silent:
        return "silent"
    return {JobState.SUCCEEDED: "ok", JobState.TIMED_OUT: "timed out"}.get(result.state, result.state.value)


def print_fold(outcome: RunResult, write: StyledWriter) -> None:
    """Print all results folded, and the summary; ``write`` is what ``styled_writer`` gives."""
    groups = fold(list(outcome.values()))
    for rank, (mark, style) in enumerate(zip(_MARKS, _STYLES, strict=True)):
        ranked = [group for group in groups if group.rank == rank]
        short = [group for group in ranked if group.is_one_line]
        if len(ranked) > _MANY_GROUPS and len(short) > 0.6 * len(ranked):
            ranked = [group for group in ranked if not group.is_one_line]
        else:
            short = []
        for group in ranked:
            write(f"{mark} {visible_line(fold_names(group.minions))}{_count(group)}", style)
            write(f"  {group.title}\n" if group.title else "\n", style)
            sys.stdout.writelines(indented(group.lines))
        for name, text in _columns(short):
            write(f"{mark} {name}", style)
            sys.stdout.write(f"  {text}\n" if text else "\n")
    if outcome.unknown:
        write(f"! {visible_line(', '.join(outcome.unknown))}  unknown: no accepted key has this id\n", _STYLES[_SILENT])
    write(f"\n{summary_line(outcome)}\n", "bold" if outcome.exit_code == 0 else "bold yellow")


def _count(group: Group) -> str:
    return f" ({len(group.minions):,})" if len(group.minions) > 1 else ""


def _columns(groups: Sequence[Group]) -> Iterator[tuple[str, str]]:
    """Give name and text of each, the names filled up to one width."""
    ordered = sorted(groups, key=lambda group: natural_key(group.minions[0]))
    width = max((columns(group.minions[0]) for group in ordered), default=0)
    for group in ordered:
        name = group.minions[0]
        yield name + " " * (width - columns(name)), "  ".join(part for part in (group.title, *group.lines) if part)


def styled_writer(*, color: bool) -> StyledWriter:
    """Give the function that writes text in a style; without colours rich is not even loaded."""
    if not color:
        return lambda text, _style: _write_plain(text)
    from rich.console import Console
    from rich.text import Text

    # What minions sent is never markup, never wrapped, never highlighted.
    console = Console(file=sys.stdout, force_terminal=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
    return lambda text, style: console.print(Text(text, style), end="")


def _write_plain(text: str) -> None:
    sys.stdout.write(text)
