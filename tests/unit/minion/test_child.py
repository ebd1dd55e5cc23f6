"""One child process: the gate, the caps, and the stop that reaches everything it has started."""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet.core.outcome import OutcomeKind
from fleet.minion.child import LINGER_SECONDS, Child, Ending, Limits
from fleet.minion.report import Report, send_report
from support.jobs import is_alive
from support.wait import wait_until


def watch(child: Child, limits: Limits | None = None, wake: int = -1) -> tuple[Ending, bytes, bytes]:
    stdout, stderr = bytearray(), bytearray()
    ending = child.watch(stdout.extend, stderr.extend, limits or Limits(), wake)
    return ending, bytes(stdout), bytes(stderr)


def shell(script: str) -> Callable[[int], None]:
    return lambda _: os.execv("/bin/sh", ["sh", "-c", script])


@pytest.fixture
def stop(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """A descriptor to wake a watch with, and the name by which the child itself does so when it is ready for it."""
    fifo = tmp_path / "stop"
    os.mkfifo(fifo)
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    yield descriptor, str(fifo)
    os.close(descriptor)


def test_a_child_runs_nothing_before_it_is_released(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    child = Child(lambda _: mark.touch())
    wait_until(lambda: os.getsid(child.pid) == child.pid, 10, "the child to have its session")
    assert not mark.exists()
    watch(child)
    assert mark.exists()


def test_a_child_that_is_killed_before_its_release_has_ended_by_that_signal(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    child = Child(lambda _: mark.touch())
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOWAIT)
    ending, _, _ = watch(child)
    assert (ending.exit_code, ending.stopped) == (-signal.SIGKILL, None)
    assert not mark.exists()


def test_a_child_whose_parent_dies_first_never_runs(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        child = Child(lambda _: mark.touch())
        os.write(writing, str(child.pid).encode())
        os._exit(0)
    os.waitpid(parent, 0)
    pid = int(os.read(reading, 20))
    os.close(reading)
    os.close(writing)
    wait_until(lambda: not is_alive(pid), 10, "the child to end")
    assert not mark.exists()


def test_the_last_whole_report_counts_and_garbage_is_none() -> None:
    def say(report: int) -> None:
        send_report(report, Report(None))
        send_report(report, Report(None, account="second"))

    ending, _, _ = watch(Child(say))
    assert ending.report == Report(None, account="second")
    ending, _, _ = watch(Child(lambda report: print(os.write(report, b"{}\n"))))
    assert ending.report is None
    ending, _, _ = watch(Child(lambda report: print(os.write(report, b"no newline"))))
    assert ending.report is None


def test_output_beyond_the_limit_is_counted_and_dropped() -> None:
    ending, stdout, stderr = watch(Child(shell("printf 12345678; printf abc >&2")), Limits(output_limit_bytes=5))
    assert (stdout, stderr) == (b"12345", b"abc")
    assert (ending.stdout_bytes, ending.stderr_bytes) == (8, 3)


def test_twenty_megabytes_pass_through_little_memory(tmp_path: Path) -> None:
    # In a process of its own: what it takes at most is only told for a whole life.
    total, limit = 20 * 1024 * 1024, 16 * 1024 * 1024
    pid = os.fork()
    if pid == 0:
        try:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            with (tmp_path / "kept").open("wb") as kept:
                child = Child(shell(f"head -c {total} /dev/zero"))
                ending = child.watch(lambda data: _ignore(kept.write(data)), _ignore, Limits(output_limit_bytes=limit))
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            (tmp_path / "told").write_text(f"{ending.stdout_bytes} {grown}")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    counted, grown_kilobytes = map(int, (tmp_path / "told").read_text().split())
    assert counted == total
    assert (tmp_path / "kept").stat().st_size == limit
    assert grown_kilobytes < 4 * 1024


def test_a_process_left_in_the_background_with_the_pipes_does_not_hold_the_job(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    began = time.monotonic()
    ending, stdout, _ = watch(Child(shell(f"echo before; sleep 60 & echo $! > {pid_file}; exit 4")))
    assert time.monotonic() - began < LINGER_SECONDS + 5
    assert (ending.exit_code, ending.stopped, stdout) == (4, None, b"before\n")
    left = int(pid_file.read_text())
    assert is_alive(left)
    os.kill(left, signal.SIGKILL)


def test_what_a_background_process_writes_soon_after_the_end_is_kept() -> None:
    _, stdout, _ = watch(Child(shell("(sleep 0.2; echo late) & echo early")))
    assert stdout == b"early\nlate\n"


@pytest.mark.parametrize(
    ("script", "kill_after_seconds"),
    [
        ("sleep 60 & echo $! >> $PIDS; sh -c 'sleep 60 & echo $! >> $PIDS; echo > $STOP; wait' & wait", 20),
        # A group of its own: a signal to the first group would miss both.
        ("timeout 60 sh -c 'echo $$ >> $PIDS; echo > $STOP; sleep 60' & echo $! >> $PIDS; wait", 20),
        # Suspended.
        ("sleep 60 & echo $! >> $PIDS; kill -STOP $!; echo > $STOP; wait", 20),
        # Forked while the TERM was on its way.
        ("trap 'sleep 60 & echo $! >> $PIDS; exit' TERM; echo > $STOP; while :; do sleep 0.05; done", 20),
        # Deaf to TERM.
        ("sh -c 'trap \"\" TERM; echo $$ >> $PIDS; echo > $STOP; sleep 60; sleep 60' & wait", 0.4),
    ],
)
def test_a_stop_ends_everything_that_was_started(
    tmp_path: Path, stop: tuple[int, str], script: str, kill_after_seconds: float
) -> None:
    pids = tmp_path / "pids"
    child = Child(shell(f"export PIDS={pids} STOP={stop[1]}; {script}"))
    began = time.monotonic()
    ending, _, _ = watch(child, Limits(kill_after_seconds=kill_after_seconds), stop[0])
    assert ending.stopped is OutcomeKind.CANCELLED
    assert time.monotonic() - began < 15
    started = [int(line) for line in pids.read_text().split()]
    assert started
    assert [pid for pid in (*started, child.pid) if is_alive(pid)] == []


def test_the_time_limit_is_a_stop() -> None:
    ending, _, _ = watch(Child(shell("sleep 60")), Limits(timeout_seconds=0.2))
    assert (ending.stopped, ending.limit_seconds, ending.exit_code) == (OutcomeKind.TIMED_OUT, 0.2, -signal.SIGTERM)


def test_term_comes_first_and_its_handler_has_its_time(stop: tuple[int, str]) -> None:
    script = f"trap 'echo cleaned; exit 5' TERM; echo > {stop[1]}; while :; do sleep 0.05; done"
    ending, stdout, _ = watch(Child(shell(script)), Limits(kill_after_seconds=20), stop[0])
    assert (stdout, ending.exit_code, ending.stopped) == (b"cleaned\n", 5, OutcomeKind.CANCELLED)


def test_a_child_deaf_to_term_is_killed_after_its_time() -> None:
    def be_deaf(_: int) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()

    began = time.monotonic()
    ending, _, _ = watch(Child(be_deaf), Limits(timeout_seconds=0.3, kill_after_seconds=0.3))
    assert ending.exit_code == -signal.SIGKILL
    assert 0.6 <= time.monotonic() - began < 5


def test_a_readable_descriptor_stops_the_child_also_when_it_was_readable_before() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x")
    ending, _, _ = watch(Child(shell("sleep 60")), wake=reading)
    os.close(reading)
    os.close(writing)
    assert (ending.stopped, ending.exit_code) == (OutcomeKind.CANCELLED, -signal.SIGTERM)


def test_a_flood_does_not_keep_the_limit_from_coming() -> None:
    ending, stdout, _ = watch(Child(shell("yes")), Limits(timeout_seconds=0.3, output_limit_bytes=10))
    assert ending.stopped is OutcomeKind.TIMED_OUT
    assert (stdout, ending.stdout_bytes > 100_000) == (b"y\ny\ny\ny\ny\n", True)


def test_a_body_that_raises_ends_its_own_process_and_says_why_on_stderr() -> None:
    def fail(_: int) -> None:
        sys.stderr = open(2, "w", 1, closefd=False)  # noqa: SIM115 - pytest's own would not be the pipe
        raise RuntimeError("a fault of ours")

    ending, _, stderr = watch(Child(fail))
    assert ending.exit_code == 70
    assert b"a fault of ours" in stderr


def _ignore(_: object) -> None:
    """Drop what is given."""
