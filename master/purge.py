"""Removes jobs that have ended, a transaction at a time, so that nobody waits long for the job cache.

By the settings of the master now and then, or because an operator asks for it (DESIGN D7).
"""

import logging
from collections.abc import Callable

from ..core.dataclass import dataclass
from ..core.errors import StoreFullError
from ..core.names import Jid
from .store import DeleteJob, JobStore, Keep, Shrink
from .store_thread import StoreThread

log = logging.getLogger(__name__)

#: How often the limits of the settings are looked at.
PAUSE_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge has removed."""

    jobs: int
    freed_bytes: int


@dataclass(slots=True)
class _Run:
    """One purge under way."""

    choose: Callable[[JobStore, int], tuple[Jid, ...]]
    on_done: Callable[[Purged | Exception], None]
    before_bytes: int = 0
    jobs: int = 0


@dataclass(slots=True)
class Purge:
    """Removes jobs in the threads of the store.

    Attributes:
        removed: how many jobs purges have removed, by the settings or because an operator asked.

    Args:
        store: holds them.
        clock_us: the time.
        keep: the limits of the settings.
        on_purged: told how many jobs the limits of the settings have cost.
    """

    store: StoreThread
    clock_us: Callable[[], int]
    keep: Keep
    on_purged: Callable[[Purged], None]
    removed: int = 0
    _next_us: int = 0
    _is_running: bool = False

    def tick(self, now_us: int) -> None:
        """Keep the limits of the settings; called often, does something once a minute."""
        if now_us < self._next_us or self._is_running:
            return
        self._next_us, self._is_running = now_us + PAUSE_US, True

        def done(purged: Purged | Exception) -> None:
            self._is_running = False
            if isinstance(purged, Purged) and purged.jobs:
                log.info("removed %d old jobs from the job cache", purged.jobs)
                self.on_purged(purged)
            elif isinstance(purged, Exception) and not isinstance(purged, StoreFullError):
                log.error("old jobs could not be removed: %s", purged)

        self.run(self.keep, done)

    def run(self, keep: Keep, on_done: Callable[[Purged | Exception], None]) -> None:
        """Remove what goes beyond these limits."""
        self._begin(_Run(lambda store, now_us: store.expendable(keep, now_us), on_done))

    def run_all(self, on_done: Callable[[Purged | Exception], None]) -> None:
        """Remove every job that has ended."""
        self._begin(_Run(lambda store, _now_us: store.ended_jobs(), on_done))

    def _begin(self, run: _Run) -> None:
        def measured(size_bytes: int | Exception) -> None:
            if isinstance(size_bytes, Exception):
                run.on_done(size_bytes)
                return
            run.before_bytes = size_bytes
            self._choose(run)

        self.store.read(lambda store: store.size_bytes(), measured)

    def _choose(self, run: _Run) -> None:
        def chosen(jids: tuple[Jid, ...] | Exception) -> None:
            if isinstance(jids, Exception):
                run.on_done(jids)
            elif jids:
                self._remove(run, jids)
            else:
                self._finish(run)

        now_us = self.clock_us()  # The clock is the loop's; what is read is read in another thread.
        self.store.read(lambda store: run.choose(store, now_us), chosen)

    def _remove(self, run: _Run, jids: tuple[Jid, ...]) -> None:
        def removed(problem: Exception | None) -> None:
            if problem is not None:
                run.on_done(problem)
                return
            run.jobs += len(jids)
            self.removed += len(jids)
            self._choose(run)

        self.store.apply([DeleteJob(jid) for jid in jids], removed)

    def _finish(self, run: _Run) -> None:
        def measured(size_bytes: int | Exception) -> None:
            after_bytes = run.before_bytes if isinstance(size_bytes, Exception) else size_bytes
            run.on_done(Purged(run.jobs, max(run.before_bytes - after_bytes, 0)))
            if run.jobs:
                self._give_back(None)

        self.store.read(lambda store: store.size_bytes(), measured)

    def _give_back(self, before_bytes: int | None) -> None:
        """Give what is free now back to the disk, part by part; nobody waits for it, so a failure ends it."""

        def measured(free_bytes: int | Exception) -> None:
            if isinstance(free_bytes, Exception) or not free_bytes:
                return
            # Where it grows, others delete as well, and go on; where it stays, the file was made before format 2.
            if before_bytes is None or free_bytes < before_bytes:
                self.store.apply([Shrink()], lambda problem: None if problem else self._give_back(free_bytes))

        self.store.read(lambda store: store.free_bytes(), measured)
