"""The master's control socket: a Unix stream socket for the commands and the console, served by a plain poll loop.

Who may speak is the kernel's word (``SO_PEERCRED``), not the client's. Every connection is bounded: one request in flight, so many
bytes of answers unread, and so many connections in all.
"""

import errno
import os
import pwd
import socket
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ..core.control import ANSWER_LIMIT_BYTES, Answer, Request
from ..core.dataclass import dataclass
from ..core.errors import FleetError, NotPermittedError, ProtocolError, UnreachableError
from .control_connection import ControlConnection, answer_frame, failure_frame
from .control_socket import identity_of, listen, peer_of

CLIENTS_LIMIT = 64
#: A client that reads nothing: the answer that goes beyond this is its last one.
BUFFER_LIMIT_BYTES = 64 * 1024 * 1024
NO_DESCRIPTORS = UnreachableError(
    "the master has no descriptors left, and turns connections away",
    "try again, and raise its LimitNOFILE or ulimit -n",
)
#: Refused connections that have not been closed by their clients; the oldest gives way.
_ENDING_LIMIT = 16
_ACCEPTS_AT_ONCE = 64
#: Answers that are there together are written in pieces of about this size: as much as a client reads at once.
_WRITE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Caller:
    """The process at the other end of a control connection, by the kernel's word."""

    uid: int
    gid: int
    pid: int
    user: str


@dataclass(slots=True)
class ControlCounters:
    """What has come and gone since the start.

    Attributes:
        not_permitted: connections of accounts that may not speak to this master.
        refused: connections beyond the limit, or for which there was no descriptor.
        slow_readers: connections that were ended because they left too much unread.
    """

    connections: int = 0
    requests: int = 0
    not_permitted: int = 0
    refused: int = 0
    malformed: int = 0
    slow_readers: int = 0


class ControlPort:
    """Listens, reads requests and writes answers, never blocking.

    The loop polls ``descriptors()``, gives what is ready to ``handle``, answers with ``send`` and says ``finish`` after the last answer
    to a request; ``closed`` names the connections that have gone.

    Attributes:
        slow_reader: the last one that was ended because it left too much unread.

    Args:
        path: of the socket; see ``core/paths.py``.
        clients_limit: connections served at a time.
        buffer_limit_bytes: answers that one client may leave unread.
        uids: who may speak; root and the account of this process when None.

    Raises:
        TransportError: another master listens there, the path is too long, or the socket cannot be made.
    """

    def __init__(
        self,
        path: Path,
        clients_limit: int = CLIENTS_LIMIT,
        buffer_limit_bytes: int = BUFFER_LIMIT_BYTES,
        uids: frozenset[int] | None = None,
    ) -> None:
        self.path = path
        self.counters = ControlCounters()
        self.slow_reader = ""
        self._clients_limit = clients_limit
        self._buffer_limit_bytes = buffer_limit_bytes
        # Looked up once: a directory server that hangs must not stop the loop.
        self._users = {uid: _user_name(uid) for uid in (frozenset({0, os.geteuid()}) if uids is None else uids)}
        self._connections: dict[int, ControlConnection] = {}
        self._callers: dict[int, Caller] = {}
        self._numbers: dict[int, int] = {}
        self._ending: deque[int] = deque()
        self._closed: list[int] = []
        self._held: dict[int, bytearray] | None = None
        self._next_number = 1
        self._listener = listen(path)
        self._identity = identity_of(path)
        # Given up to take and refuse a connection when there is no descriptor left; else the loop would spin on it.
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    # What the loop calls.

    def descriptors(self) -> Mapping[int, bool]:
        """What to poll: every descriptor is waited for to become readable, those with True also to become writable."""
        wanted = {self._listener.fileno(): False}
        for descriptor, number in self._numbers.items():
            wanted[descriptor] = self._connections[number].pending_bytes > 0
        return wanted

    def handle(self, descriptor: int, readable: bool, writable: bool) -> list[tuple[int, Caller, Request]]:
        """Do what a descriptor is ready for; return the request that came, with its connection and caller.

        A descriptor that is not (any more) ours is passed over: it may have been closed a moment ago.
        """
        if descriptor == self._listener.fileno():
            self._accept()
            return []
        connection = self._connections.get(self._numbers.get(descriptor, 0))
        if connection is None:
            return []
        try:
            if writable:
                connection.flush()
            request = connection.read() if readable else None
        except EOFError:
            self._drop(connection.number)
            return []
        except ProtocolError as problem:
            self.counters.malformed += 1
            self._end(connection, problem)
            return []
        if request is None:
            return []
        connection.is_busy = True
        self.counters.requests += 1
        return [(connection.number, self._callers[connection.number], request)]

    def send(self, connection_id: int, answer: Answer) -> bool:
        """Give an answer; False when the connection has gone or goes now, because it has left too much unread."""
        return self._send_frame(connection_id, answer_frame(answer, ANSWER_LIMIT_BYTES))

    def send_several(self, connection_id: int, answers: Iterable[Answer]) -> bool:
        """Give answers that are there together, as ``send`` does: short ones in one write, and not in one each."""
        frames: list[bytes] = []
        size_bytes = 0
        for answer in answers:
            frames.append(answer_frame(answer, ANSWER_LIMIT_BYTES))
            size_bytes += len(frames[-1])
            if size_bytes >= _WRITE_BYTES:
                if not self._send_frame(connection_id, b"".join(frames)):
                    return False
                frames, size_bytes = [], 0
        return not frames or self._send_frame(connection_id, b"".join(frames))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what is sent within at its end, each connection's in one: ten results wake whoever waits for them once, not ten times."""
        self._held = {}
        try:
            yield
        finally:
            held, self._held = self._held, None
            for connection_id, data in held.items():
                self._write(connection_id, bytes(data))

    def _send_frame(self, connection_id: int, data: bytes) -> bool:
        if self._held is None:
            return self._write(connection_id, data)
        held = self._held.setdefault(connection_id, bytearray())
        held += data
        if len(held) < _WRITE_BYTES:
            return connection_id in self._connections
        del self._held[connection_id]
        return self._write(connection_id, bytes(held))

    def _write(self, connection_id: int, data: bytes) -> bool:
        connection = self._connections.get(connection_id)
        if connection is None or connection.is_ending:
            return False
        if connection.pending_bytes > self._buffer_limit_bytes:
            self.counters.slow_readers += 1
            caller = self._callers[connection_id]
            self.slow_reader = f"pid {caller.pid} of user {caller.user}"
            self._drop(connection_id)
            return False
        try:
            connection.write(data)
        except EOFError:
            self._drop(connection_id)
            return False
        return True

    def finish(self, connection_id: int) -> None:
        """The request is answered: the connection may bring the next one."""
        connection = self._connections.get(connection_id)
        if connection is not None:
            connection.is_busy = False

    def pending_bytes(self, connection_id: int) -> int:
        """How much was sent and has not been read; 0 when the connection has gone."""
        connection = self._connections.get(connection_id)
        return 0 if connection is None else connection.pending_bytes

    def figures(self) -> Mapping[str, tuple[int, int]]:
        """How many connections are served, and how much the slowest of them has left unread; each with its limit."""
        unread = max((connection.pending_bytes for connection in self._connections.values()), default=0)
        return {
            "control_connections": (len(self._connections) - len(self._ending), self._clients_limit),
            "control_unread_bytes": (unread, self._buffer_limit_bytes),
        }

    def closed(self) -> list[int]:
        """The connections that have gone since the last call: whatever is streamed to them ends."""
        closed, self._closed = self._closed, []
        return closed

    def close(self) -> None:
        """Close everything, and remove the socket if it is still this one."""
        for number in list(self._connections):
            self._drop(number)
        self._listener.close()
        self._give_up_spare()
        if self._identity is not None and identity_of(self.path) == self._identity:
            with suppress(OSError):
                self.path.unlink()
        self._identity = None

    # Inner steps.

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                accepted, _address = self._listener.accept()
            except OSError as problem:
                # Most often nobody is there any more; whatever else it is, the next turn of the loop tries again.
                if problem.errno in {errno.EMFILE, errno.ENFILE}:
                    self._turn_away()
                return
            self._welcome(accepted)

    def _turn_away(self) -> None:
        """There is no descriptor left: take one connection with the spare one, say why and close it."""
        self.counters.refused += 1
        self._give_up_spare()
        with suppress(OSError):
            accepted, _address = self._listener.accept()
            with accepted:
                accepted.setblocking(False)
                accepted.send(failure_frame(NO_DESCRIPTORS))
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _give_up_spare(self) -> None:
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def _welcome(self, accepted: socket.socket) -> None:
        self.counters.connections += 1
        pid, uid, gid = peer_of(accepted)
        connection = ControlConnection(self._next_number, accepted)
        self._next_number += 1
        self._connections[connection.number] = connection
        self._numbers[connection.fileno()] = connection.number
        self._callers[connection.number] = Caller(uid, gid, pid, self._users.get(uid, str(uid)))
        refusal: FleetError | None = None
        if uid not in self._users:
            self.counters.not_permitted += 1
            refusal = NotPermittedError(
                f"the account with uid {uid} may not speak to this master",
                f"run the command as root or as {' or '.join(sorted(set(self._users.values()) - {'root'})) or 'root'}",
            )
        elif len(self._connections) - len(self._ending) > self._clients_limit:
            self.counters.refused += 1
            refusal = UnreachableError(
                f"the master serves {self._clients_limit} control connections already", "end some of them, or wait"
            )
        if refusal is not None:
            self._end(connection, refusal)

    def _end(self, connection: ControlConnection, problem: FleetError) -> None:
        """Say why, and let the client close; whatever was streamed to it ends now."""
        if connection.is_busy:
            self._closed.append(connection.number)
        self._ending.append(connection.number)
        try:
            connection.end(problem)
        except EOFError:
            self._drop(connection.number)
        while len(self._ending) > _ENDING_LIMIT:
            self._drop(self._ending[0])

    def _drop(self, number: int) -> None:
        connection = self._connections.pop(number)
        del self._numbers[connection.fileno()]
        del self._callers[number]
        if connection.is_ending:
            self._ending.remove(number)
        else:
            self._closed.append(number)
        connection.close()


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
