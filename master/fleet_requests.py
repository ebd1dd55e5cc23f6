"""What commands and the console ask about minions, keys, events and the master itself."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..core.account import user_name
from ..core.control import (
    AskStatus,
    ChangeKeys,
    FollowEvents,
    FunctionsShown,
    GrainsShown,
    KeyList,
    ListKeys,
    ListMinions,
    MasterStatus,
    MinionRow,
    ShowFunctions,
    ShowGrains,
)
from ..core.errors import NoMatchError
from ..core.names import MinionId
from ..keys.fingerprint import fingerprint
from ..keys.minion_key import KeyState, MinionKey
from ..keys.selection import key_row
from .conductor import Conductor
from .control_port import Caller
from .events import Subscription
from .key_changes import KeyChanges
from .replies import Replies

EVENTS_BATCH = 200
#: What a follower of events may have unread; beyond it events wait in the ring, and are missed when that has gone round.
EVENT_BACKLOG_BYTES = 256 * 1024


@dataclass(slots=True)
class FleetRequests:
    """Answers requests about the fleet."""

    conductor: Conductor
    keys: KeyChanges
    replies: Replies
    version: str
    sockets: Mapping[str, str]
    counters: Callable[[], Mapping[str, int]]
    _followers: dict[int, Subscription] = field(default_factory=dict)

    def closed(self, connection: int) -> None:
        """A control connection has gone."""
        self._followers.pop(connection, None)

    def list_minions(self, connection: int, _caller: Caller, _request: ListMinions) -> None:
        """Every minion with an accepted key."""
        now_us = self.conductor.clock.now_us()
        for key in self.keys.store.by_state(KeyState.ACCEPTED):
            self.replies.stream(connection, self._row(key.minion_id, key.fingerprint, now_us))
        self.replies.end(connection)

    def show_grains(self, connection: int, _caller: Caller, request: ShowGrains) -> None:
        """The grains of one minion."""
        if self.keys.store.accepted(request.minion) is None:
            raise NoMatchError(
                f"no minion {request.minion} has an accepted key", "`fleet minions` lists those there are"
            )
        self.replies.answer(connection, GrainsShown(request.minion, self.conductor.facts.grains_of(request.minion)))

    def follow_events(self, connection: int, _caller: Caller, request: FollowEvents) -> None:
        """Events as they happen."""
        self._followers[connection] = self.conductor.events.subscribe(request.pattern, request.after)
        self.send_events()

    def send_events(self) -> None:
        """Give every follower what has happened, as fast as it reads: a slow one misses events, and is told how many."""
        for connection, subscription in list(self._followers.items()):
            if self.conductor.control.pending_bytes(connection) < EVENT_BACKLOG_BYTES:
                for note in subscription.take(EVENTS_BATCH):
                    self.replies.stream(connection, note)

    def ask_status(self, connection: int, _caller: Caller, _request: AskStatus) -> None:
        """How the master is."""
        now_us = self.conductor.clock.now_us()
        keys = {state.value: len(self.keys.store.by_state(state)) for state in KeyState}
        accepted = [key.minion_id for key in self.keys.store.by_state(KeyState.ACCEPTED)]
        status = MasterStatus(
            version=self.version,
            fingerprint=fingerprint(self.conductor.identity.signing.public.raw),
            pid=os.getpid(),
            started_us=self.conductor.clock.started_us,
            now_us=now_us,
            user=user_name(),
            sockets=self.sockets,
            minions=self.conductor.sessions.counts(accepted, now_us),
            keys=keys,
            counters=self.counters(),
        )
        self.replies.answer(connection, status)

    def show_functions(self, connection: int, _caller: Caller, request: ShowFunctions) -> None:
        """Functions by the catalogues of the minions."""
        self.replies.answer(connection, FunctionsShown(self.conductor.facts.functions(request.patterns)))

    # Keys.

    def list_keys(self, connection: int, _caller: Caller, _request: ListKeys) -> None:
        """All minion keys."""
        self.replies.answer(connection, self._key_list(self.keys.store.all()))

    def change_keys(self, connection: int, caller: Caller, request: ChangeKeys) -> None:
        """Accept, reject or delete keys; all or none, at once."""
        changed = self.keys.change(request.action, request.keys, caller.user)
        self.replies.answer(connection, self._key_list(changed))

    # Inner steps.

    def _key_list(self, keys: Iterable[MinionKey]) -> KeyList:
        identity = self.conductor.identity.signing.public.raw
        rows = tuple(key_row(key, identity) for key in keys)
        return KeyList(rows, fingerprint(identity), self.keys.store.candidates_dropped)

    def _row(self, minion: MinionId, code: str, now_us: int) -> MinionRow:
        presence = self.conductor.sessions.presence(minion, now_us)
        session = self.conductor.sessions.get(minion)
        system = self.conductor.facts.grains_of(minion).get("os", "")
        return MinionRow(
            minion=minion,
            state=presence.state,
            since_us=presence.since_us,
            last_seen_us=presence.last_heard_us,
            address=presence.address,
            version=self.conductor.sessions.version(minion),
            os=system if isinstance(system, str) else "",
            fingerprint=code,
            round_trip_us=presence.round_trip_us,
            skew_us=session.skew_us if session else 0,
            running=session.running if session else 0,
            waiting=session.waiting if session else 0,
            conflict=presence.conflict,
        )
