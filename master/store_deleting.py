"""Removing jobs from the job cache: one with everything that only it refers to, and which are to go."""

import sqlite3
from collections.abc import Iterable

from ..core.names import Jid, MinionId, jid_from_microseconds
from .store import DeleteJob, Forgot, Keep, Owed
from .store_interned import Interned
from .store_jids import key_of
from .store_parts import LENGTH_OF, drop_kept
from .store_schema import BLOB_COLUMNS, STATE_COLUMNS

#: What one transaction removes: it must let others through soon. A job of more targets or output goes alone.
BATCH_LIMIT_JOBS = 200
BATCH_LIMIT_TARGETS = 5_000
BATCH_LIMIT_BYTES = 32 * 1024 * 1024
#: Pages that one transaction gives back to the disk, 4 KiB each.
_SHRINK_LIMIT_PAGES = 1_000
#: With a limit on bytes the size is looked at after so many jobs: how much a job holds is known when it has gone.
_SIZED_BATCH_LIMIT_JOBS = 50

_SELECT_BLOBS = f"SELECT minion, {', '.join(BLOB_COLUMNS)} FROM job_targets WHERE jid_us = ?"  # noqa: S608 - our own columns
_TARGETS = " + ".join(STATE_COLUMNS)
# What is referred to several times counts as often: that makes a batch smaller than it might be, never larger.
_SELECT_BYTES = f"""
SELECT ifnull(sum({LENGTH_OF % "used.id"}), 0)
FROM job_targets JOIN blobs AS used ON used.id IN ({", ".join(BLOB_COLUMNS)}) WHERE jid_us = ?
"""  # noqa: S608 - our own columns
_SELECT_OLDEST = f"SELECT jid_us, {_TARGETS} FROM jobs WHERE finished_us IS NOT NULL"  # noqa: S608

_COUNT_OPEN = "SELECT count(*) FROM jobs WHERE finished_us IS NULL"


def delete_job(connection: sqlite3.Connection, interned: Interned, change: DeleteJob) -> None:
    """Remove one job within a transaction; one that has not ended stays, unless that is forced."""
    jid_us = key_of(change.jid)
    row = connection.execute("SELECT finished_us, expires_us FROM jobs WHERE jid_us = ?", (jid_us,)).fetchone()
    if row is None or (row[0] is None and not change.is_forced):
        return
    for minion, *blobs in connection.execute(_SELECT_BLOBS, (jid_us,)).fetchall():
        interned.release(blobs)
        drop_kept(connection, (jid_us, minion))
    for table in ("job_targets", "notes", "stdin_parts", "jobs"):
        connection.execute(f"DELETE FROM {table} WHERE jid_us = ?", (jid_us,))  # noqa: S608 - our own names
    connection.execute("UPDATE meta SET jobs_total = jobs_total - 1")
    owed = [(jid_us, minion, row[1]) for minion in change.owing]
    connection.executemany("INSERT OR REPLACE INTO forgets VALUES (?, ?, ?)", owed)


def forget_owed(connection: sqlite3.Connection, change: Forgot) -> None:
    """A minion has forgotten a deleted job."""
    key = (key_of(change.jid), change.minion)
    connection.execute("DELETE FROM forgets WHERE jid_us = ? AND minion = ?", key)


def read_owed(connection: sqlite3.Connection) -> tuple[Owed, ...]:
    """What minions have not yet been heard to have forgotten."""
    rows = connection.execute("SELECT jid_us, minion, expires_us FROM forgets")
    return tuple(Owed(jid_from_microseconds(jid_us), MinionId(minion), expires) for jid_us, minion, expires in rows)


def shrink(connection: sqlite3.Connection) -> None:
    """Give room that is free again back to the disk, a bounded part at a time; a file made before format 2 keeps its size."""
    (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    for _ in range(min(free, _SHRINK_LIMIT_PAGES) if mode else 0):
        # One page a call: Python's module steps a statement without rows but once.
        connection.execute("PRAGMA incremental_vacuum(1)")


def used_bytes(connection: sqlite3.Connection) -> int:
    """How much the file holds, without the pages that are free again."""
    page, pages, free = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    return int(page * (pages - free))


def free_bytes(connection: sqlite3.Connection) -> int:
    """How much of the file is free again."""
    page, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "freelist_count"))
    return int(page * free)


def find_expendable(connection: sqlite3.Connection, keep: Keep, now_us: int) -> tuple[Jid, ...]:
    """The oldest jobs that have ended and go beyond what is kept, as many as one transaction should remove."""
    if keep.age_seconds > 0:
        # A job is older than its end: so only jobs of that age are looked at, however many there are.
        limit_us = now_us - round(keep.age_seconds * 1_000_000)
        older = f"{_SELECT_OLDEST} AND jid_us < ?1 AND finished_us < ?1 ORDER BY jid_us"
        found = _batch(connection, connection.execute(older, (limit_us,)))
        if found:
            return found
    (total,) = connection.execute("SELECT jobs_total FROM meta").fetchone()
    if keep.count > 0 and total > keep.count:
        return find_ended(connection, total - keep.count)
    if keep.size_bytes > 0 and used_bytes(connection) > keep.size_bytes:
        return find_ended(connection, _SIZED_BATCH_LIMIT_JOBS)
    return ()


def count_kept_open(connection: sqlite3.Connection, keep: Keep, now_us: int) -> int:
    """Count the open jobs that go beyond what is kept: of each limit, and then the largest number."""
    (total,) = connection.execute("SELECT jobs_total FROM meta").fetchone()
    (of_all,) = connection.execute(_COUNT_OPEN).fetchone()
    old = 0
    if keep.age_seconds > 0:
        limit_us = now_us - round(keep.age_seconds * 1_000_000)
        (old,) = connection.execute(f"{_COUNT_OPEN} AND jid_us < ?", (limit_us,)).fetchone()
    many = min(of_all, max(0, total - keep.count)) if keep.count > 0 else 0
    large = of_all if 0 < keep.size_bytes < used_bytes(connection) else 0
    return int(max(old, many, large))


def find_ended(connection: sqlite3.Connection, limit: int = BATCH_LIMIT_JOBS) -> tuple[Jid, ...]:
    """The oldest jobs that have ended: ``limit`` at the most, and not more than one transaction should remove."""
    return _batch(connection, connection.execute(f"{_SELECT_OLDEST} ORDER BY jid_us LIMIT ?", (limit,)))


def _batch(connection: sqlite3.Connection, rows: Iterable[tuple[int, int]]) -> tuple[Jid, ...]:
    found: list[Jid] = []
    targets = size_bytes = 0
    for jid_us, of_job in rows:
        targets += of_job
        size_bytes += connection.execute(_SELECT_BYTES, (jid_us,)).fetchone()[0]
        is_full = len(found) >= BATCH_LIMIT_JOBS or targets > BATCH_LIMIT_TARGETS or size_bytes > BATCH_LIMIT_BYTES
        if found and is_full:
            break
        found.append(jid_from_microseconds(jid_us))
    return tuple(found)
