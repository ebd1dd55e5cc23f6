"""Broadcast epochs: which key broadcasts are sealed with, who holds it, and when it must change (DESIGN T4, T6). Pure."""

from collections.abc import Iterable

from ..core.dataclass import dataclass
from ..core.names import MinionId

#: Removals within this span share one renewal.
RENEWAL_PAUSE_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Epoch:
    """One broadcast key and the last sequence number used with it."""

    number: int
    key: bytes
    sequence: int


class Epochs:
    """The broadcast key, in memory only: fresh at every start, on schedule, and after every removal.

    Args:
        first: the number of the first epoch; random, so that two lives of a master do not share one.
        key: 32 random bytes.
        lifetime_us: the schedule.
    """

    def __init__(self, first: int, key: bytes, lifetime_us: int, now_us: int) -> None:
        self.current = Epoch(first, key, 0)
        self.renewals = 0
        self._lifetime_us = lifetime_us
        self._due_us = now_us + lifetime_us
        self._is_stale = False
        self._holders: set[MinionId] = set()
        self._given: set[MinionId] = set()

    def next_sequence(self) -> int:
        """Use the next sequence number of this epoch."""
        self.current = Epoch(self.current.number, self.current.key, self.current.sequence + 1)
        return self.current.sequence

    def given_to(self, minion: MinionId) -> None:
        """The key of this epoch is being sent to this minion: from now on it may read what is broadcast, whatever it confirms."""
        self._given.add(minion)

    def held_by(self, minion: MinionId) -> None:
        """This minion has the key of this epoch, and its subscription is proven."""
        self._given.add(minion)
        self._holders.add(minion)

    def not_held_by(self, minion: MinionId) -> None:
        """The session of this minion is gone; the next one proves its subscription anew."""
        self._holders.discard(minion)

    def expose(self, now_us: int) -> None:
        """A key was removed: nothing more is sealed in this epoch; the next one begins within a second."""
        if not self._is_stale:
            self._is_stale = True
            self._due_us = now_us + RENEWAL_PAUSE_US

    def reach(self, minions: frozenset[MinionId]) -> frozenset[MinionId]:
        """Those of these minions that a broadcast reaches; none when somebody else could read it.

        Whoever was given the key counts, also one that never confirmed it, or has left its session and kept its subscription.
        """
        if self._is_stale or not self._given <= minions:
            return frozenset()
        return minions & self._holders

    def deadline_us(self) -> int:
        """When the next epoch is due."""
        return self._due_us

    def renew(self, key: bytes, now_us: int) -> Epoch:
        """Begin the next epoch; whoever has not confirmed it gets jobs over its own connection."""
        self.current = Epoch(self.current.number + 1, key, 0)
        self.renewals += 1
        self._is_stale = False
        self._due_us = now_us + self._lifetime_us
        self._holders.clear()
        self._given.clear()
        return self.current

    def holders(self) -> Iterable[MinionId]:
        """Who has confirmed the key of this epoch."""
        return frozenset(self._holders)
