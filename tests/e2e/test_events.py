"""Events as those see them who watch: each with its number, also over restarts of the master; nothing lost without a word."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fleet.master.events import meaning_of
from support.fleet import Fleet
from support.processes import Daemon
from support.sharing import put_right
from support.wait import wait_until


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet that tests share which restart its master or one of its minions."""
    with Fleet(tmp_path_factory.mktemp("f")) as shared:
        shared.start_master()
        shared.grow("web-1", "web-2", "db-1")
        yield shared


@pytest.fixture
def all_up(watched: Fleet) -> Fleet:
    """The shared fleet when nothing of an earlier restart goes on any more."""
    put_right(watched)
    return watched


def events_in(listener: Daemon) -> list[dict[str, Any]]:
    """Return the whole lines that it has printed on stdout; what it said on stderr is in the same log."""
    whole = listener.log().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]


def wait_for_event(listener: Daemon, fits: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    found = wait_until(lambda: [event for event in events_in(listener) if fits(event)], 20, what)
    return found[0]


def tagged(listener: Daemon, tag: str) -> dict[str, Any]:
    return wait_for_event(listener, lambda event: event["tag"] == tag, f"the event {tag}")


def test_each_node_and_each_job_has_an_event_at_its_end_and_progress_in_between(all_up: Fleet) -> None:
    listener = all_up.events("*", "--out", "jsonl", "--after", "0")
    gate = all_up.folder / "gate"
    script = (
        f"test $FLEET_MINION_ID = db-1 || until test -e {gate}; do sleep 0.02; done; test $FLEET_MINION_ID != web-1"
    )
    jid = all_up.submit("*", "cmd.run", script.replace("$FLEET_MINION_ID", "$(basename $FLEET_ROOT)"))
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
    assert all_up.exit_code("web-1", "cmd.run", "true") == 0
    all_up.minions["web-1"].stop()
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
    all_up: Fleet, is_killed: bool
) -> None:
    listener = all_up.events("fleet/*", "--out", "jsonl")
    # It listens from a moment on that nobody else can know: until it says something, something happens.
    wait_until(lambda: all_up.answers("web-1", "test.ping") and events_in(listener), 20, "a first event")
    first = all_up.submit("web-1", "test.ping")
    before = tagged(listener, f"fleet/job/{first}/end")
    if is_killed:
        all_up.master.kill()
    else:
        all_up.master.stop()
    listener.wait_for_log("the master went away")
    all_up.restart_master()
    listener.wait_for_log("the master is back")
    started = tagged(listener, "fleet/master/start")
    assert started["missed"] == -1
    assert started["number"] > before["number"]
    wait_until(lambda: all_up.client().minion("web-1").state == "up", 20, "web-1 to be up again")
    second = all_up.submit("web-1", "test.ping")
    after = tagged(listener, f"fleet/job/{second}/end")
    listener.stop()
    assert listener.log().count("nobody can tell how many events were missed") == 1

    events = events_in(listener)
    numbers = [event["number"] for event in events]
    assert numbers == sorted(set(numbers))
    assert [event["number"] for event in events if event["missed"]] == [started["number"]]

    def read_after(number: int) -> tuple[list[int], str]:
        done = all_up.run("fleet", "events", "--after", str(number), "-n", "1", "--out", "jsonl")
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
