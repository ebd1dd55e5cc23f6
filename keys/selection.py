"""Which keys a request of ``fleet-key`` means: pure, over the rows that ``fleet-key -L`` shows.

A broad request (a glob, ``-A``, ``-R``) takes only what nobody can have slipped in: never an id in conflict (see
``keys/conflict.py``) and never a denied key. An exact id with a fingerprint or pairing code takes that one key. A code
that fits no key of the id is an error and nothing is chosen.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from ..core.control_answers import KeyRow
from ..core.dataclass import dataclass
from ..core.errors import KeyStoreError, NotFoundError, UsageError
from ..core.names import MinionId
from .conflict import conflicting_ids
from .fingerprint import is_fingerprint, pairing_code, same_fingerprint
from .minion_key import KeyState, MinionKey


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What the words of ``fleet-key`` say about which keys.

    Attributes:
        pattern: an exact id or a glob; None for all keys (``-A``, ``-R``, ``-D``).
        fingerprint: the fingerprint or pairing code that the person has compared; only with an exact id.
    """

    pattern: str | None
    fingerprint: str | None = None

    @property
    def is_exact(self) -> bool:
        """Whether the pattern is one id; no id contains a character of a glob."""
        return self.pattern is not None and not set(self.pattern) & set("*?[")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a request means.

    Attributes:
        chosen: the keys to change.
        conflicts: keys that the pattern fits and that need an exact id with a fingerprint.
        settled: keys that the request names and that are as it wants them already.
    """

    chosen: tuple[KeyRow, ...] = ()
    conflicts: tuple[KeyRow, ...] = ()
    settled: tuple[KeyRow, ...] = ()


def key_row(key: MinionKey, master_identity: bytes) -> KeyRow:
    """Return the key as ``fleet-key -L`` shows it; ``master_identity`` (32 bytes) is for the pairing code."""
    return KeyRow(
        minion=key.minion_id,
        fingerprint=key.fingerprint,
        pairing_code=pairing_code(master_identity, key.public_key),
        state=key.state.value,
        address=key.address,
        first_seen_us=key.first_seen_us,
    )


def select_for_accept(rows: Iterable[KeyRow], request: KeyRequest) -> Selection:
    """Choose the keys to accept.

    A glob and ``-A`` take pending keys. An exact id takes its one pending key, or its one rejected key when none is
    pending; with a fingerprint, that pending or rejected key.

    Raises:
        NotFoundError: no key has the id, or none of the id has the fingerprint.
        KeyStoreError: the key is denied: another one is accepted under the id.
        UsageError: the fingerprint is none, or does not stand with an exact id.
    """
    return _select(rows, request, _acceptable, KeyState.ACCEPTED)


def select_for_reject(rows: Iterable[KeyRow], request: KeyRequest, state: KeyState | None = None) -> Selection:
    """Choose the keys to reject.

    A glob and ``-R`` take pending keys. An exact id takes its one key that is not rejected; with a fingerprint, that key.
    With a ``state`` every key of the matching ids in that state is taken, also those in conflict.

    Raises:
        NotFoundError: no key has the id, or none of the id has the fingerprint.
        UsageError: the fingerprint is none, or does not stand with an exact id.
    """
    if state is not None and request.fingerprint is None:
        return Selection(chosen=tuple(row for one in _matching(rows, request) for row in one.in_state(state)))
    return _select(rows, request, _rejectable, KeyState.REJECTED)


def select_for_delete(rows: Iterable[KeyRow], request: KeyRequest, state: KeyState | None = None) -> Selection:
    """Choose the keys to delete.

    A glob and an exact id take, of each id, the accepted key where there is one, so that the denied ones become pending;
    else all its keys, unless it is in conflict. With a fingerprint, that key. ``-D`` takes every key. With a ``state``
    every key of the matching ids in that state is taken, also those in conflict: the way to clear a flooded list.

    Raises:
        NotFoundError: no key has the id, or none of the id has the fingerprint.
        UsageError: the fingerprint is none, or does not stand with an exact id.
    """
    if request.fingerprint is None and (request.pattern is None or state is not None):
        states = KeyState if state is None else (state,)
        return Selection(chosen=tuple(row for one in _matching(rows, request) for row in one.in_state(*states)))
    return _select(rows, request, _deletable, None)


@dataclass(frozen=True, slots=True)
class _OneId:
    """All keys of one id."""

    rows: tuple[KeyRow, ...]
    in_conflict: bool

    def in_state(self, *states: KeyState) -> tuple[KeyRow, ...]:
        return tuple(row for row in self.rows if row.state in states)


_Choose = Callable[[_OneId, bool], Selection]


def _select(rows: Iterable[KeyRow], request: KeyRequest, choose: _Choose, wanted: KeyState | None) -> Selection:
    if request.fingerprint is not None:
        return _by_fingerprint(rows, request, request.fingerprint, wanted)
    parts = [choose(one, request.is_exact) for one in _matching(rows, request)]
    return Selection(
        chosen=tuple(row for part in parts for row in part.chosen),
        conflicts=tuple(row for part in parts for row in part.conflicts),
        settled=tuple(row for part in parts for row in part.settled),
    )


def _matching(rows: Iterable[KeyRow], request: KeyRequest) -> list[_OneId]:
    """Return the ids that the pattern means, in order; an exact one must be there."""
    ids = _by_id(rows)
    if request.pattern is None:
        return [one for _, one in sorted(ids.items())]
    if not request.is_exact:
        return [one for minion_id, one in sorted(ids.items()) if fnmatchcase(minion_id, request.pattern)]
    found = ids.get(MinionId(request.pattern))
    if found is None:
        import difflib

        near = difflib.get_close_matches(request.pattern, ids, n=3)
        raise NotFoundError(
            f"no key was offered for {request.pattern[:140]}",
            f"there are: {', '.join(near)}" if near else "fleet-key -L lists all keys",
        )
    return [found]


def _by_id(rows: Iterable[KeyRow]) -> dict[MinionId, _OneId]:
    rows_of: defaultdict[MinionId, list[KeyRow]] = defaultdict(list)
    for row in rows:
        rows_of[row.minion].append(row)
    conflicts = conflicting_ids((row.minion, row.fingerprint, row.state) for keys in rows_of.values() for row in keys)
    return {minion_id: _OneId(tuple(keys), minion_id in conflicts) for minion_id, keys in rows_of.items()}


def _by_fingerprint(rows: Iterable[KeyRow], request: KeyRequest, code: str, wanted: KeyState | None) -> Selection:
    if not request.is_exact:
        raise UsageError("a fingerprint picks one key of one minion", "name the minion by its whole id")
    if not is_fingerprint(code):
        raise UsageError(
            f"{code[:60]!r} is no fingerprint",
            "a fingerprint or pairing code is 8 groups of 4 letters a-z and digits 2-7",
        )
    (one,) = _matching(rows, request)
    row = next(
        (row for row in one.rows if any(same_fingerprint(code, own) for own in (row.fingerprint, row.pairing_code))),
        None,
    )
    if row is None:
        raise NotFoundError(
            f"no key that was offered for {request.pattern} has this fingerprint; nothing was changed",
            "compare it with what fleet-minion --fingerprint says on that machine: another one may use its name",
        )
    if row.state == wanted:
        return Selection(settled=(row,))
    if wanted is KeyState.ACCEPTED:
        _refuse_second_accepted(one)
    return Selection(chosen=(row,))


def _refuse_second_accepted(one: _OneId) -> None:
    accepted = one.in_state(KeyState.ACCEPTED)
    if accepted:
        minion = accepted[0].minion
        raise KeyStoreError(
            f"{minion} has another accepted key, {accepted[0].fingerprint}",
            f"if the machine was set up anew, delete the old key first: fleet-key -d {minion}",
        )


def _acceptable(one: _OneId, is_exact: bool) -> Selection:
    pending = one.in_state(KeyState.PENDING)
    if one.in_conflict:
        return Selection(conflicts=pending)
    if pending or not is_exact:
        return Selection(chosen=pending)
    if one.in_state(KeyState.DENIED):
        _refuse_second_accepted(one)
    accepted, rejected = one.in_state(KeyState.ACCEPTED), one.in_state(KeyState.REJECTED)
    if accepted:
        return Selection(settled=accepted)
    return Selection(chosen=rejected) if len(rejected) == 1 else Selection(conflicts=rejected)


def _rejectable(one: _OneId, is_exact: bool) -> Selection:
    if not is_exact:
        pending = one.in_state(KeyState.PENDING)
        return Selection(conflicts=pending) if one.in_conflict else Selection(chosen=pending)
    others = one.in_state(KeyState.PENDING, KeyState.ACCEPTED, KeyState.DENIED)
    if not others:
        return Selection(settled=one.rows)
    return Selection(chosen=others) if len(others) == 1 else Selection(conflicts=others)


def _deletable(one: _OneId, _is_exact: bool) -> Selection:
    accepted = one.in_state(KeyState.ACCEPTED)
    if accepted:
        return Selection(chosen=accepted)
    if one.in_conflict:
        return Selection(conflicts=one.in_state(KeyState.PENDING))
    return Selection(chosen=one.rows)
