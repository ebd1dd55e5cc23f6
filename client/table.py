"""Plain aligned tables: no lines, no colour, so that they read well and grep well."""

from collections.abc import Iterable, Sequence

from ..core.visible import columns, visible_line

#: One long cell, which a minion may have sent, is not to fill up those of ten thousand others.
_PADDING_LIMIT_COLUMNS = 60


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], total: int | None = None) -> str:
    """Write rows under headings, then ``shown/total``.

    A cell of more than 60 columns is written whole; what follows it in its row starts later than in others.

    Args:
        headings: one for each column.
        rows: cells as text; control characters are made visible.
        total: how many rows there are in all; as many as are shown when None.
    """
    cells = [list(headings), *([visible_line(cell) for cell in row] for row in rows)]
    widths = [_width(row[index] for row in cells) for index in range(len(headings))]
    lines = [_line(row, widths) for row in cells]
    lines.append(f"{len(rows)}/{len(rows) if total is None else total}")
    return "\n".join(lines) + "\n"


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Write names and values, one pair a line, the values aligned."""
    width = _width(name for name, _ in pairs)
    return "".join(
        f"{name}{' ' * (width - columns(name))}  {visible_line(value)}".rstrip() + "\n" for name, value in pairs
    )


def _width(cells: Iterable[str]) -> int:
    """Give the columns that every cell of a column is filled up to."""
    return min(max(map(columns, cells), default=0), _PADDING_LIMIT_COLUMNS)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True))
    return "  ".join(padded).rstrip()
