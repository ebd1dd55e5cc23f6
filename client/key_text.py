"""Minion keys as text: four sections, each key with its fingerprint, pending ones with the code that two people compare."""

from collections.abc import Iterable, Sequence

from ..core.control_answers import KeyRow
from ..core.visible import columns, visible_line


def sections(rows: Sequence[KeyRow], states: Iterable[str], *, with_empty: bool = True) -> str:
    """Write keys by state, sorted by id, each section under its title.

    Args:
        rows: the keys.
        states: which sections, in this order.
        with_empty: a section without keys is shown too, so that nobody has to wonder.
    """
    lines: list[str] = []
    width = max((columns(row.minion) for row in rows), default=0)
    for state in states:
        chosen = sorted((row for row in rows if row.state == state), key=lambda row: (row.minion, row.fingerprint))
        if chosen or with_empty:
            lines.append(f"{state.capitalize()} Keys:")
        lines += [f"    {key_line(row, width)}" for row in chosen]
    return "".join(f"{line}\n" for line in lines)


def key_line(row: KeyRow, width: int = 0) -> str:
    """Write one key on a line; of a candidate also the pairing code and where it came from."""
    parts = [row.minion + " " * (width - columns(row.minion)), row.fingerprint]
    if row.state in {"pending", "denied"}:
        parts.append(f"pairing code {row.pairing_code}")
        parts.append(f"from {row.address}" if row.address else "")
    return visible_line("  ".join(part for part in parts if part))
