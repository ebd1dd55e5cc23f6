"""The stores that keep the contract, and where they lie; another store joins with one line in ``STORES``."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet.core.job_states import JobState
from fleet.core.names import Jid, MinionId
from fleet.master.store_sqlite import SqliteJobStore
from fleet.master.store_thread import WritingStore

#: Opens the store that lies in a folder, or makes one.
STORES: list[Callable[[Path], WritingStore]] = [SqliteJobStore.open]


class Home:
    """A place where a store lies; it can be closed and opened again."""

    def __init__(self, open_store: Callable[[Path], WritingStore], folder: Path) -> None:
        self._open_store = open_store
        self._folder = folder
        self.store = open_store(folder)

    def reopen(self) -> WritingStore:
        self.store.close()
        self.store = self._open_store(self._folder)
        return self.store


@pytest.fixture(params=STORES, ids=lambda opens: opens.__qualname__)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    place = Home(request.param, tmp_path / "state")
    yield place
    place.store.close()


@pytest.fixture
def store(home: Home) -> WritingStore:
    return home.store


def states(store: WritingStore, jid: Jid) -> dict[MinionId, JobState]:
    """The state of each target of a job."""
    return {result.minion: result.state for result in store.results(jid)}
