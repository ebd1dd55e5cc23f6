"""One control connection to the master, blocking: requests go out, answers come in, failures become our errors."""

import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

from ..core import errors
from ..core.control import ANSWER_LIMIT_BYTES, REQUEST_LIMIT_BYTES, Answer, Request
from ..core.control_answers import Done, Failure
from ..core.control_codec import ControlReader, read_answer, write_control
from ..core.errors import ArgumentError, FleetError, NotPermittedError, UnreachableError
from ..core.paths import Paths

#: ``sun_path`` has 108 bytes with its final zero, see unix(7).
SOCKET_PATH_LIMIT_BYTES = 107
#: The master answers from memory or from its job cache; half a minute of silence means that it hangs.
ANSWER_TIMEOUT_SECONDS = 30.0
_CONNECT_TIMEOUT_SECONDS = 5.0
_READ_BYTES = 256 * 1024
_LONGEST_WAIT_SECONDS = 86_400.0

#: A ``Failure`` names the class of the error.
ERROR_CLASSES: Mapping[str, type[FleetError]] = MappingProxyType(
    {
        cls.__name__: cls
        for cls in (
            errors.FleetError,
            errors.UsageError,
            errors.SettingsError,
            errors.StateError,
            errors.KeyStoreError,
            errors.StoreFullError,
            errors.UnreachableError,
            errors.NotPermittedError,
            errors.NoMatchError,
            errors.TargetError,
            errors.ArgumentError,
            errors.NotFoundError,
            errors.TransportError,
            errors.OutputError,
            errors.ProtocolError,
            errors.VersionError,
            errors.CryptoError,
        )
    }
)


def find_socket(root: str | Path | None = None, socket_path: str | Path | None = None) -> Path:
    """Find the master's control socket.

    In this order: ``socket_path``, the one below ``root``, ``FLEET_SOCKET``, the one below ``FLEET_ROOT``, the system's.
    """
    if socket_path:
        return Path(socket_path)
    if root:
        return Paths(Path(root)).control_socket
    if os.environ.get("FLEET_SOCKET"):
        return Path(os.environ["FLEET_SOCKET"])
    return Paths(Path(os.environ.get("FLEET_ROOT") or "/")).control_socket


class Connection:
    """One connection to the control socket; one request at a time.

    Args:
        path: the master's control socket.

    Raises:
        UnreachableError: no master listens there; the message says why, the hint what to do.
        NotPermittedError: this account may not open the socket.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = ControlReader(ANSWER_LIMIT_BYTES)
        self._frames: deque[tuple[int, bytes]] = deque()
        self._socket = _connect(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a stream ends with it."""
        self._socket.close()

    def request(self, request: Request, timeout_seconds: float | None = ANSWER_TIMEOUT_SECONDS) -> Answer:
        """Send a request and give back its one answer.

        Args:
            request: one that is answered once.
            timeout_seconds: how long the master may take; None for as long as it takes.

        Raises:
            FleetError: the master's ``Failure``, as the class that it names.
            UnreachableError: the master went away, or did not answer in half a minute.
        """
        self.send(request)
        return self._next(timeout_seconds)

    def stream(self, request: Request, timeout_seconds: float | None = ANSWER_TIMEOUT_SECONDS) -> Iterator[Answer]:
        """Send a request and yield its answers until the master says that it is done.

        Args:
            request: one that is answered with a stream.
            timeout_seconds: how long the master may take for each answer; None where it waits for something itself.

        Raises:
            FleetError: as ``request``.
        """
        self.send(request)
        while not isinstance(answer := self._next(timeout_seconds), Done):
            yield answer

    def _next(self, timeout_seconds: float | None) -> Answer:
        answer = self.receive(timeout_seconds)
        if answer is None:
            raise UnreachableError(
                f"the master did not answer on {self.path} in {timeout_seconds:.0f} s",
                "look at its log; it may be stopped, or its disk may hang",
            )
        return answer

    def send(self, request: Request) -> None:
        """Send a request without waiting for what comes back.

        Raises:
            ArgumentError: it holds something that cannot travel, or is longer than 2 MiB.
            UnreachableError: the master went away.
        """
        try:
            frame = write_control(request)
        except (TypeError, ValueError, OverflowError) as problem:
            raise ArgumentError(
                f"an argument cannot be sent: {problem}", "arguments are plain values and text"
            ) from problem
        if len(frame) > REQUEST_LIMIT_BYTES:
            raise ArgumentError(
                f"the request has {len(frame)} bytes; {REQUEST_LIMIT_BYTES} are allowed", "send large data as a file"
            )
        self._socket.settimeout(ANSWER_TIMEOUT_SECONDS)
        try:
            self._socket.sendall(frame)
        except OSError as problem:
            self._hear_why()
            raise self._gone(problem.strerror or str(problem)) from problem

    def receive(self, timeout_seconds: float | None) -> Answer | None:
        """Wait for the next answer; None when the time is up first.

        Raises:
            FleetError: the master's ``Failure``, as the class that it names.
            UnreachableError: the master went away.
            ProtocolError: what came is no answer.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not self._frames:
            # 0 would make the socket non-blocking; a millisecond takes what is already there.
            # A day at a time: the kernel counts milliseconds in 32 bits.
            left = None if deadline is None else min(deadline - time.monotonic(), _LONGEST_WAIT_SECONDS)
            self._socket.settimeout(None if left is None else max(left, 0.001))
            try:
                data = self._socket.recv(_READ_BYTES)
            except TimeoutError:
                if deadline is not None and time.monotonic() >= deadline:
                    return None
                continue
            except OSError as problem:
                raise self._gone(problem.strerror or str(problem)) from problem
            if not data:
                raise self._gone("it closed the connection")
            self._frames.extend(self._reader.feed(data))
        answer = read_answer(*self._frames.popleft())
        if isinstance(answer, Failure):
            raise ERROR_CLASSES.get(answer.kind, FleetError)(answer.message, answer.hint)
        return answer

    def _hear_why(self) -> None:
        """Raise what the master said before it closed the connection, if it said anything."""
        try:
            data = self._socket.recv(_READ_BYTES)
        except OSError:
            return
        for frame in self._reader.feed(data):
            answer = read_answer(*frame)
            if isinstance(answer, Failure):
                raise ERROR_CLASSES.get(answer.kind, FleetError)(answer.message, answer.hint)

    def _gone(self, reason: str) -> UnreachableError:
        return UnreachableError(
            f"the master went away: {reason} ({self.path})",
            "it was stopped, or has no descriptors left: its log says so; jobs that it has stored live on: fleet jobs list",
        )


def _connect(path: Path) -> socket.socket:
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_LIMIT_BYTES:
        raise UnreachableError(
            f"the path of the control socket has {length} bytes, a Unix socket allows {SOCKET_PATH_LIMIT_BYTES}: {path}",
            "choose a shorter folder with --root",
        )
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_CONNECT_TIMEOUT_SECONDS)
    try:
        connection.connect(os.fsencode(path))
    except BaseException as problem:
        connection.close()
        if isinstance(problem, OSError):
            raise _why_unreachable(path, problem) from problem
        raise
    return connection


def _why_unreachable(path: Path, problem: OSError) -> FleetError:
    start = "start it with fleet-master (or: systemctl start fleet-master)"
    match problem:
        case FileNotFoundError() | NotADirectoryError():
            return UnreachableError(
                f"no master runs here: there is no socket {path}", f"{start}, or name its folder with --root"
            )
        case PermissionError():
            return NotPermittedError(
                f"this account may not open the master's socket {path}",
                "run the command as root or as the account of the master",
            )
        case ConnectionRefusedError() if not path.is_socket():
            return UnreachableError(
                f"{path} is no socket",
                "look who made it, then remove it and start fleet-master; or name the socket with --socket",
            )
        case ConnectionRefusedError():
            return UnreachableError(
                f"no master listens on {path}: the socket was left behind by one that was killed", start
            )
        case TimeoutError() | BlockingIOError():
            return UnreachableError(
                f"the master does not take connections on {path}", "it may be stopped or overloaded; look at its log"
            )
    return UnreachableError(f"the master's socket {path} cannot be used: {problem.strerror}", start)
