"""One request to the master, and its one answer: what every part of ``Client`` is made of."""

from pathlib import Path
from typing import TypeVar

from ..core.control import Answer, Request
from ..core.errors import ProtocolError
from .connection import ANSWER_TIMEOUT_SECONDS, Connection, find_socket
from .stdin_upload import upload_stdin

_Answer = TypeVar("_Answer", bound=Answer)


class Asking:
    """Asks the master of this machine, each time over a connection of its own.

    Attributes:
        socket_path: the master's control socket.

    Args:
        root: the folder that the master was started with; see ``find_socket`` for what counts without it.
        socket: the master's control socket, when it lies elsewhere.
    """

    def __init__(self, root: str | Path | None = None, socket: str | Path | None = None) -> None:
        self.socket_path = find_socket(root, socket)

    def _ask(
        self,
        request: Request,
        expected: type[_Answer],
        timeout_seconds: float | None = ANSWER_TIMEOUT_SECONDS,
        stdin: bytes = b"",
    ) -> _Answer:
        with Connection(self.socket_path) as connection:
            upload_stdin(connection, stdin)
            answer = connection.request(request, timeout_seconds)
        if not isinstance(answer, expected):
            raise ProtocolError(
                f"the master answered {type(request).__name__} with {type(answer).__name__}",
                "restart the master after an upgrade, so that both are of one release",
            )
        return answer
