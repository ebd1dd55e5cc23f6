"""``fleet minions show``: everything about one minion."""

import sys
import time

from ..core.control_answers import KeyRow, MinionRow
from ..core.errors import NoMatchError, UsageError
from ..core.names import check_minion_id
from ..core.nested import nested_lines
from .client import Client
from .documents import minion_document, portable
from .invocation import Invocation
from .minion_columns import NOTHING, round_trip_text, skew_text
from .moments import moment_here, moments_here, span
from .output import print_document
from .table import facts
from .verb_options import LIST_FORMS


def show_minion(call: Invocation) -> int:
    """Print one minion: its key, its link, its open jobs and its grains.

    Raises:
        NoMatchError: no accepted key has this id; the message says when another key has.
    """
    form = call.form(LIST_FORMS, "text")
    words = call.words + call.literals
    if len(words) != 1:
        raise UsageError("which minion?", "fleet minions show ID")
    client = call.client()
    minion = check_minion_id(words[0])
    keys = [key for key in client.keys().keys if key.minion == minion]
    row = _find(client, minion, keys)
    others = [key for key in keys if key.fingerprint != row.fingerprint]
    grains = client.grains(minion)
    if form != "text":
        document = {"minion": row.minion, **minion_document(row), "key": "accepted"}
        document["other_keys"] = [{"state": key.state, "fingerprint": key.fingerprint} for key in others]
        print_document({**document, "grains": portable(grains)}, form)
        return 0
    pairs = [
        ("MINION", row.minion),
        ("STATE", _state(row)),
        ("LAST-SEEN", moment_here(row.last_seen_us, "never")),
        ("KEY", f"accepted, {row.fingerprint}"),
        *(("OTHER KEY", f"{key.state}, {key.fingerprint}, from {key.address or NOTHING}") for key in others),
        ("ADDRESS", row.address or NOTHING),
        ("HOST", row.host or NOTHING),
        ("OS", row.os or NOTHING),
        ("VERSION", row.version or NOTHING),
        ("PROTOCOL", str(row.protocol or NOTHING)),
        ("ROUND-TRIP", round_trip_text(row)),
        ("SKEW", skew_text(row)),
        ("RUNNING", str(row.running)),
        ("WAITING", str(row.waiting)),
        *(("OPEN JOB", f"{job.jid}  {job.function}  {job.state}") for job in row.jobs),
    ]
    lines = nested_lines(grains) if grains else ["none were reported"]
    sys.stdout.write(facts(pairs) + "GRAINS\n" + "".join(f"    {line}\n" for line in lines))
    return 0


def _find(client: Client, minion: str, keys: list[KeyRow]) -> MinionRow:
    try:
        return client.minion(minion)
    except NoMatchError as problem:
        if not keys:
            raise
        states = " and ".join(sorted({key.state for key in keys}))
        raise NoMatchError(
            f"no accepted key has the id {minion}; there is one that is {states}",
            f"fleet-key list shows it; fleet-key accept {minion} lets it join",
        ) from problem


def _state(row: MinionRow) -> str:
    """Its state with since when, and why it gets no jobs."""
    parts = [row.state]
    if row.since_us is not None:
        parts.append(f"since {moment_here(row.since_us)}, for {span(time.time() - row.since_us / 1e6)}")
    away = "not connected" if row.since_us else "not seen since the master's start"
    reasons = {"down": away if row.last_seen_us else "never connected to this master"}
    reasons["silent"] = "connected, but heartbeats are missing"
    why = moments_here(row.conflict) or reasons.get(row.state, "")
    return " ".join(parts) + (f": {why}" if why else "")
