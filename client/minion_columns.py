"""What ``fleet minions`` can show of a minion: its columns as data, and any grain by its name."""

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from ..core.control_answers import MinionRow
from ..core.dataclass import dataclass
from ..core.nested import scalar_text
from ..core.values import Value
from .documents import portable
from .moments import moment_here, span

#: What stands where there is nothing to show.
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: as ``--columns`` names it.
        heading: over it.
        text: the cell of a minion.
    """

    name: str
    heading: str
    text: Callable[[MinionRow], str]


def _built_in(name: str, text: Callable[[MinionRow], str]) -> Column:
    return Column(name, name.upper(), text)


def skew_text(row: MinionRow) -> str:
    """How far a minion's clock is ahead of the master's, with its sign; nothing of one that is not connected."""
    if row.state == "down":
        return NOTHING
    seconds = row.skew_us / 1e6
    shown = f"{seconds * 1000:+.1f} ms" if abs(seconds) < 1 else f"{'+' if seconds > 0 else '-'}{span(abs(seconds))}"
    return shown.replace("-0.0", "+0.0")


def round_trip_text(row: MinionRow) -> str:
    """The way to a minion's loop and back, as it has last measured it."""
    return f"{row.round_trip_us / 1000:.1f} ms" if row.round_trip_us else NOTHING


BUILT_IN: Mapping[str, Column] = MappingProxyType(
    {
        column.name: column
        for column in (
            _built_in("minion", lambda row: row.minion),
            _built_in("state", lambda row: row.state),
            _built_in(
                "since", lambda row: moment_here(row.since_us, "never" if row.last_seen_us is None else "unknown")
            ),
            _built_in("last-seen", lambda row: moment_here(row.last_seen_us, "never")),
            _built_in("address", lambda row: row.address or NOTHING),
            _built_in("version", lambda row: row.version or NOTHING),
            _built_in("os", lambda row: row.os or NOTHING),
            _built_in("running", lambda row: str(row.running)),
            _built_in("waiting", lambda row: str(row.waiting)),
            _built_in("round-trip", round_trip_text),
            _built_in("skew", skew_text),
            _built_in("host", lambda row: row.host or NOTHING),
            _built_in("protocol", lambda row: str(row.protocol or NOTHING)),
            _built_in("jobs", lambda row: " ".join(job.jid for job in row.jobs) or NOTHING),
            _built_in("fingerprint", lambda row: row.fingerprint),
            _built_in("conflict", lambda row: row.conflict or NOTHING),
        )
    }
)
#: What is shown when ``--columns`` does not say it.
DEFAULT = (
    "minion",
    "state",
    "since",
    "last-seen",
    "address",
    "version",
    "os",
    "running",
    "waiting",
    "round-trip",
    "skew",
)


def read_columns(names: Sequence[str]) -> tuple[Column, ...]:
    """Make columns of names: built-in ones, else grains; the master says when nobody has such a grain."""
    return tuple(BUILT_IN.get(name.lower().replace("_", "-")) or _grain(name) for name in names)


def grains_of(columns: Sequence[Column]) -> tuple[str, ...]:
    """Name the grains that these columns show."""
    return tuple(column.name for column in columns if column.name not in BUILT_IN)


def _grain(name: str) -> Column:
    def text(row: MinionRow) -> str:
        return value_text(row.grains[name]) if name in row.grains else NOTHING

    return Column(name, name, text)


def value_text(value: Value) -> str:
    """Write the value of a grain on one line: the elements of a list with commas, a mapping as JSON."""
    if isinstance(value, Mapping):
        return json.dumps(portable(value), ensure_ascii=False)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return ", ".join(map(value_text, value))
    return scalar_text(value)


def values_of(column: Column, row: MinionRow) -> tuple[str, ...]:
    """What a minion counts for under this column: each element of a list and each key of a mapping, as targets match them."""
    value = row.grains.get(column.name) if column.name not in BUILT_IN else column.text(row)
    if isinstance(value, Mapping):
        return tuple(dict.fromkeys(value))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(dict.fromkeys(map(value_text, value)))
    return () if value is None else (scalar_text(value),)
