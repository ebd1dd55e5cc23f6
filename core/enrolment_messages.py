"""What is said on the enrolment port: four frames, bounded before anything in them is believed.

::

    minion                                                     master
      │ Who             versions, nonce                          │
      ├─────────────────────────────────────────────────────────▶│
      │ SignedDocument  identity, CURVE key, ports, both nonces  │   signed by the identity
      │◀─────────────────────────────────────────────────────────┤
      │ Enrol           public key, boxed Claim                  │   boxed from the minion's key to the CURVE key
      ├─────────────────────────────────────────────────────────▶│
      │ BoxedVerdict    boxed Verdict: pending, accepted …       │   boxed back; once more when the operator decides
      │◀─────────────────────────────────────────────────────────┤

    byte 0-1     length of the rest, big-endian
    byte 2       version of this protocol
    byte 3       kind: an index of ``FROM_MINION`` or ``FROM_MASTER``
    byte 4-      body: msgpack array of the fields, in the order written here

``Claim`` and ``Verdict`` name the transcript: a digest of the first two frames, hence of both nonces, both version ranges and
the master's identity. So neither can be repeated on another connection, and a master that shows another one's CURVE key
under its own identity gets no box that opens there. Fields are only ever appended, with a default.
"""

import re
import struct
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from . import packing
from .crypto import KEY_BYTES, LABEL_MASTER, NONCE_BYTES, CurvePublic, CurveSecret, VerifyKey, box, digest, open_box
from .dataclass import dataclass
from .errors import CryptoError, ProtocolError, VersionError
from .names import MinionId

#: Of the frames written here. The versions that the fleet's ports speak are fields in them.
ENROLMENT_VERSION = 1
#: What each side may send on one connection. All four frames together have about 900.
CONNECTION_LIMIT_BYTES = 4096
FRESHNESS_BYTES = 32

_HEAD = struct.Struct(">HBB")
#: A frame begins with the length of what follows, big-endian.
FRAME_LENGTH_BYTES = 2
_LABEL_TRANSCRIPT = b"fleet enrolment 1\0"
_LABEL_CLAIM = b"fleet claim 1\0"
_LABEL_VERDICT = b"fleet verdict 1\0"
# Strangers send it and people read it.
_RELEASE = re.compile(r"[A-Za-z0-9.+_-]{1,40}", re.ASCII)


class KeyStanding(StrEnum):
    """What the master says about a minion's key; append only."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Who:
    """The minion asks who the master is.

    Attributes:
        protocol_minimum: the oldest version of the fleet's ports that it speaks.
        protocol_maximum: the newest.
        nonce: 32 random bytes.
    """

    protocol_minimum: int
    protocol_maximum: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class MasterDocument:
    """Who the master is and where its ports are.

    Attributes:
        identity: Ed25519 public key, 32 bytes: what is pinned, and what signs this.
        curve: X25519 public key, 32 bytes: of the fleet's ports, and what the minion boxes to.
        publish_port: broadcasts.
        request_port: everything else.
        protocol_minimum: the oldest version that the ports serve.
        protocol_maximum: the newest.
        minion_nonce: as the minion sent it.
        master_nonce: 32 random bytes.
        fleet_version: the master's release, for people.
    """

    identity: bytes
    curve: bytes
    publish_port: int
    request_port: int
    protocol_minimum: int
    protocol_maximum: int
    minion_nonce: bytes
    master_nonce: bytes
    fleet_version: str


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """An encoded ``MasterDocument`` and the identity's signature over these bytes; an accepted minion keeps it."""

    document: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Enrol:
    """The minion's CURVE public key, and a boxed ``Claim`` that proves that it holds the secret half."""

    public_key: bytes
    nonce: bytes
    boxed: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What the minion calls itself, to this master and on this connection."""

    minion_id: MinionId
    transcript: bytes
    fleet_version: str


@dataclass(frozen=True, slots=True)
class BoxedVerdict:
    """A boxed ``Verdict``: nobody but the master can make one, or read it."""

    nonce: bytes
    boxed: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the minion's key stands.

    Attributes:
        standing: the state of the key.
        number: 1, 2 … on this connection, so that none comes twice.
        retry_seconds: when to ask again, counted from the end of this connection.
        transcript: of this connection.
    """

    standing: KeyStanding
    number: int
    retry_seconds: float
    transcript: bytes


FromStranger = Who | Enrol
FromHost = SignedDocument | BoxedVerdict

#: Append only: the position is the kind byte.
FROM_MINION: Mapping[int, type[FromStranger]] = MappingProxyType({1: Who, 2: Enrol})
FROM_MASTER: Mapping[int, type[FromHost]] = MappingProxyType({1: SignedDocument, 2: BoxedVerdict})
_KIND_OF = {cls: kind for table in (FROM_MINION, FROM_MASTER) for kind, cls in table.items()}


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame; ``raw`` is all of it, for the transcript."""

    kind: int
    body: bytes
    raw: bytes


class FrameReader:
    """Cuts the bytes of one direction of one connection into frames, and takes no more than it may have."""

    __slots__ = ("_buffer", "_has_excess", "_room")

    def __init__(self) -> None:
        """Begin with the whole allowance."""
        self._buffer = bytearray()
        self._room = CONNECTION_LIMIT_BYTES
        self._has_excess = False

    def feed(self, data: bytes) -> None:
        """Take what arrived; beyond the allowance nothing is kept, and ``next_frame`` says so in its turn."""
        kept = data[: self._room]
        self._buffer += kept
        self._room -= len(kept)
        self._has_excess = self._has_excess or len(kept) < len(data)

    def next_frame(self) -> Frame | None:
        """Return the next whole frame, or None until more bytes are there.

        What it answers depends on the bytes alone, not on the pieces that they came in.

        Raises:
            VersionError: the frame has another version.
            ProtocolError: the frame is longer than the allowance, or too short.
        """
        buffer = self._buffer
        if len(buffer) >= FRAME_LENGTH_BYTES:
            length = FRAME_LENGTH_BYTES + int.from_bytes(buffer[:FRAME_LENGTH_BYTES], "big")
            if not _HEAD.size <= length <= len(buffer) + self._room:
                raise ProtocolError(f"a frame of {length} bytes")
            if len(buffer) >= length:
                raw = bytes(buffer[:length])
                del buffer[:length]
                return _open_frame(raw)
        if self._has_excess:
            raise ProtocolError(f"more than {CONNECTION_LIMIT_BYTES} bytes on one connection")
        return None


def _open_frame(raw: bytes) -> Frame:
    _, version, kind = _HEAD.unpack_from(raw)
    if version != ENROLMENT_VERSION:
        raise VersionError(f"enrolment version {version} is not served", "upgrade the older of the two sides")
    return Frame(kind, raw[_HEAD.size :], raw)


def write_frame(message: FromStranger | FromHost) -> bytes:
    """Write a whole frame."""
    body = packing.encode(message)
    return _HEAD.pack(_HEAD.size - FRAME_LENGTH_BYTES + len(body), ENROLMENT_VERSION, _KIND_OF[type(message)]) + body


def read_from_minion(frame: Frame) -> FromStranger:
    """Read the body of a frame that a minion sent.

    Raises:
        ProtocolError: an unknown kind, or a body that is no such message.
    """
    cls = FROM_MINION.get(frame.kind)
    if cls is None:
        raise ProtocolError(f"kind {frame.kind} is unknown")
    message = packing.decode(cls, frame.body)
    if isinstance(message, Who):
        _check_versions(message.protocol_minimum, message.protocol_maximum)
        _check_length("a nonce", message.nonce, FRESHNESS_BYTES)
    return message


def read_from_master(frame: Frame) -> FromHost:
    """Read the body of a frame that a master sent.

    Raises:
        ProtocolError: an unknown kind, or a body that is no such message.
    """
    cls = FROM_MASTER.get(frame.kind)
    if cls is None:
        raise ProtocolError(f"kind {frame.kind} is unknown")
    return packing.decode(cls, frame.body)


def read_document(signed: SignedDocument) -> MasterDocument:
    """Read a document that is signed by the identity that it names; whether to trust that one is another question.

    Raises:
        CryptoError: the signature is not that identity's.
        ProtocolError: the bytes are no document, or its numbers make no sense.
    """
    document = packing.decode(MasterDocument, signed.document)
    VerifyKey(document.identity).verify(LABEL_MASTER, signed.document, signed.signature)
    _check_length("a CURVE key", document.curve, KEY_BYTES)
    for nonce in (document.minion_nonce, document.master_nonce):
        _check_length("a nonce", nonce, FRESHNESS_BYTES)
    if not all(1 <= port <= 65_535 for port in (document.publish_port, document.request_port)):
        raise ProtocolError("a document whose ports are no ports")
    _check_versions(document.protocol_minimum, document.protocol_maximum)
    _check_release(document.fleet_version)
    return document


def verify_document(kept: bytes, identity: VerifyKey) -> MasterDocument:
    """Read a document that was kept (an encoded ``SignedDocument``), signed by the pinned identity.

    Raises:
        CryptoError: it is of another identity, or was altered.
        ProtocolError: the bytes are no document.
    """
    document = read_document(packing.decode(SignedDocument, kept))
    if document.identity != identity.raw:
        raise CryptoError("the kept document is signed by another master than the pinned one")
    return document


def transcript_of(who: bytes, signed_document: bytes) -> bytes:
    """Return the digest of the first two frames of a connection; each begins with its length, so the cut is certain."""
    return digest(_LABEL_TRANSCRIPT + who + signed_document)


def box_claim(claim: Claim, minion: CurveSecret, master: CurvePublic, nonce: bytes) -> Enrol:
    """Box what a minion claims to the master's CURVE key."""
    boxed = box(minion, master, nonce, _LABEL_CLAIM + packing.encode(claim))
    return Enrol(minion.public.raw, nonce, boxed)


def open_claim(enrol: Enrol, master: CurveSecret, minion: CurvePublic, transcript: bytes) -> Claim:
    """Open what a minion claims: it holds the key ``minion``, it means this master, and it speaks now.

    Raises:
        CryptoError: it does not hold that key, or claims for another connection.
        ProtocolError: the box holds no claim, or a minion id that is none.
    """
    plaintext = _open_box(master, minion, enrol.nonce, enrol.boxed, _LABEL_CLAIM)
    claim = packing.decode(Claim, plaintext)
    _check_transcript(claim.transcript, transcript)
    _check_release(claim.fleet_version)
    return claim


def box_verdict(verdict: Verdict, master: CurveSecret, minion: CurvePublic, nonce: bytes) -> BoxedVerdict:
    """Box what the master says to the minion's key."""
    return BoxedVerdict(nonce, box(master, minion, nonce, _LABEL_VERDICT + packing.encode(verdict)))


def open_verdict(boxed: BoxedVerdict, minion: CurveSecret, master: CurvePublic, transcript: bytes) -> Verdict:
    """Open what the master says.

    Raises:
        CryptoError: somebody else said it, or it was said on another connection.
        ProtocolError: the box holds no verdict.
    """
    verdict = packing.decode(Verdict, _open_box(minion, master, boxed.nonce, boxed.boxed, _LABEL_VERDICT))
    _check_transcript(verdict.transcript, transcript)
    return verdict


def _open_box(secret: CurveSecret, peer: CurvePublic, nonce: bytes, boxed: bytes, label: bytes) -> bytes:
    # A box opens with the key of either side: without the label a minion's own words could be sent back to it.
    _check_length("a box nonce", nonce, NONCE_BYTES)
    plaintext = open_box(secret, peer, nonce, boxed)
    if not plaintext.startswith(label):
        raise CryptoError("the box was made for another purpose")
    return plaintext[len(label) :]


def _check_transcript(said: bytes, expected: bytes) -> None:
    if said != expected:
        raise CryptoError("the box was made for another connection")


def _check_length(what: str, raw: bytes, length: int) -> None:
    if len(raw) != length:
        raise ProtocolError(f"{what} has {length} bytes, not {len(raw)}")


def _check_versions(minimum: int, maximum: int) -> None:
    if not 1 <= minimum <= maximum <= 255:
        raise ProtocolError("a range of protocol versions that is none")


def is_release(text: str) -> bool:
    """Tell whether a text can be the release of a daemon: short, and without anything that a log or a terminal would obey."""
    return _RELEASE.fullmatch(text) is not None


def _check_release(text: str) -> None:
    if not is_release(text):
        raise ProtocolError("a release that is none")
