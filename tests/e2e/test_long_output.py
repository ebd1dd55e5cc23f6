"""Output of 100 MB: whole, part by part, in a memory that does not grow with it; also over a cut and a killed master."""

import hashlib
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from support.fleet import BIN, Fleet
from support.memory import begin_peak, peak_kib
from support.proxy import PROXY_ADDRESS, TcpProxy
from support.wait import wait_until

MIB = 1024 * 1024
SIZE_BYTES = 100 * MIB
LINE = "one of very many lines that are all of the same length\n"
#: What the output may add to the memory of a process: a few parts of 1 MiB, and what an allocator keeps.
GROWTH_LIMIT_KIB = 24 * 1024


def written(size_bytes: int) -> str:
    """The shell words that write so much."""
    return f"yes '{LINE.strip()}' | head -c {size_bytes}"


def expected_digest(size_bytes: int) -> str:
    """The digest of what they write."""
    return hashlib.sha256((LINE * (size_bytes // len(LINE) + 1)).encode()[:size_bytes]).hexdigest()


@pytest.fixture(scope="module")
def proxies() -> list[TcpProxy]:
    return []


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, proxies: list[TcpProxy]) -> Iterator[Fleet]:
    with ExitStack() as stack:
        fleet = stack.enter_context(Fleet(tmp_path_factory.mktemp("f")))
        fleet.start_master(heartbeat_seconds=0.3, output_limit_bytes=SIZE_BYTES)
        ports = (fleet.publish_port, fleet.request_port, fleet.enrol_port)
        proxies += [stack.enter_context(TcpProxy(port)) for port in ports]
        fleet.grow("web-1", master=f"{PROXY_ADDRESS}:{fleet.enrol_port}")
        fleet.grow("db-1")
        yield fleet
        fleet.stop_minions()


def test_a_hundred_megabytes_arrive_whole_and_nobody_holds_them(fleet: Fleet) -> None:
    pids = {"master": fleet.master.pid, "minion": fleet.minions["db-1"].pid}
    before = {name: begin_peak(pid) for name, pid in pids.items()}
    shown = fleet.folder / "shown"
    words = (str(BIN / "fleet"), "-f", "--show-jid", "db-1", "cmd.run", written(SIZE_BYTES))
    with shown.open("wb") as output, (fleet.folder / "said").open("wb") as said:
        command = subprocess.Popen(words, stdout=output, stderr=said, env=fleet.environment())
        peaks = [0]

        def has_ended() -> bool:
            peaks.append(peak_kib(command.pid))
            return command.poll() is not None

        wait_until(has_ended, 60, "the command to end")

    said_text = (fleet.folder / "said").read_text()
    assert command.returncode == 0, said_text
    assert hashlib.sha256(shown.read_bytes()).hexdigest() == expected_digest(SIZE_BYTES)
    growth = {name: peak_kib(pid) - before[name] for name, pid in pids.items()}
    assert max(growth.values()) < GROWTH_LIMIT_KIB, growth
    assert 0 < max(peaks) < 3 * GROWTH_LIMIT_KIB, "the command holds what it prints"
    jid = said_text.split("jid: ")[1].split()[0]
    (result,) = fleet.client().job(jid).results.values()
    assert (len(result.stdout), result.stdout_total_bytes) == (SIZE_BYTES, SIZE_BYTES)
    assert hashlib.sha256(result.stdout).hexdigest() == expected_digest(SIZE_BYTES)
    assert b"".join(fleet.client().output(jid, "db-1", "stdout", SIZE_BYTES - 5)) == result.stdout[-5:]


def parts_kept(fleet: Fleet) -> int:
    """How many parts of outputs lie in the job cache."""
    with closing(sqlite3.connect(fleet.master_root / "var/lib/fleet/master/jobs.sqlite")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM blob_parts").fetchone()
        return int(count)


def test_a_cut_and_a_killed_master_in_the_middle_of_it_cost_nothing_but_time(
    fleet: Fleet, proxies: list[TcpProxy]
) -> None:
    size_bytes = 32 * MIB
    before = parts_kept(fleet)
    jid = fleet.submit("web-1", "cmd.run", written(size_bytes))
    wait_until(lambda: parts_kept(fleet) > before + 3, 20, "some parts to come")
    for proxy in proxies:
        proxy.cut()
    wait_until(lambda: parts_kept(fleet) > before + 12, 30, "more parts to come after the cut")
    fleet.master.kill()
    half = parts_kept(fleet)
    assert before + 12 < half < before + size_bytes // MIB, "it was killed in the middle"
    fleet.restart_master()
    wait_until(lambda: fleet.record(jid)["finished"] is not None, 60, "the job to end")

    (result,) = fleet.client().job(jid).results.values()
    assert (result.state, result.stdout_total_bytes) == ("succeeded", size_bytes)
    assert hashlib.sha256(result.stdout).hexdigest() == expected_digest(size_bytes)
    fleet.ok("fleet", "jobs", "delete", jid)
    wait_until(lambda: parts_kept(fleet) == before, 20, "the parts to go with the job")


def test_an_output_that_is_printed_at_its_end_is_whole_too(fleet: Fleet) -> None:
    size_bytes = 3 * MIB + 17
    shown = fleet.ok("fleet", "--out", "txt", "*", "cmd.run", f"{written(size_bytes)} >&2; echo done")

    assert shown.count(LINE.strip()[:20]) == 2 * (size_bytes // len(LINE) + 1)
