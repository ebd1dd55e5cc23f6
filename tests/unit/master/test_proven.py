from fleet.core.names import MinionId
from fleet.master.proven import OpenConnection, ProvenConnections

WEB, DB = MinionId("web-1"), MinionId("db-1")


def test_a_key_that_collects_connections_loses_the_oldest_that_it_does_not_use() -> None:
    proven = ProvenConnections(2)
    assert proven.spoke(WEB, 10, "a") is None
    assert proven.spoke(WEB, 11, "b") is None

    assert proven.spoke(WEB, 12, "c", in_use=10) == OpenConnection(11, "b")
    assert len(proven) == 2


def test_the_connections_of_others_do_not_count() -> None:
    proven = ProvenConnections(1)
    assert proven.spoke(WEB, 10, "a") is None
    assert proven.spoke(DB, 11, "b") is None
    assert len(proven) == 2


def test_a_number_that_is_given_again_belongs_to_the_new_minion_alone() -> None:
    proven = ProvenConnections(5)
    proven.spoke(WEB, 10, "a")
    proven.spoke(DB, 10, "b")

    assert len(proven) == 1
    assert list(proven.remove(WEB)) == []
    assert list(proven.remove(DB)) == [OpenConnection(10, "b")]


def test_a_removed_key_gives_up_every_connection_and_a_closed_one_is_forgotten() -> None:
    proven = ProvenConnections(5)
    for descriptor in (10, 11, 12):
        proven.spoke(WEB, descriptor, "a")
    proven.closed(11)

    assert [one.descriptor for one in proven.remove(WEB)] == [10, 12]
    assert len(proven) == 0
