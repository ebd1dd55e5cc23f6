from random import Random

from hypothesis import given
from hypothesis import strategies as st

from fleet.core.names import MinionId
from fleet.keys.conflict import conflicting_ids
from fleet.keys.minion_key import KeyState

ONE, TWO = MinionId("one"), MinionId("two")
P, A, R, D = KeyState.PENDING, KeyState.ACCEPTED, KeyState.REJECTED, KeyState.DENIED
keys = st.lists(st.tuples(st.sampled_from([ONE, TWO]), st.sampled_from(["k", "l"]), st.sampled_from(KeyState)))


def test_one_pending_key_of_an_id_is_no_conflict() -> None:
    assert conflicting_ids([(ONE, "k", P), (TWO, "l", P)]) == set()


def test_two_pending_keys_of_an_id_are() -> None:
    assert conflicting_ids([(ONE, "k", P), (ONE, "l", P), (TWO, "m", P)]) == {ONE}


def test_a_pending_key_that_is_offered_or_accepted_under_another_id_is() -> None:
    assert conflicting_ids([(ONE, "k", P), (TWO, "k", P)]) == {ONE, TWO}
    assert conflicting_ids([(ONE, "k", P), (TWO, "k", A)]) == {ONE}
    assert conflicting_ids([(ONE, "k", P), (TWO, "k", D)]) == {ONE}


def test_what_was_rejected_is_decided_and_no_rival() -> None:
    assert conflicting_ids([(ONE, "k", P), (ONE, "l", R), (TWO, "k", R)]) == set()


def test_denied_keys_alone_are_no_conflict() -> None:
    assert conflicting_ids([(ONE, "k", A), (ONE, "l", D), (ONE, "m", D)]) == set()


@given(keys, st.randoms())
def test_the_order_does_not_matter_and_only_pending_ids_are_named(
    listed: list[tuple[MinionId, str, KeyState]], random: Random
) -> None:
    found = conflicting_ids(listed)
    random.shuffle(listed)

    assert conflicting_ids(listed) == found
    assert found <= {minion_id for minion_id, _, state in listed if state is P}
