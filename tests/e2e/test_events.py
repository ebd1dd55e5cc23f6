"""Events as those see them who watch: each with its number, also over restarts of the master; nothing lost without a word."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from fleet.master.events import meaning_of
from support.fleet import Fleet
from support.processes import Daemon
from support.wait import wait_until


def events_in(listener: Daemon) -> list[dict[str, Any]]:
    """Return the whole lines that it has printed on stdout; what it said on stderr is in the same log."""
    whole = listener.log().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]


def wait_for_event(listener: Daemon, fits: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    found = wait_until(lambda: [event for event in events_in(listener) if fits(event)], 20, what)
    return found[0]


def tagged(listener: Daemon, tag: str) -> dict[str, Any]:
    return wait_for_event(listener, lambda event: event["tag"] == tag, f"the event {tag}")


def test_each_node_and_each_job_has_an_event_at_its_end_and_progress_in_between(fleet: Fleet) -> None:
    fleet.start_master()
    fleet.grow("web-1", "web-2", "db-1")
    listener = fleet.events("*", "--out", "jsonl", "--after", "0")
    gate = fleet.folder / "gate"
    script = (
        f"test $FLEET_MINION_ID = db-1 || until test -e {gate}; do sleep 0.02; done; test $FLEET_MINION_ID != web-1"
    )
    jid = fleet.submit("*", "cmd.run", script.replace("$FLEET_MINION_ID", "$(basename $FLEET_ROOT)"))
    progress = tagged(listener, f"fleet/job/{jid}/prog")
    assert sum(progress["data"]["counts"].values()) == 3
    wait_for_event(
        listener,
        lambda event: (
            event["tag"] == f"fleet/job/{jid}/prog" and event["data"]["counts"] == {"running": 2, "succeeded": 1}
        ),
        "the progress of one that has ended",
    )
    assert not [event for event in events_in(listener) if event["tag"] == f"fleet/job/{jid}/end"]
    gate.touch()
    end = tagged(listener, f"fleet/job/{jid}/end")
    assert end["data"] == {"jid": jid, "function": "cmd.run", "counts": {"failed": 1, "succeeded": 2}}
    fleet.ok("fleet", "web-1", "cmd.run", "true")
    fleet.minions["web-1"].stop()
    tagged(listener, "fleet/minion/web-1/down")
    listener.stop()

    events = events_in(listener)
    of_job = [event["tag"].removeprefix(f"fleet/job/{jid}/") for event in events if jid in event["tag"]]
    assert sorted(tag for tag in of_job if tag.startswith("ret/")) == ["ret/db-1", "ret/web-1", "ret/web-2"]
    assert (of_job[0], of_job[-1], of_job.count("end")) == ("new", "end", 1)
    for event in events:
        meaning = meaning_of(event["tag"])
        assert meaning is not None, event
        assert set(event["data"]) == set(meaning.fields), event
    numbers = [event["number"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_a_listener_goes_on_over_a_restart_of_the_master_and_says_what_nobody_can_know(
    fleet: Fleet, is_killed: bool
) -> None:
    fleet.start_master()
    fleet.grow("web-1")
    listener = fleet.events("fleet/*", "--out", "jsonl")
    # It listens from a moment on that nobody else can know: until it says something, something happens.
    wait_until(lambda: fleet.ok("fleet", "web-1", "test.ping") and events_in(listener), 20, "a first event")
    first = fleet.submit("web-1", "test.ping")
    before = tagged(listener, f"fleet/job/{first}/end")
    if is_killed:
        fleet.master.kill()
    else:
        fleet.master.stop()
    listener.wait_for_log("the master went away")
    fleet.restart_master()
    listener.wait_for_log("the master is back")
    started = tagged(listener, "fleet/master/start")
    assert started["missed"] == -1
    assert started["number"] > before["number"]
    wait_until(lambda: fleet.client().minion("web-1").state == "up", 20, "web-1 to be up again")
    second = fleet.submit("web-1", "test.ping")
    after = tagged(listener, f"fleet/job/{second}/end")
    listener.stop()
    assert listener.log().count("nobody can tell how many events were missed") == 1

    events = events_in(listener)
    numbers = [event["number"] for event in events]
    assert numbers == sorted(set(numbers))
    assert [event["number"] for event in events if event["missed"]] == [started["number"]]

    def read_after(number: int) -> tuple[list[int], str]:
        done = fleet.run("fleet", "events", "--after", str(number), "-n", "1", "--out", "jsonl")
        return [json.loads(line)["number"] for line in done.stdout.splitlines()], done.stderr

    # Within this master to the event; of an earlier one everything since this one's start, and that is said.
    assert read_after(after["number"] - 1) == ([after["number"]], "")
    numbers, said = read_after(before["number"])
    assert numbers == [started["number"]]
    assert "nobody can tell" in said
    assert read_after(0) == ([started["number"]], "")
    numbers, said = read_after(after["number"] + 10**6)
    assert (numbers, "has not happened yet" in said) == ([started["number"]], True), said


def test_a_number_that_is_no_longer_kept_is_told_with_how_many_were_missed(fleet: Fleet) -> None:
    fleet.start_master(events_limit=100)
    fleet.grow("web-1")
    first = json.loads(fleet.ok("fleet", "events", "--after", "0", "-n", "1", "--out", "jsonl"))
    client = fleet.client()
    while client.status().counters["events"] < 130:
        client.submit("web-1", "test.ping")
    done = fleet.run("fleet", "events", "--after", str(first["number"]), "-n", "1", "--out", "jsonl")
    event = json.loads(done.stdout)
    assert event["missed"] == event["number"] - first["number"] - 1
    assert event["missed"] > 0
    assert f"{event['missed']} event" in done.stderr
