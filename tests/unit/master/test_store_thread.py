"""The threads of the job cache: one fsync for many, told in the loop's thread, and nothing lost while the disk is full."""

import os
import select
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleet.core.errors import NotFoundError, StateError, StoreFullError
from fleet.core.job_states import JobState
from fleet.core.names import Jid
from fleet.master import store_thread
from fleet.master.store import Change, JobStore, Note, StateChange, StoredJob
from fleet.master.store_queue import Entry, WriteQueue, kind_of, size_of_change
from fleet.master.store_sqlite import SqliteJobStore
from fleet.master.store_thread import StoreThread
from support.job_cache import NOW_US, minion, new_job, new_return
from support.wait import wait_until


class GatedStore(SqliteJobStore):
    """A store whose commits wait at a gate, and that can be full or broken."""

    gate: threading.Event
    failure: StoreFullError | None
    attempts: int

    def prepare(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.failure = None
        self.attempts = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.attempts += 1
        assert self.gate.wait(30)
        if self.failure is not None:
            raise self.failure
        with super().transaction():
            yield


class Bench:
    """A store thread, and what it told."""

    def __init__(self, folder: Path, queue: WriteQueue | None = None) -> None:
        self.store = GatedStore.open(folder)
        self.store.prepare()
        self.told: list[object] = []
        self.threads: set[threading.Thread] = set()
        self.thread = StoreThread(self.store, lambda: NOW_US, self.tell, queue)

    def tell(self, what: object) -> None:
        self.threads.add(threading.current_thread())
        self.told.append(what)

    def named(self, name: str) -> Callable[[object], None]:
        return lambda what: self.tell((name, what))

    def wait_for(self, number: int) -> list[object]:
        """Collect as the loop does, until so many things were told."""
        while len(self.told) < number:
            assert select.select([self.thread], [], [], 20)[0], self.told
            self.thread.collect()
        return self.told

    def submit(self, *targets: str) -> Jid:
        before = len(self.told)
        self.thread.submit(new_job(*targets), self.tell)
        self.wait_for(before + 1)
        stored = self.told.pop()
        assert isinstance(stored, StoredJob)
        return stored.jid

    def apply(self, *changes: Change, name: str = "applied") -> None:
        self.thread.apply(changes, self.named(name))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(store_thread, "RETRY_FIRST_SECONDS", 0.01)
    made = Bench(tmp_path / "state")
    yield made
    made.store.gate.set()
    made.thread.close()


def acked(jid: Jid, name: str = "a") -> StateChange:
    return StateChange(jid, minion(name), JobState.ACKED)


def state_of(jid: Jid, name: str = "a") -> Callable[[JobStore], JobState]:
    return lambda store: store.result(jid, minion(name)).state


def test_a_job_is_told_when_it_is_stored_and_can_then_be_read(bench: Bench) -> None:
    jid = bench.submit("a")
    bench.apply(acked(jid))
    assert bench.wait_for(1) == [("applied", None)]
    bench.thread.read(state_of(jid), bench.tell)

    assert bench.wait_for(2)[1] is JobState.ACKED


def test_callbacks_run_in_the_threads_order_and_only_where_they_are_collected(bench: Bench) -> None:
    jid = bench.submit("a")
    for number in range(200):
        bench.apply(Note(jid, minion("a"), NOW_US, str(number)), name=str(number))

    assert bench.wait_for(200) == [(str(number), None) for number in range(200)]
    assert bench.threads == {threading.current_thread()}
    assert bench.thread.collect() == 0


def test_what_comes_while_the_disk_is_busy_shares_one_commit(bench: Bench) -> None:
    jid = bench.submit(*(f"m{number}" for number in range(500)))
    bench.store.gate.clear()
    before = bench.store.attempts
    bench.apply(acked(jid, "m0"))
    wait_until(lambda: bench.store.attempts > before, 10, "the writer to stand at the gate")
    for number in range(500):
        bench.apply(new_return(jid, f"m{number}", b"x"))
    bench.store.gate.set()

    bench.wait_for(501)
    assert bench.store.attempts - before == 2
    assert bench.thread.counters()["store_changes"] == 502


def test_a_batch_is_bounded_in_changes_and_in_bytes() -> None:
    queue = WriteQueue()
    bench_jid = Jid("20261120221200000000")
    for _ in range(2_500):
        queue.add(entry_of([acked(bench_jid)]))
    assert [len(queue.take_batch()) for _ in range(3)] == [1_000, 1_000, 500]
    big = [new_return(bench_jid, "a", bytes(5 * 1024 * 1024))]
    for _ in range(3):
        queue.add(entry_of(big))
    assert [len(queue.take_batch()) for _ in range(4)] == [1, 1, 1, 0]


def entry_of(changes: Sequence[Change]) -> Entry:
    size = sum(map(size_of_change, changes))
    return Entry(kind_of(changes), lambda _: lambda: None, lambda _: None, len(changes), size)


def test_what_cannot_be_stored_fails_alone(bench: Bench) -> None:
    jid = bench.submit("a")
    bench.store.gate.clear()
    bench.apply(acked(jid), name="first")
    bench.thread.submit(new_job("twice", "twice"), bench.named("poison"))
    bench.apply(new_return(jid, "a"), name="last")
    bench.store.gate.set()

    first, second, last = bench.wait_for(3)
    assert (first, last) == (("first", None), ("last", None))
    assert isinstance(second, tuple)
    assert (second[0], type(second[1])) == ("poison", StateError)


def test_what_a_read_raises_is_told_to_whoever_asked(bench: Bench) -> None:
    bench.thread.read(lambda store: store.resolve_jid("last"), bench.tell)
    bench.thread.read(lambda store: 1 // len(store.minions()), bench.tell)

    problems = bench.wait_for(2)
    assert [type(problem) for problem in problems] == [NotFoundError, ZeroDivisionError]


def test_a_callback_that_raises_keeps_nobody_else_from_being_told(bench: Bench) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    jid = bench.submit("a")
    bench.thread.apply([acked(jid)], fail)
    bench.apply(acked(jid))
    wait_until(lambda: len(bench.thread._done) == 2, 10, "both to be stored")
    with pytest.raises(ZeroDivisionError):
        bench.thread.collect()

    assert bench.wait_for(1) == [("applied", None)]


# A full disk.


def test_a_full_disk_loses_nothing_refuses_returns_and_goes_on_by_itself(bench: Bench) -> None:
    jid = bench.submit("a", "b", "c")
    full = bench.store.failure = StoreFullError("the disk is full")
    bench.apply(new_return(jid, "a"), name="kept")
    assert bench.wait_for(1) == [full]
    assert str(bench.thread.trouble) == "the disk is full"
    bench.apply(new_return(jid, "b"), name="refused")
    bench.thread.submit(new_job("a"), bench.named("job"))
    bench.apply(acked(jid, "c"), name="small")
    assert bench.wait_for(3)[1:] == [("refused", full), ("job", full)]
    attempts = bench.store.attempts
    wait_until(lambda: bench.store.attempts > attempts, 10, "another try")
    bench.store.failure = None

    assert bench.wait_for(6)[3:] in (
        [("kept", None), ("small", None), None],
        [("kept", None), None, ("small", None)],
    )
    assert bench.thread.trouble is None
    counters = bench.thread.counters()
    assert (counters["store_refused"], counters["store_waiting"], counters["store_waiting_bytes"]) == (2, 0, 0)
    bench.thread.read(lambda store: {result.minion: result.state for result in store.results(jid)}, bench.tell)
    assert bench.wait_for(7)[6] == {"a": JobState.SUCCEEDED, "b": JobState.SENT, "c": JobState.ACKED}


def test_a_job_that_waits_when_the_disk_is_full_is_refused_rather_than_kept(bench: Bench) -> None:
    full = bench.store.failure = StoreFullError("the disk is full")
    bench.thread.submit(new_job("a"), bench.named("job"))
    assert bench.wait_for(2) in ([full, ("job", full)], [("job", full), full])
    bench.store.failure = None
    # Nothing is left that could be tried again: the next job shows whether there is room.
    wait_until(lambda: not bench.thread._is_pausing, 10, "the pause to end")
    bench.thread.submit(new_job("a"), bench.tell)

    told = bench.wait_for(4)
    assert isinstance(told[2], StoredJob)
    assert told[3] is None


def test_a_disk_that_is_really_full_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_thread, "RETRY_FIRST_SECONDS", 0.01)
    store = SqliteJobStore.open(tmp_path / "state")
    jid = store.submit(new_job("a"), NOW_US).jid
    store._connection.execute("PRAGMA max_page_count = 1")
    told: list[object] = []
    with StoreThread(store, lambda: NOW_US, told.append) as thread:
        thread.apply([new_return(jid, "a", os.urandom(100_000))], told.append)
        wait_until(lambda: thread.collect() and told, 10, "the trouble to be told")
        assert isinstance(told[0], StoreFullError)
        store._connection.execute("PRAGMA max_page_count = 100000")
        wait_until(lambda: (thread.collect(), len(told) >= 3)[1], 10, "the return to be stored")
        assert told[1:] == [None, None]

    with SqliteJobStore.open(tmp_path / "state") as again:
        assert again.is_ended(jid, minion("a")) is JobState.SUCCEEDED


# Bounds.


def test_the_queue_is_bounded_and_keeps_room_for_small_changes(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state", WriteQueue(limit_changes=10, limit_bytes=100_000))
    try:
        jid = bench.submit(*"abcdefghijklm")
        bench.store.gate.clear()
        for name in "abcdefg":
            bench.apply(new_return(jid, name), name=name)
        for name in "hijklm":
            bench.apply(acked(jid, name), name=name)
        assert bench.thread.collect() == 3
        refused = [what for what in bench.told if isinstance(what, tuple)]
        assert [name for name, _ in refused] == ["f", "g", "m"]
        assert {type(problem) for _, problem in refused} == {StoreFullError}
        bench.store.gate.set()
        assert set(bench.wait_for(13)[3:]) == {(name, None) for name in "abcdehijkl"}
        assert bench.thread.counters()["store_waiting"] == 0
    finally:
        bench.store.gate.set()
        bench.thread.close()


def test_one_return_is_taken_however_long_and_no_second_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state", WriteQueue(limit_bytes=1_000_000))
    try:
        jid = bench.submit("a", "b", "c")
        bench.store.gate.clear()
        bench.apply(new_return(jid, "a", bytes(3_000_000)), name="long")
        bench.apply(new_return(jid, "b"), name="refused")
        bench.apply(acked(jid, "c"), name="small")
        bench.store.gate.set()

        assert [what[0] for what in bench.wait_for(3) if isinstance(what, tuple)] == ["refused", "long", "small"]
    finally:
        bench.store.gate.set()
        bench.thread.close()


def test_questions_are_bounded_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_thread, "READS_LIMIT", 2)
    gate = threading.Event()
    for _ in range(3):
        bench.thread.read(lambda _: gate.wait(30), bench.tell)
    assert isinstance(bench.wait_for(1)[0], StateError)
    gate.set()

    assert bench.wait_for(3)[1:] == [True, True]
    bench.thread.read(lambda _: "again", bench.tell)
    assert bench.wait_for(4)[3] == "again"


# The end.


def test_close_commits_what_is_queued(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state")
    jid = bench.submit(*(f"m{number}" for number in range(50)))
    for number in range(50):
        bench.apply(new_return(jid, f"m{number}"))
    bench.thread.close()
    bench.thread.close()

    assert bench.thread.collect() == 50
    assert bench.told == [("applied", None)] * 50
    with SqliteJobStore.open(tmp_path / "state") as store:
        assert store.job(jid).counts == {"succeeded": 50}


def test_close_gives_up_what_cannot_be_committed_and_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state")
    jid = bench.submit("a")
    full = bench.store.failure = StoreFullError("the disk is full")
    bench.apply(new_return(jid, "a"))
    bench.wait_for(1)
    bench.thread.close()
    bench.thread.collect()

    assert bench.told == [full, ("applied", full)]


def test_a_closed_store_refuses(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state")
    bench.thread.close()
    bench.thread.submit(new_job("a"), bench.tell)
    bench.thread.read(lambda store: store.minions(), bench.tell)
    bench.thread.collect()

    assert [type(problem) for problem in bench.told] == [StateError, StateError]
