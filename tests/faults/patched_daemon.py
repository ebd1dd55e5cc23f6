"""``fleet-master`` or ``fleet-minion`` with a clock that a test sets, and with a bug where a test plants one.

``python -P patched_daemon.py master|minion``. The file named by FLEET_TEST_CLOCK holds by how many seconds the wall clock is ahead;
FLEET_TEST_BUG names one of ``PLANTED``. Nothing of this is in the product: one function of it is replaced in this process.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLOCK = "FLEET_TEST_CLOCK"
BUG = "FLEET_TEST_BUG"


def _ahead_us() -> int:
    try:
        return int(float(Path(os.environ[CLOCK]).read_text() or 0) * 1_000_000)
    except (KeyError, FileNotFoundError):
        return 0


def _shifted_wall_us() -> int:
    return time.time_ns() // 1000 + _ahead_us()


def shift_clock(daemon: str) -> None:
    """Let the wall clock of a daemon be what the file says; before anything else is imported, which would keep the old one."""
    if daemon == "master":
        from fleet.master import clock as of_master

        of_master._wall_us = _shifted_wall_us
    else:
        from fleet.minion import clock as of_minion

        of_minion.wall_us = _shifted_wall_us


def acknowledge_before_commit() -> None:
    """The master answers `stored` when a return has come, on a disk that takes a moment for each commit."""
    from fleet.core.from_master import Stored
    from fleet.master.job_actions import SendTo
    from fleet.master.store_thread import StoreThread
    from fleet.master.turn_commits import TurnCommits

    commit_returns, run = TurnCommits._commit_returns, StoreThread._run

    def commit(self: Any, returned: Any) -> None:
        for stored in returned:
            self.perform([SendTo(stored.minion, Stored(stored.answer.jid))])
        commit_returns(self, returned)

    def run_slowly(self: Any, batch: Any) -> Any:
        time.sleep(0.2)
        return run(self, batch)

    TurnCommits._commit_returns = commit  # type: ignore[method-assign]
    StoreThread._run = run_slowly  # type: ignore[method-assign]


def no_journal() -> None:
    """The minion remembers what it accepted, and writes nothing down."""
    from fleet.minion import journal

    def append(self: Any, *entries: Any) -> None:
        for entry in entries:
            self._live[entry.jid] = journal._follow(self._live.get(entry.jid), entry)

    journal.Journal.append = append  # type: ignore[method-assign]


def no_deduplication() -> None:
    """The minion takes every order for a new one."""
    from fleet.minion.job_folder import JobFolder
    from fleet.minion.jobs import MinionJobs
    from fleet.minion.worker import Worker

    take, ordered = Worker._order, MinionJobs.ordered

    def forgetful(self: Any, encoded: bytes, signature: bytes, now_us: int) -> Any:
        jid = self._decode(encoded).jid
        self._jobs.pop(jid, None)
        self._answered.pop(jid, None)
        self._settled.pop(jid, None)
        self._tombstones.pop(jid, None)
        return ordered(self, encoded, signature, now_us)

    def order(self: Any, document: bytes, signature: bytes, now_us: int) -> None:
        jid = self.jobs._decode(document).jid
        self.journal._live.pop(jid, None)
        self.executor._watched.pop(jid, None)
        shutil.rmtree(JobFolder.of(self.folder, jid).path, ignore_errors=True)
        take(self, document, signature, now_us)

    MinionJobs.ordered = forgetful  # type: ignore[method-assign]
    Worker._order = order  # type: ignore[method-assign]


def spool_dropped_at_restart() -> None:
    """A minion that starts deletes what is left of jobs that have ended, answered or not."""
    from fleet.minion.job_folder import JobFolder
    from fleet.minion.worker import Worker

    recover = Worker.recover

    def drop(self: Any) -> None:
        for jid in self.executor.jids():
            folder = JobFolder.of(self.folder, jid)
            status = folder.read_status()
            if status is not None and status.outcome is not None:
                folder.remove()
        recover(self)

    Worker.recover = drop  # type: ignore[method-assign]


def no_readoption() -> None:
    """A minion that starts takes every job of the daemon before it for gone."""
    from fleet.minion.executor import Executor
    from fleet.minion.job_changes import JobEnded, JobLost

    def adopt(self: Any, jid: Any) -> JobEnded | JobLost:
        status = self._folder(jid).read_status()
        return JobLost(jid, "not looked for") if status is None or status.outcome is None else JobEnded(jid, status)

    Executor.adopt = adopt  # type: ignore[method-assign]


def expired_is_started() -> None:
    """The minion starts what it was ordered, however late."""
    from fleet.minion import job_stops, jobs

    def never(*_: object) -> bool:
        return False

    jobs.is_expired = job_stops.is_expired = never  # type: ignore[attr-defined, assignment]


def cancel_overtakes() -> None:
    """A cancel that comes before its job is answered, and leaves nothing that the job would meet."""
    from fleet.minion.jobs import MinionJobs

    cancel_unknown = MinionJobs._cancel_unknown

    def cancel(self: Any, message: Any, now_us: int) -> Any:
        actions = cancel_unknown(self, message, now_us)
        self._tombstones.pop(message.jid, None)
        return [each for action in actions for each in getattr(action, "then", (action,))]

    def remember(self: Any, job: Any) -> None:
        if job.is_journaled:
            self._answered[job.jid] = job.expires_us

    MinionJobs._cancel_unknown = cancel  # type: ignore[method-assign]
    MinionJobs._remember = remember  # type: ignore[method-assign]


#: Every bug that can be planted, and the daemon that has it.
PLANTED: dict[str, tuple[str, Callable[[], None]]] = {
    "acknowledge-before-commit": ("master", acknowledge_before_commit),
    "no-journal": ("minion", no_journal),
    "no-deduplication": ("minion", no_deduplication),
    "spool-dropped-at-restart": ("minion", spool_dropped_at_restart),
    "no-readoption": ("minion", no_readoption),
    "expired-is-started": ("minion", expired_is_started),
    "cancel-overtakes": ("minion", cancel_overtakes),
}


def run(daemon: str) -> int:
    """Run the daemon."""
    shift_clock(daemon)
    bug = os.environ.get(BUG, "")
    if bug and PLANTED[bug][0] == daemon:
        PLANTED[bug][1]()
    if daemon == "master":
        from fleet.master.command import main as master

        return master()
    from fleet.minion.command import main as minion

    return minion()


if __name__ == "__main__":
    # The word is ours; what follows is the daemon's.
    sys.exit(run(sys.argv.pop(1)))
