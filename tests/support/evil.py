"""A minion that does what it likes: real keys, real sockets, a real enrolment, and everything it received on record.

It is a client in the test's own process. Accept its key as that of any minion, then let it ``connect`` and say ``hello``; from
there on it sends what the test wants, and it keeps whatever reaches it on either socket.
"""

import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self, TypeVar

import zmq

from fleet.core.broadcast import BroadcastKind, BroadcastWindow, Opened
from fleet.core.codec import read_from_master, read_header, write_frame
from fleet.core.crypto import BroadcastKey, CurveSecret, VerifyKey, digest
from fleet.core.enrolment import Send
from fleet.core.enrolment_messages import CONNECTION_LIMIT_BYTES, KeyStanding, MasterDocument
from fleet.core.enrolment_minion import Applicant, Learned, MinionEnrolment, Trust, VerdictReceived
from fleet.core.errors import ProtocolError
from fleet.core.from_master import JobOrder, Renewal, Welcome
from fleet.core.from_minion import Hello, InventoryItem, JobProgress, Ready, Return, StreamSummary
from fleet.core.job_document import JobDocument
from fleet.core.job_states import JobState
from fleet.core.messages import NO_TOKEN, FromMaster, FromMinion
from fleet.core.names import Jid, MinionId
from fleet.core.outcome import OutcomeKind
from fleet.core.packing import decode
from support.fleet import Fleet
from support.wait import wait_until

Socket = zmq.Socket[bytes]
Context = zmq.Context[Socket]
Found = TypeVar("Found")

PATIENCE_SECONDS = 10.0
_EVENT = struct.Struct("=hi")
_HANDSHAKES = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
_EVENTS = _HANDSHAKES | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_DISCONNECTED


def now_us() -> int:
    """The time of day, microseconds since 1970."""
    return time.time_ns() // 1000


@dataclass
class Link:
    """One pair of connections to the fleet's ports.

    Attributes:
        token: of the session; zeros before the welcome.
        frames: everything that came on the request connection.
        envelopes: everything that came on the publish connection.
        lost: connections that ended or were refused.
        proven: handshakes that were admitted.
        is_request_up: the request connection stands.
    """

    request: Socket
    publish: Socket
    monitors: tuple[Socket, Socket]
    token: bytes = NO_TOKEN
    frames: list[bytes] = field(default_factory=list)
    envelopes: list[bytes] = field(default_factory=list)
    lost: int = 0
    proven: int = 0
    is_request_up: bool = False

    def pump(self, milliseconds: int = 0) -> None:
        """Take in what has come, waiting so long for the first of it."""
        poller = zmq.Poller()
        for one in (self.request, self.publish, *self.monitors):
            poller.register(one, zmq.POLLIN)
        poller.poll(milliseconds)
        for monitor in self.monitors:
            while monitor.poll(0):
                event, _ = _EVENT.unpack(monitor.recv_multipart()[0])
                is_up = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
                self.proven += is_up
                self.lost += not is_up
                if monitor is self.monitors[0]:
                    self.is_request_up = is_up
        while self.request.poll(0):
            self.frames.append(b"".join(self.request.recv_multipart()))
        while self.publish.poll(0):
            self.envelopes.append(self.publish.recv_multipart()[-1])

    @property
    def messages(self) -> list[FromMaster]:
        """The frames of the request connection, read."""
        return [read_from_master(read_header(frame), frame) for frame in self.frames]

    def send(self, message: FromMinion, token: bytes | None = None) -> None:
        """Send a message in this session, or with another token."""
        self.send_frame(write_frame(message, self.token if token is None else token))

    def send_frame(self, frame: bytes) -> bool:
        """Send bytes; False when the connection takes no more, or is gone."""
        try:
            self.request.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def is_lost(self) -> bool:
        """Tell whether one of the two connections has ended."""
        self.pump(5)
        return self.lost > 0

    def close(self) -> None:
        """Close both connections."""
        for one, monitor in zip((self.request, self.publish), self.monitors, strict=True):
            one.disable_monitor()
            monitor.close(0)
            one.close(0)


class EvilMinion:
    """A minion under the test's control; ``with EvilMinion(...) as evil`` closes its sockets.

    Args:
        minion_id: what it calls itself.
        enrol_port: of the master on 127.0.0.1.
        secret: its key; a new one by default.
    """

    def __init__(self, minion_id: str, enrol_port: int, secret: CurveSecret | None = None) -> None:
        self.minion_id = MinionId(minion_id)
        self.secret = secret or CurveSecret.generate(os.urandom(32))
        self.context: Context = zmq.Context()
        self.document: MasterDocument | None = None
        self.links: list[Link] = []
        self._enrol_port = enrol_port

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for link in self.links:
            link.close()
        self.context.destroy(0)

    # The enrolment port

    def enrol(self) -> KeyStanding:
        """Ask the enrolment port once; return where the key stands."""
        machine = MinionEnrolment(Applicant(self.minion_id, self.secret, "0.1.0"), lambda _: Trust.KNOWN, os.urandom)
        with socket.create_connection(("127.0.0.1", self._enrol_port), PATIENCE_SECONDS) as connection:
            actions = machine.start(0)
            while True:
                for action in actions:
                    if isinstance(action, Send):
                        connection.sendall(action.data)
                    elif isinstance(action, Learned):
                        self.document = action.document
                    elif isinstance(action, VerdictReceived):
                        return action.standing
                data = connection.recv(CONNECTION_LIMIT_BYTES)
                actions = machine.received(data, 0) if data else machine.closed()
                assert actions or not machine.is_closed, "the master closed the connection without a verdict"

    # The fleet's ports

    def connect(self, *, topic: bytes | None = b"fleet") -> Link:
        """Open both connections and wait until the handshakes have ended, well or not."""
        link = self.dial(topic=topic)
        wait_for(link, lambda: link.proven + link.lost >= 2, "both handshakes to end")
        return link

    def dial(self, *, topic: bytes | None = b"fleet") -> Link:
        """Begin to open both connections."""
        document = self.document
        assert document is not None, "enrol first"
        request, request_monitor = self._open(zmq.DEALER, document, document.request_port)
        publish, publish_monitor = self._open(zmq.SUB, document, document.publish_port)
        if topic is not None:
            publish.subscribe(topic)
        link = Link(request, publish, (request_monitor, publish_monitor))
        self.links.append(link)
        return link

    def join(self, **changes: object) -> Link:
        """Connect, say hello and take the welcome; ready to be sent jobs."""
        link = self.connect()
        self.hello(link, **changes)
        return link

    def hello(self, link: Link, **changes: object) -> Welcome:
        """Say hello on a link, and take the welcome."""
        before = len(link.frames)
        link.send(replace(self.hello_message(), **changes), NO_TOKEN)  # type: ignore[arg-type]
        welcome = self.expect(link, Welcome, before)
        link.token = welcome.token
        return welcome

    def get_ready(self, link: Link) -> None:
        """Wait for a probe and say that broadcasts arrive."""
        wait_for(link, lambda: bool(self.opened(link)), "a broadcast")
        welcome = next(message for message in reversed(link.messages) if isinstance(message, Welcome | Renewal))
        link.send(Ready(welcome.epoch, 0))

    def hello_message(self) -> Hello:
        """A hello as an honest minion would say it."""
        grains, catalogue = digest(b"grains"), digest(b"catalogue")
        journal = digest(self.secret.public.raw)[:16]
        return Hello(self.minion_id, 1, 1, "0.1.0", journal, "boot", grains, catalogue, (), True, now_us())

    def expect(self, link: Link, kind: type[Found], after: int = 0) -> Found:
        """Wait for a message of this kind."""

        def look() -> Found | None:
            link.pump(5)
            return next((message for message in link.messages[after:] if isinstance(message, kind)), None)

        found = wait_until(look, PATIENCE_SECONDS, f"a {kind.__name__}")
        assert found is not None
        return found

    def opened(self, link: Link) -> list[Opened]:
        """Open each recorded broadcast with every key that was ever given on any link."""
        keys = [m for one in self.links for m in one.messages if isinstance(m, Welcome | Renewal)]
        assert self.document is not None
        identity = VerifyKey(self.document.identity)
        found = []
        for envelope in link.envelopes:
            for key in keys:
                window = BroadcastWindow(key.epoch, BroadcastKey(key.broadcast_key), 0, identity)
                try:
                    found.append(window.open(envelope))
                    break
                except ProtocolError:
                    continue
        return found

    def read_everything(self) -> bytes:
        """All that this minion can read of what has ever reached it, on all links, in the clear."""
        parts: list[bytes] = []
        for link in self.links:
            link.pump()
            parts += link.frames
            parts += [opened.body for opened in self.opened(link)]
        return b"\0".join(parts)

    def jobs(self, link: Link) -> list[JobDocument]:
        """The jobs that it was given on a link, by order or by broadcast."""
        link.pump()
        bodies = [message.document for message in link.messages if isinstance(message, JobOrder)]
        bodies += [opened.body for opened in self.opened(link) if opened.kind is BroadcastKind.JOB]
        return [decode(JobDocument, body) for body in bodies]

    def wait_for_job(self, link: Link, jid: str) -> JobDocument:
        """Wait until it was given a job."""

        def look() -> JobDocument | None:
            return next((document for document in self.jobs(link) if document.jid == jid), None)

        found = wait_until(look, PATIENCE_SECONDS, f"job {jid}")
        assert found is not None
        return found

    def _open(self, kind: int, document: MasterDocument, port: int) -> tuple[Socket, Socket]:
        opened = self.context.socket(kind)
        opened.linger = 0
        opened.curve_publickey = self.secret.public.raw
        opened.curve_secretkey = self.secret.reveal()
        opened.curve_serverkey = document.curve
        opened.setsockopt(zmq.RECONNECT_IVL, -1)
        monitor = opened.get_monitor_socket(_EVENTS)
        opened.connect(f"tcp://127.0.0.1:{port}")
        return opened, monitor


def leave_pending_key(fleet: Fleet, minion_id: str) -> None:
    """Enrol as a minion and go away: the master has a pending key, and nobody had to start a minion for it."""
    with EvilMinion(minion_id, fleet.enrol_port) as minion:
        assert minion.enrol() is KeyStanding.PENDING


def make_return(jid: str, text: bytes = b"", **changes: object) -> Return:
    """A return of a program that wrote ``text`` and ended well; whatever is named is changed."""
    nothing = StreamSummary(0, 0, digest(b""), b"")
    stdout = StreamSummary(len(text), len(text), digest(text), text)
    plain = Return(
        jid=Jid(jid),
        kind=OutcomeKind.OK,
        message="",
        has_value=True,
        value_from="stdout",
        retcode=0,
        traceback="",
        value=nothing,
        stdout=stdout,
        stderr=nothing,
        pid=4711,
        account="root",
        started_us=now_us(),
        finished_us=now_us(),
        duration_us=1000,
        force_stopped=False,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def acknowledge(link: Link, jid: str, state: JobState = JobState.RUNNING) -> None:
    """Say that a job is journaled, or runs."""
    link.send(JobProgress(Jid(jid), state, 4711, now_us(), "root"))


def inventory(items: Sequence[tuple[str, JobState]]) -> tuple[InventoryItem, ...]:
    """What a hello says of jobs."""
    return tuple(InventoryItem(Jid(jid), state) for jid, state in items)


def wait_for(link: Link, condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait while taking in what comes."""

    def look() -> bool:
        link.pump(5)
        return condition()

    wait_until(look, seconds, what)
