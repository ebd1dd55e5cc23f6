"""Who is connected: sessions by connection and by minion, presence, and two machines with one key. Pure.

A connection is named by the routing id that the ROUTER gave it; ZAP has proved its key, and the session token it was given in
``welcome`` opens every further message (DESIGN T3). No id inside a message is believed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from ..core.codec import Header
from ..core.crypto import equal
from ..core.dataclass import dataclass, field
from ..core.enrolment_messages import is_release
from ..core.errors import ProtocolError, VersionError
from ..core.from_master import StdinChunk
from ..core.from_minion import Heartbeat, Hello
from ..core.messages import PROTOCOL_FIRST, PROTOCOL_MINIMUM, PROTOCOL_VERSION, SINCE, FromMaster
from ..core.names import MinionId
from .presence import Presence, PresenceState
from .probes import Probes

#: A minion that lost its link may have left frames behind; what an old session says within this time is no second machine.
SUPERSEDED_GRACE_US = 1_000_000
#: Frames of a dead link can also come much later, when the network lets them through: but all at once. Only who speaks twice, this
#: part of a heartbeat apart, is alive.
ALIVE_HEARTBEATS = 0.5
#: A replaced connection is watched for this long: a machine that lives has had two heartbeats in it, whenever the first was.
WATCH_HEARTBEATS = 3
#: Silence is judged by the round trip that the minion measured: one that claims hours would hold up every command that names it.
ROUND_TRIP_LIMIT_US = 1_000_000
#: Replaced connections of one key that are watched at once.
SUPERSEDED_LIMIT = 3
#: Heartbeats missing before a connected minion is shown as silent.
SILENT_AFTER_HEARTBEATS = 2.5
#: How long one that is silent keeps its connections: one that is only slow is heard again without a handshake.
LOST_AFTER_SILENT_US = 10_000_000


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection of an accepted key to the request port.

    Attributes:
        routing_id: the ROUTER's own name for it.
        descriptor: of its TCP socket in this process.
        minion: whose key ZAP has proved.
        key: that key, which may have been removed since.
        address: of the other end.
    """

    routing_id: bytes
    descriptor: int
    minion: MinionId
    key: bytes
    address: str


@dataclass(slots=True)
class Session:
    """One session; ``token`` opens its messages both ways."""

    connection: Connection
    token: bytes
    hello: Hello
    opened_us: int
    heard_us: int
    is_ready: bool = False
    epoch: int | None = None
    round_trip_us: int = 0
    skew_us: int = 0
    running: int = 0
    waiting: int = 0
    is_shown_silent: bool = False
    shown_silent_us: int = 0

    @property
    def minion(self) -> MinionId:
        """Whose session it is."""
        return self.connection.minion

    def speaks(self, kind: type[FromMaster]) -> bool:
        """Tell whether the minion understands this kind of message: one of an earlier release must not be sent it."""
        return self.hello.protocol_maximum >= SINCE.get(kind, PROTOCOL_FIRST)


@dataclass(frozen=True, slots=True)
class Opened:
    """A hello was good.

    Attributes:
        replaced: the connection that the minion had before, to be watched for a while.
        excess: older replaced connections of it, to be shut down: a stolen key must not collect descriptors.
    """

    session: Session
    replaced: Connection | None
    excess: tuple[Connection, ...]


@dataclass(slots=True)
class _Known:
    """What stays known of a minion without a session."""

    since_us: int | None = None
    heard_us: int | None = None
    address: str = ""
    version: str = ""
    round_trip_us: int = 0
    conflict: str = ""


@dataclass(slots=True)
class _Superseded:
    session: Session
    replaced_us: int
    spoke_us: int | None = None


@dataclass(slots=True)
class Sessions:
    """All sessions.

    Attributes:
        heartbeat_us: how often a minion says that its loop lives.
    """

    heartbeat_us: int
    _by_routing_id: dict[bytes, Session] = field(default_factory=dict)
    _by_minion: dict[MinionId, Session] = field(default_factory=dict)
    _by_descriptor: dict[int, list[bytes]] = field(default_factory=dict)
    _superseded: dict[bytes, _Superseded] = field(default_factory=dict)
    _superseded_of: Counter[MinionId] = field(default_factory=Counter)
    _probes: Probes = field(default_factory=Probes)
    _known: dict[MinionId, _Known] = field(default_factory=dict)
    _patience_us: int = field(init=False)

    def __post_init__(self) -> None:
        """What is asked of each frame is computed once."""
        self._patience_us = int(SILENT_AFTER_HEARTBEATS * self.heartbeat_us)

    def remember(self, minion: MinionId, *, heard_us: int, address: str, version: str) -> None:
        """Take up from the store what is known of a minion that has not been seen since this master's start."""
        self._known[minion] = _Known(None, heard_us, address, version)

    def hello(self, connection: Connection, hello: Hello, token: bytes, now_us: int) -> Opened:
        """Open a session.

        Raises:
            VersionError: no common protocol version.
            ProtocolError: the hello names another id than the key is accepted under, or a release that would break a log line.
        """
        if not (hello.protocol_minimum <= PROTOCOL_VERSION and hello.protocol_maximum >= PROTOCOL_MINIMUM):
            raise VersionError(
                f"the minion speaks protocol {hello.protocol_minimum} to {hello.protocol_maximum}, "
                f"this master {PROTOCOL_MINIMUM} to {PROTOCOL_VERSION}",
                "upgrade the older of the two",
            )
        if hello.minion_id != connection.minion:
            raise ProtocolError(f"a hello as {hello.minion_id} with the key of {connection.minion}")
        if not is_release(hello.fleet_version):
            raise ProtocolError("a hello with a release that is none")
        before = self._by_minion.get(connection.minion)
        if before is not None:
            del self._by_routing_id[before.connection.routing_id]
            if before.connection.routing_id != connection.routing_id:
                self._superseded[before.connection.routing_id] = _Superseded(before, now_us)
                self._superseded_of[connection.minion] += 1
        self._drop_superseded(connection.routing_id)
        session = Session(connection, token, hello, now_us, now_us)
        self._by_routing_id[connection.routing_id] = session
        sharing = self._by_descriptor.setdefault(connection.descriptor, [])
        if connection.routing_id not in sharing:
            sharing.append(connection.routing_id)
        self._by_minion[connection.minion] = session
        self._probes.began(connection.minion, now_us)
        known = self._known.setdefault(connection.minion, _Known())
        known.since_us, known.heard_us = now_us, now_us
        known.address, known.version = connection.address, hello.fleet_version
        same = before is not None and before.connection.routing_id == connection.routing_id
        replaced = None if before is None or same else before.connection
        return Opened(session, replaced, self._excess(connection.minion))

    def find(self, routing_id: bytes, header: Header, now_us: int) -> Session | None:
        """The session of a message, or None when its connection has none.

        Raises:
            ProtocolError: the token is not that of the session: counted and dropped.
        """
        session = self._by_routing_id.get(routing_id)
        if session is None:
            return None
        if not equal(session.token, header.token):
            raise ProtocolError("a message with the token of another session")
        if now_us - session.heard_us > self._patience_us:
            self._known[session.minion].since_us = now_us
        session.heard_us = now_us
        return session

    def spoke_after_it_was_replaced(self, routing_id: bytes, header: Header, now_us: int) -> Session | None:
        """The newer session of a minion whose older one goes on speaking: two machines share one key (DESIGN T11)."""
        superseded = self._superseded.get(routing_id)
        if superseded is None or not equal(superseded.session.token, header.token):
            return None
        # No longer than a part of a heartbeat: a machine that is not answered gives its link up after three.
        if now_us - superseded.replaced_us < min(SUPERSEDED_GRACE_US, self.heartbeat_us // 2):
            return None
        if superseded.spoke_us is None:
            superseded.spoke_us = now_us
        if now_us - superseded.spoke_us < ALIVE_HEARTBEATS * self.heartbeat_us:
            return None
        return self._by_minion.get(superseded.session.minion)

    def was_replaced(self, routing_id: bytes, header: Header) -> bool:
        """Tell whether a message is of a session that a newer one of its minion has replaced.

        Such a connection is not told to say hello again: two machines with one key would take turns, each replacing the other
        before it has spoken twice, and never be found.
        """
        superseded = self._superseded.get(routing_id)
        return superseded is not None and equal(superseded.session.token, header.token)

    def conflict(self, minion: MinionId, reason: str) -> bool:
        """Give this minion no jobs until the operator decides. False when that was so before."""
        known = self._known.setdefault(minion, _Known())
        was_known = bool(known.conflict)
        known.conflict = reason
        return not was_known

    def overdue_superseded(self, now_us: int) -> list[Connection]:
        """Replaced connections that have been watched for long enough: to be shut down."""
        limit_us = now_us - WATCH_HEARTBEATS * self.heartbeat_us - SUPERSEDED_GRACE_US
        gone = [old.session.connection for old in self._superseded.values() if old.replaced_us < limit_us]
        for connection in gone:
            self._forget_superseded(connection)
        return gone

    def heartbeat(self, session: Session, message: Heartbeat) -> None:
        """Note what a heartbeat says."""
        session.round_trip_us = min(max(0, message.round_trip_us), ROUND_TRIP_LIMIT_US)
        session.skew_us = message.skew_us
        session.running, session.waiting = max(0, message.running), max(0, message.waiting)
        self._known[session.minion].round_trip_us = session.round_trip_us

    def closed(self, descriptor: int, now_us: int) -> Session | None:
        """A TCP connection is gone; return the session that it carried, now closed.

        A descriptor's number is given again at once: of several that had it the oldest is meant.
        """
        sharing = self._by_descriptor.get(descriptor)
        if not sharing:
            return None
        routing_id = sharing[0]
        old = self._superseded.get(routing_id)
        if old is not None:
            self._forget_superseded(old.session.connection)
            return None
        session = self._by_routing_id[routing_id]
        self._close(session, now_us)
        return session

    def remove(self, minion: MinionId, now_us: int) -> list[Connection]:
        """The key was removed: erase everything; return the connections to shut down."""
        connections = [old.session.connection for old in self._superseded.values() if old.session.minion == minion]
        for connection in connections:
            self._forget_superseded(connection)
        session = self._by_minion.get(minion)
        if session is not None:
            self._close(session, now_us)
            connections.append(session.connection)
        self._known.pop(minion, None)
        return connections

    def silence_changes(self, now_us: int) -> tuple[list[Session], list[Session]]:
        """Connected minions whose heartbeats have become overdue since the last call, and those that are heard again."""
        silent: list[Session] = []
        heard: list[Session] = []
        for session in self._by_minion.values():
            is_silent = self._is_silent(session, now_us)
            if is_silent != session.is_shown_silent:
                (silent if is_silent else heard).append(session)
                session.shown_silent_us = now_us
            session.is_shown_silent = is_silent
        return silent, heard

    def lost(self, now_us: int) -> list[MinionId]:
        """Connected minions that have been silent for so long that their connections are to be ended.

        Their systems still answer, or the connection would be gone: a process that was stopped, or something in between that has
        forgotten it. Counted from when it was seen to be silent: after a pause of this process all are, and what they have said
        meanwhile is still to be read.
        """
        limit_us = now_us - LOST_AFTER_SILENT_US
        return [
            minion
            for minion, session in self._by_minion.items()
            if session.is_shown_silent and session.shown_silent_us <= limit_us
        ]

    def get(self, minion: MinionId) -> Session | None:
        """The session of a minion, if it has one."""
        return self._by_minion.get(minion)

    def all(self) -> Iterable[Session]:
        """Every session."""
        return self._by_minion.values()

    @property
    def count(self) -> int:
        """How many sessions there are."""
        return len(self._by_minion)

    def due_probes(self, now_us: int) -> list[MinionId]:
        """Who is to be sent proof that broadcasts arrive now."""
        for minion in self._probes.waiting():
            session = self._by_minion.get(minion)
            if session is None or session.is_ready:
                self._probes.ended(minion)
        return self._probes.due(now_us)

    def presence(self, minion: MinionId, now_us: int) -> Presence:
        """What is known of the link of a minion."""
        known = self._known.get(minion, _Known())
        session = self._by_minion.get(minion)
        if session is None:
            down = PresenceState.DOWN
            return Presence(down, known.since_us, known.heard_us, known.address, known.round_trip_us, known.conflict)
        is_silent = self._is_silent(session, now_us)
        return Presence(
            PresenceState.SILENT if is_silent else PresenceState.UP,
            session.heard_us + self._patience_us if is_silent else known.since_us,
            session.heard_us,
            session.connection.address,
            session.round_trip_us,
            known.conflict,
            session.speaks(StdinChunk),
        )

    def counts(self, minions: Iterable[MinionId], now_us: int) -> Mapping[str, int]:
        """How many of these minions are up, silent and down."""
        counts = dict.fromkeys(PresenceState, 0)
        for minion in minions:
            counts[self.presence(minion, now_us).state] += 1
        return {state.value: count for state, count in counts.items()}

    def version(self, minion: MinionId) -> str:
        """The release that a minion last said it runs."""
        return self._known.get(minion, _Known()).version

    def _excess(self, minion: MinionId) -> tuple[Connection, ...]:
        if self._superseded_of[minion] <= SUPERSEDED_LIMIT:
            return ()  # While a fleet comes back and fails to, thousands are watched: not all are looked through at each hello.
        old = [known.session.connection for known in self._superseded.values() if known.session.minion == minion]
        excess = tuple(old[:-SUPERSEDED_LIMIT])
        for connection in excess:
            self._forget_superseded(connection)
        return excess

    def _forget_superseded(self, connection: Connection) -> None:
        self._drop_superseded(connection.routing_id)
        self._forget_descriptor(connection)

    def _drop_superseded(self, routing_id: bytes) -> None:
        old = self._superseded.pop(routing_id, None)
        if old is not None:
            self._superseded_of[old.session.minion] -= 1
            if not self._superseded_of[old.session.minion]:
                del self._superseded_of[old.session.minion]

    def _forget_descriptor(self, connection: Connection) -> None:
        sharing = self._by_descriptor.get(connection.descriptor, [])
        if connection.routing_id in sharing:
            sharing.remove(connection.routing_id)
        if not sharing:
            self._by_descriptor.pop(connection.descriptor, None)

    def _is_silent(self, session: Session, now_us: int) -> bool:
        return now_us - session.heard_us > self._patience_us

    def _close(self, session: Session, now_us: int) -> None:
        del self._by_routing_id[session.connection.routing_id]
        del self._by_minion[session.minion]
        self._forget_descriptor(session.connection)
        known = self._known.setdefault(session.minion, _Known())
        known.since_us, known.heard_us = now_us, session.heard_us
