"""A job goes on whatever happens to the link and to the daemons, and what it did arrives once, whole and by itself."""

import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.fleet import BIN, Fleet
from support.processes import Daemon, marked_processes
from support.proxy import PROXY_ADDRESS, TcpProxy
from support.wait import wait_until


@dataclass
class Relayed:
    """A fleet of one minion, web-1, which reaches its master through relays."""

    fleet: Fleet
    proxies: list[TcpProxy]

    def cut(self) -> None:
        """Cut the link, and let no new one come about; wait until the master has noticed."""
        for proxy in self.proxies:
            proxy.hold()
            proxy.cut()
        wait_until(lambda: self.row()["state"] == "down", 20, "the minion to be down")

    def mend(self) -> None:
        """Let links come about again."""
        for proxy in self.proxies:
            proxy.release()

    def row(self) -> dict[str, Any]:
        """How the minion is, as the master tells it."""
        row: dict[str, Any] = self.fleet.json("fleet", "minions")["web-1"]
        return row

    def spool(self, jid: str) -> Path:
        """The folder of a job on the minion."""
        return self.fleet.minion_root("web-1") / "var/lib/fleet/minion/jobs" / jid

    def follow(self, jid: str, log: str) -> Daemon:
        """Follow a job in the background."""
        words = (str(BIN / "fleet"), "jobs", "follow", jid)
        command = Daemon(f"fleet jobs follow {jid}", words, self.fleet.environment(), self.fleet.folder / log)
        command.start()
        return command


def until(gate: Path) -> str:
    """Shell words that wait for a gate to be opened."""
    return f"until test -e {gate}; do sleep 0.05; done"


@pytest.fixture(scope="module")
def relayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relayed]:
    with ExitStack() as stack:
        fleet = stack.enter_context(Fleet(tmp_path_factory.mktemp("f")))
        fleet.start_master(heartbeat_seconds=0.3)
        ports = (fleet.publish_port, fleet.request_port, fleet.enrol_port)
        proxies = [stack.enter_context(TcpProxy(port)) for port in ports]
        fleet.grow("web-1", master=f"{PROXY_ADDRESS}:{fleet.enrol_port}")
        yield Relayed(fleet, proxies)
        fleet.stop_minions()


def test_a_cut_disturbs_no_job_and_its_whole_output_comes_by_itself(relayed: Relayed) -> None:
    fleet = relayed.fleet
    gate, ended = fleet.folder / "gate", fleet.folder / "ended"
    command = f"echo 1; {until(gate)}; seq 2 2000; touch {ended}"
    jid = fleet.submit("web-1", "cmd.run", command)
    seen = relayed.follow(jid, "cut.log")
    seen.wait_for_log("1\n")
    relayed.cut()
    row = fleet.job(jid)["returns"]["web-1"]
    assert (row["state"], row["result"]) == ("running", "n/a")
    assert row["reason"].startswith("running, not reachable since 20")
    assert seen.is_running
    gate.touch()
    wait_until(ended.exists, 20, "the job to end while nobody hears of it")
    assert fleet.job(jid)["returns"]["web-1"]["state"] == "running", "nobody can know"
    relayed.mend()
    assert seen.wait() == 0
    assert seen.log() == "".join(f"{number}\n" for number in range(1, 2001))
    result = fleet.job(jid)["returns"]["web-1"]
    assert (result["state"], result["retcode"], result["stdout"]) == ("succeeded", 0, seen.log())


def test_after_a_cut_only_what_is_new_is_sent(relayed: Relayed) -> None:
    fleet = relayed.fleet
    gate, end = fleet.folder / "gate-new", fleet.folder / "gate-end"
    size = 2_000_000
    command = f"head -c {size} /dev/zero | tr '\\0' x; echo; {until(gate)}; echo new; {until(end)}"
    jid = fleet.submit("web-1", "cmd.run", command)
    seen = relayed.follow(jid, "new.log")
    wait_until(lambda: seen.log_file.stat().st_size > size, 60, "the first part to be followed")
    relayed.cut()
    sent = sum(len(proxy.to_upstream) for proxy in relayed.proxies)
    relayed.mend()
    wait_until(lambda: relayed.row()["state"] == "up", 20, "the minion to be back")
    gate.touch()
    seen.wait_for_log("\nnew\n")
    assert sum(len(proxy.to_upstream) for proxy in relayed.proxies) - sent < size // 10
    end.touch()
    assert seen.wait() == 0


def test_both_sides_hold_the_same_bytes_the_streams_apart_and_nobody_else_may_read_them(relayed: Relayed) -> None:
    fleet = relayed.fleet
    text = fleet.folder / "text"
    text.write_bytes(b"Hello\n  two  \n\ttabbed \xc3\xa9\xff\nlast line without an end")
    gate = fleet.folder / "gate-bytes"
    command = f"grep -a -n -H '' {text}; echo apart >&2; {until(gate)}"
    jid = fleet.submit("web-1", "cmd.run", command)
    spool = relayed.spool(jid)
    wait_until(lambda: (spool / "stderr").exists() and (spool / "stderr").stat().st_size, 20, "the job to write")
    there = (spool / "stdout").read_bytes()
    assert there == b"".join(
        b"%b:%d:%b\n" % (str(text).encode(), n, line) for n, line in enumerate(text.read_bytes().split(b"\n"), 1)
    )
    assert (spool / "stderr").read_bytes() == b"apart\n"
    cache = fleet.master_root / "var/lib/fleet/master"
    assert [folder.stat().st_mode & 0o777 for folder in (spool, spool.parent, cache)] == [0o700] * 3
    pid = fleet.job(jid)["returns"]["web-1"]["pid"]
    assert pid in marked_processes(fleet.folder), "the job is a process of its own, and the master knows which"
    running = relayed.row()
    assert running["running"] == 1
    assert jid in {each["jid"] for each in running["jobs"]}
    wait_until(lambda: relayed.row()["last_seen"] > running["last_seen"], 20, "the next heartbeat")
    gate.touch()
    fleet.wait_for_job(jid)
    (result,) = fleet.client().job(jid).results.values()
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(there).digest()
    wait_until(lambda: not spool.exists(), 20, "the minion to let go of what the master has")


def test_a_cancel_is_kept_for_a_minion_that_cannot_be_reached(relayed: Relayed) -> None:
    fleet = relayed.fleet
    jid = fleet.submit("web-1", "cmd.run", "echo begun; sleep 600")
    fleet.wait_for_state(jid, "web-1", "running")
    relayed.cut()
    done = fleet.run("fleet", "jobs", "cancel", jid, "-t", "0.1")
    assert done.code == 1
    fleet.master.kill()
    fleet.restart_master()
    row = fleet.job(jid)["returns"]["web-1"]
    assert (row["state"], row["reason"].endswith("; it was asked to stop")) == ("running", True), row
    relayed.mend()
    result = fleet.wait_for_state(jid, "web-1", "cancelled")
    assert (result["stdout"], result["force_stopped"]) == ("begun\n", True)


def test_when_everything_of_a_minion_is_killed_its_job_is_lost_with_what_it_had_written(relayed: Relayed) -> None:
    fleet = relayed.fleet
    ran = fleet.folder / "ran"
    jid = fleet.submit("web-1", "cmd.run", f"echo $$ >> {ran}; echo part; sleep 600")
    seen = relayed.follow(jid, "lost.log")
    seen.wait_for_log("part\n")
    fleet.minions["web-1"].kill()
    root = f"FLEET_ROOT={fleet.minion_root('web-1')}".encode()
    for pid in marked_processes(fleet.folder):
        with suppress(ProcessLookupError, FileNotFoundError):  # The fork server ends by itself when its daemon is gone.
            if root in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
    assert fleet.job(jid)["returns"]["web-1"]["state"] == "running"
    fleet.restart_minion("web-1")
    result = fleet.wait_for_state(jid, "web-1", "lost")
    assert (result["stdout"], result["result"]) == ("part\n", "failure")
    assert seen.wait() == 11
    assert len(ran.read_text().split()) == 1, "nothing runs again by itself"


def test_a_wait_for_a_long_job_asks_nobody(relayed: Relayed) -> None:
    fleet = relayed.fleet
    gate = fleet.folder / "gate-wait"
    jid = fleet.submit("web-1", "cmd.run", until(gate))
    fleet.wait_for_state(jid, "web-1", "running")

    def asked() -> list[int]:
        counters = fleet.client().status().counters
        return [counters["sent_orders"], counters["sent_broadcasts"]]

    before, heartbeats = asked(), relayed.row()["last_seen"]
    waiting = Daemon(
        "fleet jobs wait", (str(BIN / "fleet"), "jobs", "wait", jid), fleet.environment(), fleet.folder / "wait.log"
    )
    waiting.start()
    wait_until(lambda: relayed.row()["last_seen"] > heartbeats, 20, "a heartbeat")
    assert waiting.is_running
    assert asked() == before, "that it lives is known without asking"
    gate.touch()
    assert waiting.wait() == 0


def test_jobs_do_not_lie_in_files_of_their_own(relayed: Relayed) -> None:
    fleet = relayed.fleet
    state = fleet.master_root / "var/lib/fleet/master"
    files = sorted(file.name for file in state.rglob("*"))
    client = fleet.client()
    for _ in range(100):
        client.submit("web-1", "test.ping")
    wait_until(lambda: client.jobs(state="running").total == 0, 30, "the jobs to end")
    assert sorted(file.name for file in state.rglob("*")) == files
