"""A job cache of an earlier release: what becomes of it at the first start of this one."""

import shutil
import sqlite3
import stat
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from fleet.core.control_answers import JobSummary, TargetResult
from fleet.core.control_requests import ListJobs
from fleet.core.errors import StateError, StoreFullError
from fleet.core.names import Jid
from fleet.master.store import DeleteJob
from fleet.master.store_file import NAME, open_for_writing
from fleet.master.store_schema import MIGRATIONS, SCHEMA_VERSION
from fleet.master.store_sqlite import SqliteJobStore
from support.disk import no_file_longer_than
from support.job_cache import NOW_US, new_job, new_return, uses_of_outputs

FIXTURE = Path(__file__).parents[2] / "fixtures/state-format-1.tar.xz"
INSIDE = "master/var/lib/fleet/master"
COPY = f"{NAME}.format-1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The state folder of a master of release 0.1.0, which was killed."""
    with tarfile.open(FIXTURE) as archive:
        archive.extraction_filter = lambda member, _: member  # Python 3.11.2 has no argument for it.
        archive.extractall(tmp_path)
    state = tmp_path / INSIDE
    state.chmod(0o700)
    return state


def read(file: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(question).fetchall()


def format_of(file: Path) -> object:
    return read(file, "PRAGMA user_version")[0][0]


@pytest.fixture
def before(folder: Path, tmp_path: Path) -> Path:
    """The file as that release left it, apart; its log of changes beside it."""
    apart = tmp_path / "before"
    shutil.copytree(folder, apart)
    return apart / NAME


TABLES = ("jobs", "job_targets", "notes", "texts", "minions", "grains", "catalogues")


def rows(file: Path, table: str) -> list[tuple[object, ...]]:
    """Every row, by the columns of format 1."""
    columns = [
        row[1] for row in read(file, f"PRAGMA table_info({table})") if (table, row[1]) != ("job_targets", "host")
    ]
    return read(file, f"SELECT {', '.join(map(str, columns))} FROM {table} ORDER BY 1, 2")


def everything(store: SqliteJobStore) -> dict[Jid, tuple[JobSummary, list[TargetResult]]]:
    return {job.jid: (job, list(store.results(job.jid))) for job in store.jobs(ListJobs(0, "")).jobs}


def test_every_job_and_every_result_is_there_and_as_it_was(folder: Path, before: Path) -> None:
    with SqliteJobStore.open(folder) as store:
        found = everything(store)
        assert store.jobs(ListJobs(0, "")).total == len(found)
    states = {result.state.value for _, results in found.values() for result in results}
    assert {"succeeded", "failed", "refused", "cancelled", "expired"} <= states
    assert any(result.stdout for _, results in found.values() for result in results)
    for table in TABLES:
        assert rows(folder / NAME, table) == rows(before, table), table
    digests = "SELECT digest, data FROM blobs ORDER BY 1"
    assert read(folder / NAME, digests) == read(before, digests)


def test_a_copy_of_before_is_kept_private_whole_and_usable(folder: Path, before: Path) -> None:
    SqliteJobStore.open(folder).close()

    copy = folder / COPY
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert read(copy, "PRAGMA integrity_check") == [("ok",)]
    assert format_of(copy) == 1
    for table in TABLES:
        assert rows(copy, table) == rows(before, table), table
    assert not list(folder.glob("*.new*"))
    # An operator who goes back and forth again loses nothing.
    for left in folder.glob(f"{NAME}-*"):
        left.unlink()
    copy.rename(folder / NAME)
    with SqliteJobStore.open(folder) as store:
        assert len(everything(store)) == len(rows(before, "jobs"))


def test_its_tables_are_those_of_a_new_one(folder: Path, tmp_path: Path) -> None:
    SqliteJobStore.open(folder).close()
    SqliteJobStore.open(tmp_path / "new").close()
    old, new = folder / NAME, tmp_path / "new" / NAME
    names = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY 1, 2"

    assert read(old, names) == read(new, names)
    for kind, name, _ in read(new, names):
        question = f"PRAGMA {'table_xinfo' if kind == 'table' else 'index_xinfo'}({name})"
        assert read(old, question) == read(new, question), name
    for (table,) in read(new, "SELECT name FROM sqlite_master WHERE type = 'table'"):
        question = f"PRAGMA index_list({table})"
        assert [row[1:] for row in read(old, question)] == [row[1:] for row in read(new, question)], table
    assert format_of(old) == format_of(new) == SCHEMA_VERSION


def test_its_outputs_are_counted_and_go_with_the_last_job_that_has_them(folder: Path) -> None:
    with SqliteJobStore.open(folder) as store:
        uses = uses_of_outputs(folder / NAME)
        assert uses.counted == uses.recounted
        assert uses.kept == set(uses.recounted)
        assert max(uses.recounted.values()) > 1
        for jid in everything(store):
            store.apply([DeleteJob(jid, is_forced=True)], NOW_US)
            uses = uses_of_outputs(folder / NAME)
            assert (uses.counted, uses.kept) == (uses.recounted, set(uses.recounted))
        assert uses.kept == set()


def test_one_of_format_2_gets_the_tables_that_it_lacks(tmp_path: Path) -> None:
    with SqliteJobStore.open(tmp_path / "state") as store:
        jid = store.submit(new_job("web-1"), NOW_US).jid
        store.apply([new_return(jid, "web-1", b"out")], NOW_US)
    file = tmp_path / "state" / NAME
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("DROP TABLE blob_parts; PRAGMA user_version = 2;")

    with SqliteJobStore.open(tmp_path / "state") as store:
        assert next(store.results(jid)).stdout == b"out"
    assert format_of(file) == SCHEMA_VERSION
    assert format_of(file.with_name(f"{NAME}.format-2")) == 2
    assert read(file, "SELECT count(*) FROM blob_parts") == [(0,)]


def test_it_goes_on_with_what_it_was(folder: Path, before: Path) -> None:
    ((last_us,),) = read(before, "SELECT last_jid_us FROM meta")
    with SqliteJobStore.open(folder) as store:
        assert store.owed() == ()
        jid = store.submit(new_job("web-1"), 0).jid
        assert int(jid) > max(int(known) for known in everything(store) if known != jid)
        store.apply([new_return(jid, "web-1", b"x")], NOW_US)
    # The file is a copy, and a minute of jids is left out for what may have been given after it was made.
    assert read(folder / NAME, "SELECT last_jid_us FROM meta") == [(int(str(last_us)) + 60_000_001,)]


def test_it_is_migrated_once(folder: Path) -> None:
    SqliteJobStore.open(folder).close()
    (folder / COPY).unlink()
    SqliteJobStore.open(folder).close()

    assert not (folder / COPY).exists()


@pytest.mark.parametrize("at_statement", range(1, 7))
def test_a_migration_that_fails_anywhere_leaves_the_format_of_before(
    folder: Path, before: Path, at_statement: int
) -> None:
    statements = [each for each in MIGRATIONS[1].split(";") if each.strip()]
    assert len(statements) == 6
    broken = ";".join([*statements[:at_statement], " SELECT * FROM nothing", *statements[at_statement:]]) + ";"
    with pytest.raises(StateError):
        open_for_writing(folder, {1: broken})

    assert format_of(folder / NAME) == 1
    for table in TABLES:
        assert rows(folder / NAME, table) == rows(before, table), table
    assert read(folder / NAME, "SELECT name FROM sqlite_master WHERE name IN ('blob_uses', 'forgets')") == []
    with SqliteJobStore.open(folder) as store:
        assert len(everything(store)) == len(rows(before, "jobs"))


@pytest.mark.parametrize("what", ["the copy", "the tables"])
def test_a_full_disk_leaves_the_format_of_before_and_the_next_start_goes_on(
    folder: Path, before: Path, what: str
) -> None:
    # Its log of changes is longer than the copy: what has room for that has none for a new table at the end of the log.
    limit_bytes = 20_000 if what == "the copy" else (folder / f"{NAME}-wal").stat().st_size + 1_000
    with no_file_longer_than(limit_bytes), pytest.raises(StoreFullError) as caught:
        SqliteJobStore.open(folder)

    assert caught.value.hint
    assert (folder / COPY).exists() is (what == "the tables")
    assert not list(folder.glob("*.new*"))
    assert format_of(folder / NAME) == 1
    assert read(folder / NAME, "PRAGMA integrity_check") == [("ok",)]
    with SqliteJobStore.open(folder) as store:
        assert len(everything(store)) == len(rows(before, "jobs"))
    assert format_of(folder / COPY) == 1
