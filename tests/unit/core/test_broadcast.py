import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.broadcast import (
    ENVELOPE_LIMIT_BYTES,
    ENVELOPE_OVERHEAD_BYTES,
    Broadcast,
    BroadcastKind,
    BroadcastWindow,
    Opened,
    seal_broadcast,
)
from fleet.core.crypto import LABEL_BROADCAST, LABEL_JOB, BroadcastKey, SigningKey
from fleet.core.errors import CryptoError, ProtocolError, VersionError
from fleet.core.names import Jid

MASTER = SigningKey.from_seed(bytes(range(32)))
THIEF = SigningKey.from_seed(bytes(range(1, 33)))
KEY = BroadcastKey(bytes(range(32, 64)))
OTHER_KEY = BroadcastKey(bytes(range(64, 96)))
NONCE = bytes(range(24))
JID = Jid("20261120221012000042")
JOB = Broadcast(7, 42, BroadcastKind.JOB, JID, 1_793_000_000_000_000, b"uptime")

GOLDEN = (
    "0100000007000000000000002a000102030405060708090a0b0c0d0e0f1011121314151617b60982af8c60124917dc7b"
    "0f65620acc282d2f5ae8df75a7bc3ec25646fc7684d18a0aef95542671f8a1951409443d6a5e1ae4c24fec3257c80ab4"
    "171719febaf8f933792d837e68704ce9467793108270460acbea4dc7363b73b3837e0003592916e90ca6ac22ae7fc0fc"
    "baf58de33d1ed764"
)


def window(sequence: int = 41, epoch: int = 7, key: BroadcastKey = KEY) -> BroadcastWindow:
    return BroadcastWindow(epoch, key, sequence, MASTER.public)


def sealed(sequence: int = 42, signer: SigningKey = MASTER, **changes: object) -> bytes:
    return seal_broadcast(dataclasses.replace(JOB, sequence=sequence, **changes), KEY, signer, NONCE)  # type: ignore[arg-type]  # replace is untyped


def forged(content: bytes, signer: SigningKey = MASTER, label: bytes = LABEL_BROADCAST, sequence: int = 42) -> bytes:
    header = bytes.fromhex("0100000007") + sequence.to_bytes(8, "big")
    return header + NONCE + KEY.seal(NONCE, header, content + signer.sign(label, header + content))


def test_the_bytes_of_an_envelope_are_these() -> None:
    assert sealed().hex() == GOLDEN


def test_the_bytes_of_old_are_still_opened() -> None:
    opened = window().open(bytes.fromhex(GOLDEN))
    assert opened == Opened(BroadcastKind.JOB, 42, JID, 1_793_000_000_000_000, b"uptime", 0)


def test_a_probe_has_no_jid() -> None:
    probe = Broadcast(7, 42, BroadcastKind.PROBE, None, 0, b"")
    opened = window().open(seal_broadcast(probe, KEY, MASTER, NONCE))
    assert (opened.kind, opened.jid, opened.body) == (BroadcastKind.PROBE, None, b"")


def test_every_altered_byte_is_refused_and_changes_nothing() -> None:
    envelope, receiver = sealed(), window()
    for position in range(len(envelope)):
        for flip in (0x01, 0x80, 0xFF):
            altered = bytearray(envelope)
            altered[position] ^= flip
            with pytest.raises(ProtocolError):
                receiver.open(bytes(altered))
    assert receiver.sequence == 41
    assert receiver.open(envelope).sequence == 42


def test_a_cut_or_lengthened_envelope_is_refused() -> None:
    envelope = sealed()
    for length in range(len(envelope)):
        with pytest.raises(ProtocolError):
            window().open(envelope[:length])
    with pytest.raises(CryptoError):
        window().open(envelope + b"\0")


def test_a_replayed_broadcast_is_refused() -> None:
    receiver = window()
    receiver.open(sealed())
    with pytest.raises(ProtocolError, match="again or too late"):
        receiver.open(sealed())


def test_a_broadcast_that_was_overtaken_is_refused() -> None:
    receiver = window()
    receiver.open(sealed(44))
    with pytest.raises(ProtocolError, match="again or too late"):
        receiver.open(sealed(43))


def test_a_broadcast_from_before_the_welcome_is_refused() -> None:
    with pytest.raises(ProtocolError, match="again or too late"):
        window(sequence=42).open(sealed(42))


def test_a_gap_is_reported() -> None:
    receiver = window()
    assert [receiver.open(sealed(number)).missed for number in (42, 43, 47, 48)] == [0, 0, 3, 0]


def test_another_epoch_is_refused_with_either_key() -> None:
    for key in (KEY, OTHER_KEY):
        with pytest.raises(ProtocolError, match="epoch 7 while epoch 8"):
            window(epoch=8, key=key).open(sealed())


def test_a_broadcast_cannot_bring_its_own_epoch_or_number() -> None:
    envelope = sealed()
    for header in (bytes.fromhex("0100000008"), bytes.fromhex("0100000007")):
        renumbered = header + (10**6).to_bytes(8, "big") + envelope[13:]
        with pytest.raises(ProtocolError):
            window(epoch=header[4]).open(renumbered)


def test_a_holder_of_the_broadcast_key_cannot_speak_for_the_master() -> None:
    receiver = window()
    with pytest.raises(CryptoError, match="not signed by the master"):
        receiver.open(sealed(2**64 - 1, signer=THIEF))
    assert receiver.sequence == 41, "a forged broadcast used up the numbers"


def test_a_holder_of_the_broadcast_key_cannot_reuse_a_signature_under_another_number_or_epoch() -> None:
    signed = KEY.open(NONCE, sealed()[:13], sealed()[37:])
    for epoch, number in ((7, 43), (8, 42)):
        header = b"\x01" + epoch.to_bytes(4, "big") + number.to_bytes(8, "big")
        with pytest.raises(CryptoError, match="not signed by the master"):
            window(epoch=epoch).open(header + NONCE + KEY.seal(NONCE, header, signed))


def test_what_the_master_signed_for_another_purpose_is_no_broadcast() -> None:
    content = KEY.open(NONCE, sealed()[:13], sealed()[37:])[:-64]
    assert window().open(forged(content)).body == b"uptime"
    with pytest.raises(CryptoError):
        window().open(forged(content, label=LABEL_JOB))


def test_a_job_without_a_jid_and_an_unknown_kind_are_refused() -> None:
    for content in (b"\x01" + bytes(28), b"\x03" + bytes(28), b"\x01" + bytes(8) + b"2026112022101200004\xff"):
        receiver = window()
        with pytest.raises(ProtocolError):
            receiver.open(forged(content))
        assert receiver.sequence == 41


def test_an_unknown_version_is_told_apart() -> None:
    with pytest.raises(VersionError):
        window().open(b"\x02" + sealed()[1:])


def test_a_renewal_ends_the_old_epoch() -> None:
    receiver = window()
    receiver.renew(8, OTHER_KEY, 0)
    with pytest.raises(ProtocolError):
        receiver.open(sealed())
    fresh = seal_broadcast(dataclasses.replace(JOB, epoch=8, sequence=1), OTHER_KEY, MASTER, NONCE)
    assert receiver.open(fresh).sequence == 1


def test_the_number_never_goes_back_within_an_epoch() -> None:
    receiver = window()
    receiver.open(sealed())
    receiver.renew(7, BroadcastKey(KEY.reveal()), 10)
    assert receiver.sequence == 42
    receiver.renew(7, KEY, 50)
    assert receiver.sequence == 50
    receiver.renew(7, OTHER_KEY, 3)
    assert receiver.sequence == 3


def test_an_oversize_envelope_is_neither_made_nor_opened() -> None:
    largest = dataclasses.replace(JOB, body=bytes(ENVELOPE_LIMIT_BYTES - ENVELOPE_OVERHEAD_BYTES))
    envelope = seal_broadcast(largest, KEY, MASTER, NONCE)
    assert len(envelope) == ENVELOPE_LIMIT_BYTES
    assert len(window().open(envelope).body) == len(largest.body)
    with pytest.raises(ProtocolError, match="too long"):
        seal_broadcast(dataclasses.replace(largest, body=largest.body + b"x"), KEY, MASTER, NONCE)
    with pytest.raises(ProtocolError):
        window().open(envelope + b"\0")


@pytest.mark.parametrize(
    "wrong",
    [
        dataclasses.replace(JOB, epoch=2**32),
        dataclasses.replace(JOB, sequence=-1),
        dataclasses.replace(JOB, expiry_us=2**64),
        dataclasses.replace(JOB, jid=None),
        dataclasses.replace(JOB, kind=BroadcastKind.PROBE),
    ],
)
def test_what_does_not_fit_the_envelope_is_not_sealed(wrong: Broadcast) -> None:
    with pytest.raises(ProtocolError):
        seal_broadcast(wrong, KEY, MASTER, NONCE)


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_with_our_own_error(envelope: bytes) -> None:
    with pytest.raises(ProtocolError):
        window().open(envelope)


@given(st.binary(max_size=200))
def test_any_content_that_is_sealed_but_not_signed_is_refused(content: bytes) -> None:
    header = bytes.fromhex("0100000007000000000000002a")
    with pytest.raises(ProtocolError):
        window().open(header + NONCE + KEY.seal(NONCE, header, content))


@given(st.lists(st.integers(1, 30), max_size=40))
def test_over_a_network_that_drops_repeats_and_reorders_each_number_is_opened_once_and_in_order(
    arrivals: list[int],
) -> None:
    receiver, opened = window(sequence=0), []
    for number in arrivals:
        try:
            opened.append(receiver.open(sealed(number)))
        except ProtocolError:
            continue
    numbers = [each.sequence for each in opened]
    assert numbers == sorted(set(numbers))
    assert sum(each.missed + 1 for each in opened) == max(arrivals, default=0)
