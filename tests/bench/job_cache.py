"""The job cache when it is full: how it grows, a page of a million jobs, and one job with ten thousand returns.

It is filled through its own code, with many jobs to a transaction; then the master runs on what was filled.
"""

import contextlib
import io
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measuring import Bench, note
from fleet.client.fold import print_fold, styled_writer
from fleet.client.results import RunResult, read_result
from fleet.client.shown import Shown
from fleet.core.control_answers import TargetResult
from fleet.core.control_requests import ListJobs
from fleet.core.names import FunctionName, Jid
from fleet.core.paths import Paths
from fleet.keys.lock import lock_state_folder
from fleet.master.result_streams import PART_LIMIT_BYTES, PART_LIMIT_RESULTS
from fleet.master.store_file import NAME
from fleet.master.store_jids import key_of
from fleet.master.store_sqlite import SqliteJobStore
from support.fleet import Fleet
from support.job_cache import new_job, new_return

GROWN, GROWN_MINIONS = 1_000, 10
JOBS, PAGE = 1_000_000, 50
RETURNS = 10_000
_JOBS_OF_A_TRANSACTION = 10_000
_STDOUT = b" 12:00:00 up 1 day,  1 user,  load average: 0.00, 0.01, 0.05\n"


def measure_growth(bench: Bench, fleet: Fleet) -> None:
    """A thousand jobs on ten minions with one output, through the master: what the file grows by for each."""
    note(f"{GROWN} jobs of {GROWN_MINIONS} minions")
    fleet.start_master()
    fleet.grow(*(f"bench-{number}" for number in range(GROWN_MINIONS)))
    client = fleet.client()
    before = client.status().job_cache["used_bytes"]
    for _ in range(GROWN):
        outcome = client.run("*", "test.echo", "the same everywhere")
        assert len(outcome) == GROWN_MINIONS
        assert outcome.exit_code == 0
    grown_bytes = client.status().job_cache["used_bytes"] - before
    bench.tell(f"job cache, growth by a job of {GROWN_MINIONS} minions", "KB", [grown_bytes / GROWN / 1000])


def measure_full(bench: Bench, fleet: Fleet) -> None:
    """A page of a million jobs, and a job with ten thousand returns, as the store reads them and as commands show them."""
    note(f"filling the job cache with {JOBS} jobs")
    folder = Paths(fleet.master_root).master_state
    with lock_state_folder(folder, "the bench"):
        jid = fill(folder, JOBS, RETURNS)
        _measure_store(bench, folder, jid)
    fleet.start_master(jobs_count_limit=0)
    commands = {
        f"fleet jobs list, {PAGE} of {JOBS + 1:,} jobs": ("fleet", "jobs", "list", "--limit", str(PAGE)),
        f"fleet jobs show --out fold, {RETURNS:,} returns": ("fleet", "jobs", "show", jid, "--out", "fold"),
    }
    bench.commands(fleet, commands, ", beside a full job cache")


def fill(folder: Path, jobs: int, returns: int) -> Jid:
    """Store so many jobs of one minion that has answered, then one with so many returns; gives back that one."""
    now_us = time.time_ns() // 1000
    names = [f"web-{number:05}" for number in range(returns)]
    with SqliteJobStore.open(folder) as store:
        for first in range(0, jobs, _JOBS_OF_A_TRANSACTION):
            with store.transaction():
                for number in range(first, min(first + _JOBS_OF_A_TRANSACTION, jobs)):
                    name = names[number % len(names)]
                    jid = store.submit(new_job(name), now_us - jobs + number).jid
                    store.apply([new_return(jid, name, _STDOUT)], now_us)
        with store.transaction():
            last = store.submit(new_job(*names), now_us).jid
            store.apply([new_return(last, name, _STDOUT) for name in names], now_us)
    return last


def _measure_store(bench: Bench, folder: Path, jid: Jid) -> None:
    runs = range(bench.runs + 1)
    answers: tuple[TargetResult, ...] = ()
    with SqliteJobStore.open(folder) as writer, writer.open_reader() as store, _bare(folder) as bare:
        pages, floors = [], []
        for _ in runs:
            began = time.perf_counter()
            rows = bare.execute("SELECT * FROM jobs ORDER BY jid_us DESC LIMIT ?", (PAGE,)).fetchall()
            floors.append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
            page = store.jobs(ListJobs(PAGE, ""))
            pages.append((time.perf_counter() - began) * 1000)
            assert (len(rows), len(page.jobs), page.total) == (PAGE, PAGE, JOBS + 1)
        bench.tell(f"store: the last {PAGE} of {JOBS + 1:,} jobs", "ms", pages[1:], sorted(floors)[len(floors) // 2])
        reads, floors = [], []
        for _ in runs:
            began = time.perf_counter()
            rows = bare.execute("SELECT * FROM job_targets WHERE jid_us = ?", (key_of(jid),)).fetchall()
            floors.append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
            answers = _in_parts(store, jid)
            reads.append((time.perf_counter() - began) * 1000)
            assert len(rows) == len(answers) == RETURNS
        bench.tell(f"store: {RETURNS:,} returns of a job", "ms", reads[1:], sorted(floors)[len(floors) // 2])
    folds = []
    for _ in runs:
        printed = io.StringIO()
        began = time.perf_counter()
        results = {answer.minion: read_result(jid, answer) for answer in answers}
        with contextlib.redirect_stdout(printed):
            print_fold(RunResult(jid, FunctionName("cmd.run"), results), Shown("fold"), styled_writer(color=False))
        folds.append((time.perf_counter() - began) * 1000)
        assert f"{RETURNS:,} ok" in printed.getvalue()
        assert "web-[00000-09999]" in printed.getvalue(), printed.getvalue()
    bench.tell(f"client: {RETURNS:,} results read, folded and printed", "ms", folds[1:])


def _in_parts(store: SqliteJobStore, jid: Jid) -> tuple[TargetResult, ...]:
    """All results of a job, as the master reads them for a command: a few hundred at a time."""
    targets = store.targets(jid)
    parts = (targets[first : first + PART_LIMIT_RESULTS] for first in range(0, len(targets), PART_LIMIT_RESULTS))
    return tuple(result for part in parts for result in store.results_of(jid, part, PART_LIMIT_BYTES))


@contextmanager
def _bare(folder: Path) -> Iterator[sqlite3.Connection]:
    """The file through SQLite alone: what reading the same rows takes without the product."""
    connection = sqlite3.connect(f"file:{folder / NAME}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        connection.close()
