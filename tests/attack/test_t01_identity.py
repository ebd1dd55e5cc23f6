"""T1: a master is who holds the pinned identity; whoever answers in its place learns nothing and changes nothing."""

import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

import pytest

from fleet.core.crypto import CurvePublic, CurveSecret, SigningKey
from fleet.core.enrolment import Close, Send
from fleet.core.enrolment_master import Introduction, MasterEnrolment, Offer
from fleet.core.enrolment_messages import KeyStanding, Verdict, box_verdict, write_frame
from fleet.keys.fingerprint import fingerprint, pairing_code
from support.evil import EvilMinion
from support.fleet import Fleet
from support.ports import free_ports
from support.wait import wait_until

Answer: TypeAlias = Callable[[socket.socket], None]


@contextmanager
def listener(port: int, answer: Answer) -> Iterator[list[int]]:
    """Answer each connection to a port in turn; yields what counts them."""
    seen: list[int] = []
    ends = threading.Event()

    def serve(server: socket.socket) -> None:
        while not ends.is_set():
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            with connection, suppress(OSError):
                connection.settimeout(3)
                seen.append(1)
                answer(connection)

    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(0.05)
        thread = threading.Thread(target=serve, args=(server,), name="impostor")
        thread.start()
        try:
            yield seen
        finally:
            ends.set()
            thread.join(10)


class Impostor:
    """A master with an identity of its own that lets everybody in, and remembers who asked."""

    def __init__(self) -> None:
        self.identity = SigningKey.from_seed(os.urandom(32))
        self.offers: list[Offer] = []
        self.standing = KeyStanding.ACCEPTED
        ports = free_ports(2)
        curve = CurveSecret.generate(os.urandom(32))
        self._introduction = Introduction(self.identity, curve, ports[0], ports[1], "0.1.0")

    def answer(self, connection: socket.socket) -> None:
        """Serve one connection to its end."""
        machine = MasterEnrolment(self._introduction, os.urandom, 0)
        while data := connection.recv(4096):
            actions = machine.received(data, 0)
            for action in list(actions):
                if isinstance(action, Offer):
                    self.offers.append(action)
                    actions += machine.decided(self.standing, 0.5)
            for action in actions:
                if isinstance(action, Send):
                    connection.sendall(action.data)
                elif isinstance(action, Close):
                    return


def true_fingerprint(fleet: Fleet) -> str:
    return fleet.ok("fleet-master", "--fingerprint").split()[-1]


@pytest.mark.parametrize("pinned_by", ["setting", "acceptance"])
def test_a_master_of_another_identity_is_told_nothing_and_the_minion_joins_when_the_true_one_is_back(
    fleet: Fleet, pinned_by: str
) -> None:
    fleet.start_master()
    settings = {"master_fingerprint": true_fingerprint(fleet)} if pinned_by == "setting" else {}
    fleet.start_minion("web-1", None, **settings)
    if pinned_by == "acceptance":
        fleet.accept("web-1")
    else:
        fleet.wait_until_pending(["web-1"])
    fleet.master.stop()
    minion = fleet.minions["web-1"]
    if pinned_by == "acceptance":
        minion.stop()
        minion.start()
    impostor = Impostor()
    with listener(fleet.enrol_port, impostor.answer) as seen:
        minion.wait_for_log(fingerprint(impostor.identity.public.raw), 30)
        wait_until(lambda: len(seen) >= 2, 30, "it to try again")
    assert impostor.offers == [], "not even its key is shown"
    assert minion.is_running
    fleet.restart_master()
    if pinned_by == "setting":
        fleet.wait_until_pending(["web-1"])
        fleet.change_keys("accept", "web-1")
    wait_until(lambda: fleet.exit_code("web-1", "test.ping", seconds=2) == 0, 40, "web-1 to be back")


def test_a_master_met_first_that_has_not_accepted_gives_way_to_the_one_that_does(fleet: Fleet) -> None:
    impostor = Impostor()
    impostor.standing = KeyStanding.REJECTED
    with listener(fleet.enrol_port, impostor.answer):
        minion = fleet.start_minion("web-1")
        minion.wait_for_log("FIRST CONTACT")
        minion.wait_for_log("rejected")
    minion.stop()
    fleet.start_master()
    minion.start()
    fleet.accept("web-1")
    assert fleet.answers("web-1", "test.ping") == {"web-1": True}
    assert true_fingerprint(fleet) in minion.log()


def test_a_verdict_that_another_boxed_changes_nothing(fleet: Fleet) -> None:
    """Between the minion and the true master: the document is passed on, the verdict is made up."""
    fleet.start_master()
    relay_port = free_ports(1)[0]
    forger = CurveSecret.generate(os.urandom(32))

    def answer(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", fleet.enrol_port), 5) as upstream:
            upstream.sendall(connection.recv(4096))
            connection.sendall(upstream.recv(4096))
            enrol = connection.recv(4096)
        public = re.search(rb"\xc4\x20(.{32})", enrol, re.DOTALL)
        assert public is not None
        verdict = Verdict(KeyStanding.ACCEPTED, 1, 0.5, bytes(32))
        boxed = box_verdict(verdict, forger, CurvePublic(public.group(1)), os.urandom(24))
        connection.sendall(write_frame(boxed))

    with listener(relay_port, answer) as seen:
        minion = fleet.start_minion("web-1", master=f"127.0.0.1:{relay_port}")
        wait_until(lambda: len(seen) >= 2, 30, "it to try again")
        assert fleet.known_keys()["pending"] == {}
        assert "is pinned" not in minion.log()
        assert "accepted" not in minion.log().replace("not accepted", "")
    minion.stop()


def test_what_a_relay_recorded_of_one_enrolment_is_refused_on_the_next(fleet: Fleet) -> None:
    """Both directions: the master gets an old claim, the minion an old document with an old verdict."""
    fleet.start_master()
    recorded: list[bytes] = []
    relay_port = free_ports(1)[0]

    def record(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", fleet.enrol_port), 5) as upstream:
            for source, sink in ((connection, upstream), (upstream, connection)) * 2:
                data = source.recv(4096)
                recorded.append(data)
                sink.sendall(data)

    with listener(relay_port, record) as seen, EvilMinion("web-1", relay_port) as minion:
        assert minion.enrol() is KeyStanding.PENDING
        assert seen
    who, document, enrol, verdict = recorded
    key = fleet.known_keys()["pending"]["web-1"]
    fleet.change_keys("delete", "web-1")
    with socket.create_connection(("127.0.0.1", fleet.enrol_port), 5) as upstream:
        upstream.sendall(who)
        assert upstream.recv(4096) != document
        upstream.sendall(enrol)
        assert upstream.recv(4096) == b"", "an old claim is no proof"
    assert fleet.known_keys()["pending"] == {}, key

    def replay(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(document + verdict)

    with listener(relay_port, replay) as seen:
        daemon = fleet.start_minion("web-1", master=f"127.0.0.1:{relay_port}")
        wait_until(lambda: len(seen) >= 2, 30, "it to try again")
        assert "answers another question" in daemon.log()
    daemon.stop()


def test_both_sides_show_the_same_pairing_code_and_another_one_with_a_master_between(fleet: Fleet) -> None:
    fleet.start_master()
    minion = fleet.start_minion("web-1")
    fleet.wait_until_pending(["web-1"])
    minion.wait_for_log("fleet-key -a web-1")
    codes = set(re.findall(r"(?:[a-z2-7]{4}-){7}[a-z2-7]{4}", minion.log()))
    shown = set(re.findall(r"(?:[a-z2-7]{4}-){7}[a-z2-7]{4}", fleet.ok("fleet-key", "-L")))
    from fleet.keys.identity import read_master_public, read_minion_public

    public = read_master_public(fleet.master_root / "var/lib/fleet/master")
    key = read_minion_public(fleet.minion_root("web-1") / "var/lib/fleet/minion")
    assert public is not None
    assert key is not None
    code = pairing_code(public.identity, key)
    assert code in codes & shown
    assert pairing_code(Impostor().identity.public.raw, key) != code
