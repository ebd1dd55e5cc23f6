"""The file of the job cache: whose it is, how large it grows, and what happens when it is killed, damaged or full."""

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.core.control_requests import ListJobs
from fleet.core.errors import StateError, StoreFullError
from fleet.core.job_states import JobState
from fleet.core.outcome import OutcomeKind
from fleet.master.store import DeleteJob, KeepPart, NewTarget, StateChange
from fleet.master.store_file import NAME, open_for_writing
from fleet.master.store_schema import KIND_CODES, SCHEMA_VERSION, STATE_CODES
from fleet.master.store_sqlite import SqliteJobStore
from support.disk import no_file_longer_than
from support.job_cache import NOW_US, minion, new_job, new_return, uses_of_outputs, with_answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@contextmanager
def raw(folder: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(folder / NAME)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def fill(folder: Path) -> None:
    with SqliteJobStore.open(folder) as store:
        jid = store.submit(new_job("a"), NOW_US).jid
        store.apply([new_return(jid, "a", os.urandom(100_000))], NOW_US)


def test_folder_and_files_are_private_from_the_first_moment_on(folder: Path) -> None:
    before = os.umask(0)
    try:
        with SqliteJobStore.open(folder) as store:
            store.submit(new_job("a"), NOW_US)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(before)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert modes == {NAME: 0o600, f"{NAME}-wal": 0o600, f"{NAME}-shm": 0o600}


def test_a_commit_is_on_the_disk_when_it_returns(folder: Path) -> None:
    connection = open_for_writing(folder)
    try:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    finally:
        connection.close()


_WRITER = """
import sys
from pathlib import Path
from fleet.master.store_sqlite import SqliteJobStore
from support.job_cache import NOW_US, new_job, new_return

store = SqliteJobStore.open(Path(sys.argv[1]))
while True:
    jid = store.submit(new_job("a"), NOW_US).jid
    print(jid, flush=True)
    store.apply([new_return(jid, "a", jid.encode())], NOW_US)
    print(jid, "stored", flush=True)
"""


def test_what_was_acknowledged_before_a_kill_is_there_after_it(folder: Path) -> None:
    tests = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tests), *filter(None, sys.path)))}
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(folder)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert writer.stdout is not None
    with writer, writer.stdout as said:
        lines = [said.readline() for _ in range(41)]
        writer.send_signal(signal.SIGKILL)
        lines += said.readlines()
    acknowledged = [line.split()[0] for line in lines if line.endswith("stored\n")]

    with SqliteJobStore.open(folder) as store:
        jobs = store.jobs(ListJobs(0, "")).jobs
        assert len(acknowledged) >= 20
        for job in jobs:
            result = store.result(job.jid, minion("a"))
            assert job.counts == {result.state.value: 1}
            if job.jid in acknowledged:
                assert (job.state, result.stdout) == ("finished", job.jid.encode())
        # At most one job and one return were under way.
        assert set(acknowledged) <= {job.jid for job in jobs}
        assert len(jobs) <= len(acknowledged) + 2


# Sizes.


def test_a_job_of_ten_targets_with_equal_output_takes_less_than_2_kb(folder: Path) -> None:
    names = [f"web-{number:02d}.example.org" for number in range(10)]
    count = 300
    with SqliteJobStore.open(folder) as store, store.transaction():
        for number in range(count):
            jid = store.submit(new_job(*names), NOW_US + number).jid
            for name in names:
                running = StateChange(jid, minion(name), JobState.RUNNING, pid=4242, started_us=NOW_US, account="root")
                store.apply([StateChange(jid, minion(name), JobState.ACKED), running], NOW_US)
            for name in names:
                stdout = b" 12:00:00 up 1 day,  1 user,  load average: 0.00, 0.01, 0.0%d\n" % number
                store.apply([new_return(jid, name, stdout)], NOW_US)

    assert (folder / NAME).stat().st_size / count < 2_000


def test_equal_outputs_lie_on_the_disk_once(folder: Path) -> None:
    output = os.urandom(1_000_000)
    names = [f"m{number}" for number in range(20)]
    with SqliteJobStore.open(folder) as store:
        jid = store.submit(new_job(*names), NOW_US).jid
        store.apply([new_return(jid, name, output, stderr=output, value=output) for name in names], NOW_US)
        assert all(result.stdout == result.value == output for result in store.results(jid))

    assert (folder / NAME).stat().st_size < 1_200_000


def test_an_output_is_counted_once_for_each_that_refers_to_it_and_goes_with_the_last(folder: Path) -> None:
    def counts(store: SqliteJobStore) -> list[int]:
        uses = uses_of_outputs(folder / NAME)
        assert uses.counted == uses.recounted
        assert uses.kept == set(uses.counted)
        return sorted(uses.counted.values())

    with SqliteJobStore.open(folder) as store:
        name, other = minion("a"), minion("b")
        jid = store.submit(replace(new_job(), targets=(NewTarget(name, JobState.QUEUED, "", "why"),)), NOW_US).jid
        second = store.submit(new_job("a", "b"), NOW_US).jid
        assert counts(store) == [1]
        store.apply([StateChange(jid, name, JobState.SENT, "why")], NOW_US)
        store.apply([StateChange(second, name, JobState.ACKED, "why")], NOW_US)
        assert counts(store) == [2]
        store.apply([StateChange(jid, name, JobState.ACKED)], NOW_US)
        assert counts(store) == [1]
        # As output, value and reason of one target, and a reason of another.
        stored = new_return(second, "a", b"why", OutcomeKind.FAILED, b"why", b"why")
        store.apply([with_answer(stored, message="why", traceback="why")], NOW_US)
        assert counts(store) == [5]
        store.apply([StateChange(second, other, JobState.LOST, "why"), new_return(second, "a", b"other")], NOW_US)
        assert counts(store) == [6]
        store.apply([DeleteJob(second, is_forced=True)], NOW_US)
        assert counts(store) == []
        # What comes and goes in one transaction is not left behind either.
        store.apply([StateChange(jid, name, JobState.RUNNING, "brief"), new_return(jid, "a")], NOW_US)
        assert counts(store) == []


def test_results_are_read_one_by_one(folder: Path) -> None:
    names = [f"m{number}" for number in range(5)]
    with SqliteJobStore.open(folder) as store:
        jid = store.submit(new_job(*names), NOW_US).jid
        results = store.results(jid)
        assert next(results).state is JobState.SENT
        store.apply([new_return(jid, name) for name in names], NOW_US)

        assert next(results).state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    "query",
    [
        "SELECT jid_us FROM jobs WHERE jid_us < 1 ORDER BY jid_us DESC LIMIT 50",
        "SELECT jid_us FROM jobs WHERE finished_us IS NULL ORDER BY jid_us",
        "SELECT jid_us FROM jobs WHERE request_id = x'00'",
        "SELECT state FROM job_targets WHERE jid_us = 1 AND minion = 1",
        "SELECT 1 FROM minions WHERE grains_digest = x'00'",
    ],
)
def test_what_is_asked_often_walks_no_table_and_sorts_nothing(folder: Path, query: str) -> None:
    fill(folder)
    with raw(folder) as connection:
        (plan,) = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]

    assert plan.startswith("SEARCH") or "INDEX open_jobs" in plan


def test_every_state_and_kind_has_a_number_of_its_own() -> None:
    assert set(STATE_CODES) == set(JobState)
    assert sorted(STATE_CODES.values()) == list(range(len(JobState)))
    assert set(KIND_CODES) == set(OutcomeKind)
    assert sorted(KIND_CODES.values()) == list(range(len(OutcomeKind)))


# Formats.


def test_a_file_of_a_newer_release_is_refused_and_left_alone(folder: Path) -> None:
    fill(folder)
    with raw(folder) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")

    with pytest.raises(StateError, match="newer release") as caught:
        SqliteJobStore.open(folder)
    assert "upgrade" in caught.value.hint
    with raw(folder) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (1,)


def test_an_older_file_is_copied_and_then_brought_up_to_date(folder: Path) -> None:
    fill(folder)
    with raw(folder) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
    open_for_writing(folder, {SCHEMA_VERSION - 1: "ALTER TABLE jobs ADD COLUMN tried INTEGER"}).close()

    with SqliteJobStore.open(folder) as store, raw(folder) as connection:
        assert store.jobs(ListJobs(1, "")).total == 1
        assert connection.execute("SELECT tried FROM jobs").fetchone() == (None,)
    copy = folder / f"{NAME}.format-{SCHEMA_VERSION - 1}"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    shutil.copy(copy, folder / NAME)
    with raw(folder) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION - 1,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (1,)


def test_a_migration_that_fails_changes_nothing(folder: Path) -> None:
    fill(folder)
    with raw(folder) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
    with pytest.raises(StateError):
        open_for_writing(folder, {SCHEMA_VERSION - 1: "DROP TABLE notes; DROP TABLE nothing"})

    with raw(folder) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION - 1,)
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)


def test_a_store_that_was_restored_by_moving_a_copy_in_is_another_incarnation(folder: Path) -> None:
    with SqliteJobStore.open(folder) as store:
        before = store.incarnation()
    shutil.copy(folder / NAME, folder / "copy")
    (folder / "copy").rename(folder / NAME)

    with SqliteJobStore.open(folder) as store:
        after = store.incarnation()
        assert (len(after), after == before) == (16, False)
    with SqliteJobStore.open(folder) as store:
        assert store.incarnation() == after


def test_a_store_that_was_restored_gives_no_jid_again_also_when_the_clock_was_set_back(folder: Path) -> None:
    with SqliteJobStore.open(folder) as store:
        ahead = store.submit(new_job("a"), NOW_US + 7_200_000_000)
    shutil.copy(folder / NAME, folder / "copy")
    with SqliteJobStore.open(folder) as store:
        after_the_copy = store.submit(new_job("a"), NOW_US)
    (folder / "copy").rename(folder / NAME)

    with SqliteJobStore.open(folder) as store:
        restored = store.submit(new_job("a"), NOW_US)
        following = store.submit(new_job("a"), NOW_US)
    assert len({ahead.jid, after_the_copy.jid, restored.jid, following.jid}) == 4
    assert int(following.jid) == int(restored.jid) + 1, "once is enough"


# Damage.


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(20_000))


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


def cut_in_the_first_page(path: Path) -> None:
    os.truncate(path, 100)


def something_else(path: Path) -> None:
    path.unlink()
    with raw(path.parent) as connection:
        connection.execute("CREATE TABLE other (id INTEGER)")
    path.chmod(0o600)


def overwritten(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


@pytest.mark.parametrize("damage", [garbage, cut_off, cut_in_the_first_page, something_else, overwritten])
def test_a_damaged_file_is_a_state_error_that_says_what_to_do(folder: Path, damage: Callable[[Path], None]) -> None:
    fill(folder)
    damage(folder / NAME)

    with pytest.raises(StateError) as caught, SqliteJobStore.open(folder) as store:
        store.submit(new_job("a"), NOW_US)
    assert str(folder / NAME) in caught.value.message
    assert caught.value.hint
    assert not isinstance(caught.value, StoreFullError)


def test_a_file_that_others_may_read_is_refused(folder: Path) -> None:
    fill(folder)
    (folder / NAME).chmod(0o644)

    with pytest.raises(StateError, match="open to other accounts"):
        SqliteJobStore.open(folder)


def test_what_is_damaged_inside_is_an_error_when_it_is_read(folder: Path) -> None:
    fill(folder)
    with raw(folder) as connection:
        connection.execute("UPDATE jobs SET arguments = x'c1'")

    with SqliteJobStore.open(folder) as store, pytest.raises(StateError, match="is damaged"):
        store.jobs(ListJobs(1, ""))


# A full disk.


def test_a_full_disk_refuses_changes_whole_and_takes_them_when_there_is_room(folder: Path) -> None:
    with SqliteJobStore.open(folder) as store:
        jid = store.submit(new_job("a", "b"), NOW_US).jid
        changes = [new_return(jid, "a"), new_return(jid, "b", os.urandom(1_000_000))]
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreFullError, match="disk is full") as caught:
            store.apply(changes, NOW_US)
        assert caught.value.hint
        assert store.job(jid).counts == {"sent": 2}
        store._connection.execute("PRAGMA max_page_count = 1000000")
        store.apply(changes, NOW_US)

        assert store.job(jid).counts == {"succeeded": 2}


def test_a_write_that_the_disk_refuses_is_taken_back(folder: Path) -> None:
    with SqliteJobStore.open(folder) as store:
        jid = store.submit(new_job("a"), NOW_US).jid
        with no_file_longer_than(200_000):
            with pytest.raises(StoreFullError):
                store.apply([new_return(jid, "a", os.urandom(1_000_000))], NOW_US)
            assert store.job(jid).counts == {"sent": 1}
        store.apply([new_return(jid, "a", b"x")], NOW_US)

    with SqliteJobStore.open(folder) as store:
        assert store.result(jid, minion("a")).stdout == b"x"


def test_a_disk_that_is_full_at_the_start_leaves_parts_of_outputs_for_the_next_one(folder: Path) -> None:
    with SqliteJobStore.open(folder) as store:
        jid = store.submit(new_job("a"), NOW_US).jid
        store.apply([KeepPart(jid, minion("a"), "stdout", 0, bytes(300_000))], NOW_US)
    with no_file_longer_than(40_000), SqliteJobStore.open(folder) as store:
        assert store.job(jid).counts == {"sent": 1}
        assert store.size_bytes() > 300_000

    with SqliteJobStore.open(folder) as store:
        assert store.size_bytes() < 300_000


def test_a_reader_cannot_write(folder: Path) -> None:
    with SqliteJobStore.open(folder) as store, store.open_reader() as reader:
        with pytest.raises(StateError):
            reader.submit(new_job("a"), NOW_US)
        assert store.jobs(ListJobs(0, "")).total == 0
        assert store.submit(new_job("a"), NOW_US).is_new
