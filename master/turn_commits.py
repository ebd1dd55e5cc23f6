"""What one turn of the loop wants stored: handed to the job cache all in one, and carried on with when it is durable."""

import logging
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Protocol

from ..core.dataclass import dataclass, field
from ..core.errors import StoreFullError
from .job_actions import Commit, MasterJobAction
from .jobs import MasterJobs
from .store import KeepPart, StoredReturn
from .store_thread import StoreThread

log = logging.getLogger(__name__)


class Perform(Protocol):
    """Carries out what the job machine wants, at this time."""

    def __call__(self, actions: Iterable[MasterJobAction], now_us: int = 0) -> None:
        """In order; 0 to read the clock where it is needed."""


@dataclass(slots=True)
class CommitCounters:
    """What has become of it."""

    returns_stored: int = 0
    commits_failed: int = 0


@dataclass(slots=True)
class TurnCommits:
    """Changes and returns since the last ``commit``: the queue of the store and its threads cost as much for one as for a thousand.

    Args:
        perform: carries out what follows from what is durable.
    """

    store: StoreThread
    jobs: MasterJobs
    now_us: Callable[[], int]
    perform: Perform
    counters: CommitCounters = field(default_factory=CommitCounters)
    _changed: list[Commit] = field(default_factory=list)
    _returned: list[StoredReturn] = field(default_factory=list)

    def add(self, commit: Commit) -> None:
        """Store these changes with the rest."""
        self._changed.append(commit)

    def add_return(self, stored: StoredReturn) -> None:
        """Store this return with the rest."""
        self._returned.append(stored)

    def commit(self) -> None:
        """Hand over what has come.

        Changes before returns: of one target none comes behind its return. Parts of long outputs go each alone, because the queue may
        refuse what has one (``store_queue.py``).
        """
        changed, self._changed = self._changed, []
        for has_part, commits in groupby(changed, _has_part):
            if has_part:
                for commit in commits:
                    self._commit_changes((commit,))
            else:
                self._commit_changes(tuple(commits))
        returned, self._returned = self._returned, []
        if returned:
            self._commit_returns(tuple(returned))

    def _commit_changes(self, commits: tuple[Commit, ...]) -> None:
        changes = tuple(change for commit in commits for change in commit.changes)

        def done(problem: Exception | None) -> None:
            if problem is None:
                for commit in commits:
                    self.perform(commit.then)
            elif len(commits) > 1 and not isinstance(problem, StoreFullError):
                for commit in commits:
                    self._commit_changes((commit,))  # One that cannot be stored must not keep back the others.
            else:
                self.counters.commits_failed += len(commits)
                self.jobs.changes_failed(changes)
                complain("store a change", problem)

        self.store.apply(changes, done)

    def _commit_returns(self, returned: tuple[StoredReturn, ...]) -> None:
        def done(problem: Exception | None) -> None:
            if problem is None:
                self.counters.returns_stored += len(returned)
                self.perform(self.jobs.all_committed(returned), self.now_us())
            elif len(returned) > 1 and not isinstance(problem, StoreFullError):
                for stored in returned:
                    self._commit_returns((stored,))
            else:
                self.counters.commits_failed += len(returned)
                for stored in returned:
                    self.jobs.commit_failed(stored)
                complain("store a return", problem)

        self.store.apply(returned, done)


def _has_part(commit: Commit) -> bool:
    return any(isinstance(change, KeepPart) for change in commit.changes)


def complain(what: str, problem: Exception) -> None:
    """Log what the job cache could not do; a full disk is told once, when it begins (``daemon.py``), not for each return."""
    if not isinstance(problem, StoreFullError):
        log.error("the job cache could not %s: %s", what, problem)
