"""Who may change minion keys: the master when it runs, else the store itself, under the lock of the master's state folder."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..core.control_answers import KeyList, KeyRow
from ..core.control_requests import KeyChoice
from ..core.errors import NotPermittedError, StateError, UnreachableError, UsageError
from .client import Client
from .connection import Connection

if TYPE_CHECKING:
    from ..keys.minion_key import MinionKey
    from ..keys.store import KeyStore

#: A master that starts holds the lock a moment before it listens, and another fleet-key holds it for milliseconds.
_PATIENCE_SECONDS = 3.0
_PAUSE_SECONDS = 0.1


class KeyAuthority(Protocol):
    """Lists and changes minion keys."""

    def keys(self) -> KeyList:
        """All minion keys."""

    def change(self, action: str, rows: Sequence[KeyRow]) -> KeyList:
        """``accept``, ``reject`` or ``delete`` exactly these keys, all or none; gives back what changed."""


class RunningMaster:
    """The master does it; what it decides takes effect at once."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def keys(self) -> KeyList:
        """Ask for all minion keys."""
        return self._client.keys()

    def change(self, action: str, rows: Sequence[KeyRow]) -> KeyList:
        """Ask for exactly these keys to be changed."""
        return self._client.change_keys(action, [KeyChoice(row.minion, row.fingerprint) for row in rows])


class StoreOnDisk:
    """No master runs: the store is read and written here. The lock is held for each step alone, not while a person thinks.

    Args:
        folder: the master's state folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keys(self) -> KeyList:
        """Read all minion keys.

        Raises:
            UnreachableError: no master has ever been started here.
            StateError: the store cannot be read, or a master holds it.
            NotPermittedError: it belongs to another account.
        """
        from ..keys.lock import lock_state_folder
        from ..keys.store import KeyStore

        identity = self._master_identity()
        with lock_state_folder(self._folder, "fleet-key"), KeyStore.open(self._folder) as store:
            return _key_list(store, store.all(), identity)

    def change(self, action: str, rows: Sequence[KeyRow]) -> KeyList:
        """Change exactly these keys on disk; the master finds it so at its next start.

        Raises:
            NotFoundError: one of them is gone.
            KeyStoreError: the store refuses.
        """
        from ..core.errors import NotFoundError
        from ..keys.lock import lock_state_folder
        from ..keys.store import KeyStore

        identity = self._master_identity()
        with lock_state_folder(self._folder, "fleet-key"), KeyStore.open(self._folder) as store:
            keys = []
            for row in rows:
                key = store.find(row.minion, row.fingerprint)
                if key is None:
                    raise NotFoundError(f"the key of {row.minion} is gone; nothing was changed", "fleet-key -L")
                keys.append(key)
            now_us = time.time_ns() // 1000
            match action:
                case "accept":
                    changed = store.accept(keys, now_us)
                case "reject":
                    changed = store.reject(keys, now_us)
                case "delete":
                    changed = store.delete(keys)
                case _:
                    raise UsageError(f"keys cannot be {action!r}ed", "accept, reject or delete")
            return _key_list(store, changed, identity)

    def _master_identity(self) -> bytes:
        from ..keys.identity import read_master_public

        try:
            public = read_master_public(self._folder)
        except StateError as problem:
            if isinstance(problem.__cause__, PermissionError) or not _is_own(self._folder):
                raise NotPermittedError(problem.message, problem.hint) from problem
            raise
        if public is None:
            raise UnreachableError(
                f"no master runs here, and none was ever started: {self._folder} holds no identity",
                "start fleet-master, or name its folder with --root",
            )
        return public.identity


def _key_list(store: "KeyStore", keys: Sequence["MinionKey"], identity: bytes) -> KeyList:
    from ..keys.fingerprint import fingerprint
    from ..keys.selection import key_row

    rows = tuple(key_row(key, identity) for key in sorted(keys, key=lambda key: (key.minion_id, key.fingerprint)))
    return KeyList(rows, fingerprint(identity), store.candidates_dropped)


def find_authority(client: Client, state_folder: Path) -> KeyAuthority:
    """Find who may change keys now.

    Raises:
        NotPermittedError: this account may neither ask the master nor read its store.
        StateError: the store is locked, yet no master answers.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            Connection(client.socket_path).close()
        except UnreachableError as problem:
            store = StoreOnDisk(state_folder)
            holder = _lock_holder(store)
            if holder is None:
                return store
            if time.monotonic() > deadline:
                raise StateError(
                    f"{holder.message}, but no master answers: {problem.message}",
                    "if it is starting, wait until it is ready; else look at its log, or at the path of its socket",
                ) from problem
            time.sleep(_PAUSE_SECONDS)
        else:
            return RunningMaster(client)


def _lock_holder(store: StoreOnDisk) -> StateError | None:
    """Try the store; give back the error that names who holds its lock, None when nobody does."""
    try:
        store.keys()
    except StateError as problem:
        if isinstance(problem.__cause__, BlockingIOError):
            return problem
        raise
    return None


def _is_own(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.geteuid()
    except OSError:
        return True
