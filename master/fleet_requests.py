"""What commands and the console ask about functions, keys and events."""

from collections.abc import Iterable

from ..core.control_answers import FunctionsShown, KeyList
from ..core.control_requests import ChangeKeys, FollowEvents, ListKeys, ShowFunctions
from ..core.dataclass import dataclass, field
from ..keys.fingerprint import fingerprint
from ..keys.minion_key import MinionKey
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
    _followers: dict[int, Subscription] = field(default_factory=dict)

    def closed(self, connection: int) -> None:
        """A control connection has gone."""
        self._followers.pop(connection, None)

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
