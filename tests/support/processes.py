"""Processes of a test: started with a mark in their environment, found again by it, and ended without fail."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.wait import wait_until

#: A process and everything below it carries this variable; its value is the folder of the fleet it belongs to.
MARK = "FLEET_TEST_FOLDER"


@dataclass(frozen=True, slots=True)
class Completed:
    """What a command said, and how it ended."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    def __str__(self) -> str:
        """Everything, for the message of a failed assertion."""
        return f"exit code {self.code} after {self.seconds:.2f} s\n--- stdout\n{self.stdout}--- stderr\n{self.stderr}"


def run_command(
    words: Sequence[str], environment: Mapping[str, str], stdin: str = "", seconds: float = 60
) -> Completed:
    """Run a command to its end.

    Raises:
        AssertionError: it did not end in time.
    """
    began = time.monotonic()
    try:
        done = subprocess.run(
            words, env=environment, input=stdin, capture_output=True, encoding="utf-8", timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as problem:
        raise AssertionError(
            f"{words} did not end within {seconds} s\n{problem.stdout!r}\n{problem.stderr!r}"
        ) from None
    return Completed(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


class Daemon:
    """One daemon: its process, and a log file that holds what it wrote to stderr over all its starts."""

    def __init__(self, name: str, words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Describe the daemon; ``start`` starts it."""
        self.name = name
        self.words = tuple(words)
        self.environment = dict(environment)
        self.log_file = log
        self.process: subprocess.Popen[bytes] | None = None
        self._start_of_log = 0
        self._may_have_ended = True

    def start(self) -> None:
        """Start the process; what it logs from now on is what ``log`` returns."""
        assert not self.is_running, f"{self.name} runs already"
        self._start_of_log = self.log_file.stat().st_size if self.log_file.exists() else 0
        self._may_have_ended = False
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.words,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of a daemon that was started."""
        assert self.process is not None, f"{self.name} was never started"
        return self.process.pid

    def log(self) -> str:
        """What it logged since its last start, or since ``forget_log``."""
        return self.whole_log()[self._start_of_log :].decode(errors="replace")

    def whole_log(self) -> bytes:
        """What it logged over all its starts."""
        return self.log_file.read_bytes() if self.log_file.exists() else b""

    def forget_log(self) -> None:
        """Let ``log`` begin here: what it said for an earlier test is not taken for an answer to this one."""
        self._start_of_log = len(self.whole_log())

    def wait_for_log(self, text: str, seconds: float = 20) -> None:
        """Wait until ``text`` stands in the log of this start.

        Raises:
            AssertionError: it did not come, or the process ended.
        """

        def has_come() -> bool:
            if text in self.log():
                return True
            assert self.is_running, f"{self.name} ended before it logged {text!r}:\n{self.log()}"
            return False

        try:
            wait_until(has_come, seconds, f"{self.name} to log {text!r}")
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.log()[-4000:]}") from None

    def has_crashed(self) -> bool:
        """Tell whether it has ended although nobody ended it."""
        return not self.is_running and not self._may_have_ended

    def wait(self, seconds: float = 20) -> int:
        """Wait for its end, which is expected, and return its exit code."""
        assert self.process is not None
        self._may_have_ended = True
        return self.process.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the daemon's own process."""
        assert self.process is not None
        self.process.send_signal(number)

    def pause(self) -> None:
        """Stop the process (SIGSTOP): it stays, and answers nothing."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once (SIGKILL): nothing can be saved any more."""
        self.signal(signal.SIGKILL)
        self.wait(10)

    def ask_to_end(self) -> None:
        """Send SIGTERM, if it runs, and let it act on it."""
        if self.is_running:
            self._may_have_ended = True
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)

    def stop(self, seconds: float = 10) -> int:
        """Ask it to end (SIGTERM) and return its exit code."""
        self.ask_to_end()
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.name} did not end within {seconds} s of SIGTERM:\n{self.log()[-4000:]}"
            ) from None


def marked_processes(folder: Path) -> dict[int, str]:
    """Find the living processes that carry the mark of ``folder``: their pid and what they run."""
    mark = f"{MARK}={folder}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0") and _state(entry) not in "ZX":
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
    return found


def end_marked_processes(folder: Path) -> dict[int, str]:
    """Kill what still carries the mark of ``folder``, and return what that was."""
    first = found = marked_processes(folder)
    deadline = time.monotonic() + 10
    while found:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        assert time.monotonic() < deadline, f"cannot be killed: {found}"
        time.sleep(0.01)
        found = marked_processes(folder)
    return first


def _state(entry: Path) -> str:
    return (entry / "stat").read_text().rpartition(")")[2].split()[0]
