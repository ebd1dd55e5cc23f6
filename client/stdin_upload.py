"""Gives the master the stdin of a job, in parts, before the job is submitted over the same connection."""

from ..core.control import STDIN_LIMIT_MOST_BYTES, STDIN_PART_BYTES
from ..core.control_answers import Done
from ..core.control_requests import UploadStdin
from ..core.errors import ArgumentError, ProtocolError
from .connection import Connection


def upload_stdin(connection: Connection, stdin: bytes) -> None:
    """Upload a stdin; nothing happens when it is empty.

    Raises:
        ArgumentError: it is longer than the master takes.
        UnreachableError: the master went away, or has no memory for it now.
    """
    check_stdin_length(len(stdin))
    whole = memoryview(stdin)
    for offset in range(0, len(whole), STDIN_PART_BYTES):
        part = bytes(whole[offset : offset + STDIN_PART_BYTES])
        answer = connection.request(UploadStdin(offset, len(whole), part))
        if not isinstance(answer, Done):
            raise ProtocolError(f"the master answered a part of a stdin with {type(answer).__name__}")


def check_stdin_length(length_bytes: int) -> None:
    """See that a stdin is no longer than any master takes.

    Raises:
        ArgumentError: it is.
    """
    if length_bytes > STDIN_LIMIT_MOST_BYTES:
        raise ArgumentError(
            f"the stdin has more than {STDIN_LIMIT_MOST_BYTES} bytes, which is the most that a master takes",
            "bring large content to the minions another way",
        )
