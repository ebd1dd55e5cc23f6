"""The daemon's side of running jobs: has supervisors started, watches them, finds again those that outlived a daemon.

Nothing here waits: requests leave through the fork server's socket, and what becomes of them arrives by descriptors that the
daemon polls. A job is started at most once whatever fails in between, because a supervisor runs nothing without the lock of
the job's folder, nor where there is a status (``job_folder.py``); so a request that was not answered can be sent again.
"""

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

from ..core.dataclass import dataclass
from ..core.errors import FleetError, StateError
from ..core.names import Jid, is_jid
from ..core.outcome import Outcome, OutcomeKind
from .fork_link import ForkLink
from .fork_messages import Executing, Forked, ForkMessage, NotStarted, Running, Start
from .job_changes import JobAlive, JobChange, JobEnded, JobExecuting, JobLost, JobStarted
from .job_folder import JobFolder
from .job_records import KILL_AFTER_SECONDS, JobRequest, JobStatus
from .process import ProcessIdentity, read_boot_id, send_signal, signal_session
from .remains import Ended, Gone, NeverRan, Orphaned, Supervised, find_remains

IDLE_SECONDS = 30.0

#: How often the fork server may die over one job before that is given up.
_ATTEMPTS = 3
#: When to look again at a lock whose holder has not said who it is: it is about to.
_LOOK_AGAIN_SECONDS = 0.1
_SEND_AGAIN_SECONDS = 0.05
_NEVER = float("inf")


@dataclass(slots=True)
class _Watched:
    """A job that may be alive.

    Attributes:
        pidfd: of its supervisor, or when that was killed of its process; None before it is known.
        orphan: the pid of the process that goes on without its supervisor; 0 when there is a supervisor.
        is_asked: its start was asked for, and the answer has not come.
        is_unsent: the request waits for room in the socket.
        attempts: how often it was asked for.
        refusal: why it was not started, by the word of its supervisor, which may still be about to end, or of the fork server.
        problem: why no supervisor could be asked for.
        is_adopted: an earlier daemon started it.
        is_program_told: which program it has become was told.
        is_cancelled: it is to be stopped as soon as there is something to stop.
        look_at: when to look again, by the monotonic clock.
        kill_at: when an orphan that was sent TERM gets its KILL.
    """

    jid: Jid
    folder: JobFolder
    account: str = ""
    pidfd: int | None = None
    orphan: int = 0
    is_asked: bool = False
    is_unsent: bool = False
    attempts: int = 0
    refusal: str = ""
    problem: str = ""
    is_adopted: bool = False
    is_program_told: bool = False
    is_cancelled: bool = False
    look_at: float = _NEVER
    kill_at: float = _NEVER


class Executor:
    """Runs jobs below one folder.

    Args:
        jobs_folder: holds the folders of the jobs; it exists.
        idle_seconds: after how long without work the fork server leaves.
    """

    def __init__(self, jobs_folder: Path, idle_seconds: float = IDLE_SECONDS) -> None:
        self._jobs_folder = os.path.abspath(jobs_folder)
        self._idle_seconds = idle_seconds
        self._link: ForkLink | None = None
        self._watched: dict[Jid, _Watched] = {}
        self._changes: list[JobChange] = []

    def start(self, request: JobRequest, stdin: str = "") -> None:
        """Have a job started. What becomes of it, also when it cannot be, is told by ``collect``.

        Args:
            request: what to run.
            stdin: the file that it reads, which becomes part of its folder; nothing when empty.

        Raises:
            ValueError: the job is alive.
        """
        if request.jid in self._watched:
            raise ValueError(f"job {request.jid} is alive")
        job = _Watched(request.jid, self._folder(request.jid), request.account)
        self._watched[job.jid] = job
        try:
            job.folder.create(request, stdin)
        except StateError:
            job.is_adopted = True
            self._settle(job)  # There is a folder: it is not for us to start it once more, only to see how it stands.
        except OSError as problem:
            reason = f"it was not started: its folder cannot be made: {os.strerror(problem.errno or 0)}"
            self._tell_end(job, JobLost(job.jid, reason))
        else:
            self._ask(job)

    def adopt(self, jid: Jid) -> JobAlive | JobEnded | JobLost:
        """Find out what became of a job that an earlier daemon has started, or was about to.

        A job that turns out to be lost cannot be started any more, also by a supervisor that was forked and comes late.

        Raises:
            ValueError: it is watched already.
        """
        if jid in self._watched:
            raise ValueError(f"job {jid} is alive")
        job = _Watched(jid, self._folder(jid), is_adopted=True)
        change = self._look(job)
        self._tell_program(job)
        if change is not None:
            self._close(job)
            return change
        self._watched[jid] = job
        try:
            status = job.folder.read_status()
        except StateError:
            status = None
        if status is None:
            return JobAlive(jid, None, "", None)
        job.account = status.account
        return JobAlive(jid, status.process.pid if status.process else None, job.account, status.started_us)

    def cancel(self, jid: Jid, reason: str) -> bool:
        """Ask a job to stop: TERM to its processes, then KILL; its end is told by ``collect``. False when none is alive."""
        job = self._watched.get(jid)
        if job is None:
            return False
        job.is_cancelled = True
        with suppress(OSError):  # On a full disk the signal stops it as well; only the reason is not kept.
            job.folder.write_cancel(reason)
        self._pass_cancel_on(job)
        return True

    def descriptors(self) -> list[int]:
        """The descriptors to poll for reading: when one is ready, ``collect`` has something to do."""
        found = list(self._link.descriptors()) if self._link else []
        return found + [job.pidfd for job in self._watched.values() if job.pidfd is not None]

    def wait_seconds(self) -> float | None:
        """After how long ``collect`` has something to do although no descriptor is ready; None for never."""
        if self._changes:
            return 0.0
        until = min((min(job.look_at, job.kill_at) for job in self._watched.values()), default=_NEVER)
        return None if until == _NEVER else max(0.0, until - time.monotonic())

    def collect(self) -> list[JobChange]:
        """Take up what has happened, and return it in order."""
        self._hear()
        if self._link is not None and self._link.has_ended():
            self._hear()  # What it said before its end.
            self._link.close()
            self._link = None
            for job in [job for job in self._watched.values() if job.is_asked]:
                self._ask(job)
        ended = self._ended_processes()
        if ended:
            self._hear()  # What a supervisor said at last may have come after the first look, as its end did.
        for job in ended:
            self._close(job)
            self._settle(job)
        now = time.monotonic()
        for job in list(self._watched.values()):
            if now >= job.look_at:
                job.look_at = _NEVER
                self._ask(job) if job.is_unsent else self._settle(job)
            if now >= job.kill_at and job.pidfd is not None:
                job.kill_at = now + KILL_AFTER_SECONDS
                signal_session(job.orphan, signal.SIGKILL)
        changes, self._changes = self._changes, []
        return changes

    def jids(self) -> list[Jid]:
        """The jobs that have a folder, oldest first."""
        return sorted(Jid(name) for name in os.listdir(self._jobs_folder) if is_jid(name))

    def forget(self, jid: Jid) -> bool:
        """Delete all that is held of a job that has ended.

        False when the disk fails, or a supervisor lives after all: one of a daemon whose journal is gone.

        Raises:
            ValueError: the job is watched, so it has not ended.
        """
        if jid in self._watched:
            raise ValueError(f"job {jid} is alive")
        folder = self._folder(jid)
        try:
            lock = folder.take_lock()
            if lock is None:
                return False
            try:
                folder.remove()
            finally:
                os.close(lock)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go of everything: the fork server ends, the jobs go on, and the next daemon finds them again."""
        for job in self._watched.values():
            self._close(job)
        if self._link is not None:
            self._link.close()
        self._watched, self._link = {}, None

    def _folder(self, jid: Jid) -> JobFolder:
        return JobFolder.of(self._jobs_folder, jid)

    # The fork server.

    def _ask(self, job: _Watched) -> None:
        """Ask the fork server, which is started if there is none, for a supervisor."""
        job.is_asked = False
        if not job.is_unsent:
            job.attempts += 1
        if job.attempts > _ATTEMPTS:
            job.problem = "the fork server was killed again and again"
            self._settle(job)
            return
        try:
            self._link = self._link or ForkLink(self._jobs_folder, self._idle_seconds)
        except OSError as problem:
            job.problem = f"no process could be started: {os.strerror(problem.errno or 0)}"
            self._settle(job)
            return
        job.is_unsent = not self._link.send(Start(job.folder.path))
        job.is_asked = not job.is_unsent
        job.look_at = time.monotonic() + _SEND_AGAIN_SECONDS if job.is_unsent else _NEVER

    def _hear(self) -> None:
        for message, pidfd in self._link.receive() if self._link else []:
            job = self._watched.get(Jid(os.path.basename(message.path)))
            unwanted = pidfd if job is None else self._take(job, message, pidfd)
            if unwanted is not None:
                os.close(unwanted)

    def _take(self, job: _Watched, message: ForkMessage, pidfd: int | None) -> int | None:
        """Take one message about a job; return the pidfd when it was not wanted."""
        match message:
            case Forked():
                job.is_asked = False
                if job.pidfd is not None:
                    return pidfd
                job.pidfd = pidfd
                # Without descriptors to spare none arrives: then the lock tells who it is.
                job.look_at = time.monotonic() + _LOOK_AGAIN_SECONDS if pidfd is None else _NEVER
                self._pass_cancel_on(job)
                return None
            case Running(_, pid, started_us):
                self._changes.append(JobStarted(job.jid, pid, job.account, started_us))
            case Executing():
                self._tell_program(job)
            case NotStarted(_, reason):
                job.refusal = reason
                if job.is_asked:
                    # No supervisor was forked, or it said this before we heard of it: the lock will tell.
                    job.is_asked = False
                    job.look_at = time.monotonic()
            case Start():
                raise TypeError("the fork server asks for no starts")
        return pidfd

    # What became of a job.

    def _ended_processes(self) -> list[_Watched]:
        by_pidfd = {job.pidfd: job for job in self._watched.values() if job.pidfd is not None}
        poller = select.poll()
        for pidfd in by_pidfd:
            poller.register(pidfd, select.POLLIN)
        return [by_pidfd[pidfd] for pidfd, _ in poller.poll(0)]

    def _settle(self, job: _Watched) -> None:
        """Look what is alive of a job, and watch that; when nothing is, tell how it ended."""
        change = self._look(job)
        if change is not None:
            self._tell_end(job, change)

    def _look(self, job: _Watched) -> JobEnded | JobLost | None:
        """Take up what is alive of a job; return what it came to when nothing is."""
        try:
            remains = find_remains(job.folder)
        except OSError:
            # For want of descriptors, say: nothing is known, so nothing is told.
            job.look_at = time.monotonic() + _LOOK_AGAIN_SECONDS
            return None
        match remains:
            case Ended(status):
                return JobEnded(job.jid, status)
            case Supervised(pidfd):
                job.pidfd, job.problem = pidfd, ""
                if pidfd is None:
                    job.look_at = time.monotonic() + _LOOK_AGAIN_SECONDS
            case Orphaned(pid, pidfd):
                job.pidfd, job.orphan = pidfd, pid
            case NeverRan():
                if job.refusal or job.problem:
                    return self._fail(job)
                return JobLost(job.jid, "its supervisor was gone before it ran anything")
            case Gone(reason):
                return JobLost(job.jid, f"{job.problem or reason}; its output up to then is kept")
        self._pass_cancel_on(job)
        return None

    def _fail(self, job: _Watched) -> JobEnded | JobLost:
        """Write down that a job could not be started; nobody else writes there any more."""
        outcome = Outcome(OutcomeKind.FAILED, f"it was not started: {job.refusal or job.problem}")
        nobody = ProcessIdentity(read_boot_id(), 0, 0)
        status = JobStatus(nobody, account=job.account, ended_us=time.time_ns() // 1000, outcome=outcome)
        try:
            job.folder.write_last_status(status)
        except OSError:
            return JobLost(job.jid, outcome.message)
        return JobEnded(job.jid, status)

    def _tell_program(self, job: _Watched) -> None:
        """Tell once which program a job has become, if any. Also asked at its end: the word of its supervisor may be lost."""
        if job.is_program_told:
            return
        try:
            program = job.folder.read_program()
        except (OSError, FleetError):
            return  # It is told for the log alone, and how the job ends is not to depend on it.
        if program is not None:
            job.is_program_told = True
            self._changes.append(JobExecuting(job.jid, program, job.is_adopted))

    def _tell_end(self, job: _Watched, change: JobEnded | JobLost) -> None:
        self._close(job)
        self._tell_program(job)
        self._watched.pop(job.jid, None)
        self._changes.append(change)

    def _close(self, job: _Watched) -> None:
        if job.pidfd is None:
            return
        with suppress(ChildProcessError):  # Not our child, unless the daemon is the init of a container.
            os.waitid(os.P_PIDFD, job.pidfd, os.WEXITED | os.WNOHANG)
        os.close(job.pidfd)
        job.pidfd = None

    def _pass_cancel_on(self, job: _Watched) -> None:
        if not job.is_cancelled or job.pidfd is None:
            return
        if not job.orphan:
            send_signal(job.pidfd, signal.SIGTERM)
        elif job.kill_at == _NEVER:
            job.kill_at = time.monotonic() + KILL_AFTER_SECONDS
            signal_session(job.orphan, signal.SIGTERM)
            signal_session(job.orphan, signal.SIGCONT)
