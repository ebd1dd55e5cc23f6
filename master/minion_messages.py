"""What minions say on the request port: each frame checked once, then dispatched through a literal table.

Whatever is malformed is counted and dropped; it never leaves this file as an exception (DESIGN T8).
"""

import logging
import os
from collections.abc import Callable, Mapping

from ..core.codec import Header, read_from_minion, read_header, write_frame
from ..core.dataclass import dataclass, field
from ..core.errors import ProtocolError, VersionError
from ..core.from_master import HeartbeatAnswer, Rejoin
from ..core.from_minion import (
    CatalogueReport,
    Forgotten,
    GrainsReport,
    Heartbeat,
    Hello,
    JobProgress,
    LiveOutput,
    MinionEvent,
    NeedStdin,
    OutputChunk,
    Pong,
    Ready,
    Renewed,
    Return,
    UnknownJob,
)
from ..core.log_limit import LineLimiter
from ..core.messages import EVENT_FRAME_LIMIT_BYTES, FROM_MINION, REASON_LIMIT_CHARACTERS, TOKEN_BYTES, FromMinion
from ..core.names import MinionId
from ..core.outcome import OutcomeKind
from ..core.token_bucket import TokenBucket
from .admission import Admission
from .conductor import Conductor
from .config import MasterSettings
from .greeting import welcome_to
from .minion_reports import REPORT_COSTS, ReportRates, read_catalogue, read_grains
from .sessions import Connection, Session
from .stdin_service import StdinService
from .store import LastSeen
from .transport import Received

log = logging.getLogger(__name__)

#: A connection that sends this many malformed frames is ended, and its key refused for a while.
MALFORMED_LIMIT = 32
BARRED_US = 10_000_000
EVENT_KIND = next(kind for kind, cls in FROM_MINION.items() if cls is MinionEvent)
HELLO_KIND = next(kind for kind, cls in FROM_MINION.items() if cls is Hello)
#: A minion's own events, in a second and at once.
EVENTS_PER_SECOND = 20.0
EVENTS_BURST = 200.0
#: A frame counts for one message, and one more for each so many bytes: what it takes to decode one grows with its length. Output that
#: the master has asked for does not.
BYTES_PER_MESSAGE = 4096


@dataclass(slots=True)
class MessageCounters:
    """What came from minions."""

    received: int = 0
    malformed: int = 0
    without_session: int = 0
    throttled: int = 0
    spool_full: int = 0
    hellos: int = 0
    conflicts: int = 0
    greedy: int = 0
    faults: int = 0


@dataclass(slots=True)
class _Peer:
    """How one connection has behaved."""

    messages: TokenBucket
    events: TokenBucket
    malformed: int = 0
    has_greeted: bool = False


@dataclass(slots=True)
class MinionMessages:
    """Takes every frame of the request port.

    Attributes:
        culprits: by bound, which minion ran into it last, and what it said about that.
    """

    settings: MasterSettings
    conductor: Conductor
    admission: Admission
    version: str
    incarnation: bytes
    stdin: StdinService
    drain_monitors: Callable[[], None] = lambda: None
    fleet_size: Callable[[], int] = lambda: 0
    proven: Callable[[int], None] = lambda _descriptor: None
    counters: MessageCounters = field(default_factory=MessageCounters)
    culprits: dict[str, tuple[str, str]] = field(default_factory=dict)
    _peers: dict[bytes, _Peer] = field(default_factory=dict)
    _routing_ids: dict[int, bytes] = field(default_factory=dict)
    _lines: LineLimiter = field(default_factory=LineLimiter)
    _reports: ReportRates = field(default_factory=ReportRates)

    def take(self, received: Received, now_us: int) -> None:
        """Handle one frame. Nothing that a minion sends raises out of here: a fault of ours is logged, and the loop goes on."""
        self.counters.received += 1
        try:
            self._take(received, now_us)
        except Exception:
            self.counters.faults += 1
            if self._lines.allow("fault", now_us) is not None:
                log.exception("a message of a minion could not be handled: a bug, please report it")

    def _take(self, received: Received, now_us: int) -> None:
        peer = self._peers.get(received.routing_id) or self._meet(received)
        is_output = received.data[1:2] in _OUTPUT_KINDS
        if not peer.messages.take(now_us, 1.0 if is_output else 1 + len(received.data) // BYTES_PER_MESSAGE):
            self._throttled(received.connection().minion)
            self._end(received, "it sends too many messages", now_us)
            return
        try:
            self._handle(received, peer, now_us)
        except ProtocolError as problem:
            self._malformed(received, peer, problem, now_us)

    def closed(self, descriptor: int, now_us: int) -> None:
        """A connection is gone; when it carried a session, that is closed and those who wait for it are told."""
        routing_id = self._routing_ids.pop(descriptor, None)
        if routing_id is not None:
            self._peers.pop(routing_id, None)
        conductor = self.conductor
        session = conductor.sessions.closed(descriptor, now_us)
        if session is None:
            return
        conductor.epochs.not_held_by(session.minion)
        conductor.left(session.minion, "its connection has gone", now_us)
        moved = conductor.facts.heard(((session.minion, session.heard_us),), 1)
        if moved:
            conductor.commit((LastSeen(moved),))
        conductor.publish_event(
            f"fleet/minion/{session.minion}/down", minion=session.minion, address=session.connection.address
        )
        log.info("minion %s is no longer connected", session.minion)

    @property
    def peers(self) -> int:
        """How many connections have spoken and are remembered."""
        return len(self._peers)

    def _meet(self, received: Received) -> _Peer:
        """The first frame of a connection: its key is proved, or libzmq would not have delivered it."""
        rate = self.settings.minion_messages_per_second
        peer = _Peer(TokenBucket(rate, rate * 10), TokenBucket(EVENTS_PER_SECOND, EVENTS_BURST))
        connection = received.connection()
        # The descriptor may have been another connection's a moment ago.
        self.drain_monitors()
        self.proven(connection.descriptor)
        # Frames that a connection left behind are read after its end: what they made is replaced with the next one of that number.
        self._peers.pop(self._routing_ids.get(connection.descriptor, b""), None)
        self._peers[received.routing_id] = peer
        self._routing_ids[connection.descriptor] = received.routing_id
        self.conductor.met(connection.minion, connection.descriptor, connection.address)
        return peer

    def _handle(self, received: Received, peer: _Peer, now_us: int) -> None:
        header = read_header(received.data)
        # A hello opens a session, so it carries the token of none, also on a connection that has one.
        is_hello = header.kind == HELLO_KIND
        session = None if is_hello else self.conductor.sessions.find(received.routing_id, header, now_us)
        if session is None:
            connection = received.connection()
            if not self.admission.admits(connection.minion, connection.key):
                self.counters.without_session += 1
                self.conductor.end_connection(connection.descriptor, connection.address)
                return
            message = read_from_minion(header, received.data)
            if isinstance(message, Hello):
                # A session costs a log line, an event and a commit: one for each handshake, and those are counted.
                if peer.has_greeted:
                    raise ProtocolError("a second hello on one connection")
                self._greet(connection, message, now_us)
                peer.has_greeted = True
            else:
                self._without_session(received, header, now_us)
            return
        cost = REPORT_COSTS.get(header.kind)
        if cost is not None and not self._reports.may_report(session.minion, cost, now_us):
            self._throttled(session.minion)
            return
        if header.kind == EVENT_KIND and not self._may_tell(peer, received, now_us):
            self._throttled(session.minion)
            return
        message = read_from_minion(header, received.data)
        handle = HANDLERS.get(type(message))
        if handle is None:
            raise ProtocolError(f"a {type(message).__name__} inside a session")
        handle(self, session, message, now_us)

    def _may_tell(self, peer: _Peer, received: Received, now_us: int) -> bool:
        """Whether an event may come now; before it is decoded, which costs more than to refuse it.

        Raises:
            ProtocolError: it is too long.
        """
        if len(received.data) > EVENT_FRAME_LIMIT_BYTES:
            raise ProtocolError(f"an event of {len(received.data)} bytes")
        return peer.events.take(now_us)

    def _greet(self, connection: Connection, hello: Hello, now_us: int) -> None:
        """Open a session. The monitors are read first: the descriptor may have been another connection's a moment ago."""
        self.drain_monitors()
        self.counters.hellos += 1
        conductor = self.conductor
        token = os.urandom(TOKEN_BYTES)
        try:
            opened = conductor.sessions.hello(connection, hello, token, now_us)
        except VersionError as problem:
            conductor.ports.send(connection.routing_id, write_frame(Rejoin(problem.message, 60.0)))
            raise
        conductor.epochs.not_held_by(connection.minion)
        conductor.epochs.given_to(connection.minion)
        facts, is_same_journal = conductor.facts.greeted(hello, connection.address, now_us)
        welcome = welcome_to(
            conductor,
            hello,
            token,
            heartbeat_seconds=self.settings.heartbeat_seconds,
            fleet_size=self.fleet_size(),
            version=self.version,
            incarnation=self.incarnation,
        )
        conductor.send_to_session(opened.session, welcome)
        for old in opened.excess:
            conductor.end_connection(old.descriptor, old.address)
        if opened.replaced is not None:
            conductor.left(connection.minion, "it has connected anew", now_us)
        minion = connection.minion
        conductor.perform(conductor.jobs.joined(minion, hello.inventory, now_us, is_same_journal=is_same_journal))
        conductor.live.joined(minion)
        conductor.greeted_who_owes(connection.minion)
        # After what follows from a new journal: known as the same one by the next hello, it would have lost jobs sent again.
        conductor.commit((facts,))
        action, note = ("start", ", just started") if hello.is_first else ("up", "")
        conductor.publish_event(
            f"fleet/minion/{minion}/{action}", minion=minion, address=connection.address, version=facts.version
        )
        log.info("minion %s is connected from %s, fleet %s%s", minion, connection.address, facts.version, note)

    def _without_session(self, received: Received, header: Header, now_us: int) -> None:
        """A message on a connection without a session: left over, or of a machine that shares its key with another."""
        newer = self.conductor.sessions.spoke_after_it_was_replaced(received.routing_id, header, now_us)
        if newer is None:
            self.counters.without_session += 1
            if not self.conductor.sessions.was_replaced(received.routing_id, header):
                rejoin = Rejoin("this connection has no session", 0.0)
                self.conductor.ports.send(received.routing_id, write_frame(rejoin))
            return
        address, minion = received.connection().address, newer.minion
        reason = (
            f"two machines speak with the key of {minion}, from {address} and {newer.connection.address}: "
            f"neither gets jobs; remove the copy, then delete the key and accept it again"
        )
        if self.conductor.sessions.conflict(minion, reason):
            self.counters.conflicts += 1
            log.warning("%s", reason)
            self.conductor.publish_event(
                f"fleet/minion/{minion}/conflict", minion=minion, address=address, other=newer.connection.address
            )

    def _throttled(self, minion: MinionId) -> None:
        self.counters.throttled += 1
        self.culprits["messages"] = (minion, "")

    def _malformed(self, received: Received, peer: _Peer, problem: ProtocolError, now_us: int) -> None:
        self.counters.malformed += 1
        peer.malformed += 1
        connection = received.connection()
        kept_back = self._lines.allow(connection.minion, now_us)
        if kept_back is not None:
            more = f" ({kept_back} more before)" if kept_back else ""
            log.warning("dropped a message of %s: %s%s", connection.minion, problem.message, more)
        if peer.malformed >= MALFORMED_LIMIT:
            self._end(received, "it sends what is no message", now_us)

    def _end(self, received: Received, reason: str, now_us: int) -> None:
        connection = received.connection()
        self._peers.pop(received.routing_id, None)
        self.admission.bar(connection.minion, now_us + BARRED_US)
        self.conductor.end_connection(connection.descriptor, connection.address)
        if self._lines.allow(f"end {connection.minion}", now_us) is not None:
            log.warning("ended the connection of %s from %s: %s", connection.minion, connection.address, reason)

    # One method a message, all of one shape.

    def ready(self, session: Session, message: Ready, _now_us: int) -> None:
        """Broadcasts reach this session."""
        session.is_ready = True
        self._hold(session, message.epoch)

    def renewed(self, session: Session, message: Renewed, _now_us: int) -> None:
        """This session holds the key of an epoch."""
        self._hold(session, message.epoch)

    def _hold(self, session: Session, epoch: int) -> None:
        if session.is_ready and epoch == self.conductor.epochs.current.number:
            self.conductor.epochs.held_by(session.minion)

    def heartbeat(self, session: Session, message: Heartbeat, _now_us: int) -> None:
        """The minion's loop lives."""
        self.conductor.sessions.heartbeat(session, message)
        self.conductor.send_to_session(session, HeartbeatAnswer(message.number, self.conductor.clock.now_us()))

    def grains(self, session: Session, message: GrainsReport, _now_us: int) -> None:
        """The grains of this minion, under the digest that they have."""
        keep = read_grains(message)
        facts = self.conductor.facts.learn_grains(session.minion, keep.digest, keep.grains)
        self.conductor.commit((keep, facts) if facts else (keep,))

    def catalogue(self, session: Session, message: CatalogueReport, _now_us: int) -> None:
        """The functions of this minion, under the digest that they have."""
        keep = read_catalogue(message)
        facts = self.conductor.facts.learn_catalogue(session.minion, keep.digest, keep.functions)
        self.conductor.commit((keep, facts) if facts else (keep,))

    def progress(self, session: Session, message: JobProgress, now_us: int) -> None:
        """A job is journaled or runs."""
        self.conductor.perform(self.conductor.jobs.progressed(session.minion, message, now_us))
        self.conductor.heard_of(session.minion, message.jid)

    def returned(self, session: Session, message: Return, now_us: int) -> None:
        """A job has ended, or was refused."""
        if message.kind is OutcomeKind.SPOOL_FULL:
            self.counters.spool_full += 1
            self.culprits["spool"] = (session.minion, message.message[:REASON_LIMIT_CHARACTERS])
        self.conductor.perform(self.conductor.jobs.returned(session.minion, message, now_us))
        self.conductor.heard_of(session.minion, message.jid)

    def output(self, session: Session, message: OutputChunk, now_us: int) -> None:
        """Output that was asked for."""
        self.conductor.perform(self.conductor.jobs.chunk(session.minion, message, now_us))

    def need_stdin(self, session: Session, message: NeedStdin, now_us: int) -> None:
        """The minion asks for the stdin of a job."""
        self.stdin.asked(session, message, now_us)

    def live_output(self, session: Session, message: LiveOutput, _now_us: int) -> None:
        """A job that is followed has written something."""
        self.conductor.live_output(session.minion, message)

    def unknown(self, session: Session, message: UnknownJob, now_us: int) -> None:
        """The minion does not know a job."""
        self.conductor.perform(self.conductor.jobs.unknown(session.minion, message.jid, now_us))
        self.conductor.forgotten(session.minion, message.jid)

    def forgotten(self, session: Session, message: Forgotten, _now_us: int) -> None:
        """The minion holds nothing of a deleted job any more."""
        self.conductor.forgotten(session.minion, message.jid)

    def pong(self, session: Session, message: Pong, _now_us: int) -> None:
        """The minion's loop has seen a ping."""
        self.conductor.ponged(session.minion, message.number)

    def event(self, session: Session, message: MinionEvent, now_us: int) -> None:
        """Something happened there; only its own prefix is its to use (CVE-2025-22236, CVE-2025-22239)."""
        prefix = f"fleet/minion/{session.minion}/event/"
        if not message.tag.startswith(prefix) or len(message.tag) > 256 or not message.tag.isprintable():
            raise ProtocolError("an event outside of the minion's own prefix")
        self.conductor.events.publish(message.tag, message.payload, now_us)


_OUTPUT_KINDS = frozenset(bytes([kind]) for kind, cls in FROM_MINION.items() if cls in {OutputChunk, LiveOutput})

HANDLERS: Mapping[type[FromMinion], Callable[..., None]] = {
    Ready: MinionMessages.ready,
    Renewed: MinionMessages.renewed,
    Heartbeat: MinionMessages.heartbeat,
    GrainsReport: MinionMessages.grains,
    CatalogueReport: MinionMessages.catalogue,
    JobProgress: MinionMessages.progress,
    Return: MinionMessages.returned,
    OutputChunk: MinionMessages.output,
    LiveOutput: MinionMessages.live_output,
    UnknownJob: MinionMessages.unknown,
    Forgotten: MinionMessages.forgotten,
    MinionEvent: MinionMessages.event,
    Pong: MinionMessages.pong,
    NeedStdin: MinionMessages.need_stdin,
}
