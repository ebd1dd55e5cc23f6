"""``fleet events``: what happens, as it happens."""

import sys

from ..core.control import EventNote
from ..core.visible import visible_line
from .documents import event_document, portable
from .invocation import Invocation
from .moments import moment_here
from .output import json_line
from .verbs import AFTER, COUNT


def events(call: Invocation) -> int:
    """Print events, a line each, until ``--count`` of them have come or Ctrl-C ends it."""
    form = call.form(("text", "jsonl"), "text")
    words = call.words + call.literals
    count = call.options.count(COUNT.name, 0)
    notes = call.client().events(words[0] if words else "*", call.options.count(AFTER.name, -1))
    for seen, note in enumerate(notes, start=1):
        if note.missed:
            call.report.warn(f"{note.missed} events before number {note.number} are no longer kept")
        sys.stdout.write(json_line(event_document(note)) if form == "jsonl" else _line(note))
        sys.stdout.flush()
        if seen == count:
            break
    return 0


def _line(note: EventNote) -> str:
    data = json_line(portable(note.payload)).rstrip("\n")
    return f"{moment_here(note.time_us)}  {visible_line(note.tag)}  {data}\n"
