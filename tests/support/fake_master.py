"""A master for tests of clients: a thread behind a Unix socket that answers each kind of request with what the test says."""

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from fleet.core.control import REQUEST_LIMIT_BYTES, Answer, Request
from fleet.core.control_answers import JobCreated, JobSummary, TargetResult, TargetSilent
from fleet.core.control_codec import ControlReader, read_request, write_control
from fleet.core.job_states import JobState
from fleet.core.names import FunctionName, Jid, MinionId
from fleet.core.packing import encode_value
from fleet.core.values import Value

_PATIENCE_SECONDS = 10.0

#: What the master does for a request, in order: send an answer (or the one that a call gives), send raw bytes, wait for an
#: event, or hang up.
Step = Answer | Callable[[], Answer] | bytes | threading.Event | None
Script = Mapping[type[Request], Sequence[Step]]
#: The fixture that starts one.
Start = Callable[[Script], "FakeMaster"]


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
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
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
            self._start(partial(self._serve, connection))

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
                    connection.sendall(write_control(step()))
                case _:
                    connection.sendall(write_control(step))
        return True


JID = Jid("20261120221012000042")
#: 2026-11-20 22:10:12.000042 UTC
MOMENT_US = 1_795_212_612_000_042


def created(*minions: str, unknown: Sequence[str] = ()) -> JobCreated:
    """Say that a job of ``cmd.run`` is stored."""
    return JobCreated(JID, FunctionName("cmd.run"), tuple(MinionId(minion) for minion in minions), tuple(unknown))


def silent(minion: str, reason: str = "down since 09:12") -> TargetSilent:
    """Say that a target need not be waited for."""
    return TargetSilent(MinionId(minion), JobState.QUEUED, reason)


_EMPTY = TargetResult(
    minion=MinionId("web-1"),
    state=JobState.SUCCEEDED,
    reason="",
    kind="ok",
    retcode=None,
    has_value=False,
    value=b"",
    value_from="",
    stdout=b"",
    stderr=b"",
    stdout_total_bytes=0,
    stderr_total_bytes=0,
    traceback="",
    pid=None,
    account="root",
    address="10.0.0.1",
    started_us=MOMENT_US,
    finished_us=MOMENT_US + 12_500,
    duration_us=12_500,
    force_stopped=False,
)


def returned(minion: str, value: Value) -> TargetResult:
    """A function that succeeded with a value."""
    return replace(_EMPTY, minion=MinionId(minion), has_value=True, value=encode_value(value))


def ran(minion: str, stdout: bytes = b"", stderr: bytes = b"", retcode: int = 0) -> TargetResult:
    """A program that ran to its end, as ``cmd.run`` runs it."""
    return replace(
        _EMPTY,
        minion=MinionId(minion),
        state=JobState.FAILED if retcode else JobState.SUCCEEDED,
        kind="failed" if retcode else "ok",
        reason=f"exit code {retcode}" if retcode else "",
        retcode=retcode,
        has_value=True,
        value_from="text",
        stdout=stdout,
        stderr=stderr,
        stdout_total_bytes=len(stdout),
        stderr_total_bytes=len(stderr),
    )


def without_value(minion: str, state: JobState, reason: str) -> TargetResult:
    """A target on which nothing has run to its end."""
    return replace(
        _EMPTY,
        minion=MinionId(minion),
        state=state,
        reason=reason,
        kind="",
        started_us=None,
        finished_us=None,
        duration_us=None,
    )


SUMMARY = JobSummary(
    jid=JID,
    function=FunctionName("cmd.run"),
    words=("echo a b", "cwd=/tmp"),
    literals=("--x",),
    values=(),
    options={},
    target="web-*",
    target_kind="glob",
    user="ada (uid 1000)",
    created_us=MOMENT_US,
    expires_us=MOMENT_US + 30_000_000,
    timeout_seconds=0.0,
    finished_us=MOMENT_US + 300_000,
    state="finished",
    counts={"succeeded": 1, "failed": 1},
    signed_by="ozmg-3c4f",
)
