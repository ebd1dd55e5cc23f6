"""All minion keys in memory, and what may happen to them: pure, so that every rule is tested without a disk.

The rules, which hold after every call:

- an id has at most one accepted key, and a key is accepted under at most one id;
- a candidate is ``denied`` while another key of its id is accepted, and ``pending`` otherwise;
- a rejected key stays rejected until a person accepts or deletes it;
- there are at most ``candidate_limit`` candidates: the one that was not offered for longest is dropped.

A call that the rules forbid raises; of several that belong together some are then done already: work on a copy.
"""

from collections.abc import Iterator, Mapping
from typing import Self

from ..core.dataclass import dataclass, replace
from ..core.errors import KeyStoreError, NotFoundError
from ..core.names import MinionId
from .conflict import conflicting_ids
from .fingerprint import fingerprint
from .minion_key import KeyState, MinionKey

_Place = tuple[MinionId, bytes]


@dataclass(frozen=True, slots=True)
class Change:
    """What a call has changed, for the disk to follow.

    Attributes:
        key: the key that the call was about, as it is now (or was, when it is deleted).
        written: keys that are new or have changed.
        removed: keys that are gone.
        dropped: how many of the removed were dropped for want of room.
    """

    key: MinionKey
    written: tuple[MinionKey, ...] = ()
    removed: tuple[MinionKey, ...] = ()
    dropped: int = 0


class KeyIndex:
    """Minion keys by id and by public key; every look-up is a dictionary's."""

    def __init__(
        self,
        by_id: Mapping[MinionId, tuple[MinionKey, ...]] | None = None,
        accepted: Mapping[bytes, MinionKey] | None = None,
        candidates: Mapping[_Place, None] | None = None,
    ) -> None:
        """Start without keys; the arguments are for ``copy``."""
        self._by_id = dict(by_id or {})
        self._accepted = dict(accepted or {})
        # In the order of their last offer: the first is the one to drop.
        self._candidates = dict(candidates or {})

    def copy(self) -> Self:
        """Return an index of its own with the same keys; 0.4 ms for ten thousand."""
        return type(self)(self._by_id, self._accepted, self._candidates)

    def __iter__(self) -> Iterator[MinionKey]:
        for keys in self._by_id.values():
            yield from keys

    def of_id(self, minion_id: MinionId) -> tuple[MinionKey, ...]:
        """Return all keys of an id."""
        return self._by_id.get(minion_id, ())

    def get(self, minion_id: MinionId, public_key: bytes) -> MinionKey | None:
        """Return what is known of this key under this id."""
        return next((key for key in self.of_id(minion_id) if key.public_key == public_key), None)

    def accepted(self, minion_id: MinionId) -> MinionKey | None:
        """Return the accepted key of an id."""
        return next((key for key in self.of_id(minion_id) if key.state is KeyState.ACCEPTED), None)

    def accepted_by_key(self, public_key: bytes) -> MinionKey | None:
        """Return the accepted key with these 32 bytes."""
        return self._accepted.get(public_key)

    @property
    def accepted_count(self) -> int:
        """How many keys are accepted."""
        return len(self._accepted)

    def conflicts(self) -> Mapping[MinionId, tuple[MinionKey, ...]]:
        """Return all keys of each id that ``conflicting_ids`` names."""
        candidates = [self._find(place) for place in self._candidates]
        twins = [self._accepted[key.public_key] for key in candidates if key.public_key in self._accepted]
        ids = conflicting_ids((key.minion_id, key.public_key, key.state) for key in candidates + twins)
        return {minion_id: self.of_id(minion_id) for minion_id in sorted(ids)}

    def put(self, key: MinionKey) -> None:
        """Add a key or change it; of the candidates it becomes the last offered."""
        self.remove(key)
        self._by_id[key.minion_id] = (*self.of_id(key.minion_id), key)
        if key.state is KeyState.ACCEPTED:
            self._accepted[key.public_key] = key
        if key.state.is_candidate:
            self._candidates[key.minion_id, key.public_key] = None

    def remove(self, key: MinionKey) -> None:
        """Forget a key, if it is known."""
        old = self.get(key.minion_id, key.public_key)
        if old is None:
            return
        rest = tuple(other for other in self.of_id(key.minion_id) if other is not old)
        if rest:
            self._by_id[key.minion_id] = rest
        else:
            del self._by_id[key.minion_id]
        if old.state is KeyState.ACCEPTED:
            del self._accepted[key.public_key]
        self._candidates.pop(_place(key), None)

    def offer(self, offered: MinionKey, candidate_limit: int) -> Change:
        """Take note that a minion has offered its key: ``offered`` tells id, key, address and time."""
        known = self.get(offered.minion_id, offered.public_key)
        if known is not None:
            key = replace(known, last_seen_us=offered.last_seen_us, address=offered.address)
        else:
            taken = self.accepted(offered.minion_id) is not None
            key = replace(offered, state=KeyState.DENIED if taken else KeyState.PENDING)
        self.put(key)
        removed = tuple(self._drop_candidates(candidate_limit))
        return Change(key, (key,), removed, len(removed))

    def _drop_candidates(self, limit: int) -> Iterator[MinionKey]:
        while len(self._candidates) > limit:
            key = self._find(next(iter(self._candidates)))
            self.remove(key)
            yield key

    def accept(self, key: MinionKey, now_us: int) -> Change:
        """Accept a pending or rejected key; its rivals under the same id become denied.

        Raises:
            KeyStoreError: another key of the id is accepted, or the key is accepted under another id.
            NotFoundError: the key is not known (any more).
        """
        known = self._find(_place(key))
        if known.state is KeyState.ACCEPTED:
            return Change(known)
        rival = self.accepted(known.minion_id)
        if rival is not None:
            raise KeyStoreError(
                f"{known.minion_id} has another accepted key, {rival.fingerprint}",
                f"if the machine was set up anew, delete the old key first: fleet-key -d {known.minion_id}",
            )
        twin = self._accepted.get(known.public_key)
        if twin is not None:
            raise KeyStoreError(
                f"the key of {known.minion_id} is already accepted as {twin.minion_id}",
                f"if the minion was renamed: fleet-key -d {twin.minion_id}; if its disk was cloned, "
                "remove minion.key from the copy",
            )
        return self._decide(replace(known, state=KeyState.ACCEPTED, decided_us=now_us))

    def reject(self, key: MinionKey, now_us: int) -> Change:
        """Reject a key of any state.

        Raises:
            NotFoundError: the key is not known (any more).
        """
        known = self._find(_place(key))
        if known.state is KeyState.REJECTED:
            return Change(known)
        return self._decide(replace(known, state=KeyState.REJECTED, decided_us=now_us))

    def delete(self, key: MinionKey) -> Change:
        """Forget a key of any state, as if it was never offered.

        Raises:
            NotFoundError: the key is not known (any more).
        """
        known = self._find(_place(key))
        self.remove(known)
        return Change(known, self._settle(known.minion_id), (known,))

    def _decide(self, key: MinionKey) -> Change:
        self.put(key)
        return Change(key, (key, *self._settle(key.minion_id)))

    def _settle(self, minion_id: MinionId) -> tuple[MinionKey, ...]:
        """Make the candidates of an id denied or pending, whichever they must be now; return those that changed."""
        state = KeyState.PENDING if self.accepted(minion_id) is None else KeyState.DENIED
        # In place, for nobody has offered them: they keep their turn to be dropped.
        keys = tuple(replace(key, state=state) if key.state.is_candidate else key for key in self.of_id(minion_id))
        changed = tuple(new for new, old in zip(keys, self.of_id(minion_id), strict=True) if new.state is not old.state)
        if changed:
            self._by_id[minion_id] = keys
        return changed

    def _find(self, place: _Place) -> MinionKey:
        known = self.get(*place)
        if known is None:
            minion_id, public_key = place
            raise NotFoundError(
                f"there is no key {fingerprint(public_key)} of {minion_id} (any more)", "fleet-key -L lists all keys"
            )
        return known


def _place(key: MinionKey) -> _Place:
    return key.minion_id, key.public_key
