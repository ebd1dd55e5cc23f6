"""Starts processes of light minions beside a real master, tells them what to do and reads what they have done."""

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from scale.light_keys import LightNames, accept_keys
from support.fleet import Fleet

#: Where the packages ``scale`` and ``support`` lie.
TESTS = Path(__file__).parent.parent
#: From which on a master is told to expect a crowd: all of them dial from one address.
CROWD = 500
_READ_BYTES = 65_536
#: What one process holds with 20,000 descriptors: see ``light_minions.raise_descriptor_limit``.
PROCESS_LIMIT_MINIONS = 1_125


@dataclass(frozen=True, slots=True)
class Crowd:
    """The counts of all processes together; see ``light_minions`` for their meaning."""

    minions: int
    ready: int
    links: int
    ordered: int
    returned: int
    kept: int
    stored: int
    stored_us: int
    discarded: int
    unanswered: int
    malformed: int
    descriptors: int
    cpu_seconds: float


class LightProcess:
    """One process of light minions."""

    def __init__(self, fleet: Fleet, names: LightNames, first: int, count: int, *words: str) -> None:
        self._log_file = fleet.folder / f"light-{first}.log"
        self._log = self._log_file.open("ab")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "scale.light_minions"),
                *("--count", str(count), "--first", str(first), "--prefix", names.prefix, "--seed", names.seed),
                *("--master", f"127.0.0.1:{fleet.enrol_port}", *words),
            ],
            env=fleet.environment() | {"PYTHONPATH": str(TESTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        self._unread = b""

    def command(self, line: str) -> None:
        """Send a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def wait_for(self, event: str, seconds: float) -> dict[str, Any]:
        """Read lines until this event comes."""
        deadline = time.monotonic() + seconds
        last: dict[str, Any] = {}
        while last.get("event") != event:
            last = json.loads(self._next_line(deadline, f"{event!r} of light minions; the last line was {last}"))
        return last

    def count(self) -> dict[str, Any]:
        """Ask what they have done."""
        self.command("count")
        return self.wait_for("count", 30)

    def kill(self) -> None:
        """End all of them at once, without a word to the master."""
        self.process.kill()
        self.close()

    def close(self) -> None:
        """Have them end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process.stdout.close()
        self._log.close()

    def _next_line(self, deadline: float, what: str) -> bytes:
        assert self.process.stdout is not None
        number = self.process.stdout.fileno()
        while b"\n" not in self._unread:
            ready, _, _ = select.select([number], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"waited for {what}"
            data = os.read(number, _READ_BYTES)
            assert data, (
                f"exit code {self.process.wait(10)} while waiting for {what}\n{self._log_file.read_text()[-2000:]}"
            )
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line


def processes_for(count: int) -> int:
    """In how many processes so many light minions fit."""
    return -(-count // PROCESS_LIMIT_MINIONS)


class LightFleet:
    """Light minions of a fleet, in one process or several; a context manager.

    Args:
        fleet: whose master does not run yet: their keys are accepted in its store.
        count: how many in all.
        processes: in how many processes.
        words: options of ``light_minions`` for each of them.
    """

    def __init__(self, fleet: Fleet, count: int, processes: int = 1, *words: str) -> None:
        self.fleet = fleet
        self.count = count
        self.names = LightNames()
        self._shares = [range(count * each // processes, count * (each + 1) // processes) for each in range(processes)]
        self._words = words
        self.processes: list[LightProcess] = []
        accept_keys(fleet.master_root, self.names, range(count))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def master_settings(self) -> dict[str, int]:
        """What the master of so many minions on one address needs besides its own settings."""
        strangers = max(512, min(65_536, 2 * self.count + 64))
        return (
            {"unproven_limit": max(1_024, strangers), "unproven_address_limit": strangers}
            if self.count > CROWD / 2
            else {}
        )

    def start(self, seconds: float = 120) -> float:
        """Start all of them, wait until each is ready, and return how long that took in seconds."""
        began = time.monotonic()
        for share in self._shares:
            self.processes.append(LightProcess(self.fleet, self.names, share.start, len(share), *self._words))
        self.wait_until_ready(seconds)
        return time.monotonic() - began

    def reconnect(self, spread_seconds: float = 0.0, seconds: float = 120) -> float:
        """Have all of them connect anew, wait until each is ready, and return how long that took in seconds."""
        began = time.monotonic()
        for process in self.processes:
            process.command(f"reconnect {spread_seconds}")
        self.wait_until_ready(seconds)
        return time.monotonic() - began

    def hold(self) -> None:
        """Have no job end that has started, until ``release``."""
        self._tell("hold")

    def release(self) -> None:
        """Have the jobs that were held end now."""
        for process in self.processes:
            process.command("release")

    def keep(self) -> None:
        """Have returns made and kept, until ``deliver``."""
        self._tell("keep")

    def deliver(self) -> None:
        """Have all returns that were kept sent now, and their answers counted, no more, until ``settle``.

        A thousand machines would look into a thousand answers side by side; here one processor would, and be what is measured.
        """
        for process in self.processes:
            process.command("deliver")

    def settle(self) -> None:
        """Have what was counted taken in, and all go on as ever."""
        self._tell("settle")

    def _tell(self, command: str) -> None:
        """Give a command that each process confirms under its own name."""
        for process in self.processes:
            process.command(command)
            process.wait_for(command, 30)

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until each process says that all of its minions are ready."""
        for process in self.processes:
            process.wait_for("ready", seconds)

    def counts(self) -> Crowd:
        """Ask all processes what they have done."""
        said = [process.count() for process in self.processes]
        names = [name for name in Crowd.__slots__ if name != "stored_us"]
        return Crowd(
            **{name: sum(one[name] for one in said) for name in names}, stored_us=max(o["stored_us"] for o in said)
        )

    def close(self) -> None:
        """End all of them."""
        for process in self.processes:
            process.close()
        self.processes.clear()
