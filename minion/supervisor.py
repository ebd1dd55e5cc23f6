"""The supervisor of one job: the parent of its process, which outlives the daemon and writes down how it ended.

It stays small: what a function needs is imported by the process that runs the function, never here.
"""

import os
import signal
import time
from collections.abc import Callable

from ..core.dataclass import dataclass, replace
from ..core.functions import Program, RunningJob
from ..core.outcome import Outcome, OutcomeKind
from .child import Child, Ending, Limits
from .fork_messages import Executing, Running
from .function_call import JobContext, Loader, call_function
from .job_folder import JobFolder
from .job_records import JobRequest, JobStatus, StartedProgram
from .process import ProcessIdentity, identify, set_title
from .program import judge
from .report import Report

#: How often the last status is tried again on a disk that fails or is full.
_RETRY_SECONDS = 1.0


def supervise(path: str, announce: Callable[[Running | Executing], None], load: Loader) -> None:
    """Run the job of a folder to its end; return at once when that is not (or no longer) to be done.

    To be called once in a process of its own, which is to end when this returns: so the lock is let go of.

    Args:
        path: of the job's folder.
        announce: tells the daemon that the job runs, and when it is a program; nothing depends on whether it hears it.
        load: finds the function.

    Raises:
        OSError: the disk is full or fails, or no process is to be had: nothing has run.
        FleetError: the file that says what to run is damaged: nothing has run.
    """
    os.setsid()
    # Before anything is looked at: a request to stop that comes later than the look must not end this process.
    wake = _wake_on_term()
    set_title(f"fleet-minion: supervisor of {path}")
    folder = JobFolder(path)
    owner = identify(os.getpid())
    if folder.take_lock() is None or owner is None:
        return
    folder.write_owner(owner)
    if folder.is_void() or folder.read_status() is not None:
        return
    job = _Job(folder, folder.read_request(), announce, load, wake)
    folder.reserve_status()
    status = JobStatus(supervisor=owner, account=job.request.account)
    # From here on nobody starts this job again, whatever happens.
    folder.write_status(status)
    reason = folder.read_cancel()
    if reason is not None:
        outcome = Outcome(OutcomeKind.CANCELLED, f"{reason}, before it was started")
        _write_last(folder, replace(status, outcome=outcome, ended_us=_now_us()))
        return
    job.run(status)


@dataclass(frozen=True, slots=True)
class _Job:
    folder: JobFolder
    request: JobRequest
    announce: Callable[[Running | Executing], None]
    load: Loader
    wake: int

    def run(self, status: JobStatus) -> None:
        """Start the job, watch it and write down how it ended.

        Raises:
            OSError: no process, or no file, is to be had: nothing has run.
        """
        stdout, stderr = (_StreamFile(self.folder.open_stream(name)) for name in ("stdout", "stderr"))
        child = Child(lambda report: call_function(self.request, self.folder, report, self.load))
        began = time.monotonic_ns()
        status = replace(status, process=identify(child.pid), started_us=_now_us())
        # Before the child is let go: a daemon that finds no process here knows that nothing has run.
        self.folder.write_status(status)
        self.announce(Running(self.folder.path, child.pid, status.started_us or 0))
        request = self.request
        limits = Limits(request.timeout_seconds, request.kill_after_seconds, request.output_limit_bytes)
        ending = child.watch(stdout, stderr, limits, self.wake, self._note_program)
        last = replace(
            status,
            account=(ending.report.account if ending.report else "") or status.account,
            ended_us=_now_us(),
            duration_us=(time.monotonic_ns() - began) // 1000,
            outcome=_judge(ending, self.folder, self.request),
            stdout_bytes=ending.stdout_bytes,
            stderr_bytes=ending.stderr_bytes,
            force_stopped=ending.stopped is not None,
        )
        _write_last(self.folder, last)

    def _note_program(self, program: StartedProgram) -> None:
        """Keep which program the job has become, for the daemon's log: now, or when a later one takes the job up."""
        try:
            self.folder.write_program(program)
        except OSError:
            return  # A full disk costs a line of the log and no job.
        self.announce(Executing(self.folder.path))


#: What each supervisor, and the child that it starts, makes objects of.
MADE_BY_EACH = (
    Ending,
    Executing,
    JobContext,
    JobRequest,
    JobStatus,
    Limits,
    Outcome,
    ProcessIdentity,
    Program,
    Report,
    Running,
    RunningJob,
    StartedProgram,
    _Job,
)


def _judge(ending: Ending, folder: JobFolder, request: JobRequest) -> Outcome:
    """Say how the child ended, with the reason that a cancel came with; keep the value that a program makes."""
    outcome = judge(ending, lambda stream: folder.read_stream(stream, 0, request.output_limit_bytes))
    if outcome.kind is OutcomeKind.CANCELLED:
        # Without a file it was no daemon of ours: the machine goes down, or somebody sent TERM by hand.
        reason = folder.read_cancel() or "its supervisor was sent TERM"
        outcome = replace(outcome, message=outcome.message.replace("cancelled", reason, 1))
    if outcome.value is None:
        return outcome
    # Only now that nothing runs any more: msgpack would have been in memory for as long as the job.
    from ..core.packing import encode_value

    encoded = encode_value(outcome.value)
    limit_bytes = request.value_limit_bytes
    if len(encoded) > limit_bytes:
        # 16 MiB of bytes that are no UTF-8 are 48 MiB as text: the master would refuse that return for ever.
        message = f"the value takes {len(encoded)} bytes, and the limit is {limit_bytes}"
        return replace(outcome, kind=OutcomeKind.FAILED, message=message, has_value=False)
    try:
        folder.write_value(encoded)
    except OSError as problem:
        message = f"it ended, and its value could not be kept: {os.strerror(problem.errno or 0)}"
        return replace(outcome, kind=OutcomeKind.FAILED, message=message, has_value=False)
    return outcome


def _write_last(folder: JobFolder, status: JobStatus) -> None:
    """Write how the job ended, however long the disk takes to have room: an end that is not told is lost."""
    while folder.exists():
        try:
            folder.write_last_status(status)
        except OSError:
            time.sleep(_RETRY_SECONDS)
        else:
            return


class _StreamFile:
    """Takes a stream into its file; a full disk ends what is kept and not the job."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_full = False

    def __call__(self, data: bytes, /) -> None:
        view = memoryview(data)
        try:
            while view and not self._is_full:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            # What follows is dropped too, so that what is kept has no hole; the count tells that it was cut.
            self._is_full = True


def _wake_on_term() -> int:
    """Have TERM make a descriptor readable, and ignore what a terminal may send; return the descriptor."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, _note)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return reading


def _note(*_: object) -> None:
    """Do nothing: the descriptor tells."""


def _now_us() -> int:
    return time.time_ns() // 1000
