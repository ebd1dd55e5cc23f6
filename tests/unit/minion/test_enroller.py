import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.core.crypto import SigningKey
from fleet.core.endpoint import HostPort
from fleet.core.enrolment_messages import KeyStanding, verify_document
from fleet.keys.fingerprint import fingerprint, pairing_code
from fleet.keys.pin import MasterPin, load_pin, save_pin
from fleet.master.enrolment_port import EnrolmentPort, ReceivedOffer
from fleet.minion.enroller import Enrolled, Enroller
from fleet.minion.enrolment_log import EnrolmentLog
from fleet.minion.name_lookup import LOOKUP_LIMIT_US, Address, NameLookups
from fleet.minion.standing import Standing
from support.enrolment import APPLICANT, IDENTITY, INTRODUCTION, START_US, counted_bytes

SECOND_US = 1_000_000
OTHER_IDENTITY = SigningKey.from_seed(bytes(range(3, 35)))


class Bench:
    """One enroller, any number of masters, and a clock that only the test moves."""

    def __init__(self, folder: Path) -> None:
        self.stack = ExitStack()
        self.folder = folder
        self.now_us = START_US
        self.offers: list[ReceivedOffer] = []
        self.answer: KeyStanding | None = KeyStanding.ACCEPTED
        self.ports: list[EnrolmentPort] = []
        self.enrolled: Enrolled | None = None

    def master(self, identity: SigningKey = IDENTITY, port: int = 0) -> HostPort:
        """Start a master's enrolment port."""
        introduction = replace(INTRODUCTION, identity=identity)
        opened = EnrolmentPort("127.0.0.1", port, introduction, random=counted_bytes(b"port"))
        self.stack.callback(opened.close)
        self.ports.append(opened)
        return HostPort("127.0.0.1", opened.port)

    def listener(self) -> tuple[HostPort, socket.socket]:
        """Start something that accepts connections and says what the test says."""
        opened = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        opened.settimeout(5)
        return HostPort("127.0.0.1", opened.getsockname()[1]), opened

    def nobody(self) -> HostPort:
        """Return a place where nobody listens."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            return HostPort("127.0.0.1", taken.getsockname()[1])

    def enroller(self, *masters: HostPort, expected: str = "", lookups: NameLookups | None = None) -> Enroller:
        """Begin an enroller."""
        made = Enroller(masters, APPLICANT, Standing(self.folder, expected), lookups, counted_bytes(b"minion"))
        self.stack.callback(made.stop)
        made.begin(self.now_us)
        return made

    def turn(self, enroller: Enroller) -> None:
        """Poll once, as the daemons' loops do, and serve whoever is ready."""
        poller = select.poll()
        descriptor = enroller.descriptor()
        if descriptor is not None:
            poller.register(descriptor, select.POLLOUT if enroller.wants_write else select.POLLIN)
        for port in self.ports:
            poller.register(port.descriptor, select.POLLIN)
        ready = dict(poller.poll(10))
        due_us = enroller.deadline_us()
        if descriptor in ready or (due_us is not None and self.now_us >= due_us):
            self.enrolled = enroller.handle(self.now_us) or self.enrolled
        for port in self.ports:
            for received in port.handle(self.now_us):
                self.offers.append(received)
                if self.answer is not None:
                    self.decide(self.answer)

    def decide(self, standing: KeyStanding) -> None:
        """Say where the key stands."""
        for port in self.ports:
            port.decided(APPLICANT.minion_id, APPLICANT.curve.public.raw, standing, self.now_us)

    def pump(self, enroller: Enroller, until: Callable[[], object], what: str) -> None:
        """Run both loops, at one moment of the clock, until the condition holds."""
        give_up = time.monotonic() + 10
        while not until():
            assert time.monotonic() < give_up, f"waited for {what}"
            self.turn(enroller)

    def pauses(self, enroller: Enroller) -> bool:
        """Whether the enroller only waits for the time."""
        due_us = enroller.deadline_us()
        return enroller.descriptor() is None and due_us is not None and due_us > self.now_us

    def pump_to_pause(self, enroller: Enroller) -> float:
        """Run until the attempt is over; return the seconds until the next one."""
        self.pump(enroller, lambda: self.pauses(enroller), "the end of the attempt")
        return ((enroller.deadline_us() or 0) - self.now_us) / SECOND_US

    def skip(self, enroller: Enroller) -> None:
        """Move the clock to the enroller's next deadline."""
        self.now_us = max(self.now_us, enroller.deadline_us() or 0)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "state")
    with made.stack:
        yield made


def test_an_accepted_minion_knows_its_master_and_keeps_what_it_learned(bench: Bench) -> None:
    master = bench.master()
    enroller = bench.enroller(master)
    bench.pump(enroller, lambda: bench.enrolled, "acceptance")
    assert bench.enrolled is not None
    assert (bench.enrolled.master, bench.enrolled.address) == (master, "127.0.0.1")
    assert bench.enrolled.document.request_port == 4606
    pin = load_pin(bench.folder)
    assert pin is not None
    assert not pin.provisional
    assert verify_document(pin.document, IDENTITY.public) == bench.enrolled.document
    assert enroller.deadline_us() is None


def test_a_pending_minion_says_what_to_type_and_is_accepted_on_the_same_connection(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    bench.answer = KeyStanding.PENDING
    enroller = bench.enroller(bench.master())
    bench.pump(enroller, lambda: "fleet-key -a web-1" in caplog.text, "the line")
    public_key = APPLICANT.curve.public.raw
    assert fingerprint(public_key) in caplog.text
    assert pairing_code(IDENTITY.public.raw, public_key) in caplog.text
    bench.decide(KeyStanding.ACCEPTED)
    bench.pump(enroller, lambda: bench.enrolled, "acceptance")
    assert len(bench.offers) == 1, "it connected once"


def test_until_it_is_accepted_the_pin_is_provisional(bench: Bench) -> None:
    bench.answer = KeyStanding.PENDING
    enroller = bench.enroller(bench.master())
    bench.pump(enroller, lambda: bench.offers, "the offer")
    pin = load_pin(bench.folder)
    assert pin is not None
    assert (pin.identity, pin.provisional) == (IDENTITY.public.raw, True)


def test_a_pending_minion_asks_again_and_again_with_a_line_a_minute(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    bench.answer = KeyStanding.PENDING
    enroller = bench.enroller(bench.master())
    for round_number in range(1, 6):
        bench.pump(enroller, lambda: getattr(enroller._stage, "verdict", None), "the verdict")
        assert len(bench.offers) == round_number
        bench.skip(enroller)
        assert 0.5 <= bench.pump_to_pause(enroller) <= 1.0
        bench.skip(enroller)
    assert caplog.text.count("fleet-key -a web-1") == 1
    bench.answer = KeyStanding.ACCEPTED
    bench.pump(enroller, lambda: bench.enrolled, "acceptance")


@pytest.mark.parametrize(
    ("standing", "advice"),
    [(KeyStanding.REJECTED, "`fleet-key -a web-1` accepts it"), (KeyStanding.DENIED, "`fleet-key -d web-1`")],
)
def test_a_minion_that_is_turned_away_says_so_and_keeps_asking(
    bench: Bench, caplog: pytest.LogCaptureFixture, standing: KeyStanding, advice: str
) -> None:
    bench.answer = standing
    enroller = bench.enroller(bench.master())
    assert 5 <= bench.pump_to_pause(enroller) <= 10
    assert advice in caplog.text
    bench.answer = KeyStanding.ACCEPTED
    bench.skip(enroller)
    bench.pump(enroller, lambda: bench.enrolled, "acceptance")


def test_a_changed_master_is_refused_told_nothing_and_asked_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    save_pin(bench.folder, MasterPin(OTHER_IDENTITY.public.raw, provisional=False))
    enroller = bench.enroller(bench.master())
    for _ in range(3):
        bench.pump_to_pause(enroller)
        bench.skip(enroller)
    assert bench.offers == []
    assert enroller.deadline_us() is not None
    assert caplog.text.count(fingerprint(IDENTITY.public.raw)) == 1, "a line a minute"
    kept = load_pin(bench.folder)
    assert kept is not None
    assert kept.identity == OTHER_IDENTITY.public.raw


def test_a_stranger_with_ever_new_identities_is_asked_slowly_and_fills_neither_the_log_nor_the_disk(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []

    def save(folder: Path, pin: MasterPin) -> None:
        written.append(pin.identity)
        save_pin(folder, pin)

    monkeypatch.setattr("fleet.minion.standing.save_pin", save)
    caplog.set_level("INFO")
    bench.answer = KeyStanding.PENDING
    place = bench.master()
    enroller = bench.enroller(place)
    begun_us = bench.now_us
    for number in range(40):
        bench.pump(enroller, lambda: getattr(enroller._stage, "verdict", None), "the verdict")
        bench.ports.pop().close()
        pause = bench.pump_to_pause(enroller)
        assert number == 0 or 5 <= pause <= 10
        bench.skip(enroller)
        bench.master(SigningKey.from_seed(number.to_bytes(32, "big")), place.port)
    minutes = 1 + (bench.now_us - begun_us) // (60 * SECOND_US)
    assert caplog.text.count("FIRST CONTACT") <= minutes
    assert caplog.text.count("waiting for the master") <= minutes
    assert 1 <= len(written) <= minutes


def test_a_stranger_that_varies_its_words_is_a_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    log = EnrolmentLog(APPLICANT)
    for number in range(100):
        log.failed("192.0.2.1:4607", f"it says {number}", "see `master`", START_US)
        log.changed("192.0.2.1:4607", f"fingerprint {number}", START_US)
    assert len(caplog.records) == 2
    log.failed("192.0.2.1:4607", "it says more", "see `master`", START_US + 60 * SECOND_US)
    assert "it says more" in caplog.text
    assert "99 lines like this kept back" in caplog.text


def test_a_configured_fingerprint_decides(bench: Bench) -> None:
    wrong = bench.enroller(bench.master(), expected=fingerprint(OTHER_IDENTITY.public.raw))
    bench.pump_to_pause(wrong)
    assert bench.offers == []
    right = bench.enroller(bench.master(), expected=fingerprint(IDENTITY.public.raw).upper())
    bench.pump(right, lambda: bench.enrolled, "acceptance")


def test_an_impostor_beside_the_true_master_only_costs_time(bench: Bench) -> None:
    impostor, true = bench.master(OTHER_IDENTITY), bench.master()
    enroller = bench.enroller(impostor, true, expected=fingerprint(IDENTITY.public.raw))
    bench.pump(enroller, lambda: bench.enrolled, "acceptance")
    assert bench.enrolled is not None
    assert bench.enrolled.master == true


def test_while_no_master_is_there_the_pauses_grow_to_ten_seconds_and_no_further(bench: Bench) -> None:
    master = bench.nobody()
    enroller = bench.enroller(master)
    pauses = []
    for _ in range(10):
        pauses.append(bench.pump_to_pause(enroller))
        bench.skip(enroller)
    for number, pause in enumerate(pauses):
        longest = min(10.0, 0.5 * 2**number)
        assert longest / 2 <= pause <= longest
    assert len({pause / min(10.0, 0.5 * 2**number) for number, pause in enumerate(pauses)}) == 10, "jitter"
    bench.master(port=master.port)
    bench.pump(enroller, lambda: bench.enrolled, "acceptance")


def test_the_next_master_is_tried_at_once(bench: Bench) -> None:
    enroller = bench.enroller(bench.nobody(), bench.nobody(), bench.master())
    bench.pump(enroller, lambda: bench.enrolled, "acceptance")
    assert bench.now_us == START_US


def test_a_master_that_says_nothing_is_left_after_ten_seconds(bench: Bench) -> None:
    mute, _ = bench.listener()
    enroller = bench.enroller(mute, bench.master())
    bench.pump(enroller, lambda: not enroller.wants_write and enroller.descriptor() is not None, "the connection")
    assert bench.enrolled is None
    bench.now_us += 10 * SECOND_US
    bench.pump(enroller, lambda: bench.enrolled, "acceptance")
    assert bench.enrolled is not None


@pytest.mark.parametrize("rubbish", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 9000, b"\x00\x02\x01\x01"])
def test_whatever_answers_in_place_of_a_master_ends_the_attempt_only(bench: Bench, rubbish: bytes) -> None:
    place, listener = bench.listener()
    enroller = bench.enroller(place)

    def talk() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            connection.sendall(rubbish)

    thread = threading.Thread(target=talk)
    thread.start()
    bench.pump_to_pause(enroller)
    thread.join()
    assert enroller.deadline_us() is not None
    assert bench.enrolled is None


def test_a_name_is_looked_up_anew_for_every_attempt_and_every_address_is_tried(bench: Bench) -> None:
    asked: list[HostPort] = []
    closed = bench.nobody()

    def ask(endpoint: HostPort) -> tuple[Address, ...]:
        asked.append(endpoint)
        return tuple(Address(socket.AF_INET, ("127.0.0.1", port), "127.0.0.1") for port in (closed.port, endpoint.port))

    name = HostPort("master.example.org", closed.port)
    enroller = bench.enroller(name, lookups=NameLookups(ask))
    bench.pump_to_pause(enroller)
    bench.skip(enroller)
    bench.pump_to_pause(enroller)
    assert asked == [name, name]
    reachable = HostPort("master.example.org", bench.master().port)
    bench.pump(bench.enroller(reachable, lookups=NameLookups(ask)), lambda: bench.enrolled, "acceptance")


def test_a_name_server_that_does_not_answer_holds_up_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    def ask(_: HostPort) -> tuple[Address, ...]:
        release.wait(20)
        return ()

    enroller = bench.enroller(HostPort("master.example.org", 4607), lookups=NameLookups(ask))
    try:
        for _ in range(8):
            begun = time.monotonic()
            bench.turn(enroller)
            assert time.monotonic() - begun < 10
            bench.now_us += LOOKUP_LIMIT_US
            bench.turn(enroller)
            bench.skip(enroller)
        assert enroller.deadline_us() is not None
        assert "the name server does not answer" in caplog.text
        assert "earlier look-ups of its name still wait" in caplog.text
        assert threading.active_count() <= 6
    finally:
        release.set()


def test_a_state_folder_that_cannot_be_written_ends_the_attempt_only(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    enroller = bench.enroller(bench.master())
    bench.folder.mkdir(mode=0o777, parents=True, exist_ok=True)
    bench.folder.chmod(0o777)
    bench.pump_to_pause(enroller)
    assert bench.enrolled is None
    assert "no enrolment at" in caplog.text
    bench.folder.chmod(0o700)
    bench.skip(enroller)
    bench.pump(enroller, lambda: bench.enrolled, "acceptance")


def test_an_enroller_that_is_stopped_lets_go_of_everything_and_can_begin_again(bench: Bench) -> None:
    enroller = bench.enroller(bench.master())
    for _ in range(4):
        enroller.stop()
        assert (enroller.descriptor(), enroller.deadline_us()) == (None, None)
        enroller.begin(bench.now_us)
        bench.turn(enroller)
    bench.pump(enroller, lambda: bench.enrolled, "acceptance")
