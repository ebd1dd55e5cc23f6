"""Outputs that are too long for one answer: read from the master part by part."""

from collections.abc import Iterator
from pathlib import Path

from ..core.control_answers import OutputPart, TargetResult
from ..core.control_requests import ReadOutput
from ..core.dataclass import replace
from ..core.errors import ProtocolError
from ..core.names import Jid, MinionId
from .connection import Connection


def read_parts(path: Path, jid: Jid, minion: MinionId, stream: str, offset: int = 0) -> Iterator[bytes]:
    """Read what is kept of the stdout or stderr of a job that has ended on a minion, from an offset on.

    Args:
        path: the master's control socket.
        jid: the job, whole.
        minion: one of its targets.
        stream: ``stdout`` or ``stderr``.
        offset: how many bytes of it to leave out.

    Raises:
        NotFoundError: there is no such target (any more).
    """
    with Connection(path) as connection:
        while True:
            answer = connection.request(ReadOutput(jid, minion, stream, offset))
            if not isinstance(answer, OutputPart):
                raise ProtocolError(f"the master answered a question for output with {type(answer).__name__}")
            if not answer.data:
                return
            yield answer.data
            offset += len(answer.data)


def with_long_output(path: Path, jid: Jid, answer: TargetResult) -> TargetResult:
    """The same result, with the outputs in it that were too long for the answer.

    Raises:
        NotFoundError: it was deleted meanwhile.
        ProtocolError: not as much is there as was said.
    """
    if not answer.long:
        return answer
    whole: dict[str, bytes] = {}
    for stream, length_bytes in answer.long.items():
        # Joined once: appended to one another the parts of 100 MB would be copied again and again.
        whole[stream] = b"".join(read_parts(path, jid, answer.minion, stream))
        if len(whole[stream]) != length_bytes:
            raise ProtocolError(f"{len(whole[stream])} of {length_bytes} bytes of the {stream} came from the job cache")
    stdout, stderr = whole.get("stdout", answer.stdout), whole.get("stderr", answer.stderr)
    return replace(answer, stdout=stdout, stderr=stderr, long={})
