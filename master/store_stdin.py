"""The stdin of a job in the job cache: kept once, in parts, until the job has ended everywhere or is deleted."""

import sqlite3

#: As much as a minion asks for at once.
PART_BYTES = 256 * 1024

_SELECT_PARTS = "SELECT start, data FROM stdin_parts WHERE jid_us = ? AND start > ? AND start < ? ORDER BY start"
_DROP_OF_ENDED = """
DELETE FROM stdin_parts WHERE jid_us = ?1 AND EXISTS (SELECT 1 FROM jobs WHERE jid_us = ?1 AND finished_us IS NOT NULL)
"""


def keep_stdin(connection: sqlite3.Connection, jid_us: int, stdin: bytes) -> None:
    """Store the stdin of a new job."""
    starts = range(0, len(stdin), PART_BYTES)
    rows = ((jid_us, start, stdin[start : start + PART_BYTES]) for start in starts)
    connection.executemany("INSERT INTO stdin_parts VALUES (?, ?, ?)", rows)


def read_stdin(connection: sqlite3.Connection, jid_us: int, offset: int, limit_bytes: int) -> bytes:
    """Read at most so many bytes from an offset on; none beyond the end, and none when nothing is kept (any more)."""
    found = bytearray()
    for start, data in connection.execute(_SELECT_PARTS, (jid_us, offset - PART_BYTES, offset + limit_bytes)):
        found += data[max(offset - start, 0) : offset + limit_bytes - start]
    return bytes(found)


def drop_stdin_of_ended(connection: sqlite3.Connection, jid_us: int) -> None:
    """Let go of a stdin that nobody will ask for any more, if its job has ended."""
    connection.execute(_DROP_OF_ENDED, (jid_us,))
