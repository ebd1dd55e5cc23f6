"""Who a process is, and the signals that reach all of a session."""

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

from fleet.minion.process import (
    ProcessIdentity,
    has_ended,
    identify,
    open_process,
    read_boot_id,
    session_members,
    set_title,
    signal_session,
)
from support.wait import wait_until


def test_this_process_has_an_identity_and_can_be_opened() -> None:
    this = identify(os.getpid())
    assert this is not None
    assert (this.pid, this.boot_id) == (os.getpid(), read_boot_id())
    pidfd = open_process(this)
    assert pidfd is not None
    assert not has_ended(pidfd)
    os.close(pidfd)


def test_a_process_with_the_same_pid_and_another_start_time_is_another_process() -> None:
    this = identify(os.getpid())
    assert this is not None
    assert open_process(replace(this, start_ticks=this.start_ticks + 1)) is None
    assert open_process(replace(this, boot_id="another boot")) is None


def test_a_process_that_is_gone_or_a_zombie_has_no_identity() -> None:
    process = subprocess.Popen(["true"])
    wait_until(lambda: _state(process.pid) == "Z", 10, "true to end")
    assert identify(process.pid) is None
    assert open_process(ProcessIdentity(read_boot_id(), process.pid, 1)) is None
    process.wait()
    assert identify(process.pid) is None


def test_a_name_with_spaces_and_parentheses_does_not_shift_the_fields(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"], start_new_session=True)
    try:
        assert session_members(process.pid) == [process.pid]
    finally:
        process.kill()
        process.wait()


def test_a_signal_to_a_session_reaches_a_group_that_has_left_the_first() -> None:
    # `timeout` moves itself and what it runs into a group of its own.
    process = subprocess.Popen(["sh", "-c", "timeout 60 sleep 60 & wait"], start_new_session=True)
    wait_until(lambda: len(session_members(process.pid)) == 3, 10, "three processes")
    signal_session(process.pid, signal.SIGTERM)
    wait_until(lambda: session_members(process.pid) == [], 10, "all of them to end")
    assert process.wait() == -signal.SIGTERM


def test_a_signal_to_a_session_that_is_gone_does_nothing() -> None:
    process = subprocess.Popen(["true"], start_new_session=True)
    wait_until(lambda: _state(process.pid) == "Z", 10, "true to end")
    signal_session(process.pid, signal.SIGKILL)
    assert process.wait() == 0


def test_a_title_replaces_the_command_line_and_leaves_the_environment_alone() -> None:
    pid = os.fork()
    if pid == 0:
        set_title("a title of our own" + " and more" * 10_000)
        signal.pause()
    try:
        room = len(Path("/proc/self/cmdline").read_bytes())
        wait_until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"a title of our own"), 10, "a title")
        assert len(Path(f"/proc/{pid}/cmdline").read_bytes()) == room
        assert Path(f"/proc/{pid}/environ").read_bytes() == Path("/proc/self/environ").read_bytes()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
