"""Figures of real minions: one, then ten, and fifty, all on this machine."""

import json
import signal
import time
from collections.abc import Sequence

from bench.measuring import ECHO, PING, Bench, note
from scale.figures import children, children_processor_ms, family, processor_ms, pss_kibibytes
from support.fleet import Fleet
from support.wait import wait_until

SILENT_EXIT_CODE = 12
MINIONS = 10
MANY = 50
#: As many as run at once by default.
SUPERVISORS = 16
JOBS = 50


def measure_minions(bench: Bench, fleet: Fleet) -> None:
    """Whole commands, memory, supervisors, and one minion of ten that is stopped."""
    fleet.start_master()
    fleet.grow("bench-0")
    note("one minion")
    bench.tell("minion at rest, alone, PSS", "MiB", memory([fleet.minions["bench-0"].pid]))
    one = {
        "fleet --help": ("fleet", "--help"),
        "fleet '*' test.ping, 1 minion": PING,
        "fleet --out json '*' test.ping, 1 minion": ("fleet", "--out", "json", *PING[1:]),
        "fleet '*' cmd.run 'echo hi', 1 minion": ECHO,
        "fleet jobs list": ("fleet", "jobs", "list"),
    }
    bench.commands(fleet, one)
    _supervisors(bench, fleet)
    note("ten minions")
    fleet.grow(*(f"bench-{number}" for number in range(1, MINIONS)))
    ten = {
        "fleet '*' test.ping, 10 minions": PING,
        "fleet --out json '*' test.ping, 10 minions": ("fleet", "--out", "json", *PING[1:]),
        "fleet '*' cmd.run 'echo hi', 10 minions": ECHO,
        "fleet-key -L, 10 keys": ("fleet-key", "-L"),
    }
    bench.commands(fleet, ten, ", beside 10 minions")
    bench.tell("minion at rest, one of 10, PSS", "MiB", memory([each.pid for each in fleet.minions.values()]))
    bench.tell("master with 10 minions, PSS", "MiB", memory([fleet.master.pid]))
    note("one of ten stopped")
    stopped = [_one_is_stopped(fleet) for _ in range(min(bench.runs, 5))]
    bench.tell("fleet '*' test.ping, 1 of 10 stopped", "s", stopped)


def measure_many(bench: Bench, fleet: Fleet) -> None:
    """Whole commands, asked of fifty."""
    note(f"{MANY} minions")
    fleet.start_master()
    fleet.grow(*(f"bench-{number}" for number in range(MANY)))
    commands = {
        f"fleet '*' test.ping, {MANY} minions": PING,
        f"fleet '*' cmd.run 'echo hi', {MANY} minions": ECHO,
    }
    bench.commands(fleet, commands, f", beside {MANY} minions")


def memory(pids: Sequence[int]) -> list[float]:
    """The memory of each of these daemons with all its processes, once it is at rest: nothing runs below it but itself."""
    wait_until(lambda: all(family(pid) == [pid] for pid in pids), 60, "the daemons to be at rest")
    return [pss_kibibytes(family(pid)) / 1024 for pid in pids]


def supervisors_below(pid: int) -> list[int]:
    """The supervisors of a minion's jobs: what the one process below it, which forks them, has started."""
    return [supervisor for server in children(pid) for supervisor in children(server)]


def _supervisors(bench: Bench, fleet: Fleet) -> None:
    """What a job costs beside its program: memory of one supervisor and of sixteen, and processor time."""
    note("supervisors")
    client, gate, daemon = fleet.client(), fleet.folder / "gate", fleet.minions["bench-0"].pid
    for count in (1, SUPERVISORS):
        while len(supervisors_below(daemon)) < count:
            jid = client.submit("bench-0", "cmd.run", f"until test -e {gate}; do sleep 1; done")
            fleet.wait_for_state(jid, "bench-0", "running", 60)
        found = at_rest(supervisors_below(daemon))
        name = "alone" if count == 1 else f"one of {count}"
        each_mebibytes = [pss_kibibytes([each]) / 1024 for each in found]
        bench.tell(f"supervisor of a running job, {name}, PSS", "MiB", each_mebibytes)
    spent = [processor_ms(each) for each in supervisors_below(daemon)]
    bench.tell("supervisor, processor time until its program runs", "ms", spent)
    gate.touch()
    wait_until(lambda: not supervisors_below(daemon), 60, "the jobs to end")
    (server,) = children(daemon)
    before = children_processor_ms(server)
    assert all(client.run("bench-0", "cmd.run", "true").exit_code == 0 for _ in range(JOBS))
    wait_until(lambda: not supervisors_below(daemon), 60, "the jobs to end")
    each_ms = (children_processor_ms(server) - before) / JOBS
    bench.tell("job `true`, processor time of supervisor and program", "ms", [each_ms])


def at_rest(pids: list[int]) -> list[int]:
    """Wait until these processes have done nothing for a moment, and return them."""

    def is_idle() -> bool:
        before = [processor_ms(pid) for pid in pids]
        time.sleep(0.3)
        return before == [processor_ms(pid) for pid in pids]

    wait_until(is_idle, 60, "the processes to be at rest")
    return pids


def _one_is_stopped(fleet: Fleet) -> float:
    """From the stop of one minion until the command has told the others' answers and the reason of this one."""
    stopped = fleet.minions[f"bench-{MINIONS - 1}"]
    began = time.monotonic()
    stopped.signal(signal.SIGSTOP)
    done = fleet.run(*PING, "--out", "jsonl")
    seconds = time.monotonic() - began
    stopped.resume()
    results = [json.loads(line) for line in done.stdout.splitlines()][:-1]
    silent = [result for result in results if result["state"] != "succeeded"]
    assert (done.code, len(results), len(silent)) == (SILENT_EXIT_CODE, len(fleet.minions), 1), done
    assert silent[0]["minion"] == f"bench-{MINIONS - 1}", silent
    assert silent[0]["reason"], silent
    wait_until(lambda: fleet.run(*PING).code == 0, 60, "the minion to answer again")
    return seconds
