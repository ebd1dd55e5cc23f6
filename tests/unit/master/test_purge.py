"""Old jobs go a transaction at a time; what fails ends the purge, and the next one goes on."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fleet.core.errors import StateError, StoreFullError
from fleet.master.purge import PAUSE_US, Purged
from fleet.master.store import Change, DeleteJob, Keep, Shrink
from fleet.master.store_deleting import BATCH_LIMIT_JOBS
from fleet.master.store_file import NAME
from fleet.master.store_sqlite import SqliteJobStore
from support.deleting_master import DeletingMaster
from support.job_cache import NOW_US, new_job, new_return


def fill(folder: Path, count: int, size_bytes: int = 10) -> None:
    with SqliteJobStore.open(folder) as store, store.transaction():
        for number in range(count):
            jid = store.submit(new_job("m"), NOW_US + number).jid
            store.apply([new_return(jid, "m", os.urandom(size_bytes))], NOW_US + number)


def transactions(master: DeletingMaster, monkeypatch: pytest.MonkeyPatch) -> list[list[type]]:
    """What the purge has the store do from now on, transaction by transaction."""
    found: list[list[type]] = []
    apply = master.thread.apply

    def watched(changes: Sequence[Change], on_done: Callable[[Exception | None], None]) -> None:
        if changes:
            found.append([type(change) for change in changes])
        apply(changes, on_done)

    monkeypatch.setattr(master.thread, "apply", watched)
    return found


def test_the_limits_of_the_settings_are_looked_at_once_a_minute(tmp_path: Path) -> None:
    with DeletingMaster(tmp_path, Keep(count=2)) as master:
        for _ in range(4):
            master.submit("m", ended=True)
        begun_us = master.clock.us
        master.purge.tick(begun_us)
        master.settle()
        assert [purged.jobs for purged in master.purged] == [2]
        master.submit("m", ended=True)
        master.purge.tick(begun_us + PAUSE_US - 1)
        master.settle()
        assert len(master.stored()) == 3
        master.purge.tick(begun_us + PAUSE_US)
        master.settle()
        assert [purged.jobs for purged in master.purged] == [2, 1]
        assert master.purge.removed == 3


def test_where_the_limits_are_kept_nothing_is_told(tmp_path: Path) -> None:
    with DeletingMaster(tmp_path, Keep(86_400, 10, 10**9)) as master:
        master.submit("m", ended=True)
        master.purge.tick(master.clock.us)
        master.settle()
        assert (master.purged, len(master.stored())) == ([], 1)


def test_each_transaction_removes_a_bounded_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 2 * BATCH_LIMIT_JOBS + 5)
    with DeletingMaster(tmp_path) as master:
        found = transactions(master, monkeypatch)
        master.delete()
        assert [len(changes) for changes in found if DeleteJob in changes] == [BATCH_LIMIT_JOBS, BATCH_LIMIT_JOBS, 5]
        assert master.stored() == set()


def test_others_get_their_turn_between_two_transactions(tmp_path: Path) -> None:
    fill(tmp_path, 3 * BATCH_LIMIT_JOBS)
    with DeletingMaster(tmp_path) as master:
        master.ask_to_delete()
        seen: list[int | Exception] = []
        for _ in range(4):
            master.thread.read(lambda store: len(store.ended_jobs()), seen.append)
            master.collect()
        master.settle()
        assert any(seen)
        assert master.stored() == set()


def test_the_file_shrinks_to_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 4, 8_000_000)
    with DeletingMaster(tmp_path) as master:
        found = transactions(master, monkeypatch)
        answers = master.delete()
        assert len(answers) == 2
        assert [Shrink] in found
    assert (tmp_path / NAME).stat().st_size < 300_000


def test_a_file_that_cannot_shrink_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 2, 1_000_000)
    with SqliteJobStore.open(tmp_path) as store:
        store._connection.executescript("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM")
    with DeletingMaster(tmp_path) as master:
        found = transactions(master, monkeypatch)
        master.delete()
        assert found.count([Shrink]) == 1
        assert master.stored() == set()


@pytest.mark.parametrize("problem", [StateError("damaged", ""), StoreFullError("full", "")])
def test_what_fails_is_told_and_the_next_purge_goes_on(
    tmp_path: Path, problem: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, 3)
    with DeletingMaster(tmp_path, Keep(count=1)) as master:
        told: list[Purged | Exception] = []
        apply = master.thread.apply

        def refuse(changes: Sequence[Change], on_done: Callable[[Exception | None], None]) -> None:
            if changes:
                on_done(problem)
            else:
                apply(changes, on_done)

        with monkeypatch.context() as patch:
            patch.setattr(master.thread, "apply", refuse)
            master.purge.run(Keep(count=1), told.append)
            master.purge.tick(NOW_US)
            master.settle()
        assert told == [problem]
        # A full disk is told once, by whoever watches it; everything else is a line of the log.
        assert ("could not be removed" in caplog.text) is not isinstance(problem, StoreFullError)
        assert (master.purged, len(master.stored())) == ([], 3)
        master.purge.tick(NOW_US + PAUSE_US)
        master.settle()
        assert len(master.stored()) == 1


def test_a_purge_of_a_store_that_cannot_be_read_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = StateError("damaged", "")
    with DeletingMaster(tmp_path) as master:
        told: list[Purged | Exception] = []
        with monkeypatch.context() as patch:
            patch.setattr(master.thread, "read", lambda function, on_done: on_done(problem))
            master.purge.run_all(told.append)
        assert told == [problem]


def test_a_purge_that_takes_long_is_not_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 3)
    with DeletingMaster(tmp_path, Keep(count=1)) as master:
        found = transactions(master, monkeypatch)
        for minute in range(5):
            master.purge.tick(NOW_US + minute * PAUSE_US)
        master.settle()
        assert sum(DeleteJob in changes for changes in found) == 1
