"""Figures of a crowd of light minions: a whole command, a broadcast, and the return of all after the master was killed."""

import time

from bench.measuring import PING, Bench, note
from scale.light_fleet import LightFleet
from support.fleet import Fleet
from support.wait import wait_until

#: From which on a command that prints a line for each is not timed.
CROWD = 1_000


def measure_light(bench: Bench, fleet: Fleet, count: int) -> None:
    """A crowd of so many."""
    note(f"{count} light minions")
    with LightFleet(fleet, count) as light:
        fleet.start_master(**light.master_settings())
        light.start()
        if count < CROWD:
            bench.commands(fleet, {f"fleet '*' test.ping, {count} light minions": PING})
        broadcast = [_broadcast(fleet, light) for _ in range(min(bench.runs, 10))]
        bench.tell(f"broadcast to {count} light minions until all returns are stored", "s", broadcast)
        back = [_comes_back(fleet, light) for _ in range(min(bench.runs, 3))]
        bench.tell(f"start after kill -9 until {count} light minions and all their returns are back", "s", back)


def _broadcast(fleet: Fleet, light: LightFleet) -> float:
    wait_until(lambda: light.counts().unanswered == 0, 60, "the answers to what was returned before")
    before = light.counts().stored
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    fleet.client().submit("*", "test.ping")
    wait_until(lambda: light.counts().stored >= before + light.count, 60, "all returns to be stored")
    return light.counts().stored_us / 1e6 - began


def _comes_back(fleet: Fleet, light: LightFleet) -> float:
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
