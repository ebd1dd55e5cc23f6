"""``fleet minions``: the minions with an accepted key, how they are, and what they say of themselves."""

import sys
from collections import Counter
from collections.abc import Sequence

from ..core.control_answers import MinionRow
from ..core.errors import ArgumentError, UsageError
from ..core.options import nearest
from .client import Client
from .documents import minion_document, minion_record, portable
from .invocation import Invocation
from .job_target import target_kind
from .minion_columns import BUILT_IN, DEFAULT, NOTHING, Column, grains_of, read_columns, values_of
from .moments import moments_here
from .output import json_line, print_document
from .table import table
from .verb_options import COLUMNS, COUNT_BY, LIST_FORMS, MINION_FORMS, MINION_STATES, SHOW_LIMIT, STATES


def minions(call: Invocation) -> int:
    """Print the minions that a target selects, sorted by id, or how many there are of each value of a grain."""
    count_by = call.options.text(COUNT_BY.name)
    form = call.form(LIST_FORMS if count_by else MINION_FORMS, "text")
    target, kind = _target(call)
    if count_by and call.options.flag(COLUMNS.name):
        raise UsageError("--count-by has columns of its own", "leave it or --columns away")
    names = [count_by] if count_by else call.options.names(COLUMNS.name) or DEFAULT
    columns = read_columns(names)
    states = _read_states(call.options.names(STATES.name))
    client = call.client()
    found = _ask(client, target, kind, columns)
    rows = [row for row in found if row.state in states]
    limit = call.options.count(SHOW_LIMIT.name, 0) or None
    if count_by:
        _print_counts(columns[0], rows, limit, form)
    elif form == "jsonl":
        sys.stdout.writelines(json_line(minion_record(row.minion, _document(row, columns))) for row in rows[:limit])
    elif form != "text":
        print_document({row.minion: _document(row, columns) for row in rows[:limit]}, form)
    else:
        cells = [[column.text(row) for column in columns] for row in rows[:limit]]
        sys.stdout.write(table([column.heading for column in columns], cells, len(rows)))
    _warn(call, client, target, kind, rows)
    return 0


def _target(call: Invocation) -> tuple[str, str]:
    words = call.words + call.literals
    kind = target_kind(call)
    if kind != "glob" and not words:
        raise UsageError("a target is missing", "fleet minions -G 'os:Debian'")
    return (words[0] if words else ""), kind


def _read_states(names: Sequence[str]) -> Sequence[str]:
    states = names or MINION_STATES
    for state in states:
        if state not in MINION_STATES:
            near = nearest(state, MINION_STATES)
            hint = f"did you mean {near}? one of: " if near else "one of: "
            raise UsageError(f"{state[:40]!r} is no state of a minion", hint + ", ".join(MINION_STATES))
    return states


def _ask(client: Client, target: str, kind: str, columns: Sequence[Column]) -> tuple[MinionRow, ...]:
    """Ask for the rows; when nobody has such a grain, a column of ours may have been meant."""
    names = grains_of(columns)
    try:
        return client.minions(target, kind, names)
    except ArgumentError as problem:
        near = next((near for name in names if (near := nearest(name, list(BUILT_IN)))), "")
        if not near:
            raise
        also = (
            f"{problem.hint} or the column {near}?"
            if problem.hint.startswith("did you mean")
            else f"did you mean {near}?"
        )
        raise ArgumentError(
            f"{problem.message}, and no column is called so", f"{also} there are: {', '.join(BUILT_IN)}"
        ) from problem


def _document(row: MinionRow, columns: Sequence[Column]) -> dict[str, object]:
    document = minion_document(row)
    if grains_of(columns):
        document["grains"] = {name: portable(row.grains.get(name)) for name in grains_of(columns)}
    return document


def _print_counts(column: Column, rows: Sequence[MinionRow], limit: int | None, form: str) -> None:
    counts: Counter[str] = Counter()
    missing = 0
    for row in rows:
        values = values_of(column, row)
        counts.update(values)
        missing += not values
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    if form != "text":
        document = {"by": column.name, "counts": dict(ordered[:limit]), "without": missing, "minions": len(rows)}
        print_document(document, form)
        return
    if missing:
        ordered.append((NOTHING, missing))
    cells = [(value, f"{count:,}") for value, count in ordered[:limit]]
    sys.stdout.write(table((column.heading, "MINIONS"), cells, len(ordered)))


def _warn(call: Invocation, client: Client, target: str, kind: str, rows: Sequence[MinionRow]) -> None:
    for row in rows:
        if row.conflict:
            call.report.warn(moments_here(row.conflict))
    if target and kind in {"list", "compound"}:
        unknown = client.preview(target, kind).unknown
        if unknown:
            call.report.warn(f"no accepted key has the id {', '.join(unknown)}")
