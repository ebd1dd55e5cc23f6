"""How many returns a second the master takes in, each checked, durable and answered, beside the floor of the same machine.

Four hundred light minions make ten returns each and keep them; then all are sent at once. What the minions do meanwhile is to send
frames that are ready and to read the answers.
"""

import time

from bench.floor_returns import measure_floor
from bench.measuring import Bench, note
from fleet.core.codec import write_frame
from fleet.core.messages import HEADER_BYTES
from fleet.core.names import jid_from_microseconds
from scale.figures import process_cpu_seconds
from scale.light_fleet import LightFleet
from support.evil import make_return
from support.fleet import Fleet
from support.wait import wait_until

MINIONS, JOBS = 400, 10
RETURNS = MINIONS * JOBS
#: As long as that of a light minion: see ``light_minions --output``.
OUTPUT = b"hi\n"


def measure_returns(bench: Bench, fleet: Fleet) -> None:
    """Rates by the clock and by the master's processor time; the floor is measured before and after each run."""
    note(f"{RETURNS} returns of {MINIONS} light minions, and the same through bare sockets and SQLite")
    frame = write_frame(make_return(jid_from_microseconds(time.time_ns() // 1000), OUTPUT, value_from="text", pid=1))
    runs = min(bench.runs, 5)
    with LightFleet(fleet, MINIONS) as light:
        fleet.start_master(**light.master_settings())
        light.start()
        taken, floors = [], []
        for _ in range(runs):
            floors.append(measure_floor(frame[HEADER_BYTES:], MINIONS, JOBS))
            taken.append(_take_in(fleet, light))
    floor = sorted(each.returns / each.seconds for each in floors)[runs // 2]
    cpu_floor = sorted(each.returns / each.cpu_seconds for each in floors)[runs // 2]
    bench.tell("returns taken in, durable, answered", "/s", [RETURNS / seconds for seconds, _ in taken], floor)
    rates = [RETURNS / cpu_seconds for _, cpu_seconds in taken]
    bench.tell("returns for a second of the master's processor time", "/s", rates, cpu_floor)


def _take_in(fleet: Fleet, light: LightFleet) -> tuple[float, float]:
    """Seconds from the first return sent until the last is answered, and processor time of the master."""
    client, before = fleet.client(), light.counts()
    light.keep()
    for _ in range(JOBS):
        client.submit("*", "cmd.run", "anything")
    wait_until(lambda: light.counts().kept >= RETURNS, 60, "all returns to be made")
    wait_until(lambda: client.status().counters["store_waiting"] == 0, 60, "the master to have nothing to store")
    cpu_seconds, began = process_cpu_seconds(fleet.master.pid), time.clock_gettime(time.CLOCK_BOOTTIME)
    light.deliver()
    wait_until(lambda: light.counts().stored >= before.stored + RETURNS, 60, "all returns to be stored")
    seconds = light.counts().stored_us / 1e6 - began
    spent = process_cpu_seconds(fleet.master.pid) - cpu_seconds
    light.settle()
    wait_until(lambda: light.counts().unanswered == 0, 60, "the answers to what was sent again")
    return seconds, spent
