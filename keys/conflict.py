"""Which ids nobody may be accepted under without looking."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TypeVar

from ..core.names import MinionId
from .minion_key import KeyState

_Name = TypeVar("_Name", bytes, str)


def conflicting_ids(keys: Iterable[tuple[MinionId, _Name, str]]) -> set[MinionId]:
    """Return the ids with a pending key that only an exact fingerprint may accept.

    These are ids with several pending keys: one of them is an impostor, and a name does not tell which. And ids whose
    pending key is also offered or accepted under another id: a renamed minion or a cloned disk.

    Args:
        keys: id, what names the key (its bytes or its fingerprint) and state of each key there is.
    """
    pending: list[tuple[MinionId, _Name]] = []
    ids_of: defaultdict[_Name, set[MinionId]] = defaultdict(set)
    for minion_id, name, state in keys:
        if state == KeyState.PENDING:
            pending.append((minion_id, name))
        if state != KeyState.REJECTED:
            ids_of[name].add(minion_id)
    rivals = Counter(minion_id for minion_id, _ in pending)
    return {minion_id for minion_id, name in pending if rivals[minion_id] > 1 or len(ids_of[name]) > 1}
