"""The minions as their operator asks about them: which there are, how each is, how far away it is."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fleet.core.enrolment_messages import KeyStanding
from fleet.core.from_master import HeartbeatAnswer, Ping
from fleet.core.from_minion import Heartbeat, Pong
from support.evil import EvilMinion, Link, now_us
from support.fleet import Fleet
from support.wait import wait_until

HEARTBEAT_SECONDS = 1.0


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three minions with a short heartbeat, one of which each test may disturb as long as it comes back."""
    with Fleet(tmp_path_factory.mktemp("f")) as shared:
        shared.start_master(heartbeat_seconds=HEARTBEAT_SECONDS)
        shared.start_minion("web-1", grains={"owner": "개발자", "roles": ["web", "edge"], "dns": {"port": 53}})
        shared.start_minion("web-2", grains={"owner": "ops", "roles": ["web"]})
        shared.start_minion("db-1", grains={"roles": ["db"]})
        shared.accept_all()
        yield shared


def row(fleet: Fleet, minion: str) -> dict[str, Any]:
    return fleet.rows()[minion]


def is_in_state(fleet: Fleet, minion: str, state: str) -> bool:
    return fleet.client().minion(minion).state == state


def events_of(log: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines() if line.startswith("{")]


# The list


def test_minions_are_chosen_by_the_targets_of_a_run(named: Fleet) -> None:
    chosen = [
        (["-L", "db-1,web-2"], {"db-1", "web-2"}),
        (["-G", "roles:edge"], {"web-1"}),
        (["-C", "* and not G@roles:web"], {"db-1"}),
        (["web-*", "--state", "up"], {"web-1", "web-2"}),
        (["--state", "down,silent"], set()),
        (["web-*", "--state", "down", "--state", "up"], {"web-1", "web-2"}),
    ]
    for words, minions in chosen:
        assert set(named.json("fleet", "minions", *words)) == minions, words
    nobody = named.run("fleet", "minions", "wbe-1")
    assert (nobody.code, nobody.stdout) == (3, "")
    assert "did you mean web-1" in nobody.stderr


def test_columns_are_grains_as_well_and_the_last_line_says_how_many_there_are(named: Fleet) -> None:
    table = named.ok("fleet", "minions", "--columns", "minion,owner,dns:port,roles", "--limit", "2")
    assert table == (
        "MINION  owner   dns:port  roles\n"
        "db-1    -       -         db\n"
        "web-1   개발자  53        web, edge\n"
        "2/3\n"
    )  # fmt: skip
    unknown = named.run("fleet", "minions", "--columns", "minion,rols")
    assert unknown.code == 2
    assert "did you mean roles?" in unknown.stderr
    counted = named.ok("fleet", "minions", "--count-by", "roles")
    assert counted.splitlines()[1:] == ["web    2", "db     1", "edge   1", "3/3"]
    counted = named.ok("fleet", "minions", "web-*", "--count-by", "owner", "--limit", "1")
    assert counted.splitlines()[-1] == "1/2"


def test_everything_about_one_minion_is_shown_with_its_open_jobs_and_grains(named: Fleet) -> None:
    gate = named.folder / "gate"
    jid = named.submit("web-1", "cmd.run", f"until test -e {gate}; do sleep 0.02; done")
    named.wait_for_state(jid, "web-1", "running")
    wait_until(lambda: named.client().minion("web-1").running == 1, 10, "a heartbeat that tells of the job")
    shown = named.json("fleet", "minions", "show", "web-1")
    text = named.ok("fleet", "minions", "show", "web-1")
    gate.touch()
    named.wait_for_job(jid)
    assert shown["fingerprint"] == named.known_keys()["accepted"]["web-1"]
    assert (shown["key"], shown["state"], shown["protocol"], shown["running"]) == ("accepted", "up", 2, 1)
    assert shown["jobs"] == [{"jid": jid, "function": "cmd.run", "state": "running"}]
    assert shown["grains"]["dns"] == {"port": 53}
    assert shown["host"] == shown["grains"]["host"]
    assert re.search(r"^STATE +up since 20", text, re.MULTILINE)
    assert re.search(rf"^OPEN JOB +{jid}  cmd\.run  running$", text, re.MULTILINE)
    assert "    owner: 개발자\n" in text
    unknown = named.run("fleet", "minions", "show", "web-3")
    assert unknown.code == 3
    assert "did you mean web-" in unknown.stderr


def test_lists_take_a_limit_and_end_with_how_many_there_are(named: Fleet) -> None:
    assert named.ok("fleet-key", "-L", "--limit", "2").splitlines()[-1] == "2/3"
    functions = named.ok("fleet", "doc", "test", "--limit", "1").splitlines()
    assert re.fullmatch(r"1/[1-9][0-9]*", functions[-1])
    assert len(functions) == 3
    preview = named.run("fleet", "*", "--preview-target", "--limit", "1")
    assert (preview.stdout, preview.stderr) == ("db-1\n", "1/3 minions; nothing was run\n")


# Ping


def test_a_ping_says_the_latency_of_each_reply_and_counts_them(named: Fleet) -> None:
    lines = named.ok("fleet", "ping", "web-1", "--interval", "0.05").splitlines()
    assert len(lines) == 5
    assert all(re.fullmatch(r"Reply from web-1 in \d+\.\d{3} ms", line) for line in lines[:4])
    assert re.fullmatch(r"4 sent, 4 received, 0 lost, min/median/max [\d.]+/[\d.]+/[\d.]+ ms", lines[4])
    document = named.json("fleet", "ping", "web-1", "-n", "2", "--interval", "0")
    assert (document["sent"], document["received"], len(document["replies"])) == (2, 2, 2)
    assert 0 < document["min_ms"] <= document["median_ms"] <= document["max_ms"]
    unknown = named.run("fleet", "ping", "web-7")
    assert unknown.code == 3
    assert "did you mean web-" in unknown.stderr


def test_a_minion_that_stops_answering_is_silent_since_then_and_up_again_when_it_is_heard(named: Fleet) -> None:
    listener = named.events("fleet/minion/web-2/*", "--after", "0", "--out", "jsonl")
    listener.wait_for_log("fleet/minion/web-2/start")
    before = row(named, "web-2")
    named.minions["web-2"].pause()
    # Not by a command: until one has started under load, the minion may be silent already.
    paused = named.client().ping("web-2", 0.3)
    assert paused.round_trip_us is None
    assert paused.waited_us >= 300_000
    assert paused.reason.startswith("connected, last heard ")

    wait_until(lambda: is_in_state(named, "web-2", "silent"), 10, "web-2 to be silent")
    silent = row(named, "web-2")
    assert before["since"] < before["last_seen"] < silent["since"]
    listener.wait_for_log("fleet/minion/web-2/silent")
    at_once = named.run("fleet", "ping", "web-2", "-n", "1")
    assert at_once.code == 12
    assert at_once.stdout.startswith("No reply from web-2: silent since "), str(at_once)
    assert "web-2" in named.json("fleet", "minions", "--state", "silent,down")

    named.minions["web-2"].resume()
    wait_until(lambda: is_in_state(named, "web-2", "up"), 10, "web-2 to be up again")
    listener.wait_for_log("fleet/minion/web-2/up")
    listener.stop()
    assert row(named, "web-2")["since"] > silent["since"]
    actions = [event["tag"].rpartition("/")[2] for event in events_of(listener.log())]
    assert actions[:2] == ["start", "silent"]
    assert actions[-1] == "up"


def test_a_minion_that_is_down_is_said_so_at_once_with_since_when(named: Fleet) -> None:
    named.minions["db-1"].stop()
    wait_until(lambda: is_in_state(named, "db-1", "down"), 10, "db-1 to be down")
    done = named.run("fleet", "ping", "db-1", "-n", "2", "--interval", "0")
    named.restart_minion("db-1")
    assert done.code == 12
    first, second, last = done.stdout.splitlines()
    assert first == second
    assert re.fullmatch(r"No reply from db-1: down since 20\S+ \S+ \S+", first)
    assert last == "2 sent, 0 received, 2 lost"


# What a minion says at its own pace: one under the test's control.


@pytest.fixture
def tame(named: Fleet) -> Iterator[EvilMinion]:
    """A minion with an accepted key that does what the test says."""
    with EvilMinion("tame", named.enrol_port) as minion:
        minion.enrol()
        named.change_keys("accept", "tame")
        assert minion.enrol() is KeyStanding.ACCEPTED
        yield minion
    named.change_keys("delete", "tame")


def beat(minion: EvilMinion, link: Link) -> None:
    before = len(link.frames)
    link.send(Heartbeat(now_us(), 0, 0, 0, 0))
    minion.expect(link, HeartbeatAnswer, before)


def test_a_minion_of_the_first_protocol_is_sent_no_ping_and_that_is_said(named: Fleet, tame: EvilMinion) -> None:
    link = tame.join(protocol_maximum=1)
    answer = named.client().ping("tame")
    assert (answer.round_trip_us, answer.waited_us) == (None, 0)
    assert "answers no pings: upgrade it" in answer.reason
    beat(tame, link)
    assert [message for message in link.messages if isinstance(message, Ping)] == []
    assert named.json("fleet", "minions", "show", "tame")["protocol"] == 1


def test_a_ping_is_answered_by_its_own_number_alone_and_ends_with_the_connection(
    named: Fleet, tame: EvilMinion
) -> None:
    link = tame.join(protocol_maximum=2)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(named.client().ping, "tame", 20.0)
        number = tame.expect(link, Ping).number
        link.send(Pong(number + 1))
        beat(tame, link)
        assert not waiting.done()
        link.send(Pong(number))
        assert (waiting.result(10).round_trip_us or 0) > 0

        before = len(link.frames)
        waiting = pool.submit(named.client().ping, "tame", 20.0)
        tame.expect(link, Ping, before)
        link.close()
        tame.links.remove(link)
        assert waiting.result(10).reason == "its connection has gone"


def test_a_silent_minion_that_is_heard_on_the_same_connection_is_up_again(named: Fleet, tame: EvilMinion) -> None:
    # Not what was before: another test of this file may have left it silent for a while as well.
    newest = named.client().status().newest_event
    listener = named.events("fleet/minion/tame/*", "--after", str(newest), "--out", "jsonl")
    link = tame.join()
    listener.wait_for_log("fleet/minion/tame/silent")
    silent = row(named, "tame")
    beat(tame, link)
    up = named.client().minion("tame")
    assert up.state == "up"
    listener.wait_for_log("fleet/minion/tame/up")
    listener.stop()
    assert silent["state"] == "silent"
    last = events_of(listener.log())[-1]
    assert (last["tag"], last["data"]["version"]) == ("fleet/minion/tame/up", "0.1.0")
    assert len([event for event in events_of(listener.log()) if event["tag"].endswith(("/up", "/start"))]) >= 2
