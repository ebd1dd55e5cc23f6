"""Opening the file of the job cache: whose it is, of which format, brought up to date after a copy was made."""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ..core.errors import ProtocolError, StateError, StoreFullError
from ..keys.state_folder import StateFolder, explained
from .store_parts import drop_unfinished
from .store_schema import APPLICATION_ID, MIGRATIONS, SCHEMA, SCHEMA_VERSION

NAME = "jobs.sqlite"
INCARNATION_BYTES = 16
#: More jobs than any master gives between a copy and its use: a minute of microseconds.
_SKIPPED_JIDS = 60_000_000

#: Every SQLite file is at least one page long, and no page is shorter.
_SMALLEST_PAGE_BYTES = 512
#: Nobody but the writer locks the file for long; an operator with a SQLite shell may.
_LOCK_TIMEOUT_SECONDS = 5.0
#: What a burst has made of the log of changes is given back to the disk beyond this.
_LOG_LIMIT_BYTES = 64 * 1024 * 1024

_RESTORE = (
    "restore it from a copy, or move it away with its -wal and -shm: the next start makes an empty one; keys and minions are "
    "not touched"
)
#: The cause may go away by itself, and then the same change can be stored.
_FOR_NOW = {
    sqlite3.SQLITE_FULL: ("cannot be written: the disk is full", "free some space"),
    sqlite3.SQLITE_IOERR: ("cannot be read or written: the disk fails", "look into the kernel's log"),
    sqlite3.SQLITE_READONLY: ("cannot be written: it is read-only", "see whether the disk is mounted read-only"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "see who owns it and the folder, and whether the disk is mounted"),
    sqlite3.SQLITE_BUSY: ("is locked by another process", "see who works on that file: fuser -v FILE"),
}
_DAMAGED = {
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is no job cache, or damaged",
}


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises within the block into our errors.

    Raises:
        StoreFullError: it cannot be used for now.
        StateError: it is damaged, or cannot be used at all.
    """
    try:
        yield
    except sqlite3.Error as problem:
        # The lower byte is the primary code; the upper ones tell reading from writing and the like.
        code = int(getattr(problem, "sqlite_errorcode", 0)) & 0xFF
        if code in _FOR_NOW:
            why, hint = _FOR_NOW[code]
            raise StoreFullError(f"the job cache {path} {why}", hint) from problem
        why = _DAMAGED.get(code, f"cannot be used: {problem}")
        raise StateError(f"the job cache {path} {why}", _RESTORE) from problem
    except ProtocolError as problem:
        raise StateError(f"the job cache {path} is damaged: {problem.message}", _RESTORE) from problem


def open_for_writing(folder: Path, migrations: Mapping[int, str] = MIGRATIONS) -> sqlite3.Connection:
    """Open the job cache in a master's state folder whose lock the caller holds; make both if they are missing.

    Raises:
        StateError: it is damaged, of a newer release, something else, open to others, or cannot be written.
    """
    path = folder / NAME
    with StateFolder.open(folder) as state, store_errors(path):
        # Made here, so that it has its mode from the first moment on, and is whole or not there: SQLite would take a file that
        # lost its content for a new one, and what minions return late would be discarded. SQLite gives its other files this mode.
        if not os.path.lexists(path):
            state.create(NAME, _blank())
        status = _status(state)
        if status.st_size < _SMALLEST_PAGE_BYTES:
            raise StateError(f"the job cache {path} is damaged: it has {status.st_size} bytes", _RESTORE)
        connection = _connect(path)
        try:
            _prepare(path, connection, status.st_ino, migrations)
        except BaseException:
            connection.close()
            raise
    return connection


def open_for_reading(folder: Path) -> sqlite3.Connection:
    """Open one more connection to a job cache that is open already; it cannot write.

    Raises:
        StateError: it cannot be opened.
    """
    path = folder / NAME
    with store_errors(path):
        connection = _connect(path)
        connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    # Opened in one thread and handed to another; never used by two.
    connection = sqlite3.connect(
        path, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _status(state: StateFolder) -> os.stat_result:
    descriptor = state.open_file(NAME)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _prepare(path: Path, connection: sqlite3.Connection, file_number: int, migrations: Mapping[int, str]) -> None:
    """See that the file is ours and of this format, or bring it there; then set what makes a commit durable."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    _check(path, application_id, version, migrations)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StateError(f"the job cache {path} lies on a disk that cannot hold it safely", "use a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT_BYTES}")
    if version < SCHEMA_VERSION:
        _copy(path, connection, version)
    while version < SCHEMA_VERSION:
        _run(connection, f"{migrations[version]}; PRAGMA user_version = {version + 1};")
        version += 1
    _take_incarnation(connection, file_number)
    # A full disk may refuse even that: then they stay until the next start.
    with suppress(sqlite3.OperationalError):
        drop_unfinished(connection)


def _check(path: Path, application_id: int, version: int, migrations: Mapping[int, str]) -> None:
    if application_id != APPLICATION_ID:
        raise StateError(f"{path} is a database of something else", "move it away")
    if version > SCHEMA_VERSION:
        raise StateError(
            f"the job cache {path} was written by a newer release (format {version}, this one knows {SCHEMA_VERSION})",
            "upgrade fleet on this machine, or restore the copy that was made before the upgrade",
        )
    if version < SCHEMA_VERSION and version not in migrations:
        raise StateError(f"the job cache {path} is damaged: there was never a format {version}", _RESTORE)


def _blank() -> bytes:
    """The content of a job cache without jobs; it takes its incarnation when it is opened, for no file has the number 0."""
    numbers = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
    meta = f"INSERT INTO meta VALUES (1, zeroblob({INCARNATION_BYTES}), 0, 0, 0);"  # noqa: S608 - a number of ours
    with closing(sqlite3.connect(":memory:")) as connection:
        # Only an empty file takes it.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _run(connection, f"{SCHEMA} {meta} {numbers}")
        return connection.serialize()


def _run(connection: sqlite3.Connection, script: str) -> None:
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _copy(path: Path, connection: sqlite3.Connection, version: int) -> None:
    """Keep the file as it is now under ``jobs.sqlite.format-N``; whole, or not there."""
    name = f"{NAME}.format-{version}"
    temporary = f"{name}.new"
    with StateFolder.open(path.parent) as state, explained(f"copy {path}"):
        with suppress(FileNotFoundError):
            (path.parent / temporary).unlink()
        state.create(temporary, b"")
        copy = sqlite3.connect(path.parent / temporary)
        try:
            with closing(copy):
                connection.backup(copy)
            os.replace(path.parent / temporary, path.parent / name)
        except BaseException:
            # Most likely the disk is full: half a copy is of no use there.
            for left in (temporary, f"{temporary}-journal"):
                (path.parent / left).unlink(missing_ok=True)
            raise


def _take_incarnation(connection: sqlite3.Connection, file_number: int) -> None:
    """Take a new incarnation when this is not the file that it was: restored from a copy, it may know less than the minions.

    The number of the file tells; a copy written *into* the old file goes unnoticed, so copies are restored by moving them.

    Jids go on a minute later than the copy's last. Where the clock was set back they follow one another by a microsecond each, and the
    copy would give those anew that minions know as other jobs: these would be told the results of those.
    """
    connection.execute(
        "UPDATE meta SET incarnation = ?, file_number = ?, last_jid_us = last_jid_us + (last_jid_us > 0) * ? WHERE file_number <> ?",
        (os.urandom(INCARNATION_BYTES), file_number, _SKIPPED_JIDS, file_number),
    )
