"""Messages of the fleet's ports and frames: header and body, versions and kinds.

Apart from ``core/packing.py``, because a command needs none of these messages: to make their classes takes a seventh of the time in
which ``fleet`` starts.
"""

from collections.abc import Mapping
from typing import cast

from .dataclass import dataclass
from .errors import ProtocolError, VersionError
from .from_minion import NO_STREAM
from .messages import (
    FEW_ITEMS_BYTES,
    FRAME_LIMIT_ITEMS,
    FROM_MASTER,
    FROM_MINION,
    HEADER_BYTES,
    NO_TOKEN,
    PROTOCOL_FIRST,
    PROTOCOL_MINIMUM,
    PROTOCOL_VERSION,
    SINCE,
    FromMaster,
    FromMinion,
)
from .msgpack_lengths import check_items
from .packing import decode, encode, share


@dataclass(frozen=True, slots=True)
class Header:
    """The first 18 bytes of a frame on the request port."""

    kind: int
    token: bytes


def read_header(frame: bytes) -> Header:
    """Read version, kind and token; nothing of the body is looked at.

    Raises:
        VersionError: the version is not served.
        ProtocolError: the frame is too short.
    """
    if len(frame) < HEADER_BYTES:
        raise ProtocolError("a frame shorter than its header")
    if not PROTOCOL_MINIMUM <= frame[0] <= PROTOCOL_VERSION:
        raise VersionError(f"protocol version {frame[0]} is not served", "upgrade the older of the two sides")
    return Header(frame[1], frame[2:HEADER_BYTES])


share(NO_STREAM)
_KINDS_OF = {cls: kind for table in (FROM_MINION, FROM_MASTER) for kind, cls in table.items()}


def write_frame(message: FromMinion | FromMaster, token: bytes = NO_TOKEN) -> bytes:
    """Write a whole frame: header and body; its version is the one in which this kind of message came."""
    kind = type(message)
    return bytes((SINCE.get(kind, PROTOCOL_FIRST), _KINDS_OF[kind])) + token + encode(message)


def with_token(frame: bytes, token: bytes) -> bytes:
    """The same frame for another session: what is said to many is written once."""
    return frame[:2] + token + frame[HEADER_BYTES:]


def read_from_minion(header: Header, frame: bytes) -> FromMinion:
    """Read the body of a frame that a minion sent.

    Raises:
        ProtocolError: an unknown kind, a body that is no such message, or one of more items than a minion of ours sends.
    """
    if len(frame) > FEW_ITEMS_BYTES:
        check_items(frame[HEADER_BYTES:], FRAME_LIMIT_ITEMS)
    return cast("FromMinion", _read(FROM_MINION, header, frame))


def read_from_master(header: Header, frame: bytes) -> FromMaster:
    """Read the body of a frame that the master sent.

    Raises:
        ProtocolError: an unknown kind, or a body that is no such message.
    """
    return cast("FromMaster", _read(FROM_MASTER, header, frame))


def _read(table: Mapping[int, type], header: Header, frame: bytes) -> object:
    cls = table.get(header.kind)
    if cls is None:
        raise ProtocolError(f"kind {header.kind} is unknown")
    return decode(cls, frame[HEADER_BYTES:])
