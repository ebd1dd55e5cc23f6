import copy
import os
import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core import crypto
from fleet.core.crypto import (
    LABEL_BROADCAST,
    LABEL_JOB,
    LABEL_MASTER,
    BroadcastKey,
    CurvePublic,
    CurveSecret,
    SigningKey,
    VerifyKey,
    box,
    digest,
    equal,
    new_digest,
    open_box,
)
from fleet.core.errors import CryptoError
from fleet.core.values import plain

SIGNER = SigningKey.from_seed(bytes(range(32)))
MASTER = CurveSecret.generate(bytes(range(32)))
MINION = CurveSecret.generate(bytes(range(1, 33)))
BROADCAST = BroadcastKey(bytes(range(2, 34)))
NONCE = bytes(range(24))
SECRETS = [SIGNER, MASTER, BROADCAST]

# The points of small order, and those that are one of them when reduced.
SMALL_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
]


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes((data[position] ^ 1,)) + data[position + 1 :]


def test_nacl_is_not_imported_before_it_is_needed() -> None:
    program = (
        "import sys, fleet.core.crypto, fleet.keys.fingerprint as f; f.fingerprint(bytes(32)); fleet.core.crypto.digest(b'');"
        "sys.exit('nacl' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    assert subprocess.run([sys.executable, "-c", program], env=environment, timeout=30, check=False).returncode == 0


def test_the_keys_are_those_of_the_standards() -> None:
    # RFC 8032 7.1 test 1, RFC 7748 6.1.
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    secret = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    identity = SigningKey.from_seed(seed)
    curve = CurveSecret.generate(secret)

    assert identity.public.raw.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert curve.public.raw.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"


def test_a_signature_verifies_under_its_label_and_message_alone() -> None:
    signature = SIGNER.sign(LABEL_JOB, b"run uptime")

    SIGNER.public.verify(LABEL_JOB, b"run uptime", signature)
    assert len(signature) == crypto.SIGNATURE_BYTES
    for label, message in (
        (LABEL_BROADCAST, b"run uptime"),
        (LABEL_MASTER, b"run uptime"),
        (LABEL_JOB, b"run uptime "),
    ):
        with pytest.raises(CryptoError):
            SIGNER.public.verify(label, message, signature)


def test_a_signature_of_another_identity_does_not_verify() -> None:
    other = SigningKey.from_seed(bytes(32))

    with pytest.raises(CryptoError):
        SIGNER.public.verify(LABEL_JOB, b"m", other.sign(LABEL_JOB, b"m"))


@given(st.binary(max_size=200), st.integers(0, 63))
def test_each_byte_of_a_signature_counts(message: bytes, position: int) -> None:
    signature = SIGNER.sign(LABEL_JOB, message)

    with pytest.raises(CryptoError):
        SIGNER.public.verify(LABEL_JOB, message, flipped(signature, position))


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_a_signature_of_another_length_is_refused_and_bytes_do_not_move_into_the_message(length: int) -> None:
    signature = SIGNER.sign(LABEL_JOB, b"m")

    with pytest.raises(CryptoError):
        SIGNER.public.verify(LABEL_JOB, b"m", (signature * 2)[:length])


def test_a_label_with_a_zero_byte_is_refused() -> None:
    # Else label "a", message "b\0c" and label "a\0b", message "c" would be signed alike.
    with pytest.raises(CryptoError):
        SIGNER.sign(b"a\0b", b"c")
    with pytest.raises(CryptoError):
        SIGNER.public.verify(b"a\0b", b"c", bytes(64))


def test_no_byte_moves_between_signature_label_and_message() -> None:
    signature = SIGNER.sign(b"label", b"message")

    for label, message, shown in (
        (b"labelm", b"essage", signature),
        (b"labe", b"lmessage", signature),
        (b"abel", b"message", signature + b"l"),
        (b"", b"message", signature + b"label"),
    ):
        with pytest.raises(CryptoError):
            SIGNER.public.verify(label, message, shown)


def test_an_identity_of_small_order_verifies_nothing() -> None:
    # With the neutral element as key, R = S·B verifies for every message where the check is missing.
    neutral = VerifyKey(b"\x01" + bytes(31))

    with pytest.raises(CryptoError):
        neutral.verify(LABEL_JOB, b"anything", b"\x01" + bytes(63))


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
@pytest.mark.parametrize("kind", [SigningKey, CurveSecret, BroadcastKey, VerifyKey, CurvePublic])
def test_a_key_of_another_length_is_refused(kind: type[SigningKey | CurvePublic], length: int) -> None:
    with pytest.raises(CryptoError):
        kind(b"\x09" * length)


def test_a_key_that_is_no_bytes_is_refused() -> None:
    for raw in ("x" * 32, bytearray(32), None, 32):
        with pytest.raises(CryptoError):
            CurveSecret(raw)  # type: ignore[arg-type]


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_public_key_of_small_order_is_refused(point: str) -> None:
    with pytest.raises(CryptoError, match="small order"):
        CurvePublic(bytes.fromhex(point))


def test_a_box_opens_for_its_receiver_alone() -> None:
    boxed = box(MINION, MASTER.public, NONCE, b"my id is web-1")

    assert open_box(MASTER, MINION.public, NONCE, boxed) == b"my id is web-1"
    assert len(boxed) == len(b"my id is web-1") + crypto.TAG_BYTES
    stranger = CurveSecret(bytes(32))
    with pytest.raises(CryptoError):
        open_box(stranger, MINION.public, NONCE, boxed)
    with pytest.raises(CryptoError):
        open_box(MASTER, stranger.public, NONCE, boxed)
    with pytest.raises(CryptoError):
        open_box(MASTER, MINION.public, NONCE[::-1], boxed)


def test_a_box_is_the_box_of_nacl() -> None:
    from nacl import bindings

    expected = bindings.crypto_box_easy(b"text", NONCE, MASTER.public.raw, MINION.reveal())

    assert box(MINION, MASTER.public, NONCE, b"text") == expected


@given(st.binary(max_size=100))
def test_what_is_no_box_is_a_crypto_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(CryptoError):
        open_box(MASTER, MINION.public, NONCE, data)
    with pytest.raises(CryptoError):
        BROADCAST.open(NONCE, b"", data)


@pytest.mark.parametrize("length", [0, 12, 23, 25])
def test_a_nonce_of_another_length_is_refused(length: int) -> None:
    nonce = bytes(length)

    with pytest.raises(CryptoError):
        box(MASTER, MINION.public, nonce, b"")
    with pytest.raises(CryptoError):
        open_box(MASTER, MINION.public, nonce, bytes(16))
    with pytest.raises(CryptoError):
        BROADCAST.seal(nonce, b"", b"")
    with pytest.raises(CryptoError):
        BROADCAST.open(nonce, b"", bytes(16))


def test_a_seal_is_that_of_the_draft() -> None:
    # draft-irtf-cfrg-xchacha-03, A.3.1
    key = BroadcastKey(bytes(range(0x80, 0xA0)))
    text = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
        b"sunscreen would be it."
    )
    sealed = key.seal(bytes(range(0x40, 0x58)), bytes.fromhex("50515253c0c1c2c3c4c5c6c7"), text)

    assert sealed[:16].hex() == "bd6d179d3e83d43b9576579493c0e939"
    assert sealed[-16:].hex() == "c0875924c1c7987947deafd8780acf49"


@given(st.binary(max_size=300), st.binary(max_size=60), st.data())
def test_each_byte_of_a_seal_and_of_its_associated_data_counts(
    plaintext: bytes, associated: bytes, data: st.DataObject
) -> None:
    sealed = BROADCAST.seal(NONCE, associated, plaintext)

    assert BROADCAST.open(NONCE, associated, sealed) == plaintext
    with pytest.raises(CryptoError):
        BROADCAST.open(NONCE, associated, flipped(sealed, data.draw(st.integers(0, len(sealed) - 1))))
    with pytest.raises(CryptoError):
        BROADCAST.open(NONCE, associated + b"x", sealed)
    with pytest.raises(CryptoError):
        BroadcastKey(bytes(32)).open(NONCE, associated, sealed)


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: type(secret).__name__)
def test_a_secret_does_not_leave_by_accident(secret: SigningKey | CurveSecret | BroadcastKey) -> None:
    shown = f"{secret} {secret!r} {[secret]}"

    assert secret.reveal().hex() not in shown
    assert repr(secret.reveal()) not in shown
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    with pytest.raises(TypeError):
        plain(secret)
    with pytest.raises(TypeError):
        hash(secret)


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: type(secret).__name__)
def test_a_secret_does_not_change(secret: SigningKey | CurveSecret | BroadcastKey) -> None:
    with pytest.raises(AttributeError):
        secret._raw = bytes(32)
    with pytest.raises(AttributeError):
        del secret._raw
    with pytest.raises(AttributeError):
        secret.other = 1


def test_a_public_key_does_not_change() -> None:
    with pytest.raises(AttributeError):
        MASTER.public.raw = bytes(32)  # type: ignore[misc]


def test_secrets_are_equal_by_kind_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = bytes(range(32))

    assert CurveSecret(raw) == CurveSecret(raw)
    assert CurveSecret(raw) != CurveSecret(raw[::-1])
    assert CurveSecret(raw) != BroadcastKey(raw)
    assert CurveSecret(raw) != raw
    # In constant time: by our own comparison and not by that of bytes.
    monkeypatch.setattr(crypto, "equal", lambda one, other: False)
    assert CurveSecret(raw) != CurveSecret(raw)


def test_a_digest_in_parts_is_that_of_the_whole() -> None:
    parts = new_digest()
    parts.update(b"up")
    parts.update(b"time")

    assert parts.digest() == digest(b"uptime")
    assert len(digest(b"")) == crypto.DIGEST_BYTES
    assert digest(b"").hex() == "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"


def test_equal_compares_whole() -> None:
    assert equal(b"token", b"token")
    assert not equal(b"token", b"toke")
    assert not equal(b"token", b"tokem")


def test_no_label_is_the_beginning_of_another() -> None:
    labels = [value for name, value in vars(crypto).items() if name.startswith("LABEL_")]

    assert len(labels) >= 3
    assert all(one == other or not other.startswith(one) for one in labels for other in labels)
    assert all(b"\0" not in label for label in labels)
