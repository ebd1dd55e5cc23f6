"""T9: what a minion with an accepted key can do to others: nothing. It may return what it was sent, and speak of itself, in measure."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.core.crypto import digest
from fleet.core.errors import NotFoundError
from fleet.core.from_master import Discard, HeartbeatAnswer, StdinChunk, Stored
from fleet.core.from_minion import (
    CatalogueReport,
    GrainsReport,
    Heartbeat,
    MinionEvent,
    NeedStdin,
    OutputChunk,
    StreamSummary,
    UnknownJob,
)
from fleet.core.job_states import JobState
from fleet.core.messages import PROTOCOL_VERSION, WINDOW_BYTES, FromMinion
from fleet.core.names import Jid
from support.bounds import limit_event
from support.evil import EvilMinion, Link, inventory, make_return, now_us, wait_for
from support.fleet import Fleet, resident_kibibytes
from support.wait import wait_until

from .conftest import MakeEvil

HONEST = {"web-1": True, "web-2": True}
MEBIBYTE = 1024 * 1024


def ping(fleet: Fleet) -> None:
    """The honest minions answer, and the right thing."""
    assert fleet.answers("web-*", "test.ping") == HONEST


def beat(minion: EvilMinion, link: Link) -> None:
    """Wait until everything that was sent on this link has been handled."""
    number = now_us()
    before = len(link.frames)
    link.send(Heartbeat(number, 0, 0, 0, 0))
    minion.expect(link, HeartbeatAnswer, before)


def running_job(fleet: Fleet) -> tuple[str, Path]:
    """A job that runs on web-1 until its gate is opened."""
    gate = fleet.folder / f"gate-{now_us()}"
    jid = fleet.submit("web-1", "cmd.run", f"until test -e {gate}; do sleep 0.02; done; echo right")
    fleet.wait_for_state(jid, "web-1", "running")
    return jid, gate


def lie(fleet: Fleet, minion: EvilMinion, link: Link, *messages: FromMinion) -> None:
    """Send messages, each of which must be dropped as malformed."""
    before = fleet.counters()["messages_malformed"]
    for message in messages:
        link.send(message)
    beat(minion, link)
    assert fleet.counters()["messages_malformed"] == before + len(messages)


# Jobs


def test_it_gets_no_stdin_of_a_job_of_another_minion(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("listener")
    link = minion.join(protocol_maximum=PROTOCOL_VERSION)
    gate = attacked.folder / "gate-stdin"
    command = f"until test -e {gate}; do sleep 0.02; done; cat"
    jid = attacked.submit("web-1", "cmd.run", command, stdin=b"secret")
    attacked.wait_for_state(jid, "web-1", "running")
    mine = attacked.submit("listener", "cmd.run", "cat", stdin=b"mine")
    minion.wait_for_job(link, mine)
    before = len(link.frames)
    lie(attacked, minion, link, NeedStdin(Jid(jid), 0), NeedStdin(Jid(mine), 5), NeedStdin(Jid(mine), -1))
    link.send(NeedStdin(Jid(mine), 0))
    assert minion.expect(link, StdinChunk, before) == StdinChunk(Jid(mine), 0, b"mine")
    # What nobody knows any more is not to be had.
    link.send(NeedStdin(Jid("20200101000000000000"), 7))
    wait_for(link, lambda: StdinChunk(Jid("20200101000000000000"), 7, b"") in link.messages, "an answer")
    assert b"secret" not in b"".join(link.frames)
    gate.touch()
    assert attacked.wait_for_state(jid, "web-1", "succeeded")["value"] == "secret"
    link.send(make_return(mine, b"done"))
    attacked.wait_for_state(mine, "listener", "succeeded")


def test_asking_again_and_again_for_a_stdin_fills_no_memory(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("greedy-reader")
    link = minion.join(protocol_maximum=PROTOCOL_VERSION)
    jid = attacked.submit("greedy-reader", "cmd.run", "cat", stdin=bytes(4 * MEBIBYTE))
    minion.wait_for_job(link, jid)
    before = len(link.frames)
    for _ in range(200):
        link.send(NeedStdin(Jid(jid), 0))
    beat(minion, link)
    sent = sum(len(frame) for frame in link.frames[before:])
    # One window at once; and another one when it is asked for once more after a while.
    assert sent < 2 * WINDOW_BYTES + 64 * 1024
    ping(attacked)
    link.send(make_return(jid, b"done"))
    attacked.wait_for_state(jid, "greedy-reader", "succeeded")


def test_it_returns_no_job_of_another_minion(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("thief")
    link = minion.join()
    jid, gate = running_job(attacked)
    lie(attacked, minion, link, make_return(jid, b"forged"), *progress_lies(jid))
    link.send(UnknownJob(Jid(jid)))
    beat(minion, link)
    assert attacked.record(jid)["returns"]["web-1"]["state"] == "running"
    gate.touch()
    attacked.wait_for_state(jid, "web-1", "succeeded")
    before = len(link.frames)
    link.send(make_return(jid, b"forged"))
    assert minion.expect(link, Discard, before).jid == jid
    job = attacked.record(jid)
    assert list(job["returns"]) == ["web-1"]
    assert job["returns"]["web-1"]["value"] == "right"


def progress_lies(jid: str) -> list[FromMinion]:
    from fleet.core.from_minion import JobProgress

    states = (JobState.ACKED, JobState.RUNNING, JobState.SUCCEEDED, JobState.ABANDONED)
    return [JobProgress(Jid(jid), state, 1, 1, "root") for state in states]


def test_a_return_of_a_job_that_nobody_knows_is_discarded(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("stranger")
    link = minion.join()
    for jid in ("00000000000000000000", "20200101000000000000", "99991231235959999999"):
        before = len(link.frames)
        link.send(make_return(jid, b"forged"))
        assert minion.expect(link, Discard, before).jid == jid
        with pytest.raises(NotFoundError):
            attacked.record(jid)


def test_of_two_different_returns_the_first_stays(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("twice")
    link = minion.join()
    jid = attacked.submit("twice", "test.ping")
    minion.wait_for_job(link, jid)
    link.send(make_return(jid, b"first"))
    link.send(make_return(jid, b"second"))
    minion.expect(link, Stored)
    before = len(link.frames)
    link.send(make_return(jid, b"third", retcode=9))
    minion.expect(link, Stored, before)
    assert attacked.record(jid)["returns"]["twice"]["value"] == "first"


def test_an_end_without_a_return_is_none(attacked: Fleet, evil: MakeEvil) -> None:
    """An inventory that calls an open job ended must not close it, nor leave it open for ever."""
    minion = evil("ender")
    link = minion.join()
    jid = attacked.submit("ender", "test.ping")
    minion.wait_for_job(link, jid)
    again = minion.join(inventory=inventory([(jid, JobState.SUCCEEDED), (jid, JobState.ABANDONED)]))
    assert attacked.record(jid)["returns"]["ender"]["state"] in {"sent", "acked", "running"}
    again.send(make_return(jid, b"now"))
    assert attacked.wait_for_state(jid, "ender", "succeeded")["value"] == "now"
    wait_until(lambda: attacked.counters()["jobs_open"] == 0, 5, "no job to be open")


def test_a_value_that_cannot_be_read_hides_no_other_result(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("garbler")
    link = minion.join()
    minion.get_ready(link)
    jid = attacked.submit("*", "test.ping")
    minion.wait_for_job(link, jid)
    raw = b"\xc1\xff"
    link.send(make_return(jid, value_from="", value=StreamSummary(len(raw), len(raw), digest(raw), raw)))
    attacked.wait_for_state(jid, "web-1", "succeeded")
    found = attacked.wait_for_state(jid, "garbler", "succeeded")
    assert "cannot be read" in found["reason"]
    assert attacked.run("fleet", "jobs", "show", jid).code == 0


def test_numbers_and_texts_of_every_size_break_no_command(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("giant")
    link = minion.join()
    for changes in (
        {"started_us": 2**62, "finished_us": -(2**62), "duration_us": -(2**63), "retcode": 2**62, "pid": -(2**60)},
        {"message": "\x1b[2J\n\x00", "account": "\r\n" * 5000, "traceback": "\x1b]0;" + "x" * 40_000},
        {"finished_us": 2**63 - 1, "duration_us": 2**63 - 1, "started_us": None, "retcode": None, "pid": None},
    ):
        jid = attacked.submit("giant", "test.ping")
        minion.wait_for_job(link, jid)
        link.send(make_return(jid, b"x", **changes))
        attacked.wait_for_state(jid, "giant", "succeeded")
        shown = attacked.ok("fleet", "jobs", "show", jid)
        assert "\x1b" not in shown
        assert "\r" not in shown


def test_output_that_nobody_asked_for_and_claims_beyond_measure_are_dropped(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("chatter")
    link = minion.join()
    jid = attacked.submit("chatter", "test.ping")
    minion.wait_for_job(link, jid)
    before = resident_kibibytes(attacked.master.pid)
    ten_gigabytes = StreamSummary(10**10, 10**10, bytes(32), None)
    lie(
        attacked,
        minion,
        link,
        OutputChunk(Jid(jid), "stdout", 0, b"x"),
        OutputChunk(Jid(jid), "../../etc/passwd", 0, b"x"),
        make_return(jid, stdout=ten_gigabytes),
        make_return(jid, stdout=StreamSummary(-1, -1, bytes(32), b"")),
        make_return(jid, stdout=StreamSummary(3, 3, bytes(32), b"abc")),
        make_return(jid, value_from="/etc/passwd"),
    )
    assert resident_kibibytes(attacked.master.pid) - before < 5 * 1024
    link.send(make_return(jid, b"right"))
    assert attacked.wait_for_state(jid, "chatter", "succeeded")["value"] == "right"


def test_one_that_claims_much_and_sends_nothing_keeps_nobodys_output_away(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("hoarder")
    link = minion.join()
    most = StreamSummary(30 * MEBIBYTE, 30 * MEBIBYTE, bytes(32), None)
    for _ in range(3):
        jid = attacked.submit("hoarder", "test.ping")
        minion.wait_for_job(link, jid)
        link.send(make_return(jid, stdout=most, stderr=most, value=most, has_value=False))
    beat(minion, link)
    command = "head -c 3000000 /dev/zero | tr '\\0' x"
    done = attacked.answers("web-1", "cmd.run", command)
    assert done["web-1"] == "x" * 3_000_000


def test_a_minion_that_claims_a_slow_link_holds_up_no_command(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("satellite")
    link = minion.join()
    link.send(Heartbeat(1, 2**62, 2**62, 2**62, 2**62))
    minion.expect(link, HeartbeatAnswer)
    done = attacked.run("fleet", "*", "test.ping", "--out", "json", seconds=20)
    assert done.code == 12
    assert json.loads(done.stdout) == HONEST
    assert "satellite" in done.stderr


# What it says of itself


def test_it_fires_events_below_its_own_prefix_alone(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("herald")
    link = minion.join()
    tags = [
        "fleet/master/start",
        "fleet/job/20260101000000000000/new",
        "fleet/minion/web-1/event/mine",
        "fleet/minion/herald2/event/x",
        "fleet/minion/herald/start",
        "fleet/minion/herald/event/two\nlines",
        "fleet/minion/herald/event/\x1b[2J",
        "fleet/minion/herald/event/" + "x" * 300,
        "",
    ]
    listener = attacked.events("*", "--out", "jsonl")
    try:

        def is_listening() -> bool:
            link.send(MinionEvent("fleet/minion/herald/event/mine", {"a": 1}))
            beat(minion, link)
            return "fleet/minion/herald/event/mine" in listener.log()

        wait_until(is_listening, 10, "the event to be seen")
        lie(attacked, minion, link, *(MinionEvent(tag, {"forged": True}) for tag in tags))
        link.send(MinionEvent("fleet/minion/herald/event/last", {}))
        listener.wait_for_log("fleet/minion/herald/event/last")
        assert "forged" not in listener.log()
    finally:
        listener.stop()


def test_a_release_that_would_forge_a_line_of_the_log_is_no_hello(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("forger")
    link = minion.connect()
    link.send(replace_version(minion, "1\n2026-01-01T00:00:00Z warning FORGED \x1b[2J"))
    minion.hello(link)
    assert "FORGED" not in attacked.master.log()


def replace_version(minion: EvilMinion, version: str) -> FromMinion:
    from dataclasses import replace

    return replace(minion.hello_message(), fleet_version=version)


def test_grains_named_by_the_digest_of_others_do_not_take_their_place(attacked: Fleet, evil: MakeEvil) -> None:
    before = attacked.answers("web-1", "grains.item", "id", "os")
    minion = evil("double")
    link = minion.join()
    mine = {"id": "web-1", "os": "Forged", "roles": ["forged"]}
    from fleet.core.packing import encode_value

    claimed = digest(encode_value(before))
    link.send(GrainsReport(claimed, mine))
    link.send(GrainsReport(bytes(32), mine))
    beat(minion, link)
    assert attacked.client().preview("os:Forged", "grain").minions == ("double",)


def test_grains_that_change_all_the_time_fill_no_memory(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("shifter")
    link = minion.join()
    before = resident_kibibytes(attacked.master.pid)
    for number in range(600):
        link.send(GrainsReport(bytes(32), {"text": "x" * 100_000, "number": number}))
    wait_for(link, lambda: bool(link.lost) or is_handled(attacked, 600), "the reports to be handled")
    ping(attacked)
    assert resident_kibibytes(attacked.master.pid) - before < 20 * 1024
    assert limit_event(attacked, "messages").payload["setting"] == "minion_messages_per_second"


def is_handled(fleet: Fleet, number: int) -> bool:
    return fleet.counters()["messages_throttled"] >= number - 50


@pytest.mark.parametrize("form", ["bomb", "torn", "noise", "deep"])
def test_a_catalogue_that_explodes_is_dropped(attacked: Fleet, evil: MakeEvil, form: str) -> None:
    minion = evil(f"bomber-{form}")
    link = minion.join()
    raw = {
        "bomb": zlib.compress(bytes(60 * MEBIBYTE), 9),
        "torn": zlib.compress(b"\x91\x90")[:-3],
        "noise": b"\xff" * 100_000,
        "deep": zlib.compress(b"\x91" * (2 * MEBIBYTE - 1)),
    }[form]
    before = resident_kibibytes(attacked.master.pid)
    lie(attacked, minion, link, CatalogueReport(bytes(32), raw))
    assert resident_kibibytes(attacked.master.pid) - before < 12 * 1024


# Measure


def flood(fleet: Fleet, link: Link, count: int, make: Callable[[int], FromMinion]) -> int:
    """Send as fast as the master takes it, pinging the honest meanwhile; return how many could be sent."""
    sent = 0
    for number in range(count):
        link.send(make(number))
        sent += 1
        if number % 10_000 == 0:
            ping(fleet)
        if number % 500 == 0:
            link.pump()
        if link.lost:
            break
    return sent


def test_a_flood_ends_the_connection_and_delays_nobody(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("flooder")
    link = minion.join()
    before, lines = resident_kibibytes(attacked.master.pid), len(attacked.master.log().splitlines())
    flood(attacked, link, 50_000, lambda number: Heartbeat(number, 0, 0, 0, 0))
    wait_for(link, lambda: link.lost >= 1, "the connection to be ended")
    ping(attacked)
    throttled = attacked.counters()["handshakes_throttled"]
    again = minion.dial()
    wait_until(lambda: attacked.counters()["handshakes_throttled"] > throttled, 10, "its key to be refused for a while")
    again.pump()
    assert again.proven == 0
    assert resident_kibibytes(attacked.master.pid) - before < 20 * 1024
    assert len(attacked.master.log().splitlines()) - lines < 40


def test_a_flood_of_returns_of_ended_jobs_keeps_nobody_from_the_job_cache(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("repeater")
    link = minion.join()
    jid = attacked.submit("repeater", "test.ping")
    minion.wait_for_job(link, jid)
    link.send(make_return(jid, b"first"))
    attacked.wait_for_state(jid, "repeater", "succeeded")
    for number in range(4_000):
        link.send(make_return(jid, b"again", retcode=number))
        if number % 1_000 == 0:
            assert set(attacked.record(jid)["returns"]) == {"repeater"}
    ping(attacked)
    assert attacked.record(jid)["returns"]["repeater"]["value"] == "first"


def test_asking_for_every_topic_ends_the_connection_and_gives_nothing(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("listener")
    link = minion.connect(topic=b"")
    before = resident_kibibytes(attacked.master.pid)
    ping(attacked)
    link.pump(20)
    assert link.envelopes == []
    for number in range(1_000):
        link.publish.subscribe(b"%d" % number)
    wait_for(link, lambda: link.lost >= 1, "the connection to be shut down")
    ping(attacked)
    assert link.envelopes == []
    assert resident_kibibytes(attacked.master.pid) - before < 5 * 1024


def test_it_cannot_collect_connections(attacked: Fleet, evil: MakeEvil) -> None:
    """Forty, each kept alive by speaking: neither by handshakes nor by time does one key get more than a handful."""
    minion = evil("collector")
    spoken = attacked.counters()["messages_without_session"]
    links = [minion.dial(topic=None) for _ in range(40)]
    for link in links:
        link.publish.disconnect(f"tcp://127.0.0.1:{attacked.publish_port}")
        link.send(Heartbeat(1, 0, 0, 0, 0))
    wait_until(lambda: attacked.counters()["messages_without_session"] >= spoken + 15, 10, "many to have spoken")
    ping(attacked)

    def standing() -> int:
        for link in links:
            link.pump()
        return sum(link.is_request_up for link in links)

    wait_until(lambda: standing() <= 5, 10, "the excess to be shut down")
