"""Connections to the fleet's ports that have not proved a key yet: how many there may be, and which must go. Pure.

A stranger can always connect; what it can not do is hold descriptors that the fleet needs (DESIGN T2). libzmq ends a handshake after
five seconds; this bounds how many wait at once, and ends those that prove a key and then never speak.
"""

from collections import Counter

from ..core.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class _Waiting:
    address: str
    accepted_us: int


class UnprovenConnections:
    """Accepted connections whose first frame has not come.

    Args:
        limit: in all.
        limit_per_address: from one address; many minions may start at once behind one.
        patience_us: from the accept to the first frame, handshake included.
    """

    def __init__(self, limit: int, limit_per_address: int, patience_us: int) -> None:
        self.excess = 0
        self._limit = limit
        self._limit_per_address = limit_per_address
        self._patience_us = patience_us
        self._waiting: dict[int, _Waiting] = {}
        self._addresses: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def accepted(self, descriptor: int, address: str, now_us: int) -> list[int]:
        """A connection was accepted; return the descriptors to shut down: the oldest of the address that has too many."""
        self.closed(descriptor)
        self._waiting[descriptor] = _Waiting(address, now_us)
        self._addresses[address] += 1
        if self._addresses[address] > self._limit_per_address:
            return [self._drop_oldest_of(address)]
        if len(self._waiting) > self._limit:
            return [self._drop_oldest_of(self._addresses.most_common(1)[0][0])]
        return []

    def proven(self, descriptor: int) -> None:
        """Its first frame has come: libzmq delivers none before the key is proved."""
        self.closed(descriptor)

    def closed(self, descriptor: int) -> None:
        """It is gone."""
        waiting = self._waiting.pop(descriptor, None)
        if waiting is not None:
            self._addresses[waiting.address] -= 1
            if not self._addresses[waiting.address]:
                del self._addresses[waiting.address]

    def overdue(self, now_us: int) -> list[int]:
        """Descriptors to shut down: they have had their time."""
        limit_us = now_us - self._patience_us
        late: list[int] = []
        for descriptor, waiting in self._waiting.items():
            if waiting.accepted_us > limit_us:
                break  # In the order of their accepts.
            late.append(descriptor)
        for descriptor in late:
            self.closed(descriptor)
        self.excess += len(late)
        return late

    def give_up(self) -> list[int]:
        """Descriptors to shut down when the process has none left: all that wait."""
        waiting = list(self._waiting)
        for descriptor in waiting:
            self.closed(descriptor)
        self.excess += len(waiting)
        return waiting

    def _drop_oldest_of(self, address: str) -> int:
        oldest = next(fd for fd, waiting in self._waiting.items() if waiting.address == address)
        self.closed(oldest)
        self.excess += 1
        return oldest
