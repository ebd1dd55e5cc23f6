"""Figures of a crowd of light minions: a broadcast, a restart, memory and processor time of the master, and the floor of each."""

import statistics
import time
from collections.abc import Callable

from bench.canned_master import CannedMaster
from bench.figures import Figure, Machine
from bench.floor_connections import measure_connections
from bench.measuring import PING, note
from scale.figures import process_cpu_seconds, pss_kibibytes, slope
from scale.light_fleet import LightFleet, processes_for
from support.fleet import BIN, Fleet
from support.processes import run_command
from support.wait import wait_until

BROADCAST = "fleet '*' test.ping, light minions"
CPU_BROADCAST = "processor time of the master for a broadcast and all returns"
CPU_MINION = "processor time of the master for a broadcast, a minion"
CPU_IDLE = "processor time of the master in a second of rest"
RESTART = "start after kill -9 until all light minions are back"
MEMORY = "master with light minions, PSS"
MEMORY_MINION = "memory of the master for a connected minion, PSS"
MEMORY_GROWTH = "growth of the master's memory a broadcast, PSS"

#: From which on everything is done less often: a run takes minutes as it is.
LARGE = 3_000
#: How long the first start is spread over: nobody waits for it, and all of their keys are made meanwhile.
START_SPREAD_SECONDS_EACH = 0.005
#: Nine processes weigh together what their master does.
NICE = "10"
IDLE_SECONDS = 20.0
#: Python, libzmq and SQLite take memory for some time after a crowd has come: what is kept then is meant.
SETTLE_SECONDS = 3.0
PATIENCE_SECONDS = 240.0
WARM_UP = 5
#: The exit code of a command that names minions which have not answered in time; their returns come all the same.
SOME_LATE = 12


def measure_crowd(machine: Machine, fleet: Fleet, count: int, runs: int, broadcasts: int) -> list[Figure]:
    """Take all figures of so many light minions, printing each when it is known.

    Args:
        machine: named in each line.
        fleet: whose master does not run yet.
        count: how many light minions.
        runs: of each command; half as many, and a restart is measured twice, from ``LARGE`` on.
        broadcasts: over how many the master's memory must stay flat; 0 to leave that out.
    """
    figures: list[Figure] = []

    def tell(name: str, unit: str, values: list[float], floor: float | None = None, digits: int = 3) -> None:
        figures.append(Figure(name, unit, tuple(values), floor, digits, count))
        print(figures[-1].line(machine), flush=True)

    processes = processes_for(count)
    runs = max(3, runs // 2) if count >= LARGE else runs
    note(f"{count} light minions in {processes} processes; first the floor of their connections")
    bare = [measure_connections(count, processes) for _ in range(1 if count >= LARGE else 3)]
    floor_seconds = statistics.median(one.seconds for one in bare)
    floor_kilobytes = statistics.median(one.kilobytes for one in bare)
    with LightFleet(
        fleet, count, processes, "--nice", NICE, "--spread", str(count * START_SPREAD_SECONDS_EACH)
    ) as light:
        master = fleet.start_master(**light.master_settings())
        note("the floor is known; the crowd comes")
        alone = _settled_kibibytes(master.pid)
        light.start(PATIENCE_SECONDS)
        together = _settled_kibibytes(master.pid)
        tell(MEMORY, "MiB", [together / 1024], digits=1)
        tell(MEMORY_MINION, "kB", [(together - alone) * 1.024 / count], floor_kilobytes, 1)
        commands, cpu = _commands(fleet, light, runs)
        tell(CPU_BROADCAST, "s", cpu)
        tell(CPU_MINION, "ms", [seconds * 1000 / count for seconds in cpu])
        tell(CPU_IDLE, "ms", [_idle(fleet)])
        if broadcasts:
            note(f"memory over {broadcasts} broadcasts")
            tell(MEMORY_GROWTH, "KiB", [_growth(fleet, light, broadcasts)])
        note("restarts")
        back = [_comes_back(fleet, light) for _ in range(2 if count >= LARGE else min(runs, 3))]
        tell(RESTART, "s", back, floor_seconds)
        note("the floor of a broadcast")
        tell(BROADCAST, "s", commands, _canned(fleet, light, runs))
    return figures


def _commands(fleet: Fleet, light: LightFleet, runs: int) -> tuple[list[float], list[float]]:
    """The command as a whole, and the processor time of the master until it has nothing more to do for it; the first does not count."""
    seconds, cpu = [], []
    for run in range(runs + 1):
        _wait_for_answers(light)
        pid = fleet.master.pid
        stored, spent = light.counts().stored, process_cpu_seconds(pid)
        command, *words = PING
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        done = run_command((str(BIN / command), *words), fleet.environment(), seconds=PATIENCE_SECONDS)
        assert done.code in {0, SOME_LATE}, done.stderr[-2000:]
        _wait_for_stored(light, stored)
        _wait_for_answers(light)
        if run:
            if done.code == SOME_LATE:
                note("the command did not wait for all: until the last return was stored")
            seconds.append(done.seconds if done.code == 0 else light.counts().stored_us / 1e6 - began)
            cpu.append(process_cpu_seconds(pid) - spent)
    return seconds, cpu


def _settled_kibibytes(pid: int) -> int:
    """The memory of a process once it has not changed by a hundredth for ``SETTLE_SECONDS``."""
    kept, since = pss_kibibytes([pid]), time.monotonic()

    def is_settled() -> bool:
        nonlocal kept, since
        now = pss_kibibytes([pid])
        if abs(now - kept) * 100 >= kept:
            kept, since = now, time.monotonic()
        return time.monotonic() - since >= SETTLE_SECONDS

    _wait(is_settled, "the memory of the master to settle")
    return pss_kibibytes([pid])


def _idle(fleet: Fleet) -> float:
    """Milliseconds of processor time in a second in which nobody asks for anything: heartbeats alone."""
    pid = fleet.master.pid
    began, spent = time.monotonic(), process_cpu_seconds(pid)
    time.sleep(IDLE_SECONDS)
    return (process_cpu_seconds(pid) - spent) * 1000 / (time.monotonic() - began)


def _growth(fleet: Fleet, light: LightFleet, broadcasts: int) -> float:
    """KiB that each broadcast adds; the first fifth is left out, in which what is kept a number of fills up."""
    client, pid, memory = fleet.client(), fleet.master.pid, []
    for _ in range(broadcasts):
        stored = light.counts().stored
        client.submit("*", "test.ping")
        _wait_for_stored(light, stored)
        memory.append(float(pss_kibibytes([pid])))
    return slope(memory[broadcasts // WARM_UP :])


def _comes_back(fleet: Fleet, light: LightFleet) -> float:
    """Seconds from the start of the next master until each has a session and sees broadcasts; then all must answer."""
    fleet.master.kill()
    began = time.monotonic()
    fleet.restart_master()
    light.wait_until_ready(PATIENCE_SECONDS)
    seconds = time.monotonic() - began
    stored = light.counts().stored
    fleet.client().submit("*", "test.ping")
    _wait_for_stored(light, stored)
    return seconds


def _canned(fleet: Fleet, light: LightFleet, runs: int) -> float:
    """The median of the same broadcast with a master that decides nothing; the crowd ends with it."""
    fleet.master.stop()
    seconds = []
    with CannedMaster(fleet, light.count) as canned:
        light.wait_until_ready(PATIENCE_SECONDS)
        for run in range(runs + 1):
            stored = light.counts().stored
            began = canned.broadcast()
            _wait_for_stored(light, stored)
            if run:
                seconds.append(light.counts().stored_us / 1e6 - began)
        light.close()
    return statistics.median(seconds)


def _wait_for_stored(light: LightFleet, before: int) -> None:
    _wait(lambda: light.counts().stored >= before + light.count, "all returns to be stored")


def _wait_for_answers(light: LightFleet) -> None:
    _wait(lambda: light.counts().unanswered == 0, "the answers to what was returned")


def _wait(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, PATIENCE_SECONDS, what)
