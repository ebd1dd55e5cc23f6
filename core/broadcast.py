"""The envelope of a broadcast: sealed so that only those who hold the key of this epoch read it, signed by the master.

A broadcast is two frames: the topic, which libzmq filters by, and the envelope::

    envelope                                     sealed, opened
    byte 0       protocol version, 1             byte 0        kind: 1 job, 2 probe
    byte 1-4     epoch        u32                byte 1-8      expiry, microseconds since 1970   u64
    byte 5-12    sequence     u64                byte 9-28     jid, 20 digits; zeros (0x00) in a probe
    byte 13-36   nonce                           byte 29-      body
    byte 37-     sealed (16 bytes longer)        last 64       signature

Integers are big-endian. Bytes 0-12, the header, are authenticated by the seal (XChaCha20-Poly1305, as associated data).
The signature is by the master's identity over ``LABEL_BROADCAST``, the header and the opened bytes in front of it: every
minion holds the broadcast key, so a seal alone would let each of them command all others.

Epoch, key and first sequence come from an authenticated ``Welcome`` or ``Renewal`` and from nowhere else. A broadcast is
taken once and in order: whoever forwards it can drop and delay it, but not repeat, reorder or redirect it.
"""

import struct
from enum import IntEnum

from .crypto import LABEL_BROADCAST, NONCE_BYTES, SIGNATURE_BYTES, TAG_BYTES, BroadcastKey, SigningKey, VerifyKey
from .dataclass import dataclass
from .errors import CryptoError, ProtocolError, VersionError
from .messages import JOB_FRAME_LIMIT_BYTES, PROTOCOL_FIRST
from .names import Jid, is_jid

#: The first frame, and the only subscription that the master grants.
BROADCAST_TOPIC = b"fleet"

_HEADER = struct.Struct(">BIQ")
_CONTENT = struct.Struct(">BQ20s")
_NO_JID = bytes(20)
_SEALED_AT = _HEADER.size + NONCE_BYTES

#: What an envelope is longer than its body.
ENVELOPE_OVERHEAD_BYTES = _SEALED_AT + _CONTENT.size + SIGNATURE_BYTES + TAG_BYTES
ENVELOPE_LIMIT_BYTES = JOB_FRAME_LIMIT_BYTES


class BroadcastKind(IntEnum):
    """What a broadcast carries; append only."""

    JOB = 1
    PROBE = 2


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One broadcast as the master means it.

    Attributes:
        epoch: of the key that seals it, 32 bits.
        sequence: greater than that of the broadcast before in this epoch, 64 bits.
        kind: job or probe.
        jid: of the job; None in a probe.
        expiry_us: not to be started after this moment of the master's clock, microseconds since 1970.
        body: an encoded ``JobDocument`` or ``Probe``.
    """

    epoch: int
    sequence: int
    kind: BroadcastKind
    jid: Jid | None
    expiry_us: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """One broadcast as a minion may believe it: sealed in this epoch, signed by the master, newer than all before.

    Attributes:
        kind: job or probe.
        sequence: its number.
        jid: of the job; None in a probe.
        expiry_us: by the master's clock; whoever starts the job judges it.
        body: an encoded ``JobDocument`` or ``Probe``.
        missed: how many numbers were skipped since the last one that was opened: broadcasts that never arrived.
    """

    kind: BroadcastKind
    sequence: int
    jid: Jid | None
    expiry_us: int
    body: bytes
    missed: int


def seal_broadcast(broadcast: Broadcast, key: BroadcastKey, signer: SigningKey, nonce: bytes) -> bytes:
    """Make the envelope.

    Args:
        broadcast: what it says.
        key: of ``broadcast.epoch``.
        signer: the master's identity.
        nonce: 24 random bytes, never used before with this key.

    Raises:
        ProtocolError: it would be longer than ``ENVELOPE_LIMIT_BYTES``, a number does not fit, or a job has no jid.
        CryptoError: the nonce has another length.
    """
    if len(broadcast.body) > ENVELOPE_LIMIT_BYTES - ENVELOPE_OVERHEAD_BYTES:
        raise ProtocolError(f"a broadcast of {len(broadcast.body)} bytes is too long to send")
    if (broadcast.kind is BroadcastKind.JOB) != (broadcast.jid is not None):
        raise ProtocolError("a job has a jid and a probe has none")
    jid = _NO_JID if broadcast.jid is None else broadcast.jid.encode("ascii")
    try:
        header = _HEADER.pack(PROTOCOL_FIRST, broadcast.epoch, broadcast.sequence)
        content = _CONTENT.pack(broadcast.kind, broadcast.expiry_us, jid) + broadcast.body
    except struct.error as problem:
        raise ProtocolError(f"a number of the broadcast does not fit: {problem}") from problem
    signature = signer.sign(LABEL_BROADCAST, header + content)
    return header + nonce + key.seal(nonce, header, content + signature)


class BroadcastWindow:
    """What a minion accepts: one epoch, one master, and only numbers beyond the last one.

    Attributes:
        epoch: of the key.
        sequence: of the last broadcast that was opened, or where the session began.
    """

    __slots__ = ("_key", "_master", "epoch", "sequence")

    def __init__(self, epoch: int, key: BroadcastKey, sequence: int, master: VerifyKey) -> None:
        """Begin where the welcome says: broadcasts up to ``sequence`` are not for this session."""
        self.epoch = epoch
        self.sequence = sequence
        self._key = key
        self._master = master

    def renew(self, epoch: int, key: BroadcastKey, sequence: int) -> None:
        """Take another epoch, as an authenticated welcome or renewal says; what is sealed in the old one is refused.

        For the epoch and key that are already here the number never goes back, so nothing can be opened twice.
        """
        is_known = epoch == self.epoch and key == self._key
        self.sequence = max(sequence, self.sequence) if is_known else sequence
        self.epoch = epoch
        self._key = key

    def open(self, envelope: bytes) -> Opened:
        """Check and open one envelope. Whatever is refused leaves the window as it was.

        Raises:
            VersionError: its protocol version is not served.
            CryptoError: the seal or the signature is not the master's of this epoch.
            ProtocolError: another epoch, a number that is not beyond the last one, too long, too short, or no broadcast.
        """
        header, epoch, sequence = _read_header(envelope)
        if epoch != self.epoch:
            raise ProtocolError(f"a broadcast of epoch {epoch} while epoch {self.epoch} holds")
        if sequence <= self.sequence:
            raise ProtocolError(f"broadcast {sequence} comes again or too late: {self.sequence} was opened")
        signed = self._key.open(envelope[_HEADER.size : _SEALED_AT], header, envelope[_SEALED_AT:])
        content, signature = signed[:-SIGNATURE_BYTES], signed[-SIGNATURE_BYTES:]
        self._check_signer(header + content, signature)
        kind, expiry_us, jid = _read_content(content)
        missed = sequence - self.sequence - 1
        # Only now: whoever holds the broadcast key could else use up all numbers with one forged broadcast.
        self.sequence = sequence
        return Opened(kind, sequence, jid, expiry_us, content[_CONTENT.size :], missed)

    def _check_signer(self, content: bytes, signature: bytes) -> None:
        try:
            self._master.verify(LABEL_BROADCAST, content, signature)
        except CryptoError as problem:
            raise CryptoError("a broadcast was sealed with the fleet's key but not signed by the master") from problem


def _read_header(envelope: bytes) -> tuple[bytes, int, int]:
    if not ENVELOPE_OVERHEAD_BYTES <= len(envelope) <= ENVELOPE_LIMIT_BYTES:
        raise ProtocolError(f"a broadcast of {len(envelope)} bytes")
    header = envelope[: _HEADER.size]
    version, epoch, sequence = _HEADER.unpack(header)
    if version != PROTOCOL_FIRST:
        raise VersionError(f"protocol version {version} is not served", "upgrade the older of the two sides")
    return header, epoch, sequence


def _read_content(content: bytes) -> tuple[BroadcastKind, int, Jid | None]:
    number, expiry_us, raw_jid = _CONTENT.unpack_from(content)
    try:
        kind = BroadcastKind(number)
    except ValueError as problem:
        raise ProtocolError(f"a broadcast of kind {number} is unknown") from problem
    if kind is BroadcastKind.PROBE:
        return kind, expiry_us, None
    jid = raw_jid.decode("latin-1")
    if not is_jid(jid):
        raise ProtocolError("a broadcast of a job without a jid")
    return kind, expiry_us, Jid(jid)
