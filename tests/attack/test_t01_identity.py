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
from support.sharing import put_right, remove_minions
from support.wait import wait_until

Answer: TypeAlias = Callable[[socket.socket], None]


@pytest.fixture(scope="module")
def one_master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A master for all of these tests; each has a minion of its own."""
    with Fleet(tmp_path_factory.mktemp("f")) as shared:
        shared.start_master()
        yield shared


@pytest.fixture
def true(one_master: Fleet) -> Iterator[Fleet]:
    """The shared master, running and without any minion; those of a test, each of a name of its own, end with it."""
    put_right(one_master)
    yield one_master
    if not one_master.master.is_running:
        one_master.restart_master()
    remove_minions(one_master, *one_master.minions)


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
    true: Fleet, pinned_by: str
) -> None:
    name = f"pinned-by-{pinned_by}"
    settings = {"master_fingerprint": true_fingerprint(true)} if pinned_by == "setting" else {}
    true.start_minion(name, None, **settings)
    if pinned_by == "acceptance":
        true.accept(name)
    else:
        true.wait_until_pending([name])
    true.master.stop()
    minion = true.minions[name]
    if pinned_by == "acceptance":
        minion.stop()
        minion.start()
    impostor = Impostor()
    with listener(true.enrol_port, impostor.answer) as seen:
        minion.wait_for_log(fingerprint(impostor.identity.public.raw), 30)
        wait_until(lambda: len(seen) >= 2, 30, "it to try again")
    assert impostor.offers == [], "not even its key is shown"
    assert minion.is_running
    true.restart_master()
    if pinned_by == "setting":
        true.wait_until_pending([name])
        true.change_keys("accept", name)
    wait_until(lambda: true.exit_code(name, "test.ping", seconds=2) == 0, 40, f"{name} to be back")


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


def test_a_verdict_that_another_boxed_changes_nothing(true: Fleet) -> None:
    """Between the minion and the true master: the document is passed on, the verdict is made up."""
    relay_port = free_ports(1)[0]
    forger = CurveSecret.generate(os.urandom(32))

    def answer(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", true.enrol_port), 5) as upstream:
            upstream.sendall(connection.recv(4096))
            connection.sendall(upstream.recv(4096))
            enrol = connection.recv(4096)
        public = re.search(rb"\xc4\x20(.{32})", enrol, re.DOTALL)
        assert public is not None
        verdict = Verdict(KeyStanding.ACCEPTED, 1, 0.5, bytes(32))
        boxed = box_verdict(verdict, forger, CurvePublic(public.group(1)), os.urandom(24))
        connection.sendall(write_frame(boxed))

    with listener(relay_port, answer) as seen:
        minion = true.start_minion("forged", master=f"127.0.0.1:{relay_port}")
        wait_until(lambda: len(seen) >= 2, 30, "it to try again")
        assert true.known_keys()["pending"] == {}
        assert "is pinned" not in minion.log()
        assert "accepted" not in minion.log().replace("not accepted", "")
    minion.stop()


def test_what_a_relay_recorded_of_one_enrolment_is_refused_on_the_next(true: Fleet) -> None:
    """Both directions: the master gets an old claim, the minion an old document with an old verdict."""
    recorded: list[bytes] = []
    relay_port = free_ports(1)[0]

    def record(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", true.enrol_port), 5) as upstream:
            for source, sink in ((connection, upstream), (upstream, connection)) * 2:
                data = source.recv(4096)
                recorded.append(data)
                sink.sendall(data)

    with listener(relay_port, record) as seen, EvilMinion("replayed", relay_port) as minion:
        assert minion.enrol() is KeyStanding.PENDING
        assert seen
    who, document, enrol, verdict = recorded
    key = true.known_keys()["pending"]["replayed"]
    true.change_keys("delete", "replayed")
    with socket.create_connection(("127.0.0.1", true.enrol_port), 5) as upstream:
        upstream.sendall(who)
        assert upstream.recv(4096) != document
        upstream.sendall(enrol)
        assert upstream.recv(4096) == b"", "an old claim is no proof"
    assert true.known_keys()["pending"] == {}, key

    def replay(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(document + verdict)

    with listener(relay_port, replay) as seen:
        daemon = true.start_minion("replayed", master=f"127.0.0.1:{relay_port}")
        wait_until(lambda: len(seen) >= 2, 30, "it to try again")
        assert "answers another question" in daemon.log()
    daemon.stop()


def test_both_sides_show_the_same_pairing_code_and_another_one_with_a_master_between(true: Fleet) -> None:
    minion = true.start_minion("paired")
    true.wait_until_pending(["paired"])
    minion.wait_for_log("fleet-key -a paired")
    codes = set(re.findall(r"(?:[a-z2-7]{4}-){7}[a-z2-7]{4}", minion.log()))
    shown = set(re.findall(r"(?:[a-z2-7]{4}-){7}[a-z2-7]{4}", true.ok("fleet-key", "-L")))
    from fleet.keys.identity import read_master_public, read_minion_public

    public = read_master_public(true.master_root / "var/lib/fleet/master")
    key = read_minion_public(true.minion_root("paired") / "var/lib/fleet/minion")
    assert public is not None
    assert key is not None
    code = pairing_code(public.identity, key)
    assert code in codes & shown
    assert pairing_code(Impostor().identity.public.raw, key) != code
