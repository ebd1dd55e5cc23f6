"""Connections that have not proved a key."""

import pytest

from fleet.master.unproven import UnprovenConnections

PATIENCE = 10_000_000


@pytest.fixture
def unproven() -> UnprovenConnections:
    return UnprovenConnections(limit=4, limit_per_address=2, patience_us=PATIENCE)


def test_one_address_has_its_own_limit(unproven: UnprovenConnections) -> None:
    assert [unproven.accepted(fd, "10.0.0.1", 0) for fd in (1, 2, 3)] == [[], [], [1]]
    assert (len(unproven), unproven.excess) == (2, 1)
    assert unproven.accepted(4, "10.0.0.2", 0) == []


def test_all_together_have_a_limit_and_the_greediest_address_pays(unproven: UnprovenConnections) -> None:
    for fd, address in enumerate(("a", "a", "b", "c")):
        unproven.accepted(fd, address, 0)

    assert unproven.accepted(9, "d", 0) == [0]
    assert len(unproven) == 4


def test_who_proves_a_key_or_goes_is_not_counted(unproven: UnprovenConnections) -> None:
    unproven.accepted(1, "a", 0)
    unproven.accepted(2, "a", 0)
    unproven.proven(1)
    unproven.closed(2)
    unproven.closed(99)

    assert len(unproven) == 0
    assert unproven.accepted(3, "a", 0) == unproven.accepted(4, "a", 0) == []


def test_a_descriptor_that_is_given_again_is_another_connection(unproven: UnprovenConnections) -> None:
    unproven.accepted(1, "a", 0)
    unproven.accepted(1, "a", PATIENCE)

    assert unproven.overdue(PATIENCE) == []
    assert len(unproven) == 1


def test_who_stays_mute_must_go(unproven: UnprovenConnections) -> None:
    unproven.accepted(1, "a", 0)
    unproven.accepted(2, "b", 5)

    assert unproven.overdue(PATIENCE - 1) == []
    assert unproven.overdue(PATIENCE) == [1]
    assert unproven.overdue(PATIENCE + 5) == [2]
    assert len(unproven) == 0
