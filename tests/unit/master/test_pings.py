"""Pings under way: each is answered once, by the minion that was sent it, or given up."""

import pytest

from fleet.core.errors import FleetError
from fleet.core.from_master import Ping
from fleet.core.names import MinionId
from fleet.master.pings import PendingPing, Pings

A, B = MinionId("a"), MinionId("b")
NOW = 1_795_000_000_000_000


def test_a_ping_is_answered_once_by_its_minion_alone() -> None:
    pings = Pings()
    ping = pings.begin(7, A, NOW, 1_000)

    assert pings.answered(B, ping.number) is None
    assert pings.answered(A, ping.number + 1) is None
    assert pings.answered(A, ping.number) == PendingPing(7, A, ping.number, NOW, NOW + 1_000)
    assert pings.answered(A, ping.number) is None


def test_no_number_is_given_twice() -> None:
    pings = Pings()
    first = pings.begin(7, A, NOW, 1_000)
    pings.answered(A, first.number)

    assert (first, pings.begin(7, A, NOW, 1_000)) == (Ping(1), Ping(2))


def test_one_is_given_up_when_its_time_is_over() -> None:
    pings = Pings()
    pings.begin(7, A, NOW, 1_000)
    pings.begin(8, A, NOW, 2_000)

    assert pings.overdue(NOW + 999) == []
    assert [ping.connection for ping in pings.overdue(NOW + 1_000)] == [7]
    assert [ping.connection for ping in pings.overdue(NOW + 9_000)] == [8]
    assert pings.answered(A, 1) is None


def test_a_lost_session_ends_those_of_its_minion() -> None:
    pings = Pings()
    pings.begin(7, A, NOW, 1_000)
    pings.begin(8, B, NOW, 1_000)

    assert [ping.connection for ping in pings.left(A)] == [7]
    assert pings.left(A) == []
    assert pings.figures()[0] == 1


def test_who_has_gone_waits_for_nothing() -> None:
    pings = Pings()
    ping = pings.begin(7, A, NOW, 1_000)
    pings.closed(7)

    assert pings.answered(A, ping.number) is None
    assert pings.overdue(NOW + 1_000) == []


def test_there_are_only_so_many() -> None:
    pings = Pings(limit=2)
    pings.begin(7, A, NOW, 1_000)
    pings.begin(8, A, NOW, 1_000)
    with pytest.raises(FleetError, match="2 pings"):
        pings.begin(9, A, NOW, 1_000)
    assert (pings.figures(), pings.refused) == ((2, 2), 1)
    pings.closed(7)
    pings.begin(9, A, NOW, 1_000)
