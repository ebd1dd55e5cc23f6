"""What commands have uploaded as the stdin of the jobs that they are about to submit: within bounds, one for each connection. Pure."""

from collections.abc import Mapping
from hashlib import blake2b

from ..core.control import STDIN_PART_BYTES
from ..core.control_requests import UploadStdin
from ..core.crypto import new_digest
from ..core.dataclass import dataclass, field
from ..core.errors import ArgumentError, UnreachableError

#: What all uploads together may take, their announced lengths counted; a connection that would go beyond it is told to try again.
UPLOADS_LIMIT_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stdin:
    """The whole stdin of a job, and its digest; both empty for none."""

    data: bytes = b""
    digest: bytes = b""


@dataclass(slots=True)
class _Upload:
    total_bytes: int
    data: bytearray = field(default_factory=bytearray)
    # Part by part: over 64 MiB at once the loop would stand still for a tenth of a second.
    running: blake2b = field(default_factory=new_digest)


class StdinUploads:
    """The uploads that are under way, by control connection; each goes with its job, or with its connection.

    Args:
        stdin_limit_bytes: how long one may be.
        limit_bytes: how long all may be together.
    """

    def __init__(self, stdin_limit_bytes: int, limit_bytes: int = UPLOADS_LIMIT_BYTES) -> None:
        self._stdin_limit_bytes = stdin_limit_bytes
        self._limit_bytes = limit_bytes
        self._uploads: dict[int, _Upload] = {}
        self._used_bytes = 0

    def take(self, connection: int, part: UploadStdin) -> None:
        """Take one part.

        Raises:
            ArgumentError: the whole is longer than allowed, or this is not the part that follows.
            UnreachableError: there is no memory for it now.
        """
        if part.total_bytes > self._stdin_limit_bytes:
            raise ArgumentError(
                f"the stdin has {part.total_bytes} bytes, this master takes {self._stdin_limit_bytes}",
                "raise stdin_limit_bytes in master.yaml, or bring large content to the minions another way",
            )
        if part.offset == 0:
            self._begin(connection, part.total_bytes)
        upload = self._uploads.get(connection)
        if upload is None or part.total_bytes != upload.total_bytes or part.offset != len(upload.data):
            raise ArgumentError("a part of a stdin does not follow the one before", "let the client upload it")
        if not 0 < len(part.data) <= min(STDIN_PART_BYTES, upload.total_bytes - len(upload.data)):
            raise ArgumentError(f"a part of a stdin has {len(part.data)} bytes", "let the client upload it")
        upload.data += part.data
        upload.running.update(part.data)

    def finish(self, connection: int, length_bytes: int) -> Stdin:
        """Give out the stdin that a job is submitted with, and hold nothing of it any more; nothing for a job without.

        Raises:
            ArgumentError: that is not what was uploaded.
        """
        upload = self._uploads.get(connection)
        self.drop(connection)
        received = len(upload.data) if upload else 0
        if length_bytes != (upload.total_bytes if upload else 0) or received != length_bytes:
            raise ArgumentError(
                f"the job has a stdin of {length_bytes} bytes, and {received} were uploaded", "let the client upload it"
            )
        return Stdin(bytes(upload.data), upload.running.digest()) if upload else Stdin()

    def drop(self, connection: int) -> None:
        """A control connection has gone, or begins anew."""
        upload = self._uploads.pop(connection, None)
        if upload is not None:
            self._used_bytes -= upload.total_bytes

    def figures(self) -> Mapping[str, tuple[int, int]]:
        """How much memory is promised to uploads, with its limit."""
        return {"stdin_uploads_bytes": (self._used_bytes, self._limit_bytes)}

    def _begin(self, connection: int, total_bytes: int) -> None:
        self.drop(connection)
        if self._used_bytes + total_bytes > self._limit_bytes:
            raise UnreachableError(
                f"the master holds {self._used_bytes} bytes of stdin that other commands upload just now, and takes "
                f"{self._limit_bytes} in all",
                "try again",
            )
        self._uploads[connection] = _Upload(total_bytes)
        self._used_bytes += total_bytes
