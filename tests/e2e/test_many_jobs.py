"""Many jobs on one minion: sixteen run at once, the rest wait in their order and are seen to wait, and all of them end."""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from pathlib import Path

import pytest

from fleet.client import MinionResult
from fleet.core.control_answers import MinionRow
from fleet.core.names import check_minion_id
from support.fleet import Fleet
from support.wait import wait_until

AT_ONCE = 16
HELD = 20
MANY = 300
WEB = check_minion_id("web-1")


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One minion as it is by default, that tells its load often."""
    with Fleet(tmp_path_factory.mktemp("f")) as fleet:
        fleet.start_master(heartbeat_seconds=0.5)
        fleet.grow("web-1")
        yield fleet


def row(fleet: Fleet) -> MinionRow:
    return fleet.client().minion("web-1")


def results_of(fleet: Fleet, jids: Sequence[str]) -> list[MinionResult]:
    client = fleet.client()
    return [client.job(jid).results[WEB] for jid in jids]


def numbers(file: Path) -> list[int]:
    return sorted(map(int, file.read_text().split())) if file.exists() else []


def end_all(fleet: Fleet, jids: Sequence[str], seconds: float) -> list[MinionResult]:
    wait_until(lambda: not fleet.client().status().counters["jobs_open"], seconds, "all jobs to end")
    return results_of(fleet, jids)


def most_at_once(results: Sequence[MinionResult]) -> int:
    """How many ran at the same moment at the most, by when each was started and had ended."""
    running: list[int] = []
    most = 0
    for began, ended in sorted((each.started_us or 0, each.finished_us or 0) for each in results):
        while running and running[0] <= began:
            heappop(running)
        heappush(running, ended)
        most = max(most, len(running))
    return most


def test_sixteen_run_and_the_rest_are_seen_to_wait_in_their_order(busy: Fleet) -> None:
    client, gate = busy.client(), busy.folder / "gate"
    command = f"echo {{}} >> {busy.folder}/begun; until test -e {gate}; do sleep 0.1; done"
    jids = [client.submit("web-1", "cmd.run", command.format(number)) for number in range(HELD)]
    wait_until(lambda: (row(busy).running, row(busy).waiting) == (AT_ONCE, HELD - AT_ONCE), 30, "16 to run")
    expected = ["running"] * AT_ONCE + ["acked"] * (HELD - AT_ONCE)
    wait_until(
        lambda: [each.state for each in results_of(busy, jids)] == expected, 20, "the first to run, the others to wait"
    )
    listed = busy.json("fleet", "minions")["web-1"]
    assert (listed["running"], listed["waiting"]) == (AT_ONCE, HELD - AT_ONCE)
    wait_until(lambda: numbers(busy.folder / "begun") == [*range(AT_ONCE)], 20, "those to begin, and no others")
    gate.touch()
    results = end_all(busy, jids, 30)
    assert {each.state for each in results} == {"succeeded"}
    assert numbers(busy.folder / "begun") == [*range(HELD)]
    assert most_at_once(results) == AT_ONCE
    wait_until(lambda: (row(busy).running, row(busy).waiting) == (0, 0), 10, "nothing to run any more")


@pytest.mark.timeout(300)
def test_three_hundred_jobs_at_once_all_succeed_once_in_order_and_sixteen_at_a_time(busy: Fleet) -> None:
    client = busy.client()
    jids = [client.submit("web-1", "cmd.run", f"echo {number} >> {busy.folder}/ran") for number in range(MANY)]
    results = end_all(busy, jids, 240)
    assert {(each.state, each.retcode) for each in results} == {("succeeded", 0)}
    assert numbers(busy.folder / "ran") == [*range(MANY)], "each ran once"
    assert most_at_once(results) <= AT_ONCE
    by_start = sorted(range(MANY), key=lambda number: results[number].started_us or 0)
    # Those that run side by side may pass each other on the way from their turn to their start, and no others.
    assert all(abs(place - number) < AT_ONCE for place, number in enumerate(by_start)), by_start
