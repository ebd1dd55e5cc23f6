"""One connection to the control socket: bytes in both directions, without blocking and within bounds."""

import socket
from collections import deque

from ..core.control import REQUEST_LIMIT_BYTES, Answer, Request
from ..core.control_answers import Failure
from ..core.control_codec import ControlReader, read_request, write_control
from ..core.errors import FleetError, ProtocolError

#: Read at once: no client keeps the loop to itself.
_READ_BYTES = 256 * 1024


class ControlConnection:
    """Reads one request at a time, and writes as fast as the other side reads.

    Attributes:
        number: names it; never given twice.
        is_busy: a request is being answered.
        is_ending: nothing more is read or said; the other side is given the time to read why.
    """

    def __init__(self, number: int, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.number = number
        self.is_busy = False
        self.is_ending = False
        self.pending_bytes = 0
        self._socket = connection
        self._reader = ControlReader(REQUEST_LIMIT_BYTES)
        self._output: deque[memoryview] = deque()

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket; what has not been written is lost."""
        self._output.clear()
        self.pending_bytes = 0
        self._socket.close()

    def read(self) -> Request | None:
        """Read what there is; return a request when one is whole.

        Raises:
            EOFError: the other side has closed.
            ProtocolError: what came is no request, or came before the answer to the one before.
        """
        try:
            data = self._socket.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as problem:
            raise EOFError from problem
        if not data:
            raise EOFError
        if self.is_ending:
            return None
        if self.is_busy:
            raise ProtocolError("a request came while another one is answered", "one request at a time")
        frames = list(self._reader.feed(data))
        if len(frames) > 1:
            raise ProtocolError("two requests came at once", "one request at a time")
        return read_request(*frames[0]) if frames else None

    def write(self, frame: bytes) -> None:
        """Write a frame, now as far as it goes, the rest when the descriptor becomes writable.

        Raises:
            EOFError: the other side has closed.
        """
        is_idle = not self._output
        self._output.append(memoryview(frame))
        self.pending_bytes += len(frame)
        if is_idle:
            self.flush()

    def flush(self) -> None:
        """Write as much as the other side takes.

        Raises:
            EOFError: the other side has closed.
        """
        try:
            while self._output:
                sent = self._socket.send(self._output[0])
                self.pending_bytes -= sent
                if sent < len(self._output[0]):
                    self._output[0] = self._output[0][sent:]
                else:
                    self._output.popleft()
            if self.is_ending:
                self._socket.shutdown(socket.SHUT_WR)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as problem:
            raise EOFError from problem

    def end(self, problem: FleetError) -> None:
        """Say why this connection ends, and nothing after it.

        It is closed when the other side closes: closed at once, a client that is still writing its request would see a broken pipe
        in place of the reason.

        Raises:
            EOFError: the other side has closed already.
        """
        self.is_ending = True
        self.is_busy = False
        self.write(failure_frame(problem))


def failure_frame(problem: FleetError) -> bytes:
    """The frame that says what failed, and why."""
    return write_control(Failure(type(problem).__name__, problem.message, problem.hint))


def answer_frame(answer: Answer, limit_bytes: int) -> bytes:
    """The frame of an answer, or of why there is none when it is longer than any client reads."""
    frame = write_control(answer)
    if len(frame) <= limit_bytes:
        return frame
    name = type(answer).__name__
    problem = FleetError(
        f"the answer ({name}) has {len(frame)} bytes, at most {limit_bytes} are sent", "ask for less at a time"
    )
    return failure_frame(problem)
