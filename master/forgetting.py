"""Which minions have still to forget a deleted job, and when to tell them again. Pure.

A minion that was away when its job was deleted comes back with it: running, or as a return that nobody wants. It is told at its next
hello, and again until it confirms; what it owes outlives a restart of the master.
"""

from collections.abc import Iterable

from ..core.dataclass import dataclass
from ..core.names import Jid, MinionId
from .store import Owed

RESEND_FIRST_US = 2_000_000
RESEND_LIMIT_US = 60_000_000
#: Told to one minion and not yet confirmed; the rest follows.
TOLD_LIMIT = 200


@dataclass(slots=True)
class _Debt:
    expires_us: int
    pause_us: int = 0
    due_us: int = 0


class Forgetting:
    """What each minion owes.

    Args:
        owed: what the store remembers.
    """

    def __init__(self, owed: Iterable[Owed] = ()) -> None:
        self._of_minion: dict[MinionId, dict[Jid, _Debt]] = {}
        self.owe(owed)

    def __len__(self) -> int:
        return sum(len(debts) for debts in self._of_minion.values())

    def owe(self, owed: Iterable[Owed]) -> None:
        """From now on these are to be forgotten."""
        for each in owed:
            self._of_minion.setdefault(each.minion, {})[each.jid] = _Debt(each.expires_us)

    def owes(self, minion: MinionId, jid: Jid) -> bool:
        """Tell whether this minion has still to forget this job."""
        return jid in self._of_minion.get(minion, {})

    def joined(self, minion: MinionId, now_us: int) -> list[Owed]:
        """A minion has opened a session: what to tell it, from the beginning."""
        for debt in self._of_minion.get(minion, {}).values():
            debt.pause_us = debt.due_us = 0
        return self.due(minion, now_us)

    def due(self, minion: MinionId, now_us: int) -> list[Owed]:
        """What to tell a connected minion now; each again after two seconds, then ever later up to a minute."""
        debts = self._of_minion.get(minion, {})
        due = sorted((debt.due_us, jid) for jid, debt in debts.items() if now_us >= debt.due_us)
        # Those that were never told come first, so that some that take long to confirm keep no others back.
        chosen = [(jid, debts[jid]) for _, jid in due[: max(TOLD_LIMIT - (len(debts) - len(due)), 0)]]
        for _, debt in chosen:
            debt.pause_us = min(debt.pause_us * 2, RESEND_LIMIT_US) or RESEND_FIRST_US
            debt.due_us = now_us + debt.pause_us
        return [Owed(jid, minion, debt.expires_us) for jid, debt in chosen]

    def minions(self) -> tuple[MinionId, ...]:
        """Who owes anything."""
        return tuple(self._of_minion)

    def settle(self, minion: MinionId, jid: Jid) -> bool:
        """A minion has forgotten a job; False when it did not owe that."""
        debts = self._of_minion.get(minion, {})
        found = debts.pop(jid, None) is not None
        if not debts:
            self._of_minion.pop(minion, None)
        return found
