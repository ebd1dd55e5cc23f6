"""The room on the spool's disk: what is full is said once, and so is its end."""

import os
from pathlib import Path

import pytest

from fleet.minion.disk_room import LEAST_FREE_BYTES, LEAST_FREE_FILES, DiskRoom


def disk(free_bytes: int, files: int, free_files: int) -> os.statvfs_result:
    block = 4096
    return os.statvfs_result(
        (block, block, 10**6, free_bytes // block, free_bytes // block, files, free_files, free_files, 0, 255)
    )


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (disk(LEAST_FREE_BYTES, 1000, LEAST_FREE_FILES), ""),
        (disk(LEAST_FREE_BYTES, 0, 0), ""),
        (disk(LEAST_FREE_BYTES - 4096, 1000, 900), "full"),
        (disk(2**40, 1000, LEAST_FREE_FILES - 1), "no more files"),
    ],
)
def test_a_disk_without_room_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: os.statvfs_result, word: str
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: status)
    problem = DiskRoom(tmp_path).problem()
    assert word in problem
    assert bool(problem) is bool(word)


def test_beginning_and_end_are_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room = DiskRoom(tmp_path)
    caplog.set_level("INFO")
    for free_bytes in (2**30, 0, 0, 0, 2**30, 2**30):
        status = disk(free_bytes, 0, 0)
        monkeypatch.setattr(os, "statvfs", lambda _, status=status: status)
        room.problem()
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_what_is_to_come_for_others_is_no_room_and_no_news_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room = DiskRoom(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: disk(LEAST_FREE_BYTES + 8_192, 1000, 900))
    assert room.problem(8_192) == ""
    assert "stdin of those that are accepted 12 more" in room.problem(12_288)
    assert room.problem() == ""
    assert caplog.records == []
    monkeypatch.setattr(os, "statvfs", lambda _: disk(LEAST_FREE_BYTES - 4096, 1000, 900))
    assert room.problem(0)
    assert room.problem(8_192)
    assert len(caplog.records) == 1


def test_a_folder_that_is_gone_has_no_room(tmp_path: Path) -> None:
    assert "cannot be looked at" in DiskRoom(tmp_path / "gone").problem()
