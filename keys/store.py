"""The store of minion keys: ``keys.sqlite`` in the master's state folder, mode 0600.

The running master is the one writer; with the master down ``fleet-key`` is, under the same lock of the folder
(``keys/lock.py``). All keys are also in memory, so no look-up reads the disk, and a change reaches memory only after its
commit. Decisions are fsynced before the call returns; offers are not, since a lost one is offered again.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Self

from ..core.errors import KeyStoreError
from ..core.names import MinionId, is_minion_id
from .fingerprint import same_fingerprint
from .key_index import Change, KeyIndex
from .minion_key import KeyState, MinionKey
from .state_folder import StateFolder

NAME = "keys.sqlite"
#: Strangers fill the list of candidates; at about 300 bytes each it takes this much and no more.
CANDIDATE_LIMIT = 1000

#: How exactly it is kept when an accepted key was last offered.
SEEN_AGAIN_US = 3_600_000_000
_KEY_BYTES = 32
_SCHEMA_VERSION = 1
_SMALLEST_PAGE_BYTES = 512
# "flky", at byte 68 of the file: tells a store of keys from any other SQLite file.
_APPLICATION_ID = 0x666C6B79
# The indexes hold the two rules that must never break, whatever this program gets wrong.
_SCHEMA = """
CREATE TABLE minion_key (
    minion_id     TEXT    NOT NULL CHECK (typeof(minion_id) = 'text'),
    public_key    BLOB    NOT NULL CHECK (typeof(public_key) = 'blob' AND length(public_key) = 32),
    state         TEXT    NOT NULL CHECK (state IN ('pending', 'accepted', 'rejected', 'denied')),
    first_seen_us INTEGER NOT NULL,
    last_seen_us  INTEGER NOT NULL,
    address       TEXT    NOT NULL,
    decided_us    INTEGER,
    PRIMARY KEY (minion_id, public_key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX one_accepted_key_an_id ON minion_key (minion_id) WHERE state = 'accepted';
CREATE UNIQUE INDEX one_id_an_accepted_key ON minion_key (public_key) WHERE state = 'accepted';
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counter VALUES ('candidates_dropped', 0);
"""
_NUMBERS = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_SCHEMA_VERSION};"
_LOAD = """
SELECT minion_id, public_key, state, first_seen_us, last_seen_us, address, decided_us
FROM minion_key ORDER BY last_seen_us
"""
_WRITE = "INSERT OR REPLACE INTO minion_key VALUES (?, ?, ?, ?, ?, ?, ?)"
_REMOVE = "DELETE FROM minion_key WHERE minion_id = ? AND public_key = ?"
_COUNT = "UPDATE counter SET value = value + ? WHERE name = 'candidates_dropped'"

_STATES: Mapping[str, KeyState] = {state.value: state for state in KeyState}

_RESTORE = (
    "restore it from a backup, or move it away with its -wal and -shm: the next start makes an empty one, and every key is "
    "accepted anew"
)
_REASONS = {
    sqlite3.SQLITE_BUSY: ("is used by another process", "only one at a time may work on it: stop that process"),
    sqlite3.SQLITE_FULL: ("cannot be written: the disk is full", "free some space; nothing was changed"),
    sqlite3.SQLITE_READONLY: ("cannot be written: it is read-only", "see whether the disk is mounted read-only"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "see who owns it and the folder, and whether the disk is mounted"),
    sqlite3.SQLITE_IOERR: ("cannot be read or written: the disk fails", "look into the kernel's log"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", _RESTORE),
    sqlite3.SQLITE_NOTADB: ("is no store of keys, or damaged", _RESTORE),
}


class KeyStore:
    """The minion keys of one master, on disk and in memory; a context manager. For one thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection, candidate_limit: int) -> None:
        """Use ``open``."""
        self._path: Final = path
        self._connection: Final = connection
        self._candidate_limit: Final = candidate_limit
        self._index = KeyIndex()
        self._dropped = 0

    @classmethod
    def open(cls, folder: Path, candidate_limit: int = CANDIDATE_LIMIT) -> Self:
        """Open the store in a master's state folder; make both if they are missing.

        Args:
            folder: whose lock the caller holds.
            candidate_limit: how many keys may wait for a decision, at least 1.

        Raises:
            KeyStoreError: the store is damaged, of a newer release, in use, or cannot be written.
            StateError: folder or file is open to others or of another account.
        """
        path = folder / NAME
        with StateFolder.open(folder) as state:
            # Made here, so that it has its mode from the first moment on, and is whole or not there: SQLite would take a file
            # that lost its content for a new one. SQLite gives its journal the same mode.
            if not os.path.lexists(path):
                state.create(NAME, _blank())
            _check_size(path, state.open_file(NAME))
        with _explained(path):
            connection = sqlite3.connect(path, timeout=0, isolation_level=None)
            try:
                _prepare(path, connection)
                store = cls(path, connection, candidate_limit)
                store._load()
            except BaseException:
                connection.close()
                raise
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @property
    def candidates_dropped(self) -> int:
        """How many candidates were ever dropped for want of room: more than a few means that somebody floods the list."""
        return self._dropped

    def all(self) -> tuple[MinionKey, ...]:
        """Return all keys, by id and then by first offer."""
        return tuple(sorted(self._index, key=lambda key: (key.minion_id, key.first_seen_us, key.public_key)))

    def by_state(self, state: KeyState) -> tuple[MinionKey, ...]:
        """Return the keys in one state, in the same order."""
        return tuple(key for key in self.all() if key.state is state)

    def of_id(self, minion_id: MinionId) -> tuple[MinionKey, ...]:
        """Return all keys of an id."""
        return self._index.of_id(minion_id)

    def find(self, minion_id: MinionId, fingerprint: str) -> MinionKey | None:
        """Return the key of an id with this fingerprint."""
        return next((key for key in self.of_id(minion_id) if same_fingerprint(key.fingerprint, fingerprint)), None)

    def accepted(self, minion_id: MinionId) -> MinionKey | None:
        """Return the accepted key of an id."""
        return self._index.accepted(minion_id)

    def accepted_by_key(self, public_key: bytes) -> MinionKey | None:
        """Return the accepted key with these 32 bytes: one look-up in a dictionary, for every handshake."""
        return self._index.accepted_by_key(public_key)

    @property
    def accepted_count(self) -> int:
        """How many keys are accepted."""
        return self._index.accepted_count

    def conflicts(self) -> Mapping[MinionId, tuple[MinionKey, ...]]:
        """Return the ids whose pending keys only an exact fingerprint may accept, each with all its keys."""
        return self._index.conflicts()

    def offer(self, minion_id: MinionId, public_key: bytes, address: str, now_us: int) -> MinionKey:
        """Take note of a key that a minion has offered and proved to hold; return it with its state.

        The accepted key of the id stays accepted, a rejected one rejected. Another key is denied while the id has an
        accepted one, else pending. When there is no room the candidate that was not offered for longest is dropped.

        When an accepted key was last offered is kept to ``SEEN_AGAIN_US``: a fleet that cannot reach its master asks here all at
        once, and each answer would be a transaction in the master's loop.

        Raises:
            KeyStoreError: it cannot be written; then nothing has changed.
        """
        if len(public_key) != _KEY_BYTES:
            raise KeyStoreError(f"a public key has {_KEY_BYTES} bytes, not {len(public_key)}")
        known = self._index.get(minion_id, public_key)
        is_accepted_here = known is not None and known.state is KeyState.ACCEPTED and known.address == address
        if known is not None and is_accepted_here and 0 <= now_us - known.last_seen_us < SEEN_AGAIN_US:
            return known
        offered = MinionKey(minion_id, public_key, KeyState.PENDING, now_us, now_us, address)
        (key,) = self._apply(lambda index: [index.offer(offered, self._candidate_limit)], durable=False)
        return key

    def accept(self, keys: Sequence[MinionKey], now_us: int) -> tuple[MinionKey, ...]:
        """Accept pending or rejected keys, all or none; return them as they are now, durably.

        Raises:
            KeyStoreError: another key of the id is accepted, the key is accepted under another id, or it cannot be written.
            NotFoundError: a key is not known (any more).
        """
        return self._apply(lambda index: [index.accept(key, now_us) for key in keys])

    def reject(self, keys: Sequence[MinionKey], now_us: int) -> tuple[MinionKey, ...]:
        """Reject keys of any state, all or none; return them as they are now, durably.

        Denied keys of an id that loses its accepted key by this become pending.

        Raises:
            KeyStoreError: it cannot be written.
            NotFoundError: a key is not known (any more).
        """
        return self._apply(lambda index: [index.reject(key, now_us) for key in keys])

    def delete(self, keys: Sequence[MinionKey]) -> tuple[MinionKey, ...]:
        """Delete keys of any state, all or none; return them as they were, durably.

        Denied keys of an id that loses its accepted key by this become pending.

        Raises:
            KeyStoreError: it cannot be written.
            NotFoundError: a key is not known (any more).
        """
        return self._apply(lambda index: [index.delete(key) for key in keys])

    def _load(self) -> None:
        for row in self._connection.execute(_LOAD):
            key = _key_from_row(self._path, row)
            if key.state is KeyState.ACCEPTED and (
                self.accepted(key.minion_id) or self.accepted_by_key(key.public_key)
            ):
                raise KeyStoreError(f"{self._path} is damaged: {key.minion_id} is accepted twice", _RESTORE)
            self._index.put(key)
        (self._dropped,) = self._connection.execute("SELECT value FROM counter").fetchone()

    def _apply(self, change: Callable[[KeyIndex], list[Change]], *, durable: bool = True) -> tuple[MinionKey, ...]:
        """Change a copy of the index, then the disk, and only then what others see."""
        index = self._index.copy()
        changes = change(index)
        dropped = sum(each.dropped for each in changes)
        with _explained(self._path):
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._write(changes, dropped)
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        self._index = index
        self._dropped += dropped
        return tuple(each.key for each in changes)

    def _write(self, changes: Sequence[Change], dropped: int) -> None:
        for each in changes:
            self._connection.executemany(_REMOVE, [(key.minion_id, key.public_key) for key in each.removed])
            self._connection.executemany(_WRITE, [_row_from_key(key) for key in each.written])
        if dropped:
            self._connection.execute(_COUNT, (dropped,))


def _check_size(path: Path, descriptor: int) -> None:
    """Close the file; refuse one that is empty or was cut off in its first page, which SQLite would take for a new one."""
    size = os.fstat(descriptor).st_size
    os.close(descriptor)
    if size < _SMALLEST_PAGE_BYTES:
        raise KeyStoreError(f"{path} is damaged: it has {size} bytes", _RESTORE)


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    """Take the file for this process alone, and see that it is ours before anything is written."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    _check_format(path, connection)
    connection.execute("PRAGMA journal_mode = WAL")


def _blank() -> bytes:
    """The content of a store without keys."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(f"BEGIN; {_SCHEMA} {_NUMBERS} COMMIT;")
        return connection.serialize()


def _check_format(path: Path, connection: sqlite3.Connection) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != _APPLICATION_ID:
        raise KeyStoreError(f"{path} is a database of something else", "move it away")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > _SCHEMA_VERSION:
        raise KeyStoreError(
            f"{path} was written by a newer release (format {version}, this one knows {_SCHEMA_VERSION})",
            "upgrade fleet on this machine, or restore the backup that was made before the upgrade",
        )
    (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if version != _SCHEMA_VERSION or finding != "ok":
        raise KeyStoreError(f"{path} is damaged (format {version}, check: {finding})", _RESTORE)


def _key_from_row(path: Path, row: tuple[object, ...]) -> MinionKey:
    """Check every field: the file may be damaged in ways that SQLite does not see."""
    minion_id, public_key, state, first_seen_us, last_seen_us, address, decided_us = row
    # No match statement: it takes twice as long, which ten thousand rows feel.
    if (
        isinstance(minion_id, str)
        and is_minion_id(minion_id)
        and isinstance(public_key, bytes)
        and len(public_key) == _KEY_BYTES
        and isinstance(state, str)
        and state in _STATES
        and isinstance(first_seen_us, int)
        and isinstance(last_seen_us, int)
        and isinstance(address, str)
        and (decided_us is None or isinstance(decided_us, int))
    ):
        known = _STATES[state]
        return MinionKey(MinionId(minion_id), public_key, known, first_seen_us, last_seen_us, address, decided_us)
    raise KeyStoreError(f"{path} is damaged: the row of {str(row[0])[:140]!r} makes no sense", _RESTORE)


def _row_from_key(key: MinionKey) -> tuple[object, ...]:
    return (
        key.minion_id,
        key.public_key,
        key.state.value,
        key.first_seen_us,
        key.last_seen_us,
        key.address,
        key.decided_us,
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what SQLite raises within the block into a KeyStoreError that says what to do."""
    try:
        yield
    except sqlite3.Error as problem:
        code = int(getattr(problem, "sqlite_errorcode", 0)) & 0xFF
        why, hint = _REASONS.get(code, (f"cannot be used: {problem}", "see whether anybody else works on that file"))
        raise KeyStoreError(f"{path} {why}", hint) from problem
