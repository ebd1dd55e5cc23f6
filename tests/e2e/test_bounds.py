"""Bounds that are run into: each is counted, told by an event that cannot flood, and protects all others."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice

import pytest

from fleet.core.errors import UnreachableError
from fleet.core.messages import WINDOW_BYTES
from support.bounds import counter, limit_event
from support.fleet import Fleet
from support.reference import COUNTERS
from support.wait import wait_until

CONTROL_LIMIT = 6


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet whose bounds are near."""
    with Fleet(tmp_path_factory.mktemp("f")) as fleet:
        fleet.start_master(control_connections_limit=CONTROL_LIMIT)
        fleet.start_minion("web-1", spool_jobs_limit=1, kill_after_seconds=0.1)
        fleet.start_minion("web-2")
        fleet.accept_all()
        yield fleet


def test_a_full_spool_is_counted_and_told_with_the_minion_and_its_reason(bounded: Fleet) -> None:
    client = bounded.client()
    holds = bounded.submit("web-1", "cmd.run", "sleep 60")
    bounded.wait_for_state(holds, "web-1", "running")
    for _ in range(5):
        result = client.run("*", "cmd.run", "true")
        assert {minion: each.state for minion, each in result.items()} == {"web-1": "refused", "web-2": "succeeded"}
    event = limit_event(bounded, "spool")
    assert event.payload["who"] == "web-1"
    assert str(event.payload["reason"]).startswith("the spool of the minion is full: it holds 1 jobs")
    assert counter(bounded, "messages_spool_full") == 5
    client.run("*", "cmd.run", "true")  # One more, and events that tell of it.
    tags = [each.tag for each in islice(client.events("fleet/[jl]*", after=event.number), 3)]
    assert "fleet/limit/spool" not in tags, "at most one a minute"
    client.cancel(holds)
    bounded.wait_for_job(holds)
    assert client.run("web-1", "cmd.run", "true").exit_code == 0


def test_a_minion_that_does_not_answer_is_handed_a_window_of_jobs_and_the_rest_when_it_does(bounded: Fleet) -> None:
    client = bounded.client()
    bounded.minions["web-2"].pause()
    jids = [client.submit("web-2", "test.echo", "x" * 100_000) for _ in range(6)]
    payload = limit_event(bounded, "orders").payload
    assert payload["limit"] == WINDOW_BYTES
    assert counter(bounded, "orders_put_off") == 4
    queues = {queue.name: queue.now for queue in client.status().queues}
    assert 200_000 < queues["orders_unanswered_bytes"] <= WINDOW_BYTES
    bounded.minions["web-2"].resume()
    for jid in jids:
        assert bounded.wait_for_job(jid)["returns"]["web-2"]["state"] == "succeeded"


def test_commands_beyond_the_limit_are_turned_away_counted_and_told(bounded: Fleet) -> None:
    path = bounded.client().socket_path
    with ExitStack() as stack:

        def connect() -> socket.socket:
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(path))
            return connection

        for _ in range(CONTROL_LIMIT):
            connect()
        said = connect().recv(4096)
    assert f"serves {CONTROL_LIMIT} control connections already".encode() in said
    wait_until(lambda: is_served(bounded), 10, "the master to serve again")
    payload = limit_event(bounded, "control_connections").payload
    assert (payload["limit"], payload["setting"]) == (CONTROL_LIMIT, "control_connections_limit")
    assert counter(bounded, "control_refused") >= 1


def is_served(fleet: Fleet) -> bool:
    try:
        return bool(fleet.client().status())
    except UnreachableError:
        return False


def test_the_status_has_every_counter_of_the_reference(bounded: Fleet) -> None:
    assert set(bounded.client().status().counters) == set(COUNTERS)
