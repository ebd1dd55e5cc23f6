import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fleet.master.status_requests import file_figures, used_bytes
from support.reference import JOB_CACHE


@pytest.mark.parametrize("page_bytes", [512, 4096, 65_536])
def test_the_used_part_of_a_file_is_read_from_its_header(tmp_path: Path, page_bytes: int) -> None:
    path = tmp_path / "jobs.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute(f"PRAGMA page_size = {page_bytes}")
        store.execute("CREATE TABLE t (x)")
        store.execute("INSERT INTO t VALUES (zeroblob(300000))")
        full = file_figures(path)
        assert full["used_bytes"] == full["file_bytes"] == path.stat().st_size
        store.execute("DELETE FROM t")
        free = int(store.execute("PRAGMA freelist_count").fetchone()[0])
    emptied = file_figures(path)
    assert free > 0
    assert emptied["file_bytes"] - emptied["used_bytes"] == free * page_bytes


def test_the_log_of_changes_is_counted_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        assert store.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
        store.execute("CREATE TABLE t (x)")
        figures = file_figures(path)
    assert figures["log_bytes"] > 0
    assert figures["free_disk_bytes"] > 0
    assert set(figures) | {"jobs", "jobs_open"} == set(JOB_CACHE)


@pytest.mark.parametrize("header", [b"", b"SQLite format 3\0", bytes(39)])
def test_a_file_without_a_header_uses_nothing(header: bytes) -> None:
    assert used_bytes(header) == 0
