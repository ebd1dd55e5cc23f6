"""Carries out what the pure machines decide: sends, commits, publishes, tells. The one place where a job leaves the master."""

import logging
import os
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import assert_never

from ..core.broadcast import Broadcast, BroadcastKind, seal_broadcast
from ..core.codec import with_token, write_frame
from ..core.control import Answer
from ..core.control_answers import Done, MinionPinged, TargetResult
from ..core.crypto import BroadcastKey
from ..core.dataclass import dataclass, field
from ..core.from_master import Cancel, Discard, Follow, Forget, JobOrder, Renewal, Stored
from ..core.from_minion import LiveOutput
from ..core.job_document import Probe
from ..core.job_states import TERMINAL, JobState
from ..core.messages import FromMaster
from ..core.names import Jid, MinionId
from ..core.packing import encode
from ..keys.identity import MasterIdentity
from .clock import MasterClock
from .control_port import ControlPort
from .credit import Credit
from .epochs import Epochs
from .events import EventRing
from .facts import FleetFacts
from .forgetting import Forgetting
from .job_actions import (
    AnswerReturn,
    Commit,
    CommitReturn,
    Dispatch,
    Emit,
    JobEnded,
    LookUpEnded,
    MasterJobAction,
    PartKept,
    SendTo,
    Settle,
    Tell,
)
from .job_events import return_of
from .jobs import MasterJobs
from .live_output import LiveOutputs
from .pings import PendingPing, Pings
from .presence import Presence
from .proven import OpenConnection, ProvenConnections
from .results import result_of_return, without_output
from .sessions import Session, Sessions
from .store import Change, Forgot, JobStore, LastSeen, Note, Owed
from .store_thread import StoreThread
from .transport import FleetPorts, shut_down
from .turn_commits import TurnCommits, complain
from .watchers import Watchers

log = logging.getLogger(__name__)

NONCE_BYTES = 24
#: Connections of one key to one port: one, and a few that are dying while it reconnects.
CONNECTIONS_LIMIT = 5


@dataclass(slots=True)
class ConductorCounters:
    """What has left the master."""

    broadcasts: int = 0
    probes: int = 0
    orders: int = 0
    returns_discarded: int = 0


@dataclass(slots=True)
class Conductor:
    """Holds the parts that act, and carries out actions in order."""

    clock: MasterClock
    identity: MasterIdentity
    ports: FleetPorts
    sessions: Sessions
    epochs: Epochs
    facts: FleetFacts
    jobs: MasterJobs
    store: StoreThread
    events: EventRing
    watchers: Watchers
    control: ControlPort
    forgetting: Forgetting
    live: LiveOutputs
    pings: Pings = field(default_factory=Pings)
    credit: Credit = field(default_factory=Credit)
    is_streaming: Callable[[int], bool] = lambda _connection: False
    on_forgotten: Callable[[MinionId, Jid], None] = lambda _minion, _jid: None
    on_left: Callable[[MinionId], None] = lambda _minion: None
    counters: ConductorCounters = field(default_factory=ConductorCounters)
    commits: TurnCommits = field(init=False)
    _requesting: ProvenConnections = field(default_factory=lambda: ProvenConnections(CONNECTIONS_LIMIT))
    _subscribed: ProvenConnections = field(default_factory=lambda: ProvenConnections(CONNECTIONS_LIMIT))

    def __post_init__(self) -> None:
        """What is committed leads to further actions."""
        self.commits = TurnCommits(self.store, self.jobs, self.clock.now_us, self.perform)

    def perform(self, actions: Iterable[MasterJobAction], now_us: int = 0) -> None:
        """Carry out what the job machine wants, in order; ``now_us`` is the time, where whoever calls has read it already."""
        for action in actions:
            match action:
                case CommitReturn():
                    self.commits.add_return(action.stored)
                case AnswerReturn():
                    self._answer_return(action, now_us or self.clock.now_us())
                case Dispatch():
                    self._dispatch(action)
                case SendTo():
                    self.send(action.minion, action.message)
                case Commit():
                    self.commits.add(action)
                case Settle():
                    self.perform(self.jobs.settled(action, self.clock.now_us()))
                case PartKept():
                    self.perform(self.jobs.part_kept(action.part, self.clock.now_us()))
                case LookUpEnded():
                    self._look_up_ended(action)
                case Emit():
                    self.events.publish(action.tag, action.payload, now_us or self.clock.now_us())
                case Tell():
                    self._tell(action.jid, action.note)
                case JobEnded():
                    self._finish(action.jid)
                case _:
                    assert_never(action)

    def send(self, minion: MinionId, message: FromMaster) -> bool:
        """Send one message to a minion over its own connection; False when it has none."""
        session = self.sessions.get(minion)
        return session is not None and self.send_to_session(session, message)

    def send_to_session(self, session: Session, message: FromMaster) -> bool:
        """Send one message of this session."""
        return self.ports.send(session.connection.routing_id, write_frame(message, session.token))

    def commit(self, changes: tuple[Change, ...], then: tuple[MasterJobAction, ...] = ()) -> None:
        """Store changes now, behind all that has come before, then carry out what waits for them."""
        self.commits.add(Commit(changes, then))
        self.commits.commit()

    def keep_last_seen(self, least_us: int) -> None:
        """Store when the connected minions were last heard, where that has moved by so much; at once for all of them.

        Not while the store cannot commit: each minute of a full disk would queue as much again.
        """
        if self.store.trouble is None:
            moved = self.facts.heard(((one.minion, one.heard_us) for one in self.sessions.all()), least_us)
            if moved:
                self.commit((LastSeen(moved),))

    def publish_event(self, tag: str, **payload: str | int | bool | None) -> None:
        """Publish an event of the master's own."""
        self.events.publish(tag, payload, self.clock.now_us())

    def left(self, minion: MinionId, reason: str, now_us: int) -> None:
        """The session of a minion is gone: whoever waits for what was sent over it need not."""
        self.credit.left(minion)
        self.perform(self.jobs.left(minion, now_us))
        self.give_up_pings(self.pings.left(minion), reason)
        self.on_left(minion)

    def ponged(self, minion: MinionId, number: int) -> None:
        """A minion has answered a ping. The clock is read here: the frame may have waited behind others."""
        ping = self.pings.answered(minion, number)
        if ping is not None:
            self._end_ping(ping, MinionPinged(minion, self.clock.now_us() - ping.sent_us))

    def heard_of(self, minion: MinionId, jid: Jid) -> None:
        """A minion has said something of a job: what waited behind it for that minion goes out."""
        for ready in self.credit.answered(minion, jid):
            order = self.jobs.order_for(ready)
            if order is not None and self.jobs.awaits_order(ready, minion):
                self._send_order(minion, *order)
            else:
                self.heard_of(minion, ready)  # It has ended meanwhile.

    def live_output(self, minion: MinionId, message: LiveOutput) -> None:
        """A job that is followed has written something."""
        for connection, part in self.live.take(minion, message):
            self.answer(connection, part)

    def ask_for_output(self) -> None:
        """Ask minions for the output that is followed, as far as those who follow it can take it."""
        for minion, follow in self.live.due(self.clock.now_us()):
            session = self.sessions.get(minion)
            if session is not None and session.speaks(Follow):
                self.send_to_session(session, follow)

    def give_up_pings(self, pings: Iterable[PendingPing], reason: str) -> None:
        """Say to those who wait for these that no answer comes, and why."""
        for ping in pings:
            waited_us = max(self.clock.now_us() - ping.sent_us, 1)
            self._end_ping(ping, MinionPinged(ping.minion, None, reason, waited_us))

    def _end_ping(self, ping: PendingPing, answer: MinionPinged) -> None:
        self.control.send(ping.connection, answer)
        self.control.finish(ping.connection)

    def probe(self, minions: Collection[MinionId]) -> None:
        """Send these proof that broadcasts arrive; one signature serves all of them.

        And not everybody: while a fleet comes back each would be sent one at every tick, and they would be as many as its square.
        """
        if minions:
            self.counters.probes += 1
            probe = encode(Probe(self.counters.probes))
            self.ports.publish_to(minions, self._seal(BroadcastKind.PROBE, None, 0, probe))

    def renew_epoch(self) -> None:
        """Begin a new epoch and tell every session over its own connection."""
        epoch = self.epochs.renew(os.urandom(32), self.clock.now_us())
        message = Renewal(epoch.number, epoch.key, epoch.sequence, self.clock.now_us())
        for session in self.sessions.all():
            self.epochs.given_to(session.minion)
            self.send_to_session(session, message)

    def have_forgotten(self, owed: Iterable[Owed]) -> None:
        """These minions are to forget these deleted jobs; the store remembers it."""
        each = tuple(owed)
        self.forgetting.owe(each)
        for minion in {one.minion for one in each}:
            self._tell_to_forget(minion, self.forgetting.due(minion, self.clock.now_us()))

    def repeat_forgetting(self, now_us: int) -> None:
        """Tell those again that are connected and have not confirmed."""
        for minion in self.forgetting.minions():
            if self.sessions.presence(minion, now_us).is_connected:
                self._tell_to_forget(minion, self.forgetting.due(minion, now_us))

    def greeted_who_owes(self, minion: MinionId) -> None:
        """A minion has opened a session: tell it what was deleted while it was away."""
        self._tell_to_forget(minion, self.forgetting.joined(minion, self.clock.now_us()))

    def forgotten(self, minion: MinionId, jid: Jid) -> None:
        """A minion holds nothing of a job any more."""
        if self.forgetting.settle(minion, jid):
            self.commit((Forgot(jid, minion),))
            self.on_forgotten(minion, jid)
        self.heard_of(minion, jid)

    def _tell_to_forget(self, minion: MinionId, owed: Iterable[Owed]) -> None:
        """One of an earlier release is asked to cancel: its return is then not wanted, and it forgets that."""
        session = self.sessions.get(minion)
        if session is None:
            return
        for each in owed:
            kind = Forget if session.speaks(Forget) else Cancel
            self.send_to_session(session, kind(each.jid, each.expires_us))

    def end_connection(self, descriptor: int, address: str) -> None:
        """Shut a TCP connection down."""
        shut_down(descriptor, address)

    def met(self, minion: MinionId, descriptor: int, address: str) -> None:
        """A connection of this minion to the request port has spoken for the first time."""
        session = self.sessions.get(minion)
        in_use = None if session is None else session.connection.descriptor
        self._end(self._requesting.spoke(minion, descriptor, address, in_use))

    def subscribed(self, minion: MinionId, descriptor: int, address: str) -> None:
        """A connection of this minion has been granted the broadcast topic."""
        self._end(self._subscribed.spoke(minion, descriptor, address))

    def disconnected(self, descriptor: int) -> None:
        """A connection to either port is gone."""
        self._requesting.closed(descriptor)
        self._subscribed.closed(descriptor)

    def end_connections(self, minion: MinionId) -> None:
        """Shut down every connection of this minion, also those without a session."""
        for one in (*self._requesting.remove(minion), *self._subscribed.remove(minion)):
            self._end(one)

    def _end(self, excess: OpenConnection | None) -> None:
        if excess is not None:
            shut_down(excess.descriptor, excess.address)

    def answer(self, connection: int, answer: Answer) -> None:
        """Answer a control connection; when it is gone nothing happens."""
        self.control.send(connection, answer)

    def _dispatch(self, action: Dispatch) -> None:
        def fits(presence: Presence) -> bool:
            # Two machines with one key must not get it, and a release before stdin would run it without.
            return not presence.conflict and (presence.takes_stdin or not self.jobs.has_stdin(action.jid))

        presences = {minion: self.sessions.presence(minion, 0) for minion in action.minions}
        present = frozenset(minion for minion, one in presences.items() if one.is_connected and fits(one))
        # A broadcast costs one seal and one signature: not worth it for one, such as a minion that has not answered and is sent its
        # job again. Of four hundred of those each would go through all targets here: 20 s, in which nobody else is served.
        if len(present) > 1:
            # It must never reach anybody else: whoever was given the key must be a target as well, there or not.
            targets = self.jobs.targets_of(action.jid)
            may_read = frozenset(minion for minion in targets if fits(self.sessions.presence(minion, 0)))
            by_broadcast = self.epochs.reach(may_read) & present
            if len(by_broadcast) > 1:
                self.counters.broadcasts += 1
                self.ports.publish(self._seal(BroadcastKind.JOB, action.jid, action.expires_us, action.document))
                present -= by_broadcast
        order = self.jobs.order_for(action.jid)
        if order is None:
            return
        document, signature = order
        for minion in present:
            if self.credit.take(minion, action.jid, len(document)):
                self._send_order(minion, document, signature)

    def _send_order(self, minion: MinionId, document: bytes, signature: bytes) -> None:
        self.counters.orders += 1
        self.send(minion, JobOrder(document, signature, self.clock.now_us()))

    def _seal(self, kind: BroadcastKind, jid: Jid | None, expires_us: int, body: bytes) -> bytes:
        sequence = self.epochs.next_sequence()
        epoch = self.epochs.current
        broadcast = Broadcast(epoch.number, sequence, kind, jid, expires_us, body)
        key = BroadcastKey(epoch.key)
        return seal_broadcast(broadcast, key, self.identity.signing, os.urandom(NONCE_BYTES))

    def _look_up_ended(self, action: LookUpEnded) -> None:
        """A return of a target that is not open: stored before, ended otherwise (keep a note), or never ours."""
        jid, minion = action.jid, action.minion

        def done(state: JobState | Exception | None) -> None:
            if isinstance(state, Exception):
                complain("be read", state)
                return
            if state is None:
                self.counters.returns_discarded += 1
                self.send(minion, Discard(jid, "no such job was sent to this minion"))
                self.forgotten(minion, jid)
                return
            if state is not action.state:
                self.commit((Note(jid, minion, self.clock.now_us(), action.text),))
            self.send(minion, Stored(jid))

        def look(store: JobStore) -> JobState | None:
            return store.is_ended(jid, minion)

        self.store.read(look, done)

    def _tell(self, jid: Jid, note: Answer) -> None:
        if isinstance(note, TargetResult) and note.state in TERMINAL:
            self.live.ended(jid, note.minion)
        for connection in self.watchers.of(jid):
            if isinstance(note, TargetResult) and not self.watchers.wants_output(connection):
                self.answer(connection, without_output(note))
            else:
                self.answer(connection, note)

    def _answer_return(self, action: AnswerReturn, now_us: int) -> None:
        """Its minion first: a return is repeated until it is answered. Of one that nobody watches no result is made."""
        stored = action.stored
        jid, minion = stored.answer.jid, stored.minion
        session = self.sessions.get(minion)
        if session is not None:
            self.ports.send(session.connection.routing_id, with_token(_write_stored(jid), session.token))
        self.events.keep(return_of(stored, action.function), now_us)
        if self.watchers.of(jid):
            self._tell(jid, result_of_return(stored, action.address, action.host))
        else:
            self.live.ended(jid, minion)

    def _finish(self, jid: Jid) -> None:
        for connection in self.watchers.finish(jid):
            if self.is_streaming(connection):
                continue  # It is still told what is in the store; its stream ends with that.
            self.answer(connection, Done())
            self.control.finish(connection)


@lru_cache(64)
def _write_stored(jid: Jid) -> bytes:
    """The answer to each return of one job; a job may have ten thousand."""
    return write_frame(Stored(jid))
