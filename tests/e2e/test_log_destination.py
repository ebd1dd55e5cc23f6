"""Where a daemon logs: on the terminal that it was started on, in its file, or wherever stderr was sent."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fleet import BIN, MASTER_READY, Fleet
from support.wait import wait_until

#: Makes its stdin the terminal of a session of its own, as a login does.
ON_A_TERMINAL = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"


class Terminal:
    """A pseudo-terminal for one session, and what was drawn on it."""

    def __init__(self) -> None:
        self._ours, self._theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        self._drawn = b""

    def start(self, fleet: Fleet, *words: str, root: Path | None = None) -> "subprocess.Popen[bytes]":
        """Start a command as a shell on this terminal would: it is the one that Ctrl-C is for."""
        environment = fleet.environment(root) | {"TERM": "xterm-256color"}
        command = (sys.executable, "-c", ON_A_TERMINAL, str(BIN / words[0]), *words[1:])
        return subprocess.Popen(command, env=environment, stdin=self._theirs)

    def type(self, text: bytes) -> None:
        """Press keys."""
        os.write(self._ours, text)

    def drawn(self) -> str:
        """Everything that was written to it until now."""
        try:
            while data := os.read(self._ours, 65_536):
                self._drawn += data
        except BlockingIOError:
            pass
        return self._drawn.decode()

    def close(self) -> None:
        """Take it away."""
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    made = [Terminal() for _ in range(3)]
    yield made
    for each in made:
        each.close()


@pytest.fixture
def terminal(terminals: list[Terminal]) -> Terminal:
    return terminals[0]


def log_of(fleet: Fleet) -> Path:
    return fleet.master_root / "var/log/fleet/master.log"


def is_ready(log: Path) -> bool:
    return log.exists() and MASTER_READY in log.read_text()


def test_in_the_foreground_of_a_terminal_the_log_is_on_the_terminal(fleet: Fleet, terminal: Terminal) -> None:
    fleet.configure_master()
    master = terminal.start(fleet, "fleet-master")
    wait_until(lambda: MASTER_READY in terminal.drawn(), 20, "the master to be ready")
    terminal.type(b"\x03")
    assert master.wait(20) == 0
    assert "\x1b" not in terminal.drawn()
    assert not log_of(fleet).exists()


def test_with_no_tty_the_log_is_in_the_file_and_the_terminal_stays_empty(
    fleet: Fleet, terminals: list[Terminal]
) -> None:
    fleet.configure_master(auto_accept=True)
    master = terminals[0].start(fleet, "fleet-master", "--no-tty")
    wait_until(lambda: is_ready(log_of(fleet)), 20, "the master to be ready")
    second = terminals[1].start(fleet, "fleet-master", "--no-tty")
    assert second.wait(20) == 1
    assert "fleet-master: error:" in log_of(fleet).read_text()

    root = fleet.minion_root("web-1")
    words = ("fleet-minion", "--no-tty", "-l", "debug")
    (root / "etc/fleet").mkdir(parents=True)
    (root / "etc/fleet/minion.yaml").write_text(f"id: web-1\nmaster: 127.0.0.1:{fleet.enrol_port}\n")
    minion = terminals[2].start(fleet, *words, root=root)
    wait_until(lambda: fleet.run("fleet", "web-1", "cmd.run", "echo out; echo err >&2").code == 0, 20, "an answer")
    minion.send_signal(signal.SIGTERM)
    terminals[0].type(b"\x03")
    assert (minion.wait(20), master.wait(20)) == (0, 0)

    assert [terminal.drawn() for terminal in terminals] == ["^C", "", ""], "but for the echo of the key"
    for log, says in (
        (log_of(fleet), "fleet-master stops"),
        (root / "var/log/fleet/minion.log", "returning ok of cmd"),
    ):
        text = log.read_text()
        assert says in text
        assert "\x1b" not in text


def test_in_the_background_the_log_is_in_the_file_and_the_terminal_stays_empty(
    fleet: Fleet, terminal: Terminal
) -> None:
    fleet.configure_master(log_file=str(fleet.folder / "else" / "where.log"))
    assert terminal.start(fleet, "fleet-master", "-d").wait(20) == 0
    wait_until(
        lambda: is_ready(fleet.folder / "else" / "where.log"),
        20,
        "the line that says so, which follows the return of the command",
    )
    pid = int((fleet.master_root / "run/fleet/fleet-master.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 20, "the master to end")
    assert terminal.drawn() == ""
    assert not log_of(fleet).exists()


def test_without_a_terminal_stderr_is_the_log(fleet: Fleet) -> None:
    """Whoever redirected it, such as a service manager, has said where the log goes."""
    fleet.start_master()
    assert MASTER_READY in fleet.master.log()
    assert not log_of(fleet).exists()


@pytest.mark.parametrize("option", ["-d", "--no-tty"])
def test_a_log_that_cannot_be_written_is_an_error_that_names_it(fleet: Fleet, option: str) -> None:
    (fleet.folder / "file").touch()
    fleet.configure_master(log_file=str(fleet.folder / "file" / "master.log"))
    done = fleet.run("fleet-master", option)
    assert done.code == 1
    assert f"cannot log into {fleet.folder}/file/master.log" in done.stderr
    assert "log_file" in done.stderr
