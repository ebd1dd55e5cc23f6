"""Connections whose key is proved, by minion: so that none is forgotten when the key is removed, and no key collects them. Pure."""

from ..core.dataclass import dataclass, field
from ..core.names import MinionId


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """A TCP connection of this process, and the address that its descriptor must still have when it is shut down."""

    descriptor: int
    address: str


@dataclass(slots=True)
class ProvenConnections:
    """The connections to one port that have spoken, with or without a session.

    A connection that never says hello has no session, and would else outlive the key that it was admitted with; and whoever
    opens one a second and keeps it would in a day have every descriptor of the master.

    Args:
        limit: of one minion at once: the one it uses, and a few that are dying while it reconnects.
    """

    limit: int
    _of_minion: dict[MinionId, dict[int, OpenConnection]] = field(default_factory=dict)
    _minions: dict[int, MinionId] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._minions)

    def spoke(
        self, minion: MinionId, descriptor: int, address: str, in_use: int | None = None
    ) -> OpenConnection | None:
        """The first frame of a connection has come; return the one to shut down when the minion has too many.

        Args:
            minion: whose key it was admitted with.
            descriptor: of its TCP connection.
            address: of the other end.
            in_use: the descriptor of the minion's session: it goes last.
        """
        self.closed(descriptor)
        mine = self._of_minion.setdefault(minion, {})
        mine[descriptor] = OpenConnection(descriptor, address)
        self._minions[descriptor] = minion
        if len(mine) <= self.limit:
            return None
        oldest = next(one for number, one in mine.items() if number != in_use)
        self.closed(oldest.descriptor)
        return oldest

    def closed(self, descriptor: int) -> None:
        """A connection is gone."""
        minion = self._minions.pop(descriptor, None)
        if minion is None:
            return
        mine = self._of_minion[minion]
        del mine[descriptor]
        if not mine:
            del self._of_minion[minion]

    def remove(self, minion: MinionId) -> tuple[OpenConnection, ...]:
        """The key of a minion was removed: forget its connections, and return them to be shut down."""
        mine = tuple(self._of_minion.pop(minion, {}).values())
        for one in mine:
            del self._minions[one.descriptor]
        return mine
