"""Frames of the control socket and back: length, version, kind, body."""

from collections.abc import Iterator, Mapping
from typing import cast

from .control import ANSWERS, CONTROL_HEADER_BYTES, CONTROL_VERSION, REQUESTS, Answer, Request
from .errors import ProtocolError, VersionError
from .packing import decode, encode

_KINDS_OF = {cls: kind for table in (REQUESTS, ANSWERS) for kind, cls in table.items()}


def write_control(message: Request | Answer) -> bytes:
    """Write one whole frame."""
    body = encode(message)
    return (len(body) + 2).to_bytes(4, "big") + bytes((CONTROL_VERSION, _KINDS_OF[type(message)])) + body


class ControlReader:
    """Cuts a stream of bytes into frames; the caller reads the socket.

    Args:
        limit_bytes: a longer frame is refused as soon as its length is seen.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Take bytes and give back each frame that is whole, as kind and body.

        Raises:
            VersionError: the other side speaks another version.
            ProtocolError: a frame is longer than the limit, or has no header.
        """
        self._buffer += data
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if length > self._limit_bytes or length < CONTROL_HEADER_BYTES - 4:
                raise ProtocolError(f"a control frame of {length} bytes; at most {self._limit_bytes} are read")
            if len(self._buffer) < 4 + length:
                return
            version, kind = self._buffer[4:CONTROL_HEADER_BYTES]
            if version != CONTROL_VERSION:
                raise VersionError(
                    f"the other side speaks version {version} of the control protocol, this one {CONTROL_VERSION}",
                    "restart the master after an upgrade, so that both are of one release",
                )
            with memoryview(self._buffer) as view:
                body = bytes(view[CONTROL_HEADER_BYTES : 4 + length])
            del self._buffer[: 4 + length]
            yield kind, body


def read_request(kind: int, body: bytes) -> Request:
    """Read the body of a request.

    Raises:
        ProtocolError: an unknown kind, or a body that is no such request.
    """
    return cast("Request", _read(REQUESTS, kind, body))


def read_answer(kind: int, body: bytes) -> Answer:
    """Read the body of an answer.

    Raises:
        ProtocolError: an unknown kind, or a body that is no such answer.
    """
    return cast("Answer", _read(ANSWERS, kind, body))


def _read(table: Mapping[int, type], kind: int, body: bytes) -> object:
    cls = table.get(kind)
    if cls is None:
        raise ProtocolError(f"control kind {kind} is unknown")
    return decode(cls, body)
