import dataclasses
import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.crypto import CurveSecret
from fleet.core.enrolment import CONNECTION_LIMIT_US, SILENCE_LIMIT_US, Close, CloseCause, Send
from fleet.core.enrolment_master import TRANSITIONS, MasterAction, MasterKnows, Offer
from fleet.core.enrolment_messages import (
    CONNECTION_LIMIT_BYTES,
    FRESHNESS_BYTES,
    Claim,
    Enrol,
    KeyStanding,
    Who,
    box_claim,
    transcript_of,
    write_frame,
)
from fleet.core.messages import PROTOCOL_VERSION
from fleet.core.names import MinionId
from support.enrolment import (
    APPLICANT,
    INTRODUCTION,
    MASTER_CURVE,
    MINION_CURVE,
    START_US,
    Conversation,
    master_side,
    minion_side,
    only,
    sent,
)

END_US = START_US + CONNECTION_LIMIT_US


def test_a_minion_that_proves_its_key_is_offered() -> None:
    talk = Conversation()
    assert talk.offer == Offer(APPLICANT.minion_id, MINION_CURVE.public.raw, APPLICANT.fleet_version)
    assert talk.master.offer == talk.offer


def test_a_pending_minion_is_told_again_when_the_operator_decides() -> None:
    talk = Conversation()
    assert [type(action) for action in talk.master.decided(KeyStanding.PENDING, 10.0)] == [Send]
    assert talk.master.decided(KeyStanding.PENDING, 10.0) == [], "what it knows already is not said again"
    assert [type(action) for action in talk.master.decided(KeyStanding.ACCEPTED, 10.0)] == [Send, Close]
    assert talk.master.decided(KeyStanding.REJECTED, 10.0) == []


def test_every_final_standing_ends_the_connection() -> None:
    for standing in set(KeyStanding) - {KeyStanding.PENDING}:
        talk = Conversation()
        actions = talk.master.decided(standing, 10.0)
        assert only(Close, actions) == Close(CloseCause.FINISHED, f"the key is {standing}")


def test_nothing_is_decided_about_a_stranger_that_has_proved_nothing() -> None:
    master = master_side()
    assert master.decided(KeyStanding.ACCEPTED, 10.0) == []
    master.received(sent(minion_side().start(START_US)), START_US)
    assert master.decided(KeyStanding.ACCEPTED, 10.0) == []


def test_it_says_no_more_than_the_allowance() -> None:
    talk = Conversation()
    said = talk.document
    for standing in (KeyStanding.PENDING, KeyStanding.PENDING, KeyStanding.DENIED, KeyStanding.PENDING):
        said += sent(talk.master.decided(standing, 10.0))
    assert len(said) < CONNECTION_LIMIT_BYTES / 4


def test_a_proof_from_another_connection_cannot_be_repeated() -> None:
    recorded = Conversation()
    master = master_side(seed=b"another connection")
    master.received(recorded.who, START_US)
    assert only(Close, master.received(recorded.enrol, START_US)).cause is CloseCause.MALFORMED


def test_every_altered_byte_of_a_proof_is_refused() -> None:
    recorded = Conversation()
    for at in range(len(recorded.enrol)):
        master = master_side()
        master.received(recorded.who, START_US)
        altered = bytearray(recorded.enrol)
        altered[at] ^= 1
        actions = master.received(bytes(altered), START_US)
        assert not any(isinstance(action, Offer) for action in actions)
        assert master.offer is None


def test_a_public_key_that_everybody_holds_is_refused() -> None:
    """A point of small order gives every secret the same shared key: whoever shows one proves nothing."""
    recorded = Conversation()
    for public_key in (bytes(32), b"\x01" + bytes(31)):
        master = master_side()
        master.received(recorded.who, START_US)
        enrol = dataclasses.replace(box_claim_of("web-1", recorded), public_key=public_key)
        assert only(Close, master.received(write_frame(enrol), START_US)).cause is CloseCause.MALFORMED


def box_claim_of(minion_id: str, talk: Conversation) -> Enrol:
    transcript = transcript_of(talk.who, talk.document)
    return box_claim(Claim(MinionId(minion_id), transcript, "0.1.0"), MINION_CURVE, MASTER_CURVE.public, bytes(24))


def test_an_id_that_is_none_is_refused() -> None:
    recorded = Conversation()
    for minion_id in ("../../etc/passwd", "", "web 1", "x" * 129):
        master = master_side()
        master.received(recorded.who, START_US)
        enrol = write_frame(box_claim_of(minion_id, recorded))
        assert only(Close, master.received(enrol, START_US)).cause is CloseCause.MALFORMED


def test_messages_out_of_order_are_refused() -> None:
    talk = Conversation()
    orders = ([talk.enrol], [talk.who, talk.who], [talk.who, talk.enrol, talk.enrol], [talk.who, talk.enrol, talk.who])
    for order in orders:
        master = master_side()
        actions = [action for data in order for action in master.received(data, START_US)]
        assert only(Close, actions).cause is CloseCause.MALFORMED


def test_a_minion_of_another_generation_gets_the_signed_document_and_no_more() -> None:
    master = master_side()
    actions = master.received(write_frame(Who(PROTOCOL_VERSION + 1, 9, bytes(FRESHNESS_BYTES))), START_US)
    assert [type(action) for action in actions] == [Send, Close]
    assert only(Close, actions).reason == f"it speaks protocol versions {PROTOCOL_VERSION + 1} to 9"


def test_a_mute_connection_ends_after_five_seconds() -> None:
    master = master_side()
    assert master.deadline_us == START_US + SILENCE_LIMIT_US
    assert master.ticked(START_US + SILENCE_LIMIT_US - 1) == []
    assert only(Close, master.ticked(START_US + SILENCE_LIMIT_US)).cause is CloseCause.OVERDUE


def test_a_slow_sender_ends_after_five_seconds_however_often_it_sends() -> None:
    master, who = master_side(), sent(minion_side().start(START_US))
    actions: list[MasterAction] = []
    for at in range(len(who)):
        actions += master.received(who[at : at + 1], START_US + at * 300_000)
    assert [type(action) for action in actions] == [Close]
    assert only(Close, actions).cause is CloseCause.OVERDUE


def test_no_connection_lives_longer_than_ten_seconds() -> None:
    talk = Conversation(master=master_side())
    assert talk.master.deadline_us == END_US
    talk.master.decided(KeyStanding.PENDING, 10.0)
    assert talk.master.deadline_us == END_US
    assert only(Close, talk.master.ticked(END_US)).cause is CloseCause.FINISHED
    late = master_side()
    late.received(talk.who, START_US + SILENCE_LIMIT_US - 1)
    assert late.deadline_us <= END_US


def test_after_the_end_nothing_more_happens() -> None:
    talk = Conversation()
    assert only(Close, talk.master.closed()).cause is CloseCause.GONE
    assert talk.master.received(talk.who, START_US) == []
    assert talk.master.decided(KeyStanding.ACCEPTED, 10.0) == []
    assert talk.master.ticked(END_US) == []
    assert talk.master.closed() == []


def replay(pieces: list[bytes]) -> list[MasterAction]:
    master = master_side()
    return [action for piece in pieces for action in master.received(piece, START_US)]


@settings(max_examples=40)
@given(st.data())
def test_it_makes_the_same_of_the_same_bytes_in_whatever_pieces_they_arrive(data: st.DataObject) -> None:
    talk = Conversation()
    stream = talk.who + talk.enrol + data.draw(st.binary(max_size=30) | st.just(bytes(5000)))
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(stream) - 1))
        stream = stream[:at] + data.draw(st.binary(min_size=1, max_size=3)) + stream[at:]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    expected = replay([stream])
    assert replay(pieces) == expected
    assert replay([stream[at : at + 1] for at in range(len(stream))]) == expected


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_no_bytes_ever_raise(pieces: list[bytes]) -> None:
    actions = replay(pieces)
    assert sum(isinstance(action, Close) for action in actions) <= 1
    assert not any(isinstance(action, Offer) for action in actions)


def test_two_masters_of_one_identity_do_not_take_each_others_proofs() -> None:
    other = dataclasses.replace(INTRODUCTION, curve=CurveSecret.generate(bytes(range(9, 41))))
    recorded = Conversation()
    master = master_side(other)
    master.received(recorded.who, START_US)
    assert only(Close, master.received(recorded.enrol, START_US)).cause is CloseCause.MALFORMED


def test_every_state_is_reached_and_left_for_the_end() -> None:
    assert {state for state, _ in TRANSITIONS} == set(MasterKnows)
    assert set(TRANSITIONS.values()) == set(MasterKnows) - {MasterKnows.NOTHING}


def test_the_drawing_names_every_state() -> None:
    import fleet.core.enrolment as module

    drawing = Path(module.__file__).read_text(encoding="utf-8").partition('"""\n\nfrom')[0]
    assert {state.value for state in MasterKnows} <= set(re.findall(r"[a-z_]+", drawing))
