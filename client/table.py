"""Plain aligned tables: no lines, no colour, so that they read well and grep well."""

from collections.abc import Sequence

from ..core.visible import columns, visible_line


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], total: int | None = None) -> str:
    """Write rows under headings, then ``shown/total``.

    Args:
        headings: one for each column.
        rows: cells as text; control characters are made visible.
        total: how many rows there are in all; as many as are shown when None.
    """
    cells = [list(headings), *([visible_line(cell) for cell in row] for row in rows)]
    widths = [max(columns(row[index]) for row in cells) for index in range(len(headings))]
    lines = [_line(row, widths) for row in cells]
    lines.append(f"{len(rows)}/{len(rows) if total is None else total}")
    return "\n".join(lines) + "\n"


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Write names and values, one pair a line, the values aligned."""
    width = max((columns(name) for name, _ in pairs), default=0)
    return "".join(
        f"{name}{' ' * (width - columns(name))}  {visible_line(value)}".rstrip() + "\n" for name, value in pairs
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True))
    return "  ".join(padded).rstrip()
