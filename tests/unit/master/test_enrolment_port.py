import os
import random
import resource
import select
import socket
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from fleet.core.crypto import CurveSecret
from fleet.core.enrolment import Close, Send
from fleet.core.enrolment_messages import CONNECTION_LIMIT_BYTES, KeyStanding, write_frame
from fleet.core.enrolment_messages import Who as WhoMessage
from fleet.core.enrolment_minion import Applicant, Learned, MinionAction, MinionEnrolment, VerdictReceived
from fleet.core.errors import TransportError
from fleet.core.names import MinionId
from fleet.master.enrolment_bounds import PortLimits
from fleet.master.enrolment_listener import source_of
from fleet.master.enrolment_port import ACCEPTS_PER_TURN, EnrolmentPort, ReceivedOffer
from support.enrolment import APPLICANT, INTRODUCTION, counted_bytes, trust_everybody

SECOND_US = 1_000_000
START_US = 1_000 * SECOND_US
ONE_WHO = write_frame(WhoMessage(1, 1, bytes(32)))


class Bench:
    """A port, a clock that only the test moves, and every socket that the test opens."""

    def __init__(self, limits: PortLimits | None = None, interface: str = "127.0.0.1") -> None:
        self.stack = ExitStack()
        self.port = EnrolmentPort(interface, 0, INTRODUCTION, limits, counted_bytes(b"port"))
        self.stack.callback(self.port.close)
        self.now_us = START_US
        self.offers: list[ReceivedOffer] = []

    def connect(self, source: str = "127.0.0.1", host: str = "127.0.0.1") -> socket.socket:
        """Open a connection; the kernel takes it, whatever the port does."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        connection = self.stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        if family == socket.AF_INET:
            connection.bind((source, 0))
        connection.settimeout(5)
        connection.connect((host, self.port.port))
        connection.setblocking(False)
        return connection

    def pump(self, until: Callable[[], object], what: str) -> None:
        """Let the port work, at one moment of its clock, until the condition holds."""
        give_up = time.monotonic() + 10
        while not until():
            assert time.monotonic() < give_up, f"waited for {what}: {self.port.counters}"
            select.select([self.port.descriptor], [], [], 0.01)
            self.offers += self.port.handle(self.now_us)

    def rest(self) -> None:
        """Let the port work until it has nothing to do."""
        while select.select([self.port.descriptor], [], [], 0.02)[0]:
            self.offers += self.port.handle(self.now_us)

    def later(self, seconds: float) -> None:
        """Move the clock and let the port do what is due."""
        self.now_us += int(seconds * SECOND_US)
        self.offers += self.port.handle(self.now_us)

    def minion(self, number: int = 0, source: str = "127.0.0.1", host: str = "127.0.0.1") -> "Minion":
        """Connect a minion of its own key."""
        return Minion(self, number, source, host)


class Minion:
    """A legitimate minion on a real socket."""

    def __init__(self, bench: Bench, number: int, source: str, host: str) -> None:
        curve = CurveSecret.generate(number.to_bytes(32, "big")) if number else APPLICANT.curve
        self.applicant = Applicant(MinionId(f"web-{number}"), curve, "0.1.0")
        self.machine = MinionEnrolment(self.applicant, trust_everybody, counted_bytes(bytes([number % 256])))
        self.bench = bench
        self.heard: list[MinionAction] = []
        self.is_cut = False
        self.socket = bench.connect(source, host)
        self._perform(self.machine.start(bench.now_us))

    def step(self) -> bool:
        """Take what has arrived."""
        with suppress(BlockingIOError):
            try:
                data = self.socket.recv(4096)
            except ConnectionResetError:
                data = b""
            self.is_cut = not data
            self._perform(self.machine.received(data, self.bench.now_us) if data else self.machine.closed())
        return self.is_cut

    def prove(self) -> None:
        """Come to the point where the port has the offer."""
        before = len(self.bench.offers)
        self.bench.pump(lambda: (self.step(), len(self.bench.offers) > before)[1], "the offer")

    def is_told(self, standing: KeyStanding) -> VerdictReceived:
        """Decide about this minion's key, and return what it hears."""
        public_key = self.applicant.curve.public.raw
        self.bench.port.decided(self.applicant.minion_id, public_key, standing, self.bench.now_us)
        self.bench.pump(lambda: (self.step(), standing in {each.standing for each in self.verdicts()})[1], standing)
        return self.verdicts()[-1]

    def verdicts(self) -> list[VerdictReceived]:
        return [action for action in self.heard if isinstance(action, VerdictReceived)]

    def _perform(self, actions: list[MinionAction]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self.socket.send(action.data)
            self.heard.append(action)


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    with ExitStack() as stack:

        def make(limits: PortLimits | None = None, interface: str = "127.0.0.1") -> Bench:
            bench = Bench(limits, interface)
            stack.enter_context(bench.stack)
            return bench

        yield make


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


def is_cut(connection: socket.socket) -> bool:
    """Whether the port has closed its end."""
    try:
        return connection.recv(4096) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_a_minion_is_offered_with_its_address_and_accepted_at_once(bench: Bench) -> None:
    minion = bench.minion()
    minion.prove()
    assert bench.offers[0].address == "127.0.0.1"
    assert bench.offers[0].offer.public_key == minion.applicant.curve.public.raw
    minion.is_told(KeyStanding.ACCEPTED)
    assert [type(action) for action in minion.heard] == [Send, Learned, Send, VerdictReceived, Close]
    assert len(bench.port) == 0


def test_a_waiting_minion_hears_the_decision_on_the_same_connection(bench: Bench) -> None:
    minion = bench.minion()
    minion.prove()
    assert minion.is_told(KeyStanding.PENDING).retry_seconds == 1.0
    bench.later(9)
    assert len(bench.port) == 1
    minion.is_told(KeyStanding.ACCEPTED)
    assert len(bench.port) == 0


def test_every_connection_of_a_key_is_told_and_no_other(bench: Bench) -> None:
    twins, other = [bench.minion(1), bench.minion(1)], bench.minion(2)
    for minion in (*twins, other):
        minion.prove()
    twins[0].is_told(KeyStanding.REJECTED)
    bench.pump(lambda: (twins[1].step(), twins[1].verdicts())[1], "the twin's verdict")
    assert not other.step()
    assert other.verdicts() == []


def test_a_connection_still_hears_when_another_of_its_key_has_gone(bench: Bench) -> None:
    gone, stays = bench.minion(1), bench.minion(1)
    gone.prove()
    stays.prove()
    gone.socket.close()
    bench.pump(lambda: len(bench.port) == 1, "the end of the first connection")
    assert stays.is_told(KeyStanding.ACCEPTED).standing is KeyStanding.ACCEPTED
    assert gone.verdicts() == []


def test_a_decision_about_a_key_that_is_not_here_is_no_error(bench: Bench) -> None:
    waiting = bench.minion()
    waiting.prove()
    bench.port.decided(MinionId("web-9"), bytes(32), KeyStanding.ACCEPTED, START_US)
    assert not waiting.step()
    assert (waiting.verdicts(), len(bench.port)) == ([], 1)


def test_a_waiting_minion_is_let_go_after_ten_seconds(bench: Bench) -> None:
    minion = bench.minion()
    minion.prove()
    minion.is_told(KeyStanding.PENDING)
    bench.later(9.9)
    assert len(bench.port) == 1
    bench.later(0.2)
    assert len(bench.port) == 0
    assert bench.port.counters.overdue == 0
    bench.pump(minion.step, "the end")
    assert isinstance(minion.heard[-1], Close)


def test_hundred_mute_connections_keep_no_legitimate_minion_out(bench: Bench) -> None:
    mute = [bench.connect() for _ in range(100)]
    bench.rest()
    assert len(bench.port) == 64
    assert bench.port.counters.refused == 36
    bench.minion(1, source="127.0.0.2").prove()
    bench.later(1.1)
    bench.minion(2, source="127.0.0.1").prove()
    assert bench.port.counters.displaced == 1
    bench.later(4)
    assert bench.port.counters.overdue == 63
    bench.pump(lambda: all(map(is_cut, mute)), "the mute ones to be cut off")


def test_senders_of_one_byte_at_a_time_are_cut_off_and_a_legitimate_minion_gets_through(bench: Bench) -> None:
    slow = [bench.connect() for _ in range(50)]
    for at in range(4):
        for connection in slow:
            connection.send(ONE_WHO[at : at + 1])
        bench.later(0.5)
        bench.rest()
    bench.minion(1).prove()
    assert len(bench.port) == 51
    bench.later(3.6)
    assert (len(bench.port), bench.port.counters.overdue) == (1, 50)


def test_a_slow_but_honest_minion_is_served(bench: Bench) -> None:
    connection = bench.connect()
    for at in range(len(ONE_WHO)):
        connection.send(ONE_WHO[at : at + 1])
        bench.later(0.01)
    bench.pump(lambda: select.select([connection], [], [], 0)[0], "the document")
    assert len(bench.port) == 1


def test_a_thousand_pieces_of_rubbish_leave_no_trace_but_numbers(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    chance = random.Random(7)
    tracemalloc.start()
    try:
        for number in range(1000):
            with socket.create_connection(("127.0.0.1", bench.port.port)) as connection:
                kind = number % 4
                body = chance.randbytes(chance.randrange(4, 300))
                junk = {
                    0: body,
                    1: len(body).to_bytes(2, "big") + body,
                    2: (len(body) + 2).to_bytes(2, "big") + b"\x01\x01" + body,
                    3: ONE_WHO + (len(body) + 2).to_bytes(2, "big") + b"\x01\x02" + body,
                }[kind]
                connection.send(junk)
            if number % 50 == 49:
                bench.later(0.3)
                bench.rest()
        bench.later(20)
        bench.rest()
        bench.later(20)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    counters = bench.port.counters
    assert counters.accepted == 1000
    assert counters.malformed + counters.gone + counters.overdue == 1000
    assert counters.malformed > 700
    assert (len(bench.port), bench.offers) == (0, [])
    assert peak < 2 * 1024 * 1024
    assert kept < 256 * 1024
    assert len(caplog.records) <= 2, "a line a minute"
    bench.minion(1).prove()


def test_an_endless_sender_is_cut_off_and_its_bytes_are_not_kept(bench: Bench) -> None:
    connection = bench.connect()
    sent_bytes = 0
    tracemalloc.start()
    try:
        with suppress(ConnectionError):
            while bench.port.counters.malformed == 0:
                with suppress(BlockingIOError):
                    sent_bytes += connection.send(b"\x0f\xfe" + bytes(65536))
                bench.rest()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert bench.port.counters.malformed == 1
    assert len(bench.port) == 0
    assert peak < 512 * 1024
    assert sent_bytes > CONNECTION_LIMIT_BYTES


def test_no_source_holds_more_than_its_share_and_another_gets_in_meanwhile(bench: Bench) -> None:
    for round_number in range(6):
        for _ in range(40):
            bench.connect()
        bench.rest()
        assert len(bench.port) <= 64 + round_number
        bench.minion(round_number + 1, source=f"127.0.0.{round_number + 2}").prove()
    assert bench.port.counters.refused == 240 - 64


def test_connections_from_everywhere_are_bounded_and_the_oldest_mute_one_makes_room(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(PortLimits(connections=20, connections_per_source=5))
    for number in range(30):
        bench.connect(source=f"127.0.1.{number + 1}")
    bench.rest()
    assert (len(bench.port), bench.port.counters.refused) == (20, 10)
    bench.later(1)
    bench.minion(1, source="127.0.2.1").prove()
    assert (len(bench.port), bench.port.counters.displaced) == (20, 1)


def test_a_crowd_of_pending_minions_behind_one_address_is_heard_in_full(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(PortLimits(connections=20, connections_per_source=5))
    minions = [bench.minion(number) for number in range(1, 6)]
    for minion in minions:
        minion.prove()
        minion.is_told(KeyStanding.PENDING)
    assert minions[0].verdicts()[0].retry_seconds == 10.0
    for number in range(6, 16):
        late = bench.minion(number)
        late.prove()
        late.is_told(KeyStanding.PENDING)
    assert (len(bench.port), bench.port.counters.sent_off, bench.port.counters.refused) == (5, 10, 0)
    bench.pump(minions[0].step, "the first to be sent off")
    assert len(bench.offers) == 15


def test_accepts_are_bounded_in_time_and_a_dry_bucket_costs_nothing(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(PortLimits(accepts_per_second=10, accept_burst=10))
    for _ in range(30):
        bench.connect()
    bench.rest()
    assert bench.port.counters.accepted == 10
    assert select.select([bench.port.descriptor], [], [], 0.02)[0] == [], "the loop would spin"
    due_us = bench.port.deadline_us()
    assert due_us is not None
    assert START_US < due_us <= START_US + SECOND_US // 10 + 2
    bench.later(0.51)
    bench.rest()
    assert bench.port.counters.accepted == 15
    minion = bench.minion(1)
    for _ in range(2):
        bench.later(1)
        bench.rest()
    minion.prove()
    assert minion.is_told(KeyStanding.PENDING).retry_seconds == 60.0


def test_one_turn_accepts_only_so_many(bench: Bench) -> None:
    for number in range(ACCEPTS_PER_TURN + 10):
        bench.connect(source=f"127.0.0.{number + 1}")
    bench.port.handle(bench.now_us)
    assert bench.port.counters.accepted == ACCEPTS_PER_TURN


def test_a_process_without_descriptors_sheds_connections_and_recovers(bench: Bench) -> None:
    waiting = [bench.connect() for _ in range(3)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        for _ in range(3):
            bench.port.handle(bench.now_us)
            assert select.select([bench.port.descriptor], [], [], 0)[0] == [], "the loop would spin"
            bench.now_us += SECOND_US
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert bench.port.counters.exhausted == 3
    assert all(map(is_cut, waiting))
    bench.minion(1)
    bench.later(1)
    bench.pump(lambda: len(bench.port) == 1, "the next connection")


def test_connections_that_are_reset_are_counted_and_nothing_is_raised(bench: Bench) -> None:
    for number in range(40):
        connection = bench.connect()
        if number % 2:
            connection.send(ONE_WHO)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if number % 3:
            bench.rest()
        connection.close()
    bench.rest()
    assert len(bench.port) == 0
    assert bench.port.counters.gone == 40


def test_one_socket_serves_both_families_and_addresses_look_as_people_write_them(
    make_bench: Callable[..., Bench],
) -> None:
    try:
        bench = make_bench(interface="::")
    except TransportError:
        pytest.skip("this machine has no IPv6")
    for number, host in enumerate(("127.0.0.1", "::1"), 1):
        bench.minion(number, host=host).prove()
    assert [offer.address for offer in bench.offers] == ["127.0.0.1", "::1"]


def test_addresses_of_one_machine_are_one_source() -> None:
    assert source_of("2001:db8::1") == source_of("2001:db8::ffff:2%eth0")
    assert source_of("2001:db8::1") != source_of("2001:db8:0:1::1")
    assert source_of("192.0.2.1") != source_of("192.0.2.2")


def test_a_port_in_use_is_named_with_what_to_do(bench: Bench) -> None:
    with pytest.raises(TransportError) as refusal:
        EnrolmentPort("127.0.0.1", bench.port.port, INTRODUCTION)
    assert f"port {bench.port.port} on 127.0.0.1 is in use" in refusal.value.message
    assert "enrol_port" in refusal.value.hint


@pytest.mark.parametrize("interface", ["192.0.2.1", "no.such.interface.invalid"])
def test_an_address_that_this_machine_has_not_is_named(interface: str) -> None:
    with pytest.raises(TransportError) as refusal:
        EnrolmentPort(interface, 0, INTRODUCTION)
    assert interface in refusal.value.message
    assert "`interface` in master.yaml" in refusal.value.hint


def test_a_rate_below_one_connection_a_second_still_serves_one(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(PortLimits(accepts_per_second=0.1, accept_burst=0.2))
    bench.minion(1).prove()
    assert (len(bench.port), len(bench.offers)) == (1, 1)
