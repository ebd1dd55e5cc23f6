"""What daemons do that have nothing to do: processor time, and how often a thread of theirs wakes up."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from bench.measuring import Bench, note
from bench.real_minions import at_rest, memory
from support.fleet import Fleet

MINIONS = 10
#: Three heartbeats of ten seconds each.
REST_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Activity:
    """What the threads of a process have done since its start.

    Attributes:
        processor_seconds: time on a processor.
        wakeups: how often a thread that waited went on.
        threads: how many there are.
    """

    processor_seconds: float
    wakeups: int
    threads: int


def measure_rest(bench: Bench, fleet: Fleet) -> None:
    """Ten minions and their master, over some heartbeats."""
    fleet.start_master()
    fleet.grow(*(f"bench-{number}" for number in range(MINIONS)))
    minions = [daemon.pid for daemon in fleet.minions.values()]
    memory(minions)  # So that none of them has anything to do but wait.
    pids = [*minions, fleet.master.pid]
    at_rest(minions)  # What was told once is answered.
    note(f"{MINIONS} minions at rest for {REST_SECONDS} s")
    began, before = time.monotonic(), [activity(pid) for pid in pids]
    time.sleep(REST_SECONDS)
    after, seconds = [activity(pid) for pid in pids], time.monotonic() - began
    shares = [
        100 * (late.processor_seconds - early.processor_seconds) / seconds
        for early, late in zip(before, after, strict=True)
    ]
    wakeups = [(late.wakeups - early.wakeups) / seconds for early, late in zip(before, after, strict=True)]
    bench.tell("minion at rest, part of a core", "%", shares[:-1])
    bench.tell("minion at rest, wake-ups of all its threads", "/s", wakeups[:-1])
    bench.tell("minion at rest, threads", "", [float(each.threads) for each in after[:-1]])
    bench.tell(f"master with {MINIONS} minions at rest, part of a core", "%", shares[-1:])
    bench.tell(f"master with {MINIONS} minions at rest, wake-ups of all its threads", "/s", wakeups[-1:])


def activity(pid: int) -> Activity:
    """What a process has done until now."""
    tasks = [Path(f"/proc/{pid}/task/{task}") for task in os.listdir(f"/proc/{pid}/task")]
    spent_ns = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    wakeups = sum(_voluntary_switches(task) for task in tasks)
    return Activity(spent_ns / 1e9, wakeups, len(tasks))


def _voluntary_switches(task: Path) -> int:
    return int((task / "status").read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
