"""What `make demo` runs: one master and three minions at work on this machine, each command shown before what it prints.

Everything lives in one throw-away folder and ends with this program, also when it is interrupted or something fails; with
``--keep`` it stays, and the last lines say how to use and how to stop it. Needs nothing but the commands as installed.
"""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

BIN = Path(sys.executable).parent
MINIONS = ("web-1", "web-2", "db-1")
PATIENCE_SECONDS = 60


class DemoError(Exception):
    """The demo did not go as it should; the message says where."""


class Demo:
    """A fleet in ``folder``: the master's root is ``folder/master``, each minion is a machine with a root of its own."""

    def __init__(self, folder: Path) -> None:
        """Describe the fleet; nothing is started."""
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, machine: str = "master") -> dict[str, str]:
        """Return the environment of a process on one of the machines."""
        return os.environ | {
            "FLEET_ROOT": str(self.folder / machine),
            "PATH": f"{BIN}:{os.environ.get('PATH', os.defpath)}",
        }

    def start(self, machine: str, command: str, settings: str, ready: str) -> None:
        """Write a daemon's configuration, start it, and wait until its log has the line ``ready``."""
        file = self.folder / machine / "etc/fleet" / f"{command.removeprefix('fleet-')}.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(settings)
        with (self.folder / f"{machine}.log").open("wb") as log:
            self.daemons[machine] = subprocess.Popen(
                [BIN / command],
                env=self.environment(machine),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_for_log(machine, ready)

    def wait_for_log(self, machine: str, text: str) -> None:
        """Wait until the log of a daemon has ``text``."""
        self.wait(lambda: text in self.log(machine), machine, f"{machine} to log {text!r}")

    def wait(self, condition: Callable[[], bool], machine: str, what: str) -> None:
        """Wait for a condition, as long as the daemon lives."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if self.daemons[machine].poll() is not None:
                raise DemoError(f"{machine} ended while waiting for {what}")
            if time.monotonic() > deadline:
                raise DemoError(f"waited {PATIENCE_SECONDS} s for {what}")
            time.sleep(0.02)

    def log(self, machine: str) -> str:
        """Return what a daemon has logged."""
        return (self.folder / f"{machine}.log").read_text(errors="replace")

    def show(self, why: str, *words: str, expect: int = 0) -> None:
        """Print why, print the command, run it, and check its exit code."""
        say(f"\n# {why}\n$ {shlex.join(words)}")
        code = subprocess.run([BIN / words[0], *words[1:]], env=self.environment(), check=False).returncode
        if code != expect:
            raise DemoError(f"`{shlex.join(words)}` ended with exit code {code} instead of {expect}")
        if code:
            say(f"(exit code {code})")

    def pending(self) -> set[str]:
        """Return the ids whose keys are pending."""
        words = (BIN / "fleet-key", "-l", "pending")
        listed = subprocess.run(words, env=self.environment(), capture_output=True, text=True, check=True).stdout
        return {minion for minion in MINIONS if minion in listed}

    def stop(self) -> None:
        """End every process of the fleet and remove its folder."""
        for daemon in self.daemons.values():
            if daemon.poll() is None:
                daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for pid in self.left_behind():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder)

    def left_behind(self) -> Iterator[int]:
        """Find processes that outlived their daemon: programs of a job that the demo was interrupted in."""
        mark = f"FLEET_ROOT={self.folder}/".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if any(variable.startswith(mark) for variable in (entry / "environ").read_bytes().split(b"\0")):
                        yield int(entry.name)
                except OSError:
                    continue


def say(text: str) -> None:
    """Print at once: the commands print to the same place."""
    print(text, flush=True)


def free_ports() -> list[int]:
    """Find three ports that nobody listens on, below those that the kernel gives to outgoing connections."""
    ports = []
    for port in range(4605 + os.getpid() % 20_000, 32_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
        if len(ports) == 3:
            return ports
    raise DemoError("no three free TCP ports below 32000")


def run(demo: Demo) -> None:
    """Go through the first session."""
    publish, request, enrol = free_ports()
    say(f"Starting one master and three minions ({', '.join(MINIONS)}) in {demo.folder} …")
    ports = f"publish_port: {publish}\nrequest_port: {request}\nenrol_port: {enrol}\n"
    demo.start("master", "fleet-master", f"interface: 127.0.0.1\n{ports}", "fleet-master is ready")
    for minion in MINIONS:
        demo.start(minion, "fleet-minion", f"id: {minion}\nmaster: 127.0.0.1:{enrol}\n", "fleet-key -a")
    demo.wait(lambda: len(demo.pending()) == len(MINIONS), "master", "three pending keys")
    for minion in MINIONS[:2]:
        page = demo.folder / minion / "srv/index.html"
        page.parent.mkdir()
        page.write_text("<h1>It works</h1>\n")

    demo.show("A new minion waits until somebody accepts its key. Compare the fingerprints.", "fleet-key", "-L")
    demo.show("They are ours: accept all of them (-y: do not ask).", "fleet-key", "-A", "-y")
    for minion in MINIONS:
        demo.wait_for_log(minion, "fleet-minion is ready")
    demo.show("Run a command on every minion.", "fleet", "*", "cmd.run", "uptime")
    demo.show("Choose minions by what they say of themselves.", "fleet", "-G", "os:*", "test.ping")
    demo.show(
        "One machine lacks the file: its failure comes first, and the exit code tells a script.",
        *("fleet", "*", "cmd.run", "cat $FLEET_ROOT/srv/index.html"),
        expect=11,
    )
    demo.show("Every job is kept.", "fleet", "jobs", "list")
    demo.show("Everything about one of its minions.", "fleet", "jobs", "show", "last", "--minion", "db-1")
    demo.show("How the machines are.", "fleet", "minions", "--columns", "minion,state,since,address,version,os")


def say_how_to_go_on(demo: Demo) -> None:
    """Print how to use and how to stop a fleet that stays."""
    pids = " ".join(str(daemon.pid) for daemon in demo.daemons.values())
    say(
        f"\nThe fleet goes on running. To use it:\n\n  export FLEET_ROOT={demo.folder}/master PATH={BIN}:$PATH\n  fleet --help"
    )
    say(
        f"\nIts logs are {demo.folder}/*.log. To stop and remove it:\n\n  kill {pids}; while kill -0 {pids} 2>/dev/null; do sleep 0.1; done; rm -r {demo.folder}"
    )


def end_by_signal(number: int, _: FrameType | None) -> None:
    """Turn a signal into the end of the program, so that everything is cleaned up."""
    raise SystemExit(128 + number)


def main(words: list[str]) -> int:
    """Run the demo; 0 when everything went as it should."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_by_signal)
    demo = Demo(Path(tempfile.mkdtemp(prefix="fleet-demo-")))
    keep = False
    try:
        run(demo)
        keep = "--keep" in words
    except KeyboardInterrupt:
        say("\nInterrupted.")
        return 130
    except DemoError as problem:
        say(f"\nThe demo failed: {problem}")
        for machine in demo.daemons:
            say(f"\n--- log of {machine}\n{demo.log(machine)[-2000:]}")
        return 1
    finally:
        if not keep:
            # A second Ctrl-C must not interrupt the cleaning up.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            demo.stop()
    if keep:
        say_how_to_go_on(demo)
    else:
        say("\nThat is all. The fleet is stopped and its folder removed; `make demo KEEP=1` leaves it running.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
