"""A master for tests of clients: a thread behind a Unix socket that answers each kind of request with what the test says."""

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from fleet.core.control import REQUEST_LIMIT_BYTES, Answer, Request
from fleet.core.control_codec import ControlReader, read_request, write_control

_PATIENCE_SECONDS = 10.0

#: What the master does for a request, in order: send an answer or raw bytes, wait for an event, call something, or hang up.
Step = Answer | bytes | threading.Event | Callable[[], object] | None
Script = Mapping[type[Request], Sequence[Step]]


class FakeMaster:
    """Answers by a script; ``requests`` holds what was asked, in order.

    Args:
        path: where its socket lies.
        script: the steps for each class of request; a class that is not there is answered with nothing. ``None`` among the
            steps hangs up; else the connection stays open until the client closes it.
    """

    def __init__(self, path: Path, script: Script) -> None:
        self.path = path
        self.requests: list[Request] = []
        self._script = script
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for connection in self._open:
            connection.close() if connection.fileno() < 0 else connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS)
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def asked(self, kind: type[Request]) -> list[Request]:
        """Return the requests of this class, in order."""
        return [request for request in self.requests if isinstance(request, kind)]

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="fake master", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self._start(lambda each=connection: self._serve(each))  # type: ignore[misc]

    def _serve(self, connection: socket.socket) -> None:
        reader = ControlReader(REQUEST_LIMIT_BYTES)
        try:
            while data := connection.recv(65_536):
                for kind, body in reader.feed(data):
                    request = read_request(kind, body)
                    self.requests.append(request)
                    if not self._answer(connection, request):
                        return
        except OSError:
            return
        finally:
            self._open.remove(connection)
            connection.close()

    def _answer(self, connection: socket.socket, request: Request) -> bool:
        """Go through the steps for a request; False when one of them hangs up."""
        for step in self._script.get(type(request), ()):
            match step:
                case None:
                    return False
                case bytes():
                    connection.sendall(step)
                case threading.Event():
                    step.wait(_PATIENCE_SECONDS)
                case _ if callable(step):
                    step()
                case _:
                    connection.sendall(write_control(step))
        return True
