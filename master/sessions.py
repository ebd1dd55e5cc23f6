"""Who is connected: sessions by connection and by minion, presence, and two machines with one key. Pure.

A connection is named by the routing id that the ROUTER gave it; ZAP has proved its key, and the session token it was given in
``welcome`` opens every further message (DESIGN T3). No id inside a message is believed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..core.codec import Header
from ..core.crypto import equal
from ..core.errors import ProtocolError, VersionError
from ..core.messages import PROTOCOL_MINIMUM, PROTOCOL_VERSION, Heartbeat, Hello
from ..core.names import MinionId
from .presence import Presence, PresenceState

#: A minion that lost its link may have left frames behind; what an old session says within this time is no second machine.
SUPERSEDED_GRACE_US = 1_000_000
#: Replaced connections of one key that are watched at once.
SUPERSEDED_LIMIT = 3
#: Heartbeats missing before a connected minion is shown as silent.
SILENT_AFTER_HEARTBEATS = 2.5


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection of an accepted key to the request port.

    Attributes:
        routing_id: the ROUTER's own name for it.
        descriptor: of its TCP socket in this process.
        minion: whose key ZAP has proved.
        address: of the other end.
    """

    routing_id: bytes
    descriptor: int
    minion: MinionId
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

    @property
    def minion(self) -> MinionId:
        """Whose session it is."""
        return self.connection.minion


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


@dataclass(slots=True)
class Sessions:
    """All sessions.

    Attributes:
        heartbeat_us: how often a minion says that its loop lives.
    """

    heartbeat_us: int
    _by_routing_id: dict[bytes, Session] = field(default_factory=dict)
    _by_minion: dict[MinionId, Session] = field(default_factory=dict)
    _superseded: dict[bytes, _Superseded] = field(default_factory=dict)
    _known: dict[MinionId, _Known] = field(default_factory=dict)

    def remember(self, minion: MinionId, *, heard_us: int, address: str, version: str) -> None:
        """Take up from the store what is known of a minion that has not been seen since this master's start."""
        self._known[minion] = _Known(None, heard_us, address, version)

    def hello(self, connection: Connection, hello: Hello, token: bytes, now_us: int) -> Opened:
        """Open a session.

        Raises:
            VersionError: no common protocol version.
            ProtocolError: the hello names another id than the key is accepted under.
        """
        if not (hello.protocol_minimum <= PROTOCOL_VERSION and hello.protocol_maximum >= PROTOCOL_MINIMUM):
            raise VersionError(
                f"the minion speaks protocol {hello.protocol_minimum} to {hello.protocol_maximum}, "
                f"this master {PROTOCOL_MINIMUM} to {PROTOCOL_VERSION}",
                "upgrade the older of the two",
            )
        if hello.minion_id != connection.minion:
            raise ProtocolError(f"a hello as {hello.minion_id} with the key of {connection.minion}")
        before = self._by_minion.get(connection.minion)
        if before is not None:
            del self._by_routing_id[before.connection.routing_id]
            if before.connection.routing_id != connection.routing_id:
                self._superseded[before.connection.routing_id] = _Superseded(before, now_us)
        session = Session(connection, token, hello, now_us, now_us)
        self._by_routing_id[connection.routing_id] = session
        self._by_minion[connection.minion] = session
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
        session.heard_us = now_us
        return session

    def spoke_after_it_was_replaced(self, routing_id: bytes, header: Header, now_us: int) -> Session | None:
        """The newer session of a minion whose older one goes on speaking: two machines share one key (DESIGN T11)."""
        superseded = self._superseded.get(routing_id)
        if superseded is None or not equal(superseded.session.token, header.token):
            return None
        if now_us - superseded.replaced_us < SUPERSEDED_GRACE_US:
            return None
        return self._by_minion.get(superseded.session.minion)

    def conflict(self, minion: MinionId, reason: str) -> bool:
        """Give this minion no jobs until the operator decides. False when that was so before."""
        known = self._known.setdefault(minion, _Known())
        was_known = bool(known.conflict)
        known.conflict = reason
        return not was_known

    def overdue_superseded(self, now_us: int) -> list[Connection]:
        """Replaced connections that have been quiet for two heartbeats: dead, to be shut down."""
        limit_us = now_us - 2 * self.heartbeat_us - SUPERSEDED_GRACE_US
        gone = [routing_id for routing_id, old in self._superseded.items() if old.replaced_us < limit_us]
        return [self._superseded.pop(routing_id).session.connection for routing_id in gone]

    def heartbeat(self, session: Session, message: Heartbeat) -> None:
        """Note what a heartbeat says."""
        session.round_trip_us = max(0, message.round_trip_us)
        session.skew_us = message.skew_us
        session.running, session.waiting = max(0, message.running), max(0, message.waiting)
        self._known[session.minion].round_trip_us = session.round_trip_us

    def closed(self, descriptor: int, now_us: int) -> Session | None:
        """A TCP connection is gone; return the session that it carried, now closed."""
        for routing_id, old in list(self._superseded.items()):
            if old.session.connection.descriptor == descriptor:
                del self._superseded[routing_id]
        for session in self._by_routing_id.values():
            if session.connection.descriptor == descriptor:
                self._close(session, now_us)
                return session
        return None

    def remove(self, minion: MinionId, now_us: int) -> list[Connection]:
        """The key was removed: erase everything; return the connections to shut down."""
        connections = [old.session.connection for old in self._superseded.values() if old.session.minion == minion]
        self._superseded = {
            routing_id: old for routing_id, old in self._superseded.items() if old.session.minion != minion
        }
        session = self._by_minion.get(minion)
        if session is not None:
            self._close(session, now_us)
            connections.append(session.connection)
        self._known.pop(minion, None)
        return connections

    def newly_silent(self, now_us: int) -> list[Session]:
        """Connected minions whose heartbeats have just become overdue."""
        found = []
        for session in self._by_minion.values():
            is_silent = self._is_silent(session, now_us)
            if is_silent and not session.is_shown_silent:
                found.append(session)
            session.is_shown_silent = is_silent
        return found

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

    def wants_probe(self) -> bool:
        """Somebody waits for proof that broadcasts arrive."""
        return any(not session.is_ready for session in self._by_minion.values())

    def presence(self, minion: MinionId, now_us: int) -> Presence:
        """What is known of the link of a minion."""
        known = self._known.get(minion, _Known())
        session = self._by_minion.get(minion)
        if session is None:
            since_us = known.since_us or known.heard_us
            down = PresenceState.DOWN
            return Presence(down, since_us, known.heard_us, known.address, known.round_trip_us, known.conflict)
        state = PresenceState.SILENT if self._is_silent(session, now_us) else PresenceState.UP
        return Presence(
            state,
            known.since_us,
            session.heard_us,
            session.connection.address,
            session.round_trip_us,
            known.conflict,
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
        old = [routing_id for routing_id, known in self._superseded.items() if known.session.minion == minion]
        return tuple(self._superseded.pop(routing_id).session.connection for routing_id in old[:-SUPERSEDED_LIMIT])

    def _is_silent(self, session: Session, now_us: int) -> bool:
        return now_us - session.heard_us > SILENT_AFTER_HEARTBEATS * self.heartbeat_us

    def _close(self, session: Session, now_us: int) -> None:
        del self._by_routing_id[session.connection.routing_id]
        del self._by_minion[session.minion]
        known = self._known.setdefault(session.minion, _Known())
        known.since_us, known.heard_us = now_us, session.heard_us
