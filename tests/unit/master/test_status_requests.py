import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fleet.master.status_requests import file_figures
from support.reference import JOB_CACHE


def test_the_file_its_log_of_changes_and_the_room_on_its_disk_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        assert store.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
        store.execute("CREATE TABLE t (x)")
        figures = file_figures(path)
        assert figures["log_bytes"] == path.with_name("jobs.sqlite-wal").stat().st_size > 0
    assert file_figures(path)["log_bytes"] == 0
    assert file_figures(path)["file_bytes"] == path.stat().st_size > 0
    assert figures["free_disk_bytes"] > 0
    assert set(figures) | {"used_bytes", "jobs", "jobs_open"} == set(JOB_CACHE)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        file_figures(tmp_path / "none")
