"""``fleet minions``: all minions with an accepted key, and how they are."""

import sys

from .documents import minion_document
from .invocation import Invocation
from .moments import moment_here, moments_here
from .output import print_document
from .table import table
from .verbs import LIST_FORMS

_HEADINGS = ("MINION", "STATE", "SINCE", "LAST-SEEN", "ADDRESS", "VERSION", "OS", "RUNNING", "WAITING", "ROUND-TRIP")


def minions(call: Invocation) -> int:
    """Print the minions, sorted by id."""
    form = call.form(LIST_FORMS, "text")
    rows = call.client().minions()
    if form != "text":
        print_document({row.minion: minion_document(row) for row in rows}, form)
        return 0
    cells = [
        (
            row.minion,
            row.state,
            moment_here(row.since_us, "never"),
            moment_here(row.last_seen_us, "never"),
            row.address or "-",
            row.version or "-",
            row.os or "-",
            str(row.running),
            str(row.waiting),
            f"{row.round_trip_us / 1000:.1f} ms" if row.round_trip_us else "-",
        )
        for row in rows
    ]
    sys.stdout.write(table(_HEADINGS, cells))
    for row in rows:
        if row.conflict:
            call.report.say(f"warning: {moments_here(row.conflict)}")
    return 0
