"""``fleet status`` and ``fleet version``: how the master is, and whether both sides are of one release."""

import sys
from collections.abc import Mapping, Sequence

from .. import __version__
from ..core.control_answers import MasterStatus, QueueFigure
from ..core.errors import FleetError
from .documents import status_document
from .invocation import Invocation
from .moments import moment_here, span
from .output import print_document
from .table import facts
from .verb_options import LIST_FORMS


def status(call: Invocation) -> int:
    """Print how the master is."""
    form = call.form(LIST_FORMS, "text")
    master = call.client().status()
    if form != "text":
        print_document(status_document(master), form)
        return 0
    sys.stdout.write("\n".join(f"{title}\n{_indented(pairs)}" for title, pairs in _groups(master) if pairs))
    return 0


def _groups(master: MasterStatus) -> list[tuple[str, list[tuple[str, str]]]]:
    """Everything that is known, in groups, each number with its unit."""
    running = span((master.now_us - master.started_us) / 1e6)
    load = "  ".join(f"{number:.2f}" for number in master.load)
    return [
        (
            "MASTER",
            [
                ("version", master.version),
                ("fingerprint", master.fingerprint),
                ("user", master.user),
                ("pid", str(master.pid)),
                ("started", f"{moment_here(master.started_us)}, {running} ago"),
            ],
        ),
        ("SOCKETS", sorted(master.sockets.items())),
        ("MINIONS", [(state, f"{count:,}") for state, count in master.minions.items()]),
        ("KEYS", [(state, f"{count:,}") for state, count in master.keys.items()]),
        ("QUEUES, now and at the most", [_queue(queue) for queue in master.queues]),
        ("JOB CACHE", _figures(master.job_cache)),
        ("PROCESS", _figures(master.process)),
        ("MACHINE", _figures(master.machine) + ([("load", load)] if load else [])),
        ("COUNTERS, since the start", [(name, f"{count:,}") for name, count in sorted(master.counters.items())]),
    ]


def _figures(figures: Mapping[str, int]) -> list[tuple[str, str]]:
    return [(name_of(name), figure_text(name, number)) for name, number in figures.items()]


def _queue(queue: QueueFigure) -> tuple[str, str]:
    limit = figure_text(queue.name, queue.limit) if queue.limit else "no limit"
    return name_of(queue.name), f"{figure_text(queue.name, queue.now)} / {limit}"


def name_of(name: str) -> str:
    """Write the name of a figure for people: without its unit, which stands with the number."""
    return name.removesuffix("_bytes").removesuffix("_ms").replace("_", " ")


def figure_text(name: str, number: int) -> str:
    """Write a figure with its unit, which the end of its name says: ``_bytes``, ``_ms``, or none."""
    if name.endswith("_ms"):
        return span(number / 1000)
    return size_text(number) if name.endswith("_bytes") else f"{number:,}"


def size_text(size_bytes: int) -> str:
    """Write a number of bytes for people: ``512 B``, ``12.0 KiB``, ``1.5 GiB``."""
    size, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit}"


def _indented(pairs: Sequence[tuple[str, str]]) -> str:
    return "".join(f"  {line}\n" for line in facts(pairs).splitlines())


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
