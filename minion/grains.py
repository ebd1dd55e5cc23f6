"""What a minion reports about itself: facts to choose targets by, never to authorise with.

Nothing in here looks up a name, runs a program or can keep a minion from starting: a fact that cannot be found is left
out, and why is said once in the warnings. Facts come from ``grain_sources.py``, the operator's own from
``static_grains.py``.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ..core.dataclass import dataclass
from ..core.names import MinionId
from ..core.values import Value
from .grain_limits import keep_what_travels
from .grain_sources import SOURCES

Source = Callable[[Path], Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class Grains:
    """The grains of a minion, and what is to be told about those that it lacks.

    Attributes:
        values: by name; all of them plain values that fit one message.
        warnings: a sentence for each thing that was left out, for the log.
    """

    values: Mapping[str, Value]
    warnings: tuple[str, ...] = ()


def collect_grains(
    minion_id: MinionId,
    static: Mapping[str, Value],
    version: str,
    root: Path = Path("/"),
    sources: Iterable[Source] = SOURCES,
) -> Grains:
    """Collect the grains of this machine: what the sources find, then the static ones, which win, then the id.

    It imports psutil and distro, together 3 MiB that stay in the process which calls it (measured, Python 3.11).

    Args:
        minion_id: becomes the grain ``id``, whatever the static ones say.
        static: the operator's own.
        version: of fleet, the grain ``fleetversion``.
        root: where the files of the machine are; another one in tests.
        sources: where facts come from.
    """
    found: dict[str, Value] = {}
    warnings: list[str] = []
    for source in sources:
        try:
            found.update(source(root))
        except Exception as problem:  # noqa: BLE001 - a fact that breaks its source must not keep a minion from starting
            warnings.append(f"the grains of {source.__name__!r} are left out: {problem!r}")
    found["fleetversion"] = version
    found.update(static)
    if static.get("id", minion_id) != minion_id:
        warnings.append("the static grain 'id' is left out: it is the minion's own name")
    found["id"] = minion_id
    values, more_warnings = keep_what_travels(found)
    return Grains(values, (*warnings, *more_warnings))
