"""What `make bench` runs: each figure as a line of JSON on stdout, and nothing else there. `docs/performance.md` explains them.

Commands are timed as whole processes, from outside, by turns; a figure is the median of its runs.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bench.figures import Figure, Machine, in_turn, this_machine
from scale.figures import children, children_processor_ms, family, processor_ms, pss_kibibytes
from scale.light_fleet import LightFleet
from support.fleet import BIN, Fleet
from support.processes import run_command
from support.wait import wait_until

GROUPS = ("minions", "light")
PING = ("fleet", "*", "test.ping")
ECHO = ("fleet", "*", "cmd.run", "echo hi")
SILENT_EXIT_CODE = 12
LIGHT_CROWD = 1_000
#: As many as run at once by default.
SUPERVISORS = 16
JOBS = 50


class Bench:
    """Measures, and prints each figure when it is known."""

    def __init__(self, machine: Machine, runs: int) -> None:
        """Print with each figure what machine this is."""
        self._machine = machine
        self.runs = runs

    def tell(self, name: str, unit: str, values: Sequence[float]) -> None:
        """Print one figure."""
        print(Figure(name, unit, tuple(values)).line(self._machine), flush=True)

    def commands(self, fleet: Fleet, commands: Mapping[str, tuple[str, ...]]) -> None:
        """Time whole commands by turns, after one run each that does not count."""
        names = list(commands)
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for place, number in enumerate(in_turn(len(names), self.runs + 1)):
            name = names[number]
            command, *words = commands[name]
            done = run_command((str(BIN / command), *words), fleet.environment())
            assert done.code == 0, done
            if place >= len(names):
                seconds[name].append(done.seconds)
        for name in names:
            self.tell(name, "s", seconds[name])

    def minions(self, fleet: Fleet) -> None:
        """Real minions: one, then ten."""
        fleet.start_master()
        fleet.grow("bench-0")
        note("one minion")
        self.tell("minion at rest, alone, PSS", "MiB", self._memory([fleet.minions["bench-0"].pid]))
        floor = {"python -c pass": ("python", "-c", "pass"), "fleet --help": ("fleet", "--help")}
        self.commands(
            fleet, floor | {"fleet '*' test.ping, 1 minion": PING, "fleet '*' cmd.run 'echo hi', 1 minion": ECHO}
        )
        self._supervisors(fleet)
        note("ten minions")
        fleet.grow(*(f"bench-{number}" for number in range(1, 10)))
        floor = {"python -c pass, beside 10 minions": ("python", "-c", "pass")}
        self.commands(
            fleet, floor | {"fleet '*' test.ping, 10 minions": PING, "fleet '*' cmd.run 'echo hi', 10 minions": ECHO}
        )
        self.tell("minion at rest, one of 10, PSS", "MiB", self._memory([each.pid for each in fleet.minions.values()]))
        self.tell("master with 10 minions, PSS", "MiB", self._memory([fleet.master.pid]))
        note("one of ten stopped")
        self.tell(
            "fleet '*' test.ping, 1 of 10 stopped", "s", [self._one_is_stopped(fleet) for _ in range(min(self.runs, 5))]
        )

    def _supervisors(self, fleet: Fleet) -> None:
        """What a job costs beside its program: memory of one supervisor and of sixteen, and processor time."""
        note("supervisors")
        client, gate, daemon = fleet.client(), fleet.folder / "gate", fleet.minions["bench-0"].pid
        for count in (1, SUPERVISORS):
            while len(supervisors_below(daemon)) < count:
                jid = client.submit("bench-0", "cmd.run", f"until test -e {gate}; do sleep 1; done")
                wait_for_state(fleet, jid, "running")
            found = at_rest(supervisors_below(daemon))
            name = "alone" if count == 1 else f"one of {count}"
            memory = [pss_kibibytes([each]) / 1024 for each in found]
            self.tell(f"supervisor of a running job, {name}, PSS", "MiB", memory)
        spent = [processor_ms(each) for each in supervisors_below(daemon)]
        self.tell("supervisor, processor time until its program runs", "ms", spent)
        gate.touch()
        wait_until(lambda: not supervisors_below(daemon), 60, "the jobs to end")
        (server,) = children(daemon)
        before = children_processor_ms(server)
        assert all(client.run("bench-0", "cmd.run", "true").exit_code == 0 for _ in range(JOBS))
        wait_until(lambda: not supervisors_below(daemon), 60, "the jobs to end")
        each_ms = (children_processor_ms(server) - before) / JOBS
        self.tell("job `true`, processor time of supervisor and program", "ms", [each_ms])

    def light(self, fleet: Fleet, count: int) -> None:
        """Light minions: a whole command, and a broadcast until the last return is stored."""
        note(f"{count} light minions")
        with LightFleet(fleet, count) as light:
            fleet.start_master(**light.master_settings())
            light.start()
            if count < LIGHT_CROWD:
                self.commands(fleet, {f"fleet '*' test.ping, {count} light minions": PING})
            broadcast = [self._broadcast(fleet, light) for _ in range(min(self.runs, 10))]
            self.tell(f"broadcast to {count} light minions until all returns are stored", "s", broadcast)
            back = [self._comes_back(fleet, light) for _ in range(min(self.runs, 3))]
            self.tell(f"start after kill -9 until {count} light minions and all their returns are back", "s", back)

    def _comes_back(self, fleet: Fleet, light: LightFleet) -> float:
        """Kill the master while a job runs everywhere, have it end there, and time from its start until all of it is stored."""
        light.hold()
        jid = fleet.submit("*", "cmd.run", "anything")
        running = {"running": light.count}
        wait_until(lambda: fleet.client().job(jid, has_output=False).summary.counts == running, 60, "all to run")
        fleet.master.kill()
        light.release()
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        fleet.restart_master()
        light.wait_until_ready(120)
        fleet.wait_for_job(jid, 60)
        return light.counts().stored_us / 1e6 - began

    def _broadcast(self, fleet: Fleet, light: LightFleet) -> float:
        wait_until(lambda: light.counts().unanswered == 0, 60, "the answers to what was returned before")
        before = light.counts().stored
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        fleet.client().submit("*", "test.ping")
        wait_until(lambda: light.counts().stored >= before + light.count, 60, "all returns to be stored")
        return light.counts().stored_us / 1e6 - began

    def _memory(self, pids: Sequence[int]) -> list[float]:
        """The memory of each of these daemons with all its processes, once it is at rest: nothing runs below it but itself."""
        wait_until(lambda: all(family(pid) == [pid] for pid in pids), 60, "the daemons to be at rest")
        return [pss_kibibytes(family(pid)) / 1024 for pid in pids]

    def _one_is_stopped(self, fleet: Fleet) -> float:
        """From the stop of one minion until the command has told the others' answers and the reason of this one."""
        stopped = fleet.minions["bench-9"]
        began = time.monotonic()
        stopped.pause()
        done = fleet.run(*PING, "--out", "jsonl")
        seconds = time.monotonic() - began
        stopped.resume()
        results = [json.loads(line) for line in done.stdout.splitlines()][:-1]
        silent = [result for result in results if result["state"] != "succeeded"]
        assert (done.code, len(results), len(silent)) == (SILENT_EXIT_CODE, len(fleet.minions), 1), done
        assert silent[0]["minion"] == "bench-9", silent
        assert silent[0]["reason"], silent
        wait_until(lambda: fleet.run(*PING).code == 0, 60, "the minion to answer again")
        return seconds


def supervisors_below(pid: int) -> list[int]:
    """The supervisors of a minion's jobs: what the one process below it, which forks them, has started."""
    return [supervisor for server in children(pid) for supervisor in children(server)]


def wait_for_state(fleet: Fleet, jid: str, state: str) -> None:
    """Wait until a job of one target stands there."""
    client = fleet.client()
    wait_until(
        lambda: [each.state for each in client.job(jid).results.values()] == [state], 60, f"the job to be {state}"
    )


def at_rest(pids: list[int]) -> list[int]:
    """Wait until these processes have done nothing for a moment, and return them."""

    def is_idle() -> bool:
        before = [processor_ms(pid) for pid in pids]
        time.sleep(0.3)
        return before == [processor_ms(pid) for pid in pids]

    wait_until(is_idle, 60, "the processes to be at rest")
    return pids


def note(what: str) -> None:
    """Say on stderr what is being measured."""
    print(f"bench: {what}", file=sys.stderr, flush=True)


@contextmanager
def new_fleet() -> Iterator[Fleet]:
    """A fleet in a folder of its own, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="fleet-bench-"))
    try:
        with Fleet(folder) as fleet:
            yield fleet
    finally:
        shutil.rmtree(folder)


def end_by_signal(number: int, _: FrameType | None) -> None:
    """Turn a signal into the end of the program, so that everything is cleaned up."""
    raise SystemExit(128 + number)


def main(words: Sequence[str] | None = None) -> int:
    """Measure; 0 when there is every figure that was asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="of each command")
    parser.add_argument("groups", nargs="*", help=f"of figures: {', '.join(GROUPS)}; all by default")
    options = parser.parse_args(words)
    unknown = set(options.groups) - set(GROUPS)
    if unknown:
        parser.error(f"there is no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_by_signal)
    bench = Bench(this_machine(), options.runs)
    steps: Mapping[str, Sequence[Callable[[Fleet], None]]] = {
        "minions": (bench.minions,),
        "light": (lambda fleet: bench.light(fleet, 100), lambda fleet: bench.light(fleet, LIGHT_CROWD)),
    }
    for group in options.groups or GROUPS:
        for step in steps[group]:
            with new_fleet() as fleet:
                step(fleet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
