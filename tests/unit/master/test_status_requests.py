import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fleet.core.control import Answer
from fleet.core.control_answers import MasterStatus
from fleet.core.control_requests import AskStatus
from fleet.keys.store import KeyStore
from fleet.master.conductor import Conductor
from fleet.master.control_port import Caller
from fleet.master.replies import Replies
from fleet.master.status_requests import PATIENCE_US, StatusRequests, file_figures
from support.reference import JOB_CACHE

CALLER = Caller(0, 0, 1, "root")


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


class SlowDisk:
    """A master whose job cache answers when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.now_us = 1_000
        self.done: list[Callable[[Mapping[str, int] | Exception], None]] = []
        self.answers: list[tuple[int, MasterStatus]] = []
        identity = SimpleNamespace(signing=SimpleNamespace(public=SimpleNamespace(raw=bytes(32))))
        conductor: Any = SimpleNamespace(
            clock=SimpleNamespace(now_us=lambda: self.now_us, started_us=1),
            identity=identity,
            sessions=SimpleNamespace(counts=lambda minions, now_us: {}),
            events=SimpleNamespace(newest=7),
            jobs=SimpleNamespace(counts=lambda: {"jobs_open": 3}),
            store=SimpleNamespace(read=lambda read, done: self.done.append(done)),
        )
        self.requests = StatusRequests(
            cast("Conductor", conductor),
            cast("KeyStore", SimpleNamespace(by_state=lambda state: ())),
            cast("Replies", SimpleNamespace(answer=self._answer)),
            "0.1.0",
            {},
            folder,
            dict,
            tuple,
        )

    def _answer(self, connection: int, answer: Answer) -> None:
        assert isinstance(answer, MasterStatus)
        self.answers.append((connection, answer))

    def caches(self) -> list[tuple[int, Mapping[str, int]]]:
        return [(connection, status.job_cache) for connection, status in self.answers]


def test_a_job_cache_that_answers_is_in_the_status(tmp_path: Path) -> None:
    master = SlowDisk(tmp_path)
    master.requests.ask(5, CALLER, AskStatus())
    master.done[0]({"jobs": 9})
    master.requests.ticked(master.now_us + PATIENCE_US)

    assert master.caches() == [(5, {"jobs": 9, "jobs_open": 3})]
    assert master.answers[0][1].newest_event == 7


def test_a_disk_that_hangs_or_fails_costs_its_numbers_and_not_the_answer(tmp_path: Path) -> None:
    master = SlowDisk(tmp_path)
    master.requests.ask(5, CALLER, AskStatus())
    master.requests.ask(6, CALLER, AskStatus())
    master.requests.ticked(master.now_us + PATIENCE_US - 1)
    assert master.answers == []
    master.done[1](OSError("the disk fails"))
    master.requests.ticked(master.now_us + PATIENCE_US)
    assert master.caches() == [(6, {"jobs_open": 3}), (5, {"jobs_open": 3})]

    master.done[0]({"jobs": 9})
    assert len(master.answers) == 2


def test_who_has_gone_is_answered_nothing(tmp_path: Path) -> None:
    master = SlowDisk(tmp_path)
    master.requests.ask(5, CALLER, AskStatus())
    master.requests.closed(5)
    master.done[0]({})
    master.requests.ticked(master.now_us + PATIENCE_US)

    assert master.answers == []
