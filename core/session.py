"""The minion's side of the link to its master: sans-IO, a transition table and the actions that go with it.

::

    no_link ──timer──▶ enrolling ──accepted──▶ connecting ──link_up──▶ greeting ──welcome──▶ welcomed ──probe──▶ ready
       ▲                      │                    │                      │                     │                  │
       └──────────── link_lost, link_refused, silence (back-off with jitter) ──────────────────────────────────────┘

An accepted minion starts at ``connecting`` with the document it kept, and asks the enrolment port again only when its key or the
master's was refused, or every fourth time that nothing answers (the ports may have changed); that port may be flooded by anybody, so
after a while it tries the kept document again. It never gives up.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

from . import codec
from .dataclass import dataclass
from .errors import ProtocolError
from .from_master import HeartbeatAnswer, Ping, Rejoin, Renewal, Welcome
from .from_minion import Heartbeat, Hello, InventoryItem, Pong, Ready, Renewed
from .master_time import MasterTime, measure
from .messages import TOKEN_BYTES, FromMaster, FromMinion

#: How long the link may take to be made, and welcome to come: twice as long after each failure. A fleet that comes back at once waits
#: in line; whoever leaves it after a time in which not all can be served begins at its end again, and the line grows no shorter.
HANDSHAKE_LIMIT_US = 5_000_000
HANDSHAKE_LONGEST_US = 20_000_000
#: Welcome to probe: the master sends another one each second, or sooner, so ten times that.
READY_LIMIT_US = 10_000_000
BACK_OFF_LIMIT_US = 5_000_000
BACK_OFF_FIRST_US = 100_000
#: Heartbeats unanswered before the link is given up: three, DESIGN promises a verdict within three.
HEARTBEATS_MISSED_LIMIT = 3
ENROL_EVERY = 4
#: How long an accepted minion asks the enrolment port before it tries the kept ports again: that listener may run dry, and the fleet
#: must not notice (DESIGN T2). Longer when the fleet's ports have refused it, for then a person may have to decide.
ENROL_LIMIT_US = 10_000_000
REFUSED_ENROL_LIMIT_US = 60_000_000
HEARTBEAT_LIMIT_SECONDS = 3_600.0
#: Ten thousand minions come back within ten seconds; no fleet needs more than this.
RECONNECT_WINDOW_LIMIT_SECONDS = 300.0
REJOIN_LIMIT_SECONDS = 60.0
BROADCAST_KEY_BYTES = 32


class LinkState(StrEnum):
    """What the minion knows of its link."""

    NO_LINK = "no_link"
    ENROLLING = "enrolling"
    CONNECTING = "connecting"
    GREETING = "greeting"
    WELCOMED = "welcomed"
    READY = "ready"


class LinkEvent(StrEnum):
    """What can happen to a link."""

    ACCEPTED = "accepted"
    LINK_UP = "link_up"
    LINK_LOST = "link_lost"
    LINK_REFUSED = "link_refused"
    WELCOME = "welcome"
    PROBE = "probe"
    REJOIN = "rejoin"
    DUE_ENROL = "due_enrol"
    DUE_CONNECT = "due_connect"
    SILENCE = "silence"


_S, _E = LinkState, LinkEvent
_LIVE = (_S.CONNECTING, _S.GREETING, _S.WELCOMED, _S.READY)

#: What is not listed does not happen: the event is ignored in that state.
TRANSITIONS: Mapping[tuple[LinkState, LinkEvent], LinkState] = MappingProxyType(
    {
        (_S.NO_LINK, _E.DUE_ENROL): _S.ENROLLING,
        (_S.NO_LINK, _E.DUE_CONNECT): _S.CONNECTING,
        (_S.ENROLLING, _E.ACCEPTED): _S.CONNECTING,
        (_S.ENROLLING, _E.SILENCE): _S.NO_LINK,
        (_S.CONNECTING, _E.LINK_UP): _S.GREETING,
        (_S.GREETING, _E.WELCOME): _S.WELCOMED,
        (_S.WELCOMED, _E.PROBE): _S.READY,
        **{
            (state, event): _S.NO_LINK
            for state in _LIVE
            for event in (_E.LINK_LOST, _E.LINK_REFUSED, _E.SILENCE, _E.REJOIN)
        },
    }
)


@dataclass(frozen=True, slots=True)
class OpenLink:
    """Open new sockets to the master of the kept document."""


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Close the sockets, discarding what they hold."""

    reason: str


@dataclass(frozen=True, slots=True)
class BeginEnrolment:
    """Ask the enrolment port where the master is and whether the key is accepted."""


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Hand one frame to the request socket."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Deliver:
    """A message of the master that is not about the link."""

    message: FromMaster


@dataclass(frozen=True, slots=True)
class JoinEpoch:
    """Use this broadcast key from now on."""

    epoch: int
    broadcast_key: bytes
    sequence: int


@dataclass(frozen=True, slots=True)
class Joined:
    """The session is open: report what the master lacks and send what is unanswered."""

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class BecameReady:
    """What is published from now on arrives."""


@dataclass(frozen=True, slots=True)
class TimeLearned:
    """The master's clock was measured."""

    time: MasterTime


LinkAction = (
    OpenLink | CloseLink | BeginEnrolment | SendFrame | Deliver | JoinEpoch | Joined | BecameReady | TimeLearned
)


def back_off(failures: int, jitter: float) -> int:
    """How long to wait before the next attempt, in microseconds.

    Args:
        failures: attempts that failed in a row, from 1.
        jitter: between 0 and 1, from the operating system's randomness: libzmq's own comes from an unseeded rand(),
            the same in every process, so that a fleet would come back in step.
    """
    ceiling = min(BACK_OFF_LIMIT_US, BACK_OFF_FIRST_US * 2 ** min(failures, 10))
    return int(ceiling * (0.25 + 0.75 * jitter))


def handshake_limit(failures: int) -> int:
    """How long the next attempt may take to make the link, in microseconds, after so many that failed in a row."""
    return min(HANDSHAKE_LIMIT_US << min(failures, 10), HANDSHAKE_LONGEST_US)


class LinkSession:
    """The state of the link of one minion.

    Args:
        has_document: the minion was accepted before and kept the master's document.
        hello: makes the hello, with the inventory of this moment.
        load: gives (running, waiting) for heartbeats.
        wall_clock_us: the minion's own wall clock, to show the skew.
        jitter: randomness of the operating system, between 0 and 1.
    """

    def __init__(
        self,
        *,
        has_document: bool,
        hello: Callable[[Sequence[InventoryItem]], Hello],
        inventory: Callable[[], Sequence[InventoryItem]],
        load: Callable[[], tuple[int, int]],
        wall_clock_us: Callable[[], int],
        jitter: Callable[[], float],
    ) -> None:
        self.state = LinkState.NO_LINK
        self.time: MasterTime | None = None
        self.round_trip_us = 0
        self._has_document = has_document
        self._hello = hello
        self._inventory = inventory
        self._load = load
        self._wall_clock_us = wall_clock_us
        self._jitter = jitter
        self._token = b""
        self._failures = 0
        self._window_us = 0
        self._must_enrol = not has_document
        self._due_us = 0
        self._asked_us: dict[int, int] = {}
        self._number = 0
        self._heartbeat_us = 10_000_000
        self._next_heartbeat_us = 0
        self._hello_us = 0

    @property
    def is_joined(self) -> bool:
        """A session is open: messages may be sent."""
        return self.state in {LinkState.WELCOMED, LinkState.READY}

    def deadline_us(self) -> int | None:
        """When ``ticked`` has something to do, by CLOCK_BOOTTIME; None while enrolling for the first time."""
        if self.state is LinkState.ENROLLING and not self._has_document:
            return None
        if self.is_joined:
            return min(self._due_us, self._next_heartbeat_us) if self._due_us else self._next_heartbeat_us
        return self._due_us

    def send(self, message: FromMinion) -> list[LinkAction]:
        """Wrap a message of this session; nothing when none is open (whoever sends, sends again later)."""
        return [SendFrame(codec.write_frame(message, self._token))] if self.is_joined else []

    def ask_time(self, now_us: int) -> list[LinkAction]:
        """Ask for the master's time now, unless an answer is on its way."""
        if not self.is_joined or any(now_us - sent < 1_000_000 for sent in self._asked_us.values()):
            return []
        return self._beat(now_us)

    def ticked(self, now_us: int) -> list[LinkAction]:
        """Do what is due: the next attempt, a heartbeat, or giving up a link that is silent."""
        if self.state is LinkState.NO_LINK and now_us >= self._due_us:
            return self._attempt(now_us)
        if self.state in {LinkState.CONNECTING, LinkState.GREETING} and now_us >= self._due_us:
            return self._fail(LinkEvent.SILENCE, "no answer in time", now_us)
        if self.state is LinkState.ENROLLING and self._has_document and now_us >= self._due_us:
            self._must_enrol = False
            return self._fail(LinkEvent.SILENCE, "the enrolment port has not let it in: trying the known ports", now_us)
        if self.state is LinkState.WELCOMED and now_us >= self._due_us:
            return self._fail(LinkEvent.SILENCE, "no broadcast arrives", now_us)
        if self.is_joined and now_us >= self._next_heartbeat_us:
            oldest = min(self._asked_us.values(), default=now_us)
            if now_us - oldest >= HEARTBEATS_MISSED_LIMIT * self._heartbeat_us:
                return self._fail(LinkEvent.SILENCE, "heartbeats are not answered", now_us)
            return self._beat(now_us)
        return []

    def accepted(self, now_us: int) -> list[LinkAction]:
        """The enrolment port said that the key is accepted; the document is kept."""
        if not self._moves(LinkEvent.ACCEPTED):
            return []
        self._has_document, self._must_enrol = True, False
        self._due_us = now_us + handshake_limit(self._failures)
        return [OpenLink()]

    def link_up(self, now_us: int) -> list[LinkAction]:
        """The request socket has finished its handshake."""
        if not self._moves(LinkEvent.LINK_UP):
            return []
        self._due_us = now_us + handshake_limit(self._failures)
        self._hello_us = now_us
        return [SendFrame(codec.write_frame(self._hello(self._inventory())))]

    def link_lost(self, reason: str, now_us: int) -> list[LinkAction]:
        """A socket has lost its connection, or could not make one."""
        return self._fail(LinkEvent.LINK_LOST, reason, now_us)

    def link_refused(self, reason: str, now_us: int) -> list[LinkAction]:
        """The handshake failed: our key is not accepted, or the master's is another."""
        actions = self._fail(LinkEvent.LINK_REFUSED, reason, now_us)
        self._must_enrol = self._must_enrol or bool(actions)
        return actions

    def probed(self, epoch: int, sequence: int) -> list[LinkAction]:
        """A probe came in a broadcast: the subscription is granted."""
        if not self._moves(LinkEvent.PROBE):
            return []
        self._due_us = 0
        self._failures = 0
        return [*self.send(Ready(epoch, sequence)), BecameReady()]

    def received(self, frame: bytes, now_us: int) -> list[LinkAction]:
        """A frame came on the request socket.

        Raises:
            ProtocolError: it is no message, or not of this session; count and drop it.
        """
        header = codec.read_header(frame)
        message = codec.read_from_master(header, frame)
        if isinstance(message, Rejoin):
            return self._rejoin(message, now_us)
        if isinstance(message, Welcome):
            return self._welcomed(message, now_us)
        if not self.is_joined or header.token != self._token:
            raise ProtocolError("a message of another session")
        if isinstance(message, HeartbeatAnswer):
            return self._answered(message, now_us)
        if isinstance(message, Renewal):
            if len(message.broadcast_key) != BROADCAST_KEY_BYTES:
                raise ProtocolError("a renewal without a key")
            joined = JoinEpoch(message.epoch, message.broadcast_key, message.sequence)
            return [joined, *self.send(Renewed(message.epoch))]
        if isinstance(message, Ping):
            return self.send(Pong(message.number))
        return [Deliver(message)]

    def _welcomed(self, message: Welcome, now_us: int) -> list[LinkAction]:
        if len(message.token) != TOKEN_BYTES or len(message.broadcast_key) != BROADCAST_KEY_BYTES:
            raise ProtocolError("a welcome without a token or a key")
        if not self._moves(LinkEvent.WELCOME):
            raise ProtocolError("a welcome that nobody asked for")
        self._token = message.token
        self._heartbeat_us = _microseconds(message.heartbeat_seconds, 0.1, HEARTBEAT_LIMIT_SECONDS)
        self._window_us = _microseconds(message.reconnect_window_seconds, 0.0, RECONNECT_WINDOW_LIMIT_SECONDS)
        self._due_us = now_us + READY_LIMIT_US
        self._asked_us.clear()
        self._next_heartbeat_us = now_us + int(self._heartbeat_us * (0.5 + 0.5 * self._jitter()))
        self.time = measure(self._hello_us, now_us, message.master_time_us)
        self.round_trip_us = now_us - self._hello_us
        return [
            JoinEpoch(message.epoch, message.broadcast_key, message.sequence),
            TimeLearned(self.time),
            Joined(message),
        ]

    def _answered(self, message: HeartbeatAnswer, now_us: int) -> list[LinkAction]:
        sent_us = self._asked_us.get(message.number)
        if sent_us is None:
            raise ProtocolError("an answer to a heartbeat that was not sent")
        # Those before it need none any more; one that left after it still does.
        self._asked_us = {number: asked_us for number, asked_us in self._asked_us.items() if number > message.number}
        self.time = measure(sent_us, now_us, message.master_time_us)
        self.round_trip_us = now_us - sent_us
        return [TimeLearned(self.time)]

    def _beat(self, now_us: int) -> list[LinkAction]:
        self._number += 1
        self._asked_us[self._number] = now_us
        self._next_heartbeat_us = now_us + self._heartbeat_us
        skew_us = self._wall_clock_us() - self.time.now(now_us) if self.time else 0
        running, waiting = self._load()
        return self.send(Heartbeat(self._number, self.round_trip_us, skew_us, running, waiting))

    def _attempt(self, now_us: int) -> list[LinkAction]:
        if self._must_enrol or (self._failures and self._failures % ENROL_EVERY == 0):
            self._moves(LinkEvent.DUE_ENROL)
            self._due_us = now_us + (REFUSED_ENROL_LIMIT_US if self._must_enrol else ENROL_LIMIT_US)
            return [BeginEnrolment()]
        self._moves(LinkEvent.DUE_CONNECT)
        self._due_us = now_us + handshake_limit(self._failures)
        return [OpenLink()]

    def _rejoin(self, message: Rejoin, now_us: int) -> list[LinkAction]:
        actions = self._fail(LinkEvent.REJOIN, message.reason, now_us)
        if actions:
            self._due_us = max(self._due_us, now_us + _microseconds(message.retry_seconds, 0.0, REJOIN_LIMIT_SECONDS))
        return actions

    def _fail(self, event: LinkEvent, reason: str, now_us: int) -> list[LinkAction]:
        if not self._moves(event):
            return []
        self._token = b""
        self._asked_us.clear()
        self._failures += 1
        # A master that comes back is met by its fleet over the window that it asked for, not all at once; and so again by those that it
        # did not get to, or nine thousand that try every five seconds leave it no time to get to any.
        wait_us = max(back_off(self._failures, self._jitter()), int(self._window_us * self._jitter()))
        self._due_us = now_us + wait_us
        return [CloseLink(reason)]

    def _moves(self, event: LinkEvent) -> bool:
        after = TRANSITIONS.get((self.state, event))
        if after is None:
            return False
        self.state = after
        return True


def _microseconds(seconds: float, least: float, most: float) -> int:
    return int(min(max(seconds, least), most) * 1_000_000)
