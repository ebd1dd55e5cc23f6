"""Long outputs in the job cache: parts that come while a return is pulled, and outputs that lie in parts.

What has come of an output that is not whole has a name instead of a digest, and nobody refers to it: it becomes the output when its
return is stored, and goes when its target ends otherwise, or with the next start of the master.
"""

import sqlite3

from ..core.errors import StateError
from ..core.outcome import OUTPUT_STREAMS
from .store import KeptOutput

#: The key of a target in its table: the job and the number of the minion's id.
Target = tuple[int, int]

_NAME = b"part"
#: No name has the length of a digest.
_NAME_BYTES = len(_NAME) + 8 + 8 + 1

_FIND = "SELECT id FROM blobs WHERE digest = ?"
_ADD = "INSERT INTO blobs (digest, data) VALUES (?, x'')"
_LENGTH = "SELECT ifnull(max(start + length(data)), 0), ifnull(sum(length(data)), 0) FROM blob_parts WHERE blob = ?"
_UNFINISHED = f"SELECT id FROM blobs WHERE digest >= x'{_NAME.hex()}' AND digest < x'{_NAME.hex()}ff' AND length(digest) = {_NAME_BYTES}"  # noqa: S608 - ours
#: The length of an output whose blob has the id that is put in for ``%s``, as an SQL expression.
LENGTH_OF = (
    "(SELECT CASE length(data) WHEN 0 THEN (SELECT sum(length(parts.data)) FROM blob_parts AS parts WHERE blob = blobs.id)"
    " ELSE length(data) END FROM blobs WHERE id = %s)"
)


def keep_part(connection: sqlite3.Connection, target: Target, stream: str, start: int, data: bytes) -> None:
    """Keep a part of an output of an open target; the one at 0 replaces what was kept before."""
    name = _name(target, stream)
    row = connection.execute(_FIND, (name,)).fetchone()
    blob = connection.execute(_ADD, (name,)).lastrowid if row is None else row[0]
    if start == 0:
        connection.execute("DELETE FROM blob_parts WHERE blob = ?", (blob,))
    connection.execute("INSERT OR REPLACE INTO blob_parts VALUES (?, ?, ?)", (blob, start, data))


def take_kept(connection: sqlite3.Connection, target: Target, stream: str, output: KeptOutput) -> int:
    """Give what was kept of an output its digest, now that it is whole; return the number of the blob.

    Raises:
        StateError: it is not whole.
    """
    same = connection.execute(_FIND, (output.digest,)).fetchone()
    if same is not None:
        return int(same[0])  # What was kept goes with the rest that this target has kept.
    row = connection.execute(_FIND, (_name(target, stream),)).fetchone()
    end, kept = (0, 0) if row is None else connection.execute(_LENGTH, row).fetchone()
    if end != output.length_bytes or kept != output.length_bytes:
        raise StateError(
            f"{kept} of {output.length_bytes} bytes of a {stream} are in the job cache", "the minion sends it again"
        )
    connection.execute("UPDATE blobs SET digest = ? WHERE id = ?", (output.digest, *row))
    return int(row[0])


def drop_kept(connection: sqlite3.Connection, target: Target) -> None:
    """Let go of what was kept of the outputs of a target: it has ended."""
    names = [_name(target, stream) for stream in OUTPUT_STREAMS]
    for row in connection.execute("SELECT id FROM blobs WHERE digest IN (?, ?)", names).fetchall():
        _drop(connection, row)


def drop_unfinished(connection: sqlite3.Connection) -> None:
    """Let go of everything that is not whole: this is the start of the master, and it is pulled anew."""
    for row in connection.execute(_UNFINISHED).fetchall():
        _drop(connection, row)


def read_output(connection: sqlite3.Connection, blob: int, offset: int, limit_bytes: int) -> bytes:
    """Read at most so many bytes of an output from an offset on, in parts or not; none beyond the end."""
    row = connection.execute(
        "SELECT substr(data, ?, ?) FROM blobs WHERE id = ?", (offset + 1, limit_bytes, blob)
    ).fetchone()
    if row is None or row[0]:
        return b"" if row is None else bytes(row[0])
    found = bytearray()
    before = "SELECT max(start) FROM blob_parts WHERE blob = ?1 AND start <= ?2"
    parts = f"SELECT start, data FROM blob_parts WHERE blob = ?1 AND start >= ({before}) AND start < ?3 ORDER BY start"  # noqa: S608
    for start, data in connection.execute(parts, (blob, offset, offset + limit_bytes)):
        found += data[max(offset - start, 0) : offset + limit_bytes - start]
    return bytes(found)


def _drop(connection: sqlite3.Connection, row: tuple[int]) -> None:
    connection.execute("DELETE FROM blob_parts WHERE blob = ?", row)
    connection.execute("DELETE FROM blobs WHERE id = ?", row)


def _name(target: Target, stream: str) -> bytes:
    jid_us, minion = target
    return _NAME + jid_us.to_bytes(8, "big") + minion.to_bytes(8, "big") + bytes((OUTPUT_STREAMS.index(stream),))
