"""``fleet events``: what happens, as it happens."""

import sys

from ..core.control_answers import EventNote
from ..core.visible import visible_line
from .documents import event_document, portable
from .invocation import Invocation
from .moments import moment_here
from .output import json_line
from .verb_options import AFTER, COUNT


def events(call: Invocation) -> int:
    """Print events, a line each, until ``--count`` of them have come or Ctrl-C ends it; a master that goes away is waited for."""
    form = call.form(("text", "jsonl"), "text")
    words = call.words + call.literals
    count = call.options.count(COUNT.name, 0)
    report = call.report
    after = call.options.count(AFTER.name, -1)
    stream = call.client().events(
        words[0] if words else "*",
        after,
        on_lost=lambda problem: report.warn(f"{problem.message}; waiting until it is back"),
        on_back=lambda: report.warn("the master is back; going on where this was left"),
    )
    for seen, note in enumerate(stream, start=1):
        if note.missed:
            report.warn(missed_text(note, after))
        after = note.number
        sys.stdout.write(json_line(event_document(note)) if form == "jsonl" else _line(note))
        sys.stdout.flush()
        if seen == count:
            break
    return 0


def missed_text(note: EventNote, after: int) -> str:
    """Say how many events were missed before this one, when those after a number were asked for."""
    missed = note.missed
    if missed < 0 and after >= note.number:
        # The numbers of a later process are higher, so that no restart need have come between.
        return (
            f"event {after} has not happened yet, or is of another master process; this begins with the first one kept"
        )
    if missed < 0:
        return "the master was restarted since: nobody can tell how many events were missed"
    return f"{missed:,} event{' was' if missed == 1 else 's were'} missed"


def _line(note: EventNote) -> str:
    data = json_line(portable(note.payload)).rstrip("\n")
    return f"{note.number}  {moment_here(note.time_us)}  {visible_line(note.tag)}  {data}\n"
