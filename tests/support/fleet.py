"""A real fleet in a folder of its own: one master, any number of minions, and the commands, all as they are installed.

Each minion is a machine of its own, that is a root folder of its own; the master's root is ``master``. Everything that is
started carries a mark, so that ``close`` finds and ends all of it, and says what should not have been there any more.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from fleet.client import MinionResult
from fleet.core.control_requests import KeyChoice
from fleet.core.names import check_minion_id
from support.asked import Asked
from support.ports import free_ports
from support.processes import MARK, Completed, Daemon, end_marked_processes, marked_processes, run_command
from support.wait import wait_until

BIN = Path(sys.executable).parent
MASTER_READY = "fleet-master is ready"
MINION_READY = "fleet-minion is ready to receive jobs"
#: Places of an installed system that a fleet with a root of its own must never touch.
SYSTEM_PLACES = tuple(Path(place) for place in ("/etc/fleet", "/var/lib/fleet", "/var/log/fleet", "/run/fleet"))

Setting = str | int | float | bool | list[str] | dict[str, Any]


class Fleet(Asked):
    """One master and its minions; ``with Fleet(tmp_path) as fleet`` ends all of it.

    Attributes:
        publish_port: the master's three ports.
        minions: the daemons, by minion id.
        minion_command: what starts a minion: the installed command, unless a test says otherwise.
        may_leave_jobs: a test that ends while jobs run says so; else a process that outlives the daemons is an error.
    """

    def __init__(self, folder: Path) -> None:
        """Describe a fleet below ``folder``; nothing is started."""
        self.folder = folder
        self.master_root = folder / "master"
        self.publish_port, self.request_port, self.enrol_port = free_ports(3)
        self.minions: dict[str, Daemon] = {}
        self.minion_command: tuple[str, ...] = (str(BIN / "fleet-minion"),)
        self.may_leave_jobs = False
        self._system_places = [place for place in SYSTEM_PLACES if place.exists()]
        for name in ("home", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.master = Daemon("fleet-master", (str(BIN / "fleet-master"),), self.environment(), folder / "master.log")

    def environment(self, root: Path | None = None) -> dict[str, str]:
        """Return the whole environment of a process of this fleet: nothing of the caller's gets in."""
        return {
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "FLEET_ROOT": str(root or self.master_root),
            MARK: str(self.folder),
        }

    # The master

    def configure_master(self, **settings: Setting) -> None:
        """Write ``master.yaml``."""
        ports = {"publish_port": self.publish_port, "request_port": self.request_port, "enrol_port": self.enrol_port}
        write_settings(self.master_root / "etc/fleet/master.yaml", {"interface": "127.0.0.1"} | ports | settings)

    def start_master(self, **settings: Setting) -> Daemon:
        """Write ``master.yaml``, start the master and wait until it is ready."""
        self.configure_master(**settings)
        self.restart_master()
        return self.master

    def restart_master(self) -> None:
        """Start the master, which has ended, again as it was configured."""
        self.master.start()
        self.master.wait_for_log(MASTER_READY)

    # The minions

    def minion_root(self, minion: str) -> Path:
        """Return the root folder of a minion."""
        return self.folder / "minions" / minion

    def start_minion(self, minion: str, variables: Mapping[str, str] | None = None, /, **settings: Setting) -> Daemon:
        """Write ``minion.yaml`` and start a minion; it may still wait for its key to be accepted.

        ``variables`` are added to its environment.
        """
        root = self.minion_root(minion)
        write_settings(
            root / "etc/fleet/minion.yaml", {"id": minion, "master": f"127.0.0.1:{self.enrol_port}"} | settings
        )
        log = self.folder / f"{minion}.log"
        environment = self.environment(root) | dict(variables or {})
        daemon = Daemon(f"fleet-minion {minion}", self.minion_command, environment, log)
        self.minions[minion] = daemon
        daemon.start()
        return daemon

    def wait_until_pending(self, minions: Iterable[str], seconds: float = 20) -> None:
        """Wait until the keys of these minions are pending."""
        expected = set(minions)

        def are_pending() -> bool:
            crashed = [daemon.name for daemon in (self.master, *self.minions.values()) if daemon.has_crashed()]
            assert not crashed, f"{crashed} ended"
            return expected <= {key.minion for key in self.client().keys().keys if key.state == "pending"}

        try:
            wait_until(are_pending, seconds, f"pending keys of {sorted(expected)}")
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.keys()}\n{self.logs()}") from None

    def wait_until_ready(self, minions: Iterable[str] = (), seconds: float = 30) -> None:
        """Wait until these minions, or all, have said that they are ready."""
        for minion in minions or self.minions:
            self.minions[minion].wait_for_log(MINION_READY, seconds)

    def accept(self, *minions: str) -> None:
        """Accept the pending keys of these minions and wait until they are ready."""
        self.wait_until_pending(minions)
        self.change_keys("accept", *minions)
        self.wait_until_ready(minions)

    def accept_all(self) -> None:
        """Accept the pending keys of all minions that were started and wait until they are ready."""
        self.accept(*self.minions)

    def change_keys(self, action: str, *minions: str) -> None:
        """``accept`` the pending keys of these minions, or ``delete`` all of theirs, as ``fleet-key`` does, without starting it."""
        client = self.client()
        keys = [key for key in client.keys().keys if key.minion in minions]
        if action == "accept":
            keys = [key for key in keys if key.state == "pending"]
        if keys:
            client.change_keys(action, [KeyChoice(key.minion, key.fingerprint) for key in keys])

    def grow(self, *minions: str, **settings: Setting) -> None:
        """Start and accept these minions."""
        for minion in minions:
            self.start_minion(minion, None, **settings)
        self.accept(*minions)

    def restart_minion(self, minion: str) -> None:
        """Start a minion, which has ended, again and wait until it is ready."""
        self.minions[minion].start()
        self.wait_until_ready([minion])

    def stop_minions(self) -> None:
        """End all minions."""
        for daemon in self.minions.values():
            daemon.stop()

    # The commands

    def run(
        self, command: str, *words: str, stdin: str = "", seconds: float = 60, root: Path | None = None
    ) -> Completed:
        """Run one of the commands, on the master unless ``root`` names another machine."""
        return run_command((str(BIN / command), *words), self.environment(root), stdin, seconds)

    def ok(self, command: str, *words: str, code: int = 0, root: Path | None = None) -> str:
        """Run a command that must end with ``code``, and return its stdout."""
        done = self.run(command, *words, root=root)
        assert done.code == code, f"{command} {' '.join(words)}: expected exit code {code}\n{done}\n{self.logs()}"
        return done.stdout

    def json(self, command: str, *words: str, code: int = 0) -> Any:
        """Run a command with ``--out json`` and return the one document that it prints."""
        return json.loads(self.ok(command, "--out", "json", *words, code=code))

    def lines(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        """Run ``fleet`` with ``--out jsonl`` and return its lines, without the summary."""
        lines = [json.loads(line) for line in self.ok("fleet", "--out", "jsonl", *words, code=code).splitlines()]
        assert "summary" in lines[-1], lines
        return lines[:-1]

    def keys(self) -> dict[str, dict[str, Any]]:
        """Return what ``fleet-key -L`` says: by state, by id."""
        keys: dict[str, dict[str, Any]] = self.json("fleet-key", "-L")
        return keys

    def job(self, jid: str = "last") -> dict[str, Any]:
        """Return a job as ``fleet jobs show`` tells it."""
        job: dict[str, Any] = self.json("fleet", "jobs", "show", jid)
        return job

    def wait_for_job(self, jid: str, seconds: float = 30) -> dict[str, Any]:
        """Wait until a job has ended on each of its targets, and return it."""
        wait_until(lambda: self.client().job(jid).summary.state != "running", seconds, f"job {jid} to end")
        return self.record(jid)

    def wait_for_state(self, jid: str, minion: str, state: str, seconds: float = 30) -> dict[str, Any]:
        """Wait until a job stands in ``state`` on a minion, and return that return."""
        last: list[MinionResult] = []

        def is_there() -> bool:
            last[:] = [self.client().job(jid).results[check_minion_id(minion)]]
            return last[0].state == state

        try:
            wait_until(is_there, seconds, f"job {jid} on {minion} to be {state}")
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{last}\n{self.logs()}") from None
        found: dict[str, Any] = self.record(jid)["returns"][minion]
        return found

    def wait_for_pid(self, jid: str, minion: str) -> int:
        """Wait until the program of a job runs and the master knows its pid, which may come after the state, and return that."""
        self.wait_for_state(jid, minion, "running")
        pid = wait_until(lambda: self.record(jid)["returns"][minion]["pid"], 20, f"the pid of job {jid} on {minion}")
        return int(pid)

    def events(self, pattern: str, *words: str) -> Daemon:
        """Start ``fleet events`` in the background; its log is what it printed."""
        listener = Daemon(
            f"fleet events {pattern}",
            (str(BIN / "fleet"), "events", pattern, *words),
            self.environment(),
            self.folder / "events.log",
        )
        listener.start()
        return listener

    # The end

    def logs(self) -> str:
        """Return the end of every log, for the message of a failure."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)

    def close(self) -> None:
        """End every process of this fleet.

        Raises:
            AssertionError: a daemon ended by itself, did not end when asked to, or logged a traceback; something outlived the
                daemons; or a place of the system was touched.
        """
        problems = []
        for daemon in self.minions.values():
            daemon.ask_to_end()  # so that they end side by side
        for daemon in (*self.minions.values(), self.master):
            if daemon.has_crashed():
                problems.append(f"{daemon.name} has ended although nobody ended it")
            elif daemon.is_running:
                try:
                    daemon.stop()
                except AssertionError as problem:
                    problems.append(str(problem))
            if b"Traceback" in daemon.whole_log():
                problems.append(f"the log of {daemon.name} has a traceback")
        if not self.may_leave_jobs:
            try:
                wait_until(lambda: not marked_processes(self.folder), 5, "the processes of the fleet to end")
            except AssertionError as problem:
                problems.append(f"{problem}: {marked_processes(self.folder)}")
        end_marked_processes(self.folder)
        touched = [str(place) for place in SYSTEM_PLACES if place.exists() and place not in self._system_places]
        if touched:
            problems.append(f"outside of its root the fleet made {touched}")
        assert not problems, "\n".join([*problems, self.logs()])

    def __enter__(self) -> Self:
        """Be there for the time of a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End with the block."""
        self.close()


def write_settings(file: Path, settings: Mapping[str, Setting]) -> None:
    """Write a configuration file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(dict(settings)))


def resident_kibibytes(pid: int) -> int:
    """Return how much memory a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def open_descriptors(pid: int) -> int:
    """Return how many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))
