"""A hundred minions with real links: none is missing, and the master is after many reconnects what it was after the first.

``make soak`` reconnects them two hundred times, in some four minutes.
"""

import os
import time
from collections.abc import Iterator

import pytest

from scale.figures import slope
from scale.light_fleet import LightFleet
from support.fleet import Fleet, open_descriptors, resident_kibibytes
from support.wait import wait_until

MINIONS = 100
#: How often all of them reconnect; at least twenty.
ROUNDS = int(os.environ.get("FLEET_TEST_ROUNDS", "20"))
#: What a master allows a key on one port (``master/admission.py``): a burst of twenty, then one a second.
BURST, PAUSE_SECONDS = 20, 1.1
#: Until Python, libzmq and SQLite have the memory that they go on using.
WARM_UP_ROUNDS = max(10, ROUNDS // 5)
#: In a short run some of that is still to come; a session that is kept for each reconnect would take more.
GROWTH_LIMIT_KIBIBYTES = 64.0 if ROUNDS < 100 else 4.0
#: More than goes into one message: the master asks for it chunk by chunk.
OUTPUT = "a line that every light minion writes\n" * 1_000


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LightFleet]:
    with Fleet(tmp_path_factory.mktemp("f")) as fleet, LightFleet(fleet, MINIONS, 1, "--output", OUTPUT) as light:
        # Few events are kept, so that the memory for them is full before it is looked at.
        fleet.start_master(events_limit=100)
        light.start()
        yield light


def test_a_hundred_minions_answer_ten_times_in_a_row(light: LightFleet) -> None:
    before = light.counts()
    everyone = {light.names.minion_id(number): True for number in range(MINIONS)}
    for _ in range(10):
        assert light.fleet.answers("*", "test.ping") == everyone
    wait_until(lambda: light.counts().unanswered == 0, 20, "all returns to be answered")
    after = light.counts()
    assert after.stored - before.stored >= 10 * MINIONS  # More when one was repeated on a busy machine.
    assert (after.discarded, after.ready, after.links) == (0, MINIONS, before.links)


def test_the_master_keeps_of_a_light_minion_what_it_keeps_of_any(light: LightFleet) -> None:
    """Acknowledged, started and ended by messages of its own; its output pulled in chunks; arguments refused by its own check."""
    jid = light.fleet.submit("light-0000*", "cmd.run", "anything")
    job = light.fleet.wait_for_job(jid)
    assert {one["state"] for one in job["returns"].values()} == {"succeeded"}
    assert {one["stdout"] for one in job["returns"].values()} == {OUTPUT}
    assert len(job["returns"]) == 10
    refused = light.fleet.run("fleet", "light-00000", "test.ping", "surplus")
    assert refused.code != 0
    assert "surplus" in refused.stdout + refused.stderr
    row = next(row for row in light.fleet.client().minions() if row.minion == "light-00099")
    assert (row.state, row.running, row.waiting) == ("up", 0, 0)


@pytest.mark.timeout(60 + 4 * ROUNDS)
def test_descriptors_and_memory_of_the_master_stay_flat_over_reconnects_of_all(light: LightFleet) -> None:
    master = light.fleet.master.pid
    light.reconnect()
    descriptors = open_descriptors(master)
    memory = []
    for done in range(1, ROUNDS):
        began = time.monotonic()
        light.reconnect()
        wait_until(
            lambda: open_descriptors(master) <= descriptors, 20, f"{descriptors} descriptors, as after the first"
        )
        memory.append(resident_kibibytes(master))
        if done >= BURST // 2 and ROUNDS > BURST:
            time.sleep(max(0.0, PAUSE_SECONDS - (time.monotonic() - began)))  # The rate that is allowed, no condition.
    assert open_descriptors(master) == descriptors
    assert slope(memory[WARM_UP_ROUNDS:]) < GROWTH_LIMIT_KIBIBYTES, memory
    assert len(light.fleet.answers("*", "test.ping")) == MINIONS


def test_after_a_kill_of_the_master_every_minion_and_every_outstanding_return_comes_back(light: LightFleet) -> None:
    """Without a word of the operator: all jobs end while no master is there to hear of it."""
    fleet, before = light.fleet, light.counts()
    light.hold()
    jid = fleet.submit("*", "cmd.run", "anything")
    wait_until(
        lambda: fleet.client().job(jid, has_output=False).summary.counts == {"running": MINIONS}, 30, "all to run"
    )
    fleet.master.kill()
    light.release()
    fleet.restart_master()
    light.wait_until_ready(60)
    job = fleet.wait_for_job(jid)
    assert [one["state"] for one in job["returns"].values()] == ["succeeded"] * MINIONS
    wait_until(lambda: light.counts().unanswered == 0, 20, "all returns to be answered")
    after = light.counts()
    assert (after.ready, after.discarded) == (MINIONS, before.discarded)


def test_minions_that_are_killed_are_told_of_and_come_back(light: LightFleet) -> None:
    """Last in this file: nothing of them is left when their process is killed, and the next one has their keys."""
    for process in light.processes:
        process.kill()
    light.processes.clear()
    wait_until(lambda: light.fleet.client().status().minions["down"] == MINIONS, 30, "all minions to be down")
    light.start()
    assert len(light.fleet.json("fleet", "*", "test.ping")) == MINIONS
