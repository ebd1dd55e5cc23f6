"""One child process: a session of its own, its output on pipes that are read here, its end by TERM and then KILL.

The child runs a Python function, or becomes a program; to the one who watches it is the same. It runs nothing before it is
released, so that who it is can be written down first, and it never runs when its parent dies before that.

::

    parent                                     child
    fork ───────────────────────────────────▶  session of its own; waits at the gate
    write down pid and start time
    release ────────────────────────────────▶  runs the body; its stdout, stderr and report are pipes
    watch: read the pipes, mind the limits
    TERM to the session, later KILL ────────▶  (when the time is up, or on request)
    reap, and no earlier: until then nobody else can have the pid
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, Protocol

from ..core.dataclass import dataclass
from ..core.outcome import OutcomeKind
from .job_records import KILL_AFTER_SECONDS, OUTPUT_LIMIT_BYTES, StartedProgram
from .process import has_ended, send_signal, session_members, signal_members, signal_session
from .report import REPORT_LIMIT_BYTES, Report, read_last_report

#: How long to read on after the process has ended: a process that it left in the background may hold the pipes for
#: ever, and must not hold the job with them.
LINGER_SECONDS = 1.0
#: How long after KILL a process that does not go (one in uninterruptible sleep) is waited for.
GIVE_UP_SECONDS = 10.0
#: What was forked while everything was being stopped is sent TERM again after this long.
TELL_AGAIN_SECONDS = 0.5

_STOP_POLL_SECONDS = 0.05
_READ_BYTES = 64 * 1024
#: A pipe holds 64 KiB, or up to 1 MiB when its writer asked for more: so many reads empty it at the end.
_DRAIN_READS = 16
_REPORT_DESCRIPTOR = 3
_FAULT_EXIT_CODE = 70


class Sink(Protocol):
    """Takes the bytes of one stream, in order."""

    def __call__(self, data: bytes, /) -> None:
        """Keep these bytes."""


class ProgramSink(Protocol):
    """Takes the program that a child has become."""

    def __call__(self, program: StartedProgram, /) -> None:
        """Take it up: called once, as soon as it is so, and at the latest before ``watch`` returns."""


def _forget(_program: StartedProgram, /) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a child may go.

    Attributes:
        timeout_seconds: from its release on; 0 for no limit.
        kill_after_seconds: from TERM to KILL.
        output_limit_bytes: how much of each stream is kept; the rest is counted and dropped.
    """

    timeout_seconds: float = 0.0
    kill_after_seconds: float = KILL_AFTER_SECONDS
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended.

    Attributes:
        pid: what it was.
        exit_code: minus the signal's number when a signal ended it; None when not even KILL ended it.
        report: the last that it said about itself, if anything.
        stopped: ``TIMED_OUT`` or ``CANCELLED`` when it was sent TERM; else None.
        limit_seconds: the limit that was reached, when it timed out.
        stdout_bytes: how much it wrote in all.
        stderr_bytes: likewise.
    """

    pid: int
    exit_code: int | None
    report: Report | None
    stopped: OutcomeKind | None
    limit_seconds: float
    stdout_bytes: int
    stderr_bytes: int


class Child:
    """A forked child that waits to be released.

    Args:
        body: what runs in the child, given the descriptor that its report goes to. The process ends with it.

    Raises:
        OSError: no process, or no descriptor, is to be had.
    """

    def __init__(self, body: Callable[[int], None]) -> None:
        # What stands in our buffers must not be written a second time by the child.
        sys.stdout.flush()
        sys.stderr.flush()
        pipes: list[int] = []
        try:
            for _ in range(4):
                pipes += os.pipe()
            # Blocked over the fork: in the child a TERM would run the parent's handler.
            old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
            try:
                self.pid = os.fork()
                if self.pid == 0:
                    _be_child(pipes, body)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
        except OSError:
            _close_all(pipes)
            raise
        self.stdout, self.stderr, self.report, self._gate = pipes[0], pipes[2], pipes[4], pipes[7]
        _close_all([pipes[1], pipes[3], pipes[5], pipes[6]])
        try:
            # Safe although it comes later: the child is not reaped before `watch` does.
            self.pidfd = os.pidfd_open(self.pid)
        except OSError:
            _close_all([self.stdout, self.stderr, self.report, self._gate])
            os.waitpid(self.pid, 0)  # The gate is closed, so it ends.
            raise

    def watch(
        self, stdout: Sink, stderr: Sink, limits: Limits, wake: int = -1, became: ProgramSink = _forget
    ) -> Ending:
        """Release the child, read what it writes, and return when it has ended and is reaped. To be called once.

        Args:
            stdout: takes what is kept of stdout.
            stderr: takes what is kept of stderr.
            limits: how far it may go.
            wake: a descriptor that becomes readable when the child is to be stopped.
            became: takes the program that the child becomes, if it does.
        """
        try:
            with suppress(BrokenPipeError):  # Killed before its release, it has ended by that signal like any other.
                os.write(self._gate, b"g")
            return _Watch(self, stdout, stderr, limits, wake, became=became).run()
        except BaseException:
            # Such as Ctrl-C at a prompt: what was started must not go on without anybody who watches.
            signal_session(self.pid, signal.SIGKILL)
            send_signal(self.pidfd, signal.SIGKILL)
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
            raise
        finally:
            _close_all([self.stdout, self.stderr, self.report, self._gate, self.pidfd])


class _Stream:
    """The reading end of one pipe."""

    def __init__(self, descriptor: int, sink: Sink, limit_bytes: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._sink = sink
        self._limit_bytes = limit_bytes
        self.total_bytes = 0
        self.is_open = True

    def read(self) -> bool:
        """Read once, and tell whether there was anything."""
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        self.is_open = bool(data)
        room = max(0, self._limit_bytes - self.total_bytes)
        self.total_bytes += len(data)
        if room and data:
            self._sink(data[:room])
        return bool(data)


class _Watch:
    def __init__(
        self, child: Child, stdout: Sink, stderr: Sink, limits: Limits, wake: int, *, became: ProgramSink
    ) -> None:
        self._child = child
        self._became = became
        self._kill_after_seconds = limits.kill_after_seconds
        self._wake = wake
        self._report = bytearray()
        self._stdout = _Stream(child.stdout, stdout, limits.output_limit_bytes)
        self._stderr = _Stream(child.stderr, stderr, limits.output_limit_bytes)
        self._streams = {
            child.stdout: self._stdout,
            child.stderr: self._stderr,
            child.report: _Stream(child.report, self._report.extend, REPORT_LIMIT_BYTES),
        }
        self._limit_seconds = limits.timeout_seconds
        self._timeout_at = time.monotonic() + limits.timeout_seconds if limits.timeout_seconds else float("inf")
        self._kill_at = self._exited_at = self._tell_again_at = float("inf")
        self._stopped: OutcomeKind | None = None
        self._told: set[int] = set()
        self._poller = select.poll()
        for descriptor in (*self._streams, child.pidfd):
            self._poller.register(descriptor, select.POLLIN)
        if wake >= 0:
            self._poller.register(wake, select.POLLIN)

    def run(self) -> Ending:
        while True:
            now = time.monotonic()
            if now >= self._timeout_at and not self._has_exited and self._stopped is None:
                self._stop(OutcomeKind.TIMED_OUT, now)
            if self._is_over(now):
                return self._finish()
            for descriptor, _ in self._poller.poll(self._wait_milliseconds(now)):
                self._handle(descriptor)

    @property
    def _has_exited(self) -> bool:
        return self._exited_at != float("inf")

    def _is_over(self, now: float) -> bool:
        if self._stopped is None:
            still_read = any(stream.is_open for stream in self._streams.values())
            return self._has_exited and (not still_read or now >= self._exited_at + LINGER_SECONDS)
        if now >= self._kill_at:
            # Again and again: a member may have forked while the others were being killed.
            signal_session(self._child.pid, signal.SIGKILL)
            send_signal(self._child.pidfd, signal.SIGKILL)
        if self._has_exited:
            if not session_members(self._child.pid):
                return True
            if now >= self._tell_again_at:
                self._stop_newcomers(now)
        return now >= self._kill_at + GIVE_UP_SECONDS

    def _wait_milliseconds(self, now: float) -> float | None:
        """Return how long to poll at most; None for as long as it takes."""
        if self._stopped is not None:
            return _STOP_POLL_SECONDS * 1000
        until = self._exited_at + LINGER_SECONDS if self._has_exited else self._timeout_at
        return None if until == float("inf") else max(0.0, until - now) * 1000 + 1

    def _handle(self, descriptor: int) -> None:
        if descriptor == self._child.pidfd:
            self._poller.unregister(descriptor)
            self._exited_at = time.monotonic()
            if self._stopped is not None:
                self._stop_newcomers(self._exited_at)
        elif descriptor == self._wake:
            self._poller.unregister(descriptor)
            if self._stopped is None and not self._has_exited:
                self._stop(OutcomeKind.CANCELLED, time.monotonic())
        else:
            stream = self._streams[descriptor]
            if stream.read() and descriptor == self._child.report:
                self._mind_own_limit()
            if not stream.is_open:
                self._poller.unregister(descriptor)
                if descriptor == self._child.report:
                    self._tell_program()

    def _tell_program(self) -> None:
        """The report closes as the child turns into a program: what it said last is now so."""
        became, self._became = self._became, _forget
        report = read_last_report(bytes(self._report))
        if report is not None and report.outcome is None and report.program is not None:
            became(report.program)

    def _mind_own_limit(self) -> None:
        """A program may bring a limit of its own; the earlier of the two counts."""
        report = read_last_report(bytes(self._report))
        if report is not None and report.timeout_seconds:
            timeout_at = time.monotonic() + report.timeout_seconds
            if timeout_at < self._timeout_at:
                self._timeout_at, self._limit_seconds = timeout_at, report.timeout_seconds

    def _stop(self, kind: OutcomeKind, now: float) -> None:
        self._stopped = kind
        self._kill_at = now + self._kill_after_seconds
        self._told = set(session_members(self._child.pid))
        signal_session(self._child.pid, signal.SIGTERM)
        send_signal(self._child.pidfd, signal.SIGTERM)  # It may not have come so far as to have a session.
        signal_session(self._child.pid, signal.SIGCONT)  # What is suspended takes its TERM only then.

    def _stop_newcomers(self, now: float) -> None:
        """The child has gone by its TERM: tell also what it had forked while that was on its way, and tell that again.

        A shell that was just forked still has its parent's trap, which swallows a TERM; whoever was there at first is told once.
        """
        self._tell_again_at = now + TELL_AGAIN_SECONDS
        newcomers = set(session_members(self._child.pid)) - self._told
        signal_members(self._child.pid, signal.SIGTERM, newcomers)
        signal_members(self._child.pid, signal.SIGCONT, newcomers)

    def _finish(self) -> Ending:
        for stream in self._streams.values():
            for _ in range(_DRAIN_READS):
                if not stream.is_open or not stream.read():
                    break
        self._tell_program()  # If that was not seen: it closed just now, or something else holds it open.
        return Ending(
            pid=self._child.pid,
            exit_code=_reap(self._child.pidfd) if has_ended(self._child.pidfd) else None,
            report=read_last_report(bytes(self._report)),
            stopped=self._stopped,
            limit_seconds=self._limit_seconds,
            stdout_bytes=self._stdout.total_bytes,
            stderr_bytes=self._stderr.total_bytes,
        )


def _reap(pidfd: int) -> int:
    found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    if found is None:
        raise ChildProcessError("the child was reaped by somebody else")
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _be_child(pipes: list[int], body: Callable[[int], None]) -> NoReturn:
    """Be the child, from the fork to the end of the process."""
    try:
        os.setsid()
        _reset_signals()
        stdout, stderr, report, gate = pipes[1], pipes[3], pipes[5], pipes[6]
        os.close(pipes[7])
        if os.read(gate, 1) != b"g":
            os._exit(_FAULT_EXIT_CODE)  # The parent is gone, and nobody would learn what happened here.
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        if report != _REPORT_DESCRIPTOR:
            os.dup2(report, _REPORT_DESCRIPTOR)
        os.set_inheritable(_REPORT_DESCRIPTOR, False)  # So that it closes when the child becomes a program.
        _close_beyond(_REPORT_DESCRIPTOR)
        body(_REPORT_DESCRIPTOR)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the frames above are the parent's, and must not go on in a second process
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(_FAULT_EXIT_CODE)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def _close_beyond(last: int) -> None:
    """Close every descriptor above ``last``: sockets and the lock of the job are not for the function to hold."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > last:
            try:
                os.close(int(name))
            except OSError:
                continue  # The one by which the folder itself was read.
