"""T2: strangers reach the enrolment listener alone, take little of it, and nothing of what the fleet needs."""

import os
import socket
import threading
from contextlib import ExitStack, suppress

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from fleet.core.crypto import CurveSecret
from fleet.core.enrolment_messages import KeyStanding
from support.bounds import counter, limit_event
from support.evil import Context, EvilMinion
from support.fleet import Fleet, open_descriptors
from support.wait import wait_until

HONEST = {"web-1": True, "web-2": True}
ENDED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
ENDED |= zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_DISCONNECTED


def received(fleet: Fleet) -> tuple[int, ...]:
    counters = fleet.counters()
    return counters["messages_malformed"], counters["messages_without_session"], counters["handshakes_admitted"]


@pytest.mark.parametrize("mechanism", ["null", "plain", "curve", "curve without its half", "curve for another master"])
@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.XSUB, zmq.REQ])
def test_no_mechanism_gets_a_strangers_frame_through(attacked: Fleet, mechanism: str, kind: int) -> None:
    name = f"stranger-{mechanism.replace(' ', '-')}-{kind}"
    with EvilMinion(name, attacked.enrol_port) as stranger:
        stranger.enrol()
        document = stranger.document
        assert document is not None
        before = received(attacked)
        context: Context = stranger.context
        for port in (document.request_port, document.publish_port):
            with context.socket(kind) as one:
                one.linger = 0
                one.setsockopt(zmq.RECONNECT_IVL, -1)
                if mechanism == "plain":
                    one.plain_username, one.plain_password = b"root", b"root"
                elif mechanism != "null":
                    other = CurveSecret.generate(os.urandom(32))
                    one.curve_publickey = stranger.secret.public.raw
                    one.curve_secretkey = (other if "half" in mechanism else stranger.secret).reveal()
                    one.curve_serverkey = other.public.raw if "another" in mechanism else document.curve
                monitor = one.get_monitor_socket(ENDED)
                one.connect(f"tcp://127.0.0.1:{port}")
                with suppress(zmq.Again):  # It may have been refused already.
                    one.send(b"\x01fleet", zmq.NOBLOCK)
                assert monitor.poll(8_000), "the handshake ends, one way or the other"
                event = recv_monitor_message(monitor)["event"]
                one.disable_monitor()
                monitor.close(0)
                if mechanism == "null":
                    assert event != zmq.EVENT_HANDSHAKE_SUCCEEDED or kind == zmq.REQ
                else:
                    assert event != zmq.EVENT_HANDSHAKE_SUCCEEDED
        assert received(attacked) == before
    attacked.change_keys("delete", name)


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)


def test_hundreds_of_mute_or_slow_connections_on_each_port_disturb_nobody_and_end(attacked: Fleet) -> None:
    before = open_descriptors(attacked.master.pid)
    ports = (attacked.publish_port, attacked.request_port, attacked.enrol_port)
    with ExitStack() as stack:
        opened = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for port in ports for _ in range(200)
        ]
        slow, sent = opened[::20], 0

        def speak() -> None:
            """A byte of a handshake at a time: so that none of them is silent."""
            nonlocal sent
            for connection in slow:
                with suppress(OSError):
                    connection.sendall(GREETING[sent : sent + 1])
            sent += 1

        for _ in range(3):
            speak()
            assert attacked.answers("*", "test.ping") == HONEST
        attacked.minions["web-1"].stop()
        attacked.restart_minion("web-1")
        assert attacked.answers("*", "test.ping") == HONEST
        assert open_descriptors(attacked.master.pid) < before + 600 + 20

        def are_ended() -> bool:
            speak()
            return open_descriptors(attacked.master.pid) <= before + 4

        wait_until(are_ended, 25, "all of them to be ended")


def test_the_pending_list_is_capped_and_an_accepted_minion_does_not_notice_the_flood(fleet: Fleet) -> None:
    fleet.start_master(pending_limit=20)
    fleet.grow("web-1")
    for number in range(45):
        with EvilMinion(f"flood-{number}", fleet.enrol_port) as stranger:
            assert stranger.enrol() is KeyStanding.PENDING
    pending = fleet.known_keys()["pending"]
    assert len(pending) == 20
    assert "flood-44" in pending, "the oldest go"
    assert counter(fleet, "keys_dropped") == 25
    told = limit_event(fleet, "pending_keys").payload
    assert (told["limit"], told["setting"]) == (20, "pending_limit")
    assert fleet.answers("*", "test.ping") == {"web-1": True}
    assert len(fleet.master.log().splitlines()) < 120


def test_ever_new_keys_from_one_address_write_a_handful_of_lines_and_leave_the_events_to_others(fleet: Fleet) -> None:
    fleet.start_master()
    fleet.grow("web-1")
    lines_before = fleet.master.log().count("\n")
    watched = fleet.counters()["events"]
    standings = set()
    for number in range(400):
        with EvilMinion("web-1" if number % 2 else f"flood-{number}", fleet.enrol_port) as stranger:
            standings.add(stranger.enrol())
    assert standings == {KeyStanding.PENDING, KeyStanding.DENIED}
    assert fleet.master.log().count("\n") - lines_before <= 8
    assert fleet.counters()["events"] - watched <= 8
    assert fleet.answers("*", "test.ping") == {"web-1": True}


def test_many_enrolments_at_once_leave_the_fleet_alone(attacked: Fleet) -> None:
    ends = threading.Event()

    def flood() -> None:
        while not ends.is_set():
            try:
                with socket.create_connection(("127.0.0.1", attacked.enrol_port), 2) as connection:
                    connection.sendall(b"\x00\x28\x01\x01\x93\x01\x01\xc4\x20" + os.urandom(33))
            except OSError:
                continue

    threads = [threading.Thread(target=flood, name=f"flood-{number}") for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            assert attacked.answers("*", "test.ping") == HONEST
        attacked.minions["web-2"].stop()
        attacked.restart_minion("web-2")
        assert attacked.answers("*", "test.ping") == HONEST
    finally:
        ends.set()
        for thread in threads:
            thread.join(10)


def test_two_machines_that_claim_one_id_are_a_conflict_that_globs_and_all_never_accept(attacked: Fleet) -> None:
    with EvilMinion("claimed", attacked.enrol_port) as one, EvilMinion("claimed", attacked.enrol_port) as other:
        one.enrol()
        other.enrol()
        keys = attacked.known_keys()["pending"]["claimed"]
        assert len(keys) == 2
        for words in (("-A", "-y"), ("-a", "claim*", "-y"), ("-a", "claimed", "-y")):
            attacked.run("fleet-key", *words)
            assert "claimed" not in attacked.known_keys()["accepted"]
        attacked.ok("fleet-key", "-a", "claimed", "--fingerprint", keys[0], "-y")
        assert attacked.known_keys()["accepted"]["claimed"] == keys[0]
        attacked.change_keys("delete", "claimed")


def test_connecting_while_the_master_starts_admits_nobody(fleet: Fleet) -> None:
    """ZAP fails open: a port that is bound before its handler admits every key."""
    fleet.start_master()
    with EvilMinion("early", fleet.enrol_port) as stranger:
        stranger.enrol()
        for _ in range(3):
            fleet.master.kill()
            ends = threading.Event()
            proven: list[int] = []

            def hammer(ends: threading.Event = ends, proven: list[int] = proven) -> None:
                while not ends.is_set():
                    link = stranger.dial()
                    for _ in range(4):
                        link.pump(5)
                    proven.append(link.proven)
                    link.close()
                    stranger.links.remove(link)

            thread = threading.Thread(target=hammer, name="hammer")
            thread.start()
            try:
                fleet.restart_master()
                wait_until(lambda: fleet.counters()["handshakes_refused"] >= 3, 10, "attempts")
            finally:
                ends.set()
                thread.join(10)
            assert sum(proven) == 0
