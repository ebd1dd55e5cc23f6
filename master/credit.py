"""How much of what was handed to each minion's connection it has not answered: pure.

A process that is stopped, or a link that is held, takes what is sent to it into the buffers of libzmq: a thousand frames, and a job
may have a mebibyte of arguments. So jobs go out while less than a window is unanswered, and wait here in order beyond that (DESIGN D8).
"""

from collections.abc import Mapping

from ..core.dataclass import dataclass, field
from ..core.messages import WINDOW_BYTES
from ..core.names import Jid, MinionId


@dataclass(slots=True)
class _Account:
    """One minion: what was handed over, by job, and what waits, in order."""

    unanswered: dict[Jid, int] = field(default_factory=dict)
    waiting: dict[Jid, int] = field(default_factory=dict)

    @property
    def used_bytes(self) -> int:
        return sum(self.unanswered.values())

    def has_room(self, size_bytes: int) -> bool:
        used_bytes = self.used_bytes
        return not used_bytes or used_bytes + size_bytes <= WINDOW_BYTES


class Credit:
    """The jobs that are on their way to minions over their own connections.

    Attributes:
        put_off: how many jobs had to wait.
    """

    def __init__(self) -> None:
        self._accounts: dict[MinionId, _Account] = {}
        self.put_off = 0

    def take(self, minion: MinionId, jid: Jid, size_bytes: int) -> bool:
        """Tell whether this job may be sent now, also once more; else it waits for ``answered``."""
        account = self._accounts.setdefault(minion, _Account())
        if account.waiting or not account.has_room(size_bytes):
            if jid not in account.waiting:
                # One that is on its way already and is to be sent once more has had its turn: it is no further job.
                self.put_off += jid not in account.unanswered
                account.waiting[jid] = size_bytes
            return False
        account.unanswered[jid] = account.unanswered.get(jid, 0) + size_bytes
        return True

    def answered(self, minion: MinionId, jid: Jid) -> list[Jid]:
        """The minion has said something of this job; return those that waited and may be sent now."""
        account = self._accounts.get(minion)
        if account is None:
            return []
        account.unanswered.pop(jid, None)
        account.waiting.pop(jid, None)
        ready: list[Jid] = []
        while account.waiting:
            first = next(iter(account.waiting))
            if not account.has_room(account.waiting[first]):
                break
            account.unanswered[first] = account.unanswered.get(first, 0) + account.waiting.pop(first)
            ready.append(first)
        if not account.unanswered:
            del self._accounts[minion]
        return ready

    def left(self, minion: MinionId) -> None:
        """The session of a minion is gone, and what was on its way with it; the next one is handed everything anew."""
        self._accounts.pop(minion, None)

    def figures(self) -> Mapping[str, tuple[int, int]]:
        """How much the minion with the most has not answered, and the window."""
        most = max((account.used_bytes for account in self._accounts.values()), default=0)
        return {"orders_unanswered_bytes": (most, WINDOW_BYTES)}
