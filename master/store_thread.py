"""The job cache in threads of its own, so that a slow disk stops no heartbeat: one that commits, one that reads.

The loop hands over what is to be stored and goes on; the writing thread commits all that has come meanwhile in one transaction,
so that a thousand returns cost one fsync. What became of each is told in the loop's thread alone: a descriptor becomes readable,
and ``collect`` calls the callbacks, in order.

A store that cannot commit for now (``StoreFullError``: its disk is full, fails or is locked) loses nothing. What is in the queue
stays there and is tried again, ever later up to 8 s; further returns are refused, so that the minions keep them (DESIGN D8); new
jobs are refused, since somebody waits for the answer; small changes, which nobody else has, are queued while there is room.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Protocol, Self, TypeVar

from ..core.errors import StateError, StoreFullError
from .store import Change, JobStore, NewJob, StoredJob
from .store_queue import Entry, EntryKind, WriteQueue, kind_of, size_of_change, size_of_job

log = logging.getLogger(__name__)

Found = TypeVar("Found")

READS_LIMIT = 1_000
RETRY_FIRST_SECONDS = 0.25
RETRY_LIMIT_SECONDS = 8.0


class WritingStore(JobStore, Protocol):
    """A job cache that can commit many calls at once, and be read by a second thread."""

    def transaction(self) -> AbstractContextManager[None]:
        """Make everything that is submitted and applied within the block durable at its end, or nothing of it."""

    def open_reader(self) -> Self:
        """Open it once more, to read in another thread while this one writes."""


class StoreThread:
    """Owns a store: it belongs to the threads from here on, and is closed with them.

    Args:
        store: open, and not used by anybody else any more.
        clock_us: the time; called in the loop's thread only.
        on_trouble: told in the loop's thread when the store cannot commit for now, and (None) when it can again.
        queue: bounded by the defaults of ``store_queue.py``.

    Raises:
        StateError: the store cannot be opened for reading.
    """

    def __init__(
        self,
        store: WritingStore,
        clock_us: Callable[[], int],
        on_trouble: Callable[[StoreFullError | None], None] = lambda _: None,
        queue: WriteQueue | None = None,
    ) -> None:
        self._store = store
        self._reader = store.open_reader()
        self._clock_us = clock_us
        self._on_trouble = on_trouble
        self._changed = threading.Condition()
        # Under the condition: what both sides touch.
        self._queue = WriteQueue() if queue is None else queue
        self._reads: deque[Entry] = deque()
        self._reads_open = 0
        self._trouble: StoreFullError | None = None
        self._is_pausing = False
        self._is_closing = False
        self._counts = dict.fromkeys(
            ("store_commits", "store_changes", "store_refused", "store_failures", "store_reads"), 0
        )
        # Appended by the threads, taken by the loop; a deque needs no lock for that.
        self._done: deque[tuple[Callable[[], None], Entry | None]] = deque()
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (("store-writer", self._write_on), ("store-reader", self._read_on))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What the loop calls.

    def fileno(self) -> int:
        """The descriptor that becomes readable when ``collect`` has something to do."""
        return self._descriptor

    @property
    def trouble(self) -> StoreFullError | None:
        """Why the store cannot commit for now; None when it can."""
        return self._trouble

    def counters(self) -> Mapping[str, int]:
        """Totals since the start, and how much waits now."""
        with self._changed:
            waiting = {"store_waiting": self._queue.changes, "store_waiting_bytes": self._queue.size_bytes}
            return {**self._counts, **waiting}

    def submit(self, job: NewJob, on_done: Callable[[StoredJob | Exception], None], stdin: bytes = b"") -> None:
        """Store a job with its stdin; ``on_done`` gets it when it is durable, or why it could not be stored."""
        now_us = self._clock_us()

        def run(store: JobStore) -> Callable[[], None]:
            return partial(on_done, store.submit(job, now_us, stdin))

        self._offer(Entry(EntryKind.JOB, run, on_done, 1, size_of_job(job) + len(stdin)))

    def apply(self, changes: Sequence[Change], on_done: Callable[[Exception | None], None]) -> None:
        """Make changes, all or none; ``on_done`` gets None when they are durable, or why they could not be stored."""
        now_us = self._clock_us()

        def run(store: JobStore) -> Callable[[], None]:
            store.apply(changes, now_us)
            return partial(on_done, None)

        self._offer(Entry(kind_of(changes), run, on_done, len(changes), sum(map(size_of_change, changes))))

    def read(self, function: Callable[[JobStore], Found], on_done: Callable[[Found | Exception], None]) -> None:
        """Call a function with a store that reads what is committed; ``on_done`` gets what it returns or raises."""

        def run(store: JobStore) -> Callable[[], None]:
            return partial(on_done, function(store))

        with self._changed:
            refusal = self._refusal_of_read()
            if refusal is None:
                self._reads_open += 1
                self._reads.append(Entry(EntryKind.READ, run, on_done, 0, 0))
                self._changed.notify_all()
                return
            self._counts["store_refused"] += 1
        self._tell(partial(on_done, refusal), None)

    def collect(self) -> int:
        """Call what waits to be told, in order; return how many there were.

        Call it when the descriptor is readable. What a callback raises leaves it; the rest is told at the next call.
        """
        if self._descriptor >= 0:
            with suppress(BlockingIOError):
                os.eventfd_read(self._descriptor)
        told = 0
        try:
            for _ in range(len(self._done)):
                callback, entry = self._done.popleft()
                if entry is not None:
                    self._settle(entry)
                told += 1
                callback()
        finally:
            if self._done:
                self._wake()
        return told

    def close(self) -> None:
        """Commit what is queued, end the threads and the store; what has not been told waits for a last ``collect``, or for nobody.

        What cannot be committed even now is given up: whoever sent it was not answered, and sends it again.
        """
        with self._changed:
            if self._is_closing:
                return
            self._is_closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        os.close(self._descriptor)
        self._descriptor = -1
        self._reader.close()
        self._store.close()

    # Inner steps, in the loop's thread.

    def _settle(self, entry: Entry) -> None:
        with self._changed:
            if entry.kind is EntryKind.READ:
                self._reads_open -= 1
            else:
                self._queue.settle(entry)

    def _offer(self, entry: Entry) -> None:
        with self._changed:
            refusal = self._refusal_of(entry)
            if refusal is None:
                self._queue.add(entry)
                self._changed.notify_all()
                return
            self._counts["store_refused"] += 1
        self._tell(partial(entry.fail, refusal), None)

    def _refusal_of(self, entry: Entry) -> StateError | None:
        if self._is_closing:
            return StateError("the job cache is closed: the master is ending", "try again when it runs")
        # With nothing left that could be tried again, the next one is let in to see whether the trouble is over.
        if (
            self._trouble is not None
            and entry.kind is not EntryKind.SMALL
            and (self._is_pausing or self._queue.changes)
        ):
            return self._trouble
        if not self._queue.has_room(entry):
            return StoreFullError(
                f"{self._queue.changes} changes ({self._queue.size_bytes} bytes) wait for the job cache already",
                "its disk is slower than the fleet; try again",
            )
        return None

    def _refusal_of_read(self) -> StateError | None:
        if self._is_closing:
            return StateError("the job cache is closed: the master is ending", "try again when it runs")
        if self._reads_open >= READS_LIMIT:
            return StateError(f"{self._reads_open} questions wait for the job cache already", "try again")
        return None

    def _trouble_changed(self, problem: StoreFullError | None) -> None:
        if problem is None:
            log.warning("the job cache stores again")
        else:
            log.error(
                "%s; %s: until then new jobs are refused and minions keep their returns, so nothing is lost",
                problem.message,
                problem.hint,
            )
        self._on_trouble(problem)

    # Inner steps, in the threads.

    def _tell(self, callback: Callable[[], None], entry: Entry | None) -> None:
        self._done.append((callback, entry))
        self._wake()

    def _wake(self) -> None:
        if self._descriptor >= 0:
            os.eventfd_write(self._descriptor, 1)

    def _write_on(self) -> None:
        pause_seconds = RETRY_FIRST_SECONDS
        while batch := self._next_batch():
            try:
                self._commit(batch)
            except StoreFullError as problem:
                self._hold(batch, problem)
                self._pause(pause_seconds)
                pause_seconds = min(pause_seconds * 2, RETRY_LIMIT_SECONDS)
            else:
                pause_seconds = RETRY_FIRST_SECONDS
                self._set_trouble(None)

    def _next_batch(self) -> deque[Entry]:
        """Wait for something to commit; nothing is left when this is empty."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._queue) or self._is_closing)
            return self._queue.take_batch()

    def _commit(self, batch: deque[Entry]) -> None:
        """Commit all in one transaction; when something in it cannot be stored, each alone. What was told is taken out."""
        try:
            callbacks = self._run(batch)
        except StoreFullError:
            raise
        except Exception as problem:  # noqa: BLE001 - whatever it is, whoever waits for it must be told, and the thread go on
            if len(batch) == 1:
                self._fail(batch.popleft(), problem)
            while batch:
                self._commit(deque((batch[0],)))
                batch.popleft()
            return
        for callback in callbacks:
            self._tell(callback, batch.popleft())

    def _run(self, batch: deque[Entry]) -> list[Callable[[], None]]:
        with self._store.transaction():
            callbacks = [entry.run(self._store) for entry in batch]
        with self._changed:
            self._counts["store_commits"] += 1
            self._counts["store_changes"] += sum(entry.changes for entry in batch)
        return callbacks

    def _hold(self, batch: deque[Entry], problem: StoreFullError) -> None:
        """Keep what could not be stored; when this is the end, tell."""
        self._set_trouble(problem)
        with self._changed:
            given_up = self._queue.put_back(batch)
            if self._is_closing:
                given_up += self._queue.empty()
        for entry in given_up:
            self._fail(entry, problem)

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._is_pausing = True
            self._changed.wait_for(lambda: self._is_closing, seconds)
            self._is_pausing = False

    def _fail(self, entry: Entry, problem: Exception) -> None:
        with self._changed:
            self._counts["store_failures"] += 1
        self._tell(partial(entry.fail, problem), entry)

    def _set_trouble(self, problem: StoreFullError | None) -> None:
        with self._changed:
            before, self._trouble = self._trouble, problem
        if (before is None) is not (problem is None):
            self._tell(partial(self._trouble_changed, problem), None)

    def _read_on(self) -> None:
        while entry := self._next_read():
            try:
                callback = entry.run(self._reader)
            except Exception as problem:  # noqa: BLE001 - it belongs to whoever asked
                callback = partial(entry.fail, problem)
            with self._changed:
                self._counts["store_reads"] += 1
            self._tell(callback, entry)

    def _next_read(self) -> Entry | None:
        with self._changed:
            self._changed.wait_for(lambda: self._reads or self._is_closing)
            return self._reads.popleft() if self._reads else None
