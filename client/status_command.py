"""``fleet status`` and ``fleet version``: how the master is, and whether both sides are of one release."""

import sys

from .. import __version__
from ..core.errors import FleetError
from .documents import status_document
from .invocation import Invocation
from .moments import moment_here, span
from .output import print_document
from .table import facts
from .verbs import LIST_FORMS


def status(call: Invocation) -> int:
    """Print how the master is."""
    form = call.form(LIST_FORMS, "text")
    master = call.client().status()
    if form != "text":
        print_document(status_document(master), form)
        return 0
    running = span((master.now_us - master.started_us) / 1e6)
    pairs = [
        ("VERSION", master.version),
        ("FINGERPRINT", master.fingerprint),
        ("PID", str(master.pid)),
        ("USER", master.user),
        ("STARTED", f"{moment_here(master.started_us)}, {running} ago"),
    ]
    pairs += [(f"SOCKET {name}", address) for name, address in sorted(master.sockets.items())]
    pairs += [(f"MINIONS {state}", f"{count:,}") for state, count in sorted(master.minions.items())]
    pairs += [(f"KEYS {state}", f"{count:,}") for state, count in sorted(master.keys.items())]
    pairs += [(f"COUNTER {name}", f"{count:,}") for name, count in sorted(master.counters.items())]
    sys.stdout.write(facts(pairs))
    return 0


def versions(call: Invocation) -> int:
    """Print the versions of client and master; warn when they differ, exit 1 when no master answers."""
    form = call.form(LIST_FORMS, "text")
    master = ""
    code = 0
    try:
        master = call.client().status().version
    except FleetError as problem:
        call.report.error(problem)
        code = problem.exit_code
    if form == "text":
        sys.stdout.write(facts([("client", __version__), ("master", master or "not reached")]))
    else:
        print_document({"client": __version__, "master": master or None}, form)
    if master and master != __version__:
        call.report.warn(f"the master is {master}, this command {__version__}: restart the master after an upgrade")
    return code
