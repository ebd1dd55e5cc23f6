"""Which minions a broadcast may reach."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.names import MinionId
from fleet.master.epochs import RENEWAL_PAUSE_US, Epochs

A, B, C = (MinionId(name) for name in "abc")
HOUR = 3_600_000_000


def all_of(*minions: MinionId) -> frozenset[MinionId]:
    return frozenset(minions)


@pytest.fixture
def epochs() -> Epochs:
    return Epochs(7, b"k" * 32, HOUR, 0)


def test_a_broadcast_reaches_those_who_confirmed_when_all_who_can_read_it_are_meant(epochs: Epochs) -> None:
    epochs.held_by(A)
    epochs.held_by(B)

    assert epochs.reach(all_of(A, B, C)) == all_of(A, B)
    assert epochs.reach(all_of(A, C)) == all_of()


def test_who_was_given_the_key_and_never_confirmed_it_can_read_all_the_same(epochs: Epochs) -> None:
    epochs.held_by(A)
    epochs.given_to(B)

    assert epochs.reach(all_of(A)) == all_of()
    assert epochs.reach(all_of(A, B)) == all_of(A)


def test_who_left_its_session_may_have_kept_its_subscription_and_its_key(epochs: Epochs) -> None:
    epochs.held_by(A)
    epochs.held_by(B)
    epochs.not_held_by(B)

    assert epochs.reach(all_of(A)) == all_of()
    assert epochs.reach(all_of(A, B)) == all_of(A)
    epochs.renew(b"l" * 32, 0)
    epochs.held_by(A)
    assert epochs.reach(all_of(A)) == all_of(A)


def test_after_a_removal_nothing_is_sealed_any_more_and_one_renewal_serves_all(epochs: Epochs) -> None:
    epochs.held_by(A)
    epochs.expose(100)
    assert epochs.reach(all_of(A)) == all_of()
    epochs.expose(500_000)
    assert epochs.deadline_us() == 100 + RENEWAL_PAUSE_US

    epoch = epochs.renew(b"l" * 32, 100 + RENEWAL_PAUSE_US)
    assert (epoch.number, epoch.key, epoch.sequence, epochs.renewals) == (8, b"l" * 32, 0, 1)
    assert epochs.reach(all_of(A)) == all_of()  # It has not confirmed this one.
    epochs.held_by(A)
    assert epochs.reach(all_of(A)) == all_of(A)
    assert epochs.deadline_us() == 100 + RENEWAL_PAUSE_US + HOUR


def test_sequence_numbers_count_up_and_begin_anew_with_each_epoch(epochs: Epochs) -> None:
    assert [epochs.next_sequence() for _ in range(3)] == [1, 2, 3]
    epochs.renew(b"l" * 32, 0)
    assert epochs.next_sequence() == 1


_EVENTS = st.lists(st.tuples(st.sampled_from(["given", "held", "left", "expose", "renew"]), st.sampled_from([A, B, C])))


@given(events=_EVENTS, meant=st.frozensets(st.sampled_from([A, B, C])))
def test_nobody_who_was_given_this_key_reads_what_is_not_meant_for_it(
    events: list[tuple[str, MinionId]], meant: frozenset[MinionId]
) -> None:
    epochs = Epochs(1, b"k" * 32, HOUR, 0)
    given_key: set[MinionId] = set()
    confirmed: set[MinionId] = set()
    is_stale = False
    for name, minion in events:
        if name == "given":
            epochs.given_to(minion)
            given_key.add(minion)
        elif name == "held" and minion in given_key:
            epochs.held_by(minion)
            confirmed.add(minion)
        elif name == "left":
            epochs.not_held_by(minion)
            confirmed.discard(minion)
        elif name == "expose":
            epochs.expose(0)
            is_stale = True
        elif name == "renew":
            epochs.renew(b"n" * 32, 0)
            given_key, confirmed, is_stale = set(), set(), False
    reached = epochs.reach(meant)

    assert set(epochs.holders()) == confirmed
    assert reached <= meant & confirmed
    assert not reached or (given_key <= meant and not is_stale)
