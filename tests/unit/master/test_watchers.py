"""Who watches which job."""

from fleet.core.names import Jid
from fleet.master.watchers import Watchers

A, B = Jid("1" * 20), Jid("2" * 20)


def test_all_who_watch_are_told_and_forgotten_at_the_end() -> None:
    watchers = Watchers()
    watchers.add(1, A)
    watchers.add(2, A)
    watchers.add(3, B)

    assert sorted(watchers.of(A)) == [1, 2]
    assert sorted(watchers.finish(A)) == [1, 2]
    assert watchers.of(A) == watchers.finish(A) == ()
    assert watchers.of(B) == (3,)


def test_a_connection_that_is_gone_watches_nothing() -> None:
    watchers = Watchers()
    watchers.add(1, A)
    watchers.remove(1)
    watchers.remove(1)

    assert watchers.finish(A) == ()


def test_a_connection_that_turns_to_another_job_leaves_the_first() -> None:
    watchers = Watchers()
    watchers.add(1, A)
    watchers.add(1, B)

    assert watchers.finish(A) == ()
    assert watchers.finish(B) == (1,)
    watchers.remove(1)


def test_watching_the_same_job_twice_is_watching_it() -> None:
    watchers = Watchers()
    watchers.add(1, A)
    watchers.add(1, A)

    assert watchers.finish(A) == (1,)


def test_each_connection_says_for_itself_whether_it_wants_the_outputs() -> None:
    watchers = Watchers()
    watchers.add(1, A, has_output=False)
    watchers.add(2, A)
    assert [watchers.wants_output(each) for each in (1, 2)] == [False, True]

    watchers.finish(A)
    watchers.add(1, B)
    assert watchers.wants_output(1)
