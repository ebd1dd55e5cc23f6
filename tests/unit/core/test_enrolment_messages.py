import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core import packing
from fleet.core.crypto import LABEL_JOB, LABEL_MASTER, CurvePublic, CurveSecret, SigningKey, VerifyKey, box
from fleet.core.enrolment_messages import (
    CONNECTION_LIMIT_BYTES,
    BoxedVerdict,
    Claim,
    Enrol,
    Frame,
    FrameReader,
    FromHost,
    FromStranger,
    KeyStanding,
    MasterDocument,
    SignedDocument,
    Verdict,
    Who,
    box_claim,
    box_verdict,
    open_claim,
    open_verdict,
    read_document,
    read_from_master,
    read_from_minion,
    transcript_of,
    verify_document,
    write_frame,
)
from fleet.core.errors import CryptoError, ProtocolError, VersionError
from fleet.core.names import MinionId
from fleet.keys.minion_key import KeyState
from support.enrolment import IDENTITY, MASTER_CURVE, MINION_CURVE

NONCE = bytes(range(24))
TRANSCRIPT = bytes(range(100, 132))
WHO = Who(1, 1, bytes(range(32)))
DOCUMENT = MasterDocument(
    identity=IDENTITY.public.raw,
    curve=MASTER_CURVE.public.raw,
    publish_port=4605,
    request_port=4606,
    protocol_minimum=1,
    protocol_maximum=1,
    minion_nonce=bytes(range(32)),
    master_nonce=bytes(range(32, 64)),
    fleet_version="0.1.0",
)
CLAIM = Claim(MinionId("web-1"), TRANSCRIPT, "0.1.0")
VERDICT = Verdict(KeyStanding.PENDING, 1, 10.0, TRANSCRIPT)

GOLDEN = {
    "who": "00270101930101c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "document": (
        "00de010192c49799c42003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8c420358072d6"
        "365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254cd11fdcd11fe0101c42000010203040506070809"
        "0a0b0c0d0e0f101112131415161718191a1b1c1d1e1fc420202122232425262728292a2b2c2d2e2f3031323334353637"
        "38393a3b3c3d3e3fa5302e312e30c440691823d1eacf0a44a70667d816e1425475720e621dbc9f1ea1894c6a246faf0f"
        "9a323ab2c8cf77a4d35878b52006235f9aa1136dba69728af950718e990b0f07"
    ),
    "enrol": (
        "008e010293c42079a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51ac41800010203040506"
        "0708090a0b0c0d0e0f1011121314151617c44df7beb134aa2b3ffbe7736739bc06a1147e2f8aae9e0bf202e26c2f1173"
        "6a2576ae3c232ca5c5e7151d8eba31faa22151ec31881167c2986d62ff8a5a10d2666ede39a1a16d4da105b3575bd012"
    ),
    "verdict": (
        "0074010292c418000102030405060708090a0b0c0d0e0f1011121314151617c4554a411816234293ae62f1eb9114361c"
        "b77e2f8aae9e0be70bf1612b52364a87d34dfe3164fa65ae1f1fe91619b7c84a3d815fe7a536d48e7f70e1944802c470"
        "7ccc37af539fbb57d6f4011384594ea051443f44eb9e"
    ),
}


def signed(
    document: MasterDocument = DOCUMENT, key: SigningKey = IDENTITY, label: bytes = LABEL_MASTER
) -> SignedDocument:
    raw = packing.encode(document)
    return SignedDocument(raw, key.sign(label, raw))


def golden_messages() -> dict[str, FromStranger | FromHost]:
    return {
        "who": WHO,
        "document": signed(),
        "enrol": box_claim(CLAIM, MINION_CURVE, MASTER_CURVE.public, NONCE),
        "verdict": box_verdict(VERDICT, MASTER_CURVE, MINION_CURVE.public, NONCE),
    }


def frames_of(*pieces: bytes) -> list[Frame | str]:
    """Read all frames; an error is the last of them."""
    reader, found = FrameReader(), list[Frame | str]()
    for piece in pieces:
        reader.feed(piece)
        try:
            while (frame := reader.next_frame()) is not None:
                found.append(frame)
        except ProtocolError as problem:
            return [*found, problem.message]
    return found


def test_the_bytes_of_every_frame_are_these() -> None:
    assert {name: write_frame(message).hex() for name, message in golden_messages().items()} == GOLDEN


@pytest.mark.parametrize("name", ["who", "document", "enrol", "verdict"])
def test_the_bytes_of_old_are_still_read(name: str) -> None:
    (frame,) = frames_of(bytes.fromhex(GOLDEN[name]))
    assert isinstance(frame, Frame)
    read = read_from_minion if name in {"who", "enrol"} else read_from_master
    assert read(frame) == golden_messages()[name]


def test_the_states_of_a_key_have_the_same_names_on_the_wire_and_in_the_store() -> None:
    assert [standing.value for standing in KeyStanding] == [state.value for state in KeyState]


def test_the_four_frames_together_leave_most_of_the_allowance() -> None:
    assert sum(len(write_frame(message)) for message in golden_messages().values()) < 1000


@given(st.lists(st.binary(max_size=600), max_size=12))
def test_frames_come_out_the_same_in_whatever_pieces_they_arrive(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    expected = frames_of(whole)
    assert frames_of(*pieces) == expected
    assert frames_of(*(whole[at : at + 1] for at in range(len(whole)))) == expected


@given(st.lists(st.integers(0, 1200), min_size=1, max_size=8), st.data())
def test_whole_frames_up_to_the_allowance_are_read_and_none_beyond_it(lengths: list[int], data: st.DataObject) -> None:
    stream = b"".join((length + 2).to_bytes(2, "big") + b"\x01\x01" + bytes(length) for length in lengths)
    cut = data.draw(st.integers(0, len(stream)))
    found = frames_of(stream[:cut], stream[cut:])
    fitting = [length for at, length in enumerate(lengths) if sum(lengths[: at + 1]) + 4 * (at + 1) <= 4096]
    assert [len(frame.body) for frame in found if isinstance(frame, Frame)] == fitting
    assert isinstance(found[-1], str) == (len(stream) > CONNECTION_LIMIT_BYTES)


def test_the_reader_keeps_no_more_than_the_allowance() -> None:
    reader = FrameReader()
    for _ in range(1000):
        reader.feed(bytes(1000))
    assert len(reader._buffer) == CONNECTION_LIMIT_BYTES


@pytest.mark.parametrize("head", ["0000", "0001", "ffff", "0fff"])
def test_a_frame_that_is_too_short_or_too_long_is_refused_at_its_length(head: str) -> None:
    assert frames_of(bytes.fromhex(head)) == [f"a frame of {2 + int(head, 16)} bytes"]


def test_another_version_is_told_apart_before_the_kind_is_looked_at() -> None:
    reader = FrameReader()
    reader.feed(bytes.fromhex("00020263"))
    with pytest.raises(VersionError):
        reader.next_frame()


@given(st.integers(0, 255), st.binary(max_size=200))
def test_any_body_is_a_message_or_our_own_error(kind: int, body: bytes) -> None:
    for read in (read_from_minion, read_from_master):
        try:
            message = read(Frame(kind, body, b""))
        except ProtocolError:
            continue
        assert isinstance(message, (Who, Enrol, SignedDocument, BoxedVerdict))


@pytest.mark.parametrize(
    "who", [Who(0, 1, WHO.nonce), Who(2, 1, WHO.nonce), Who(1, 256, WHO.nonce), Who(1, 1, b""), Who(1, 1, bytes(33))]
)
def test_a_question_that_makes_no_sense_is_refused(who: Who) -> None:
    with pytest.raises(ProtocolError):
        read_from_minion(Frame(1, packing.encode(who), b""))


def test_a_document_is_read_when_its_own_identity_signed_it() -> None:
    assert read_document(signed()) == DOCUMENT


@pytest.mark.parametrize(
    "changes",
    [
        {"curve": bytes(31)},
        {"minion_nonce": bytes(31)},
        {"master_nonce": b""},
        {"publish_port": 0},
        {"request_port": 65536},
        {"protocol_minimum": 2},
        {"protocol_maximum": 0},
        {"fleet_version": ""},
        {"fleet_version": "1\x1b[2J"},
        {"fleet_version": "1" * 41},
    ],
)
def test_a_signed_document_that_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        read_document(signed(dataclasses.replace(DOCUMENT, **changes)))  # type: ignore[arg-type]  # any field


def test_a_document_signed_by_another_key_or_for_another_purpose_is_refused() -> None:
    other = SigningKey.from_seed(bytes(32))
    for wrong in (signed(key=other), signed(label=LABEL_JOB), dataclasses.replace(signed(), signature=b"")):
        with pytest.raises(CryptoError):
            read_document(wrong)


def test_every_altered_byte_of_a_kept_document_is_refused() -> None:
    kept = packing.encode(signed())
    assert verify_document(kept, IDENTITY.public) == DOCUMENT
    for at in range(len(kept)):
        altered = bytearray(kept)
        altered[at] ^= 1
        with pytest.raises(ProtocolError):
            verify_document(bytes(altered), IDENTITY.public)


def test_a_kept_document_of_another_master_is_refused() -> None:
    other = SigningKey.from_seed(bytes(32))
    theirs = signed(dataclasses.replace(DOCUMENT, identity=other.public.raw), other)
    assert read_document(theirs).identity == other.public.raw
    with pytest.raises(CryptoError, match="another master"):
        verify_document(packing.encode(theirs), VerifyKey(IDENTITY.public.raw))


def test_a_later_release_may_append_fields_to_a_document() -> None:
    raw = packing.encode(DOCUMENT)
    longer = bytes([raw[0] + 1]) + raw[1:] + b"\x07"
    assert read_document(SignedDocument(longer, IDENTITY.sign(LABEL_MASTER, longer))) == DOCUMENT


def test_a_claim_opens_for_the_master_it_was_made_for() -> None:
    enrol = box_claim(CLAIM, MINION_CURVE, MASTER_CURVE.public, NONCE)
    assert open_claim(enrol, MASTER_CURVE, MINION_CURVE.public, TRANSCRIPT) == CLAIM
    with pytest.raises(CryptoError):
        open_claim(enrol, CurveSecret.generate(bytes(32)), MINION_CURVE.public, TRANSCRIPT)


def test_a_claim_for_another_connection_is_refused() -> None:
    enrol = box_claim(CLAIM, MINION_CURVE, MASTER_CURVE.public, NONCE)
    with pytest.raises(CryptoError, match="another connection"):
        open_claim(enrol, MASTER_CURVE, MINION_CURVE.public, bytes(32))


def test_nobody_claims_a_key_without_holding_it() -> None:
    thief = CurveSecret.generate(bytes(range(1, 33)))
    stolen = dataclasses.replace(
        box_claim(CLAIM, thief, MASTER_CURVE.public, NONCE), public_key=MINION_CURVE.public.raw
    )
    with pytest.raises(CryptoError):
        open_claim(stolen, MASTER_CURVE, MINION_CURVE.public, TRANSCRIPT)


def test_a_box_is_worth_nothing_in_the_other_direction() -> None:
    enrol = box_claim(CLAIM, MINION_CURVE, MASTER_CURVE.public, NONCE)
    reflected = BoxedVerdict(enrol.nonce, enrol.boxed)
    with pytest.raises(CryptoError, match="another purpose"):
        open_verdict(reflected, MINION_CURVE, MASTER_CURVE.public, TRANSCRIPT)
    verdict = box_verdict(VERDICT, MASTER_CURVE, MINION_CURVE.public, NONCE)
    with pytest.raises(CryptoError, match="another purpose"):
        open_claim(Enrol(MINION_CURVE.public.raw, NONCE, verdict.boxed), MASTER_CURVE, MINION_CURVE.public, TRANSCRIPT)


@pytest.mark.parametrize("minion_id", ["../x", "", "a b", "x" * 129, "-x", "web-1\n"])
def test_what_is_no_minion_id_is_refused(minion_id: str) -> None:
    claim = dataclasses.replace(CLAIM, minion_id=MinionId(minion_id))
    enrol = box_claim(claim, MINION_CURVE, MASTER_CURVE.public, NONCE)
    with pytest.raises(ProtocolError):
        open_claim(enrol, MASTER_CURVE, MINION_CURVE.public, TRANSCRIPT)


@given(st.binary(max_size=200))
def test_any_boxed_bytes_are_refused_with_our_own_error(inner: bytes) -> None:
    for label in (b"", b"fleet claim 1\0", b"fleet verdict 1\0"):
        boxed = box(MINION_CURVE, MASTER_CURVE.public, NONCE, label + inner)
        with pytest.raises(ProtocolError):
            open_claim(Enrol(b"", NONCE, boxed), MASTER_CURVE, MINION_CURVE.public, TRANSCRIPT)
        with pytest.raises(ProtocolError):
            open_verdict(BoxedVerdict(NONCE, boxed), MASTER_CURVE, CurvePublic(MINION_CURVE.public.raw), TRANSCRIPT)


def test_the_transcript_depends_on_every_byte_of_both_frames() -> None:
    who, document = write_frame(WHO), write_frame(signed())
    seen = {transcript_of(who, document)}
    for at in range(len(who)):
        seen.add(transcript_of(who[:at] + bytes([who[at] ^ 1]) + who[at + 1 :], document))
    for at in range(len(document)):
        seen.add(transcript_of(who, document[:at] + bytes([document[at] ^ 1]) + document[at + 1 :]))
    assert len(seen) == 1 + len(who) + len(document)
