from collections.abc import Callable

import pytest

from fleet.core.errors import KeyStoreError, NotFoundError
from fleet.core.names import MinionId
from fleet.keys.key_index import Change, KeyIndex
from fleet.keys.minion_key import KeyState, MinionKey

WEB = MinionId("web-1")
LIMIT = 5


def offered(number: int, minion_id: str = WEB, now_us: int = 0) -> MinionKey:
    return MinionKey(MinionId(minion_id), bytes((number,)) * 32, KeyState.PENDING, now_us, now_us, "10.0.0.1")


def states(index: KeyIndex) -> dict[tuple[str, int], str]:
    return {(key.minion_id, key.public_key[0]): key.state.value for key in index}


def offer(index: KeyIndex, number: int, minion_id: str = WEB, now_us: int = 0) -> Change:
    return index.offer(offered(number, minion_id, now_us), LIMIT)


def test_a_first_key_is_pending_and_keeps_when_it_was_first_seen() -> None:
    index = KeyIndex()
    offer(index, 1, now_us=7)
    change = offer(index, 1, now_us=9)

    assert (change.key.state, change.key.first_seen_us, change.key.last_seen_us) == (KeyState.PENDING, 7, 9)
    assert change.written == (change.key,)


def test_another_key_of_an_accepted_id_is_denied_and_the_accepted_one_keeps_its_place() -> None:
    index = KeyIndex()
    index.accept(offer(index, 1).key, 5)

    assert offer(index, 2).key.state is KeyState.DENIED
    assert offer(index, 1).key.state is KeyState.ACCEPTED
    assert index.accepted(WEB) == index.accepted_by_key(bytes((1,)) * 32)


def test_a_key_that_is_accepted_elsewhere_is_pending_under_a_new_id_but_not_acceptable() -> None:
    index = KeyIndex()
    index.accept(offer(index, 1).key, 5)
    renamed = offer(index, 1, "web-2").key

    assert renamed.state is KeyState.PENDING
    assert list(index.conflicts()) == ["web-2"]
    with pytest.raises(KeyStoreError, match="already accepted as web-1"):
        index.accept(renamed, 6)


def test_acceptance_denies_the_rivals_and_its_end_makes_them_pending_again() -> None:
    for end in ("delete", "reject"):
        index = KeyIndex()
        keys = [offer(index, number).key for number in (1, 2, 3)]
        index.reject(keys[2], 1)

        change = index.accept(keys[0], 2)
        assert {key.public_key[0]: key.state for key in change.written} == {1: KeyState.ACCEPTED, 2: KeyState.DENIED}
        change = index.delete(keys[0]) if end == "delete" else index.reject(keys[0], 3)
        assert KeyState.PENDING in {key.state for key in change.written}
        assert states(index)[WEB, 2] == "pending"
        assert states(index)[WEB, 3] == "rejected"


def test_a_rejected_key_stays_rejected_however_often_it_is_offered() -> None:
    index = KeyIndex()
    index.reject(offer(index, 1).key, 5)

    assert offer(index, 1).key.state is KeyState.REJECTED
    assert index.get(WEB, bytes((1,)) * 32) == MinionKey(WEB, bytes((1,)) * 32, KeyState.REJECTED, 0, 0, "10.0.0.1", 5)


def test_a_second_key_of_an_id_is_not_accepted() -> None:
    index = KeyIndex()
    first, second = offer(index, 1).key, offer(index, 2).key
    index.accept(first, 5)

    with pytest.raises(KeyStoreError, match="has another accepted key") as caught:
        index.accept(second, 6)
    assert "fleet-key -d web-1" in caught.value.hint


def test_what_was_decided_already_changes_nothing() -> None:
    index = KeyIndex()
    key = index.accept(offer(index, 1).key, 5).key

    assert index.accept(key, 9) == Change(key)
    key = index.reject(key, 10).key
    assert index.reject(key, 11) == Change(key)
    assert key.decided_us == 10


def test_a_key_that_is_not_known_any_more_is_not_found() -> None:
    index = KeyIndex()
    key = offered(1)

    calls: list[Callable[[], Change]] = [
        lambda: index.accept(key, 1),
        lambda: index.reject(key, 1),
        lambda: index.delete(key),
    ]
    for call in calls:
        with pytest.raises(NotFoundError, match="there is no key"):
            call()


def test_the_state_is_taken_from_the_index_and_not_from_an_old_copy_of_the_key() -> None:
    index = KeyIndex()
    stale = offer(index, 2).key
    index.accept(offer(index, 1).key, 5)

    with pytest.raises(KeyStoreError):
        index.accept(stale, 6)


def test_the_candidate_that_was_not_offered_for_longest_is_dropped() -> None:
    index = KeyIndex()
    for number in range(LIMIT):
        offer(index, number, f"m{number}")
    offer(index, 0, "m0")
    change = offer(index, 99, "new")

    assert [key.minion_id for key in change.removed] == ["m1"]
    assert change.dropped == 1
    assert sorted(key.minion_id for key in index) == ["m0", "m2", "m3", "m4", "new"]


def test_a_flood_drops_no_decided_key() -> None:
    index = KeyIndex()
    index.accept(offer(index, 1).key, 5)
    index.reject(offer(index, 2, "other").key, 5)
    changes = [offer(index, number, minion_id) for number in range(3, 60) for minion_id in (WEB, "other", f"x{number}")]

    assert states(index)[WEB, 1] == "accepted"
    assert states(index)["other", 2] == "rejected"
    assert sum(key.state.is_candidate for key in index) == LIMIT
    assert sum(change.dropped for change in changes) == 57 * 3 - LIMIT


def test_a_candidate_that_became_pending_again_keeps_its_turn_to_be_dropped() -> None:
    index = KeyIndex()
    accepted = index.accept(offer(index, 1).key, 5).key
    offer(index, 2)
    for number in range(3, 3 + LIMIT - 1):
        offer(index, number, f"m{number}")
    index.delete(accepted)

    assert [key.public_key[0] for key in offer(index, 99, "new").removed] == [2]


def test_a_lower_limit_drops_several_at_once() -> None:
    index = KeyIndex()
    for number in range(LIMIT):
        offer(index, number, f"m{number}")

    assert index.offer(offered(9, "new"), 2).dropped == LIMIT - 1
    assert sorted(key.minion_id for key in index) == ["m4", "new"]


def test_a_copy_is_an_index_of_its_own() -> None:
    index = KeyIndex()
    key = offer(index, 1).key
    twin = index.copy()
    twin.accept(key, 5)
    offer(twin, 2)

    assert states(index) == {(WEB, 1): "pending"}
    assert index.accepted_by_key(key.public_key) is None
    assert states(twin) == {(WEB, 1): "accepted", (WEB, 2): "denied"}
