"""Keys, signatures, boxes, seals and digests: the only importer of nacl.

==================  =============================  ==============================================================
who holds it        key                            what it is for
==================  =============================  ==============================================================
master              ``SigningKey`` (Ed25519)       its identity: signs broadcasts, jobs and the master document
master, minion      ``CurveSecret`` (X25519)       the CURVE link, and the boxes of enrolment
master, all ready   ``BroadcastKey`` (256 bits)    seals broadcasts, for one epoch; never written to disk
==================  =============================  ==============================================================

Nothing here reads randomness: seeds, keys and nonces come in as arguments. nacl is imported at the first use, since it
costs 20 ms and the commands need only digests. Every failure is a ``CryptoError``: libsodium's binding raises
ValueError, TypeError and RuntimeError as well as its own error.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import NoReturn, ParamSpec, Self, TypeVar, final

from .dataclass import dataclass
from .errors import CryptoError

KEY_BYTES = 32
NONCE_BYTES = 24
SIGNATURE_BYTES = 64
DIGEST_BYTES = 32
#: What a box or a seal is longer than its plaintext.
TAG_BYTES = 16

#: What a signature is for. A signature under one label is worth nothing under another, so nothing signed for one
#: purpose can be shown for another. Append only; no label contains a zero byte.
LABEL_BROADCAST = b"fleet broadcast 1"
LABEL_JOB = b"fleet job 1"
LABEL_MASTER = b"fleet master 1"

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _call(
    failure: str, function: Callable[_Arguments, _Result], /, *arguments: _Arguments.args, **options: _Arguments.kwargs
) -> _Result:
    """Call libsodium; whatever it raises becomes a CryptoError with this message."""
    from nacl.exceptions import CryptoError as SodiumError

    try:
        return function(*arguments, **options)
    except (SodiumError, ValueError, TypeError, OverflowError) as problem:
        raise CryptoError(failure) from problem


def _check_length(what: str, raw: bytes, length: int) -> bytes:
    # The binding passes signing and curve keys to C unchecked, which reads as many bytes as it needs: past the end of a
    # short one. So every length is checked here, and only real bytes are let through.
    if type(raw) is not bytes:
        raise CryptoError(f"{what} must be bytes, not {type(raw).__name__}")
    if len(raw) != length:
        raise CryptoError(f"{what} has {length} bytes, not {len(raw)}")
    return raw


class _Secret:
    """Bytes that do not print, travel, or compare in a time that tells where they differ.

    Not a dataclass: those are turned into plain values by whatever sends or shows them.
    """

    __slots__ = ("_raw",)
    _raw: bytes

    def __init__(self, raw: bytes) -> None:
        object.__setattr__(self, "_raw", _check_length(f"a {type(self).__name__}", raw, KEY_BYTES))

    def reveal(self) -> bytes:
        """Return the 32 secret bytes: for the key file, libzmq or the welcome message, and nothing else."""
        return self._raw

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and equal(self._raw, other._raw)

    # No key of a dictionary, which would compare with an early end.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: secret>"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} does not change")

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is neither pickled nor copied")


@final
@dataclass(frozen=True, slots=True)
class VerifyKey:
    """The public half of an identity (Ed25519).

    Attributes:
        raw: its 32 bytes, checked when the object is made: ``CryptoError`` for another length.
    """

    raw: bytes

    def __post_init__(self) -> None:
        """Check the length."""
        _check_length("a VerifyKey", self.raw, KEY_BYTES)

    def verify(self, label: bytes, message: bytes, signature: bytes) -> None:
        """Return if ``signature`` (64 bytes) was made by the holder of this identity over label and message.

        Raises:
            CryptoError: it was not. Also when this key is a point of small order, for which anybody can sign.
        """
        from nacl import bindings

        _check_length("a signature", signature, SIGNATURE_BYTES)
        signed = signature + _labelled(label, message)
        _call("the signature is not of this key and message", bindings.crypto_sign_open, signed, self.raw)


@final
class SigningKey(_Secret):
    """The secret half of an identity (Ed25519); its bytes are the seed of RFC 8032."""

    __slots__ = ("_expanded", "public")
    _expanded: bytes
    #: What others verify with.
    public: VerifyKey

    def __init__(self, raw: bytes) -> None:
        from nacl import bindings

        super().__init__(raw)
        public, expanded = _call("the seed gives no key", bindings.crypto_sign_seed_keypair, raw)
        object.__setattr__(self, "public", VerifyKey(public))
        object.__setattr__(self, "_expanded", expanded)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Make the key of 32 random bytes.

        Raises:
            CryptoError: they are not 32 bytes.
        """
        return cls(seed)

    def sign(self, label: bytes, message: bytes) -> bytes:
        """Return the 64-byte signature over ``label || 0x00 || message``; the label is one of ``LABEL_*``."""
        from nacl import bindings

        signed = _call("the message cannot be signed", bindings.crypto_sign, _labelled(label, message), self._expanded)
        return signed[:SIGNATURE_BYTES]


def _labelled(label: bytes, message: bytes) -> bytes:
    if b"\0" in label:
        raise CryptoError("a label with a zero byte could be read as another label and message")
    return label + b"\0" + message


@final
@dataclass(frozen=True, slots=True)
class CurvePublic:
    """The public half of a CURVE key (X25519).

    Attributes:
        raw: its 32 bytes, checked when the object is made.
    """

    raw: bytes

    def __post_init__(self) -> None:
        """Refuse another length, and the points of small order.

        Those give every secret the same shared key, so whoever shows one "holds" a key without holding anything.
        Every X25519 secret is a multiple of 8, hence one multiplication (40 microseconds) finds them all.

        Raises:
            CryptoError: this is no key that somebody can hold.
        """
        from nacl import bindings

        _check_length("a CurvePublic", self.raw, KEY_BYTES)
        _call("the public key is a point of small order", bindings.crypto_scalarmult, b"\x01" * KEY_BYTES, self.raw)


@final
class CurveSecret(_Secret):
    """The secret half of a CURVE key (X25519)."""

    __slots__ = ("public",)
    #: What the other side boxes to.
    public: CurvePublic

    def __init__(self, raw: bytes) -> None:
        from nacl import bindings

        super().__init__(raw)
        public = _call("the bytes give no key", bindings.crypto_scalarmult_base, raw)
        object.__setattr__(self, "public", CurvePublic(public))

    @classmethod
    def generate(cls, random: bytes) -> Self:
        """Make the key of 32 random bytes.

        Raises:
            CryptoError: they are not 32 bytes.
        """
        return cls(random)


def box(secret: CurveSecret, peer: CurvePublic, nonce: bytes, plaintext: bytes) -> bytes:
    """Encrypt for ``peer`` and prove that it comes from the holder of ``secret`` (crypto_box: X25519, XSalsa20, Poly1305).

    The shared key is the same in both directions and for ever: what is boxed must itself say who speaks and in answer to
    what, and a nonce (24 bytes) must never be used twice between the same two keys; random ones are not.

    Returns:
        the box, 16 bytes longer than the plaintext.

    Raises:
        CryptoError: the nonce has another length.
    """
    from nacl import bindings

    _check_length("a nonce", nonce, NONCE_BYTES)
    return _call("the box cannot be made", bindings.crypto_box, plaintext, nonce, peer.raw, secret.reveal())


def open_box(secret: CurveSecret, peer: CurvePublic, nonce: bytes, boxed: bytes) -> bytes:
    """Open what ``peer`` boxed for us.

    Raises:
        CryptoError: it was altered, or made for or by somebody else.
    """
    from nacl import bindings

    _check_length("a nonce", nonce, NONCE_BYTES)
    return _call("the box does not open", bindings.crypto_box_open, boxed, nonce, peer.raw, secret.reveal())


@final
class BroadcastKey(_Secret):
    """The key of one broadcast epoch (XChaCha20-Poly1305, IETF), shared by all ready minions."""

    __slots__ = ()

    def seal(self, nonce: bytes, associated: bytes, plaintext: bytes) -> bytes:
        """Encrypt, and authenticate together with ``associated``, which travels in the clear.

        Returns:
            the sealed bytes, 16 longer than the plaintext.

        Raises:
            CryptoError: the nonce has not 24 bytes.
        """
        from nacl import bindings

        return _call(
            "the message cannot be sealed",
            bindings.crypto_aead_xchacha20poly1305_ietf_encrypt,
            plaintext,
            associated,
            nonce,
            self._raw,
        )

    def open(self, nonce: bytes, associated: bytes, sealed: bytes) -> bytes:
        """Decrypt what was sealed with this key, nonce and associated data.

        Raises:
            CryptoError: anything of it was altered. Whoever holds the key can seal: only the signature says who did.
        """
        from nacl import bindings

        return _call(
            "the seal does not open",
            bindings.crypto_aead_xchacha20poly1305_ietf_decrypt,
            sealed,
            associated,
            nonce,
            self._raw,
        )


def new_digest() -> hashlib.blake2b:
    """Start a digest over bytes that come in parts: ``update`` it, then ask for its ``digest()``."""
    return hashlib.blake2b(digest_size=DIGEST_BYTES)


def digest(data: bytes) -> bytes:
    """Return the 32-byte digest (BLAKE2b) of ``data``."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def equal(one: bytes, other: bytes) -> bool:
    """Compare two secrets, such as session tokens, in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)
