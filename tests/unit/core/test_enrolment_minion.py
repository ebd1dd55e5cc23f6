import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.crypto import CurveSecret, SigningKey, VerifyKey
from fleet.core.enrolment import CONNECTION_LIMIT_US, Close, CloseCause
from fleet.core.enrolment_master import MasterEnrolment, Offer
from fleet.core.enrolment_messages import KeyStanding, verify_document
from fleet.core.enrolment_minion import (
    TRANSITIONS,
    Learned,
    MasterChanged,
    MinionAction,
    MinionEnrolment,
    MinionKnows,
    Trust,
    VerdictReceived,
)
from fleet.core.messages import PROTOCOL_VERSION
from support.enrolment import (
    IDENTITY,
    INTRODUCTION,
    MASTER_CURVE,
    START_US,
    Conversation,
    master_side,
    minion_side,
    only,
    sent,
)

END_US = START_US + CONNECTION_LIMIT_US


def asked() -> tuple[MinionEnrolment, MasterEnrolment, bytes]:
    """A minion that has asked, and the answer that has not reached it yet."""
    minion, master = minion_side(), master_side()
    return minion, master, sent(master.received(sent(minion.start(START_US)), START_US))


def test_a_minion_learns_its_master_and_is_accepted() -> None:
    talk = Conversation()
    assert talk.learned.is_first_contact
    assert talk.learned.document.request_port == 4606
    assert talk.tell(KeyStanding.ACCEPTED) == [
        VerdictReceived(KeyStanding.ACCEPTED, 10.0),
        Close(CloseCause.FINISHED, "the key is accepted"),
    ]


def test_what_it_keeps_of_the_master_can_be_verified_later() -> None:
    talk = Conversation()
    assert verify_document(talk.learned.kept, IDENTITY.public) == talk.learned.document


def test_a_pending_minion_hears_at_once_when_it_is_accepted() -> None:
    talk = Conversation()
    assert talk.tell(KeyStanding.PENDING) == [VerdictReceived(KeyStanding.PENDING, 10.0)]
    assert talk.minion.state is MinionKnows.IT_WAITS
    assert talk.tell(KeyStanding.ACCEPTED)[0] == VerdictReceived(KeyStanding.ACCEPTED, 10.0)
    assert talk.minion.is_closed


def test_a_pinned_master_is_no_first_contact() -> None:
    talk = Conversation(minion_side(lambda identity: Trust.KNOWN if identity == IDENTITY.public else Trust.CHANGED))
    assert not talk.learned.is_first_contact


def test_a_changed_master_is_refused_and_told_nothing() -> None:
    minion = minion_side(lambda _: Trust.CHANGED)
    who = sent(minion.start(START_US))
    actions = minion.received(sent(master_side().received(who, START_US)), START_US)
    assert actions == [MasterChanged(IDENTITY.public), Close(CloseCause.REFUSED, "another master answers")]


def test_the_signature_is_checked_before_anybody_is_asked_about_the_identity() -> None:
    def judge(_: VerifyKey) -> Trust:
        raise AssertionError("judged an identity that has proved nothing")

    minion = minion_side(judge)
    document = sent(master_side().received(sent(minion.start(START_US)), START_US))
    altered = document[:-1] + bytes([document[-1] ^ 1])
    assert only(Close, minion.received(altered, START_US)).cause is CloseCause.MALFORMED


def test_every_altered_byte_of_the_document_ends_the_connection_before_anything_is_told() -> None:
    _, _, document = asked()
    for at in range(len(document)):
        minion, _, _ = asked()
        altered = bytearray(document)
        altered[at] ^= 1
        actions = minion.received(bytes(altered), START_US)
        assert sent(actions) == b""
        assert not any(isinstance(action, Learned) for action in actions)
        assert minion.is_closed or actions == [], "only a longer frame may be waited for"


def test_an_answer_to_another_question_is_refused() -> None:
    _, _, answer_to_another = asked()
    minion = minion_side(seed=b"another minion")
    minion.start(START_US)
    assert only(Close, minion.received(answer_to_another, START_US)).cause is CloseCause.MALFORMED


def test_every_altered_byte_of_a_verdict_is_refused() -> None:
    verdict = sent(Conversation().master.decided(KeyStanding.ACCEPTED, 10.0))
    for at in range(len(verdict)):
        talk = Conversation()
        altered = bytearray(verdict)
        altered[at] ^= 1
        actions = talk.minion.received(bytes(altered), START_US)
        assert not any(isinstance(action, VerdictReceived) for action in actions)


def test_nobody_but_the_master_can_say_rejected() -> None:
    talk = Conversation()
    stranger = dataclasses.replace(INTRODUCTION, curve=CurveSecret.generate(bytes(range(5, 37))))
    forger = Conversation(minion_side(seed=b"another"), master_side(stranger))
    forged = sent(forger.master.decided(KeyStanding.REJECTED, 10.0))
    assert only(Close, talk.minion.received(forged, START_US)).cause is CloseCause.MALFORMED


def test_a_verdict_of_an_earlier_connection_cannot_be_repeated() -> None:
    earlier = sent(Conversation(minion_side(seed=b"earlier")).master.decided(KeyStanding.REJECTED, 10.0))
    assert only(Close, Conversation().minion.received(earlier, START_US)).cause is CloseCause.MALFORMED


def test_a_verdict_that_comes_twice_is_refused() -> None:
    talk = Conversation()
    pending = sent(talk.master.decided(KeyStanding.PENDING, 10.0))
    talk.minion.received(pending, START_US)
    assert talk.minion.received(pending, START_US) == [Close(CloseCause.MALFORMED, "a verdict came twice")]


def test_a_verdict_before_the_document_is_refused() -> None:
    minion, _, _ = asked()
    verdict = sent(Conversation().master.decided(KeyStanding.ACCEPTED, 10.0))
    assert only(Close, minion.received(verdict, START_US)).cause is CloseCause.MALFORMED


def test_a_rogue_that_shows_the_masters_curve_key_as_its_own_gets_no_acceptance() -> None:
    """The rogue signs its own document over the real master's CURVE key and nonce, and forwards everything else."""
    rogue = SigningKey.from_seed(bytes(range(7, 39)))
    minion, real = minion_side(), master_side()
    who = sent(minion.start(START_US))
    real.received(who, START_US)
    theirs = master_side(dataclasses.replace(INTRODUCTION, identity=rogue, curve=MASTER_CURVE))
    learned = minion.received(sent(theirs.received(who, START_US)), START_US)
    assert only(Learned, learned).document.curve == INTRODUCTION.curve.public.raw
    actions = real.received(sent(learned), START_US)
    assert not any(isinstance(action, Offer) for action in actions)
    assert only(Close, actions).cause is CloseCause.MALFORMED


def test_a_relay_cannot_narrow_the_versions_that_the_two_agree_on() -> None:
    minion, master = minion_side(), master_side()
    who = sent(minion.start(START_US))
    widened = who[:6] + b"\x09" + who[7:]
    learned = minion.received(sent(master.received(widened, START_US)), START_US)
    assert only(Close, master.received(sent(learned), START_US)).cause is CloseCause.MALFORMED


def test_a_master_of_another_generation_is_told_apart() -> None:
    above, highest = PROTOCOL_VERSION + 1, PROTOCOL_VERSION + 2
    newer = dataclasses.replace(INTRODUCTION, protocol_minimum=above, protocol_maximum=highest)
    minion = minion_side()
    close = only(
        Close, minion.received(sent(master_side(newer).received(sent(minion.start(START_US)), START_US)), START_US)
    )
    assert close.cause is CloseCause.REFUSED
    assert f"{above} to {highest}, this minion 1 to {PROTOCOL_VERSION}: upgrade" in close.reason


def test_silence_ends_the_connection_and_is_normal_while_waiting() -> None:
    minion, _, _ = asked()
    assert minion.ticked(END_US - 1) == []
    assert only(Close, minion.ticked(END_US)).cause is CloseCause.OVERDUE
    talk = Conversation()
    talk.tell(KeyStanding.PENDING)
    assert only(Close, talk.minion.ticked(END_US)).cause is CloseCause.FINISHED


def test_bytes_that_come_too_late_are_not_looked_at() -> None:
    minion, _, document = asked()
    assert [type(action) for action in minion.received(document, END_US)] == [Close]


def test_the_end_of_the_connection_is_normal_only_while_waiting() -> None:
    minion, _, _ = asked()
    assert only(Close, minion.closed()).cause is CloseCause.GONE
    talk = Conversation()
    talk.tell(KeyStanding.PENDING)
    assert only(Close, talk.minion.closed()).cause is CloseCause.FINISHED


def test_after_the_end_nothing_more_happens() -> None:
    talk = Conversation()
    talk.tell(KeyStanding.ACCEPTED)
    assert talk.minion.start(START_US) == []
    assert talk.minion.received(b"x" * 5000, START_US) == []
    assert talk.minion.ticked(END_US) == []
    assert talk.minion.closed() == []


def replay(pieces: list[bytes]) -> list[MinionAction]:
    minion = minion_side()
    minion.start(START_US)
    return [action for piece in pieces for action in minion.received(piece, START_US)]


@settings(max_examples=40)
@given(st.data())
def test_it_makes_the_same_of_the_same_bytes_in_whatever_pieces_they_arrive(data: st.DataObject) -> None:
    talk = Conversation()
    stream = talk.document + sent(talk.master.decided(KeyStanding.PENDING, 1.0))
    stream += sent(talk.master.decided(KeyStanding.ACCEPTED, 1.0)) + data.draw(st.binary(max_size=30))
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
    assert sent(actions) == b""


@pytest.mark.parametrize("cls", [MinionKnows])
def test_every_state_is_reached_and_left_for_the_end(cls: type[MinionKnows]) -> None:
    assert {state for state, _ in TRANSITIONS} == set(cls)
    assert set(TRANSITIONS.values()) == set(cls) - {MinionKnows.NOTHING}


def test_the_drawing_names_every_state() -> None:
    import fleet.core.enrolment as module

    drawing = Path(module.__file__).read_text(encoding="utf-8").partition('"""\n\nfrom')[0]
    assert {state.value for state in MinionKnows} <= set(re.findall(r"[a-z_]+", drawing))
