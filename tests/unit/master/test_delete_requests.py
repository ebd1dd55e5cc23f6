"""Requests to delete jobs: who is told what, who has to forget, and what may happen while the store works on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.core.control import Answer
from fleet.core.control_answers import Done, Failure, JobForgotten, JobsDeleted, JobsPurged, TargetSilent
from fleet.core.errors import ArgumentError
from fleet.core.from_master import Cancel, Discard, Forget
from fleet.core.job_states import JobState
from fleet.core.names import Jid, MinionId
from fleet.master.delete_requests import NAMED_LIMIT
from fleet.master.job_actions import Settle
from fleet.master.store import StateChange, StoredJob
from fleet.master.store_sqlite import SqliteJobStore
from support.deleting_master import DeletingMaster
from support.disk import no_file_longer_than
from support.job_cache import NOW_US, new_job, new_return
from support.wait import wait_until

M, N = MinionId("m"), MinionId("n")


@pytest.fixture
def master(tmp_path: Path) -> Iterator[DeletingMaster]:
    with DeletingMaster(tmp_path / "state") as own:
        yield own


def failure(answers: list[Answer]) -> Failure:
    (answer,) = answers
    assert isinstance(answer, Failure)
    return answer


def test_a_job_that_has_ended_is_deleted_and_no_minion_is_asked(master: DeletingMaster) -> None:
    master.join("m")
    jid, other = master.submit("m", ended=True), master.submit("m", ended=True)

    assert master.delete(jid) == [JobsDeleted(1, jid, (), ()), Done()]
    assert master.control.finished == [1]
    assert not any(isinstance(message, Forget) for message in master.sent_to("m"))
    assert (master.stored(), master.owed()) == ({other}, set())
    assert master.events()[-1] == f"fleet/job/{jid}/deleted"


def test_a_job_is_named_as_people_name_it_and_several_names_of_one_are_one(master: DeletingMaster) -> None:
    jid = master.submit("m", ended=True)

    assert master.delete("last", jid, jid[-6:])[0] == JobsDeleted(1, jid, (), ())


@pytest.mark.parametrize("is_forced", [False, True])
def test_all_or_none_are_deleted(master: DeletingMaster, is_forced: bool) -> None:
    jid = master.submit("m", ended=True)

    assert failure(master.delete(jid, "20200101000000000000", is_forced=is_forced)).kind == "NotFoundError"
    assert master.stored() == {jid}


def test_what_runs_stays_unless_that_is_forced_and_is_named(master: DeletingMaster) -> None:
    master.join("m")
    ended = master.submit("m", ended=True)
    running = [master.submit("m") for _ in range(7)]
    problem = failure(master.delete(ended, *running))

    assert problem.kind == "StateError"
    assert problem.message.endswith("and 2 more")
    assert "--force" in problem.hint
    assert master.stored() == {ended, *running}
    assert master.jobs.open_jids() == tuple(running)


def test_who_is_there_confirms_and_who_is_away_owes_it(master: DeletingMaster) -> None:
    master.join("m")
    jid = master.submit("m", "n")
    assert master.delete(jid, is_forced=True) == [JobsDeleted(1, jid, (M,), (N,))]
    assert master.sent_to("m") == [Forget(jid, NOW_US + 1 + 30_000_000)]
    assert master.owed() == {(jid, M), (jid, N)}

    master.conductor.forgotten(M, jid)
    master.settle()
    assert master.control.answers[1][1:] == [JobForgotten(jid, M), Done()]
    assert master.owed() == {(jid, N)}
    master.join("n")
    assert [type(message) for message in master.sent_to("n")] == [Forget]
    master.conductor.forgotten(N, jid)
    master.settle()
    assert (master.owed(), len(master.control.answers[1])) == (set(), 3)


def test_what_is_owed_outlives_the_master(master: DeletingMaster) -> None:
    jid = master.submit("m")
    master.delete(jid, is_forced=True)
    master.thread.close()
    with DeletingMaster(master.folder) as again:
        again.join("m")
        assert again.sent_to("m") == [Forget(jid, NOW_US + 1 + 30_000_000)]
        again.conductor.forgotten(M, jid)
        again.settle()
        assert again.owed() == set()


def test_who_does_not_confirm_is_told_again_while_it_is_there(master: DeletingMaster) -> None:
    master.join("m")
    jid = master.submit("m", "n")
    master.delete(jid, is_forced=True)
    for _ in range(100):
        master.clock.us += 100_000
        master.conductor.repeat_forgetting(master.clock.us)

    assert len(master.sent_to("m")) == 3  # At once, after 2 s, and 4 s after that.
    master.leave("m")
    master.clock.us += 60_000_000
    master.conductor.repeat_forgetting(master.clock.us)
    master.join("m")
    assert len(master.sent_to("m")) == 1


def test_one_of_an_earlier_release_is_asked_to_cancel_and_its_return_confirms(master: DeletingMaster) -> None:
    master.join("m", speaks=1)
    jid = master.submit("m")
    master.delete(jid, is_forced=True)
    assert master.sent_to("m") == [Cancel(jid, NOW_US + 1 + 30_000_000)]

    master.conductor.perform(master.jobs.returned(M, new_return(jid, "m").answer, NOW_US))
    master.settle()
    assert [type(message) for message in master.sent_to("m")] == [Cancel, Discard]
    assert master.control.answers[1][1:] == [JobForgotten(jid, M), Done()]
    assert master.owed() == set()


def test_a_minion_that_goes_before_it_confirms_is_not_waited_for_and_still_owes(master: DeletingMaster) -> None:
    master.join("m")
    jid = master.submit("m")
    master.delete(jid, is_forced=True)
    master.deletes.left(N)
    assert master.control.answers[1][1:] == []
    master.deletes.left(M)

    assert master.control.answers[1][1:] == [
        TargetSilent(M, JobState.ABANDONED, "it has gone before it confirmed"),
        Done(),
    ]
    assert master.owed() == {(jid, M)}


@pytest.mark.parametrize("state", [JobState.LOST, JobState.ABANDONED])
def test_a_target_that_was_given_up_is_told_to_forget_as_well(master: DeletingMaster, state: JobState) -> None:
    """Nobody has heard from the minion how it ended there, so it may still run."""
    jid = master.submit("m")
    master.conductor.commit((StateChange(jid, M, state, "by the master's word"),), (Settle(jid, M, state),))
    master.settle()
    master.delete(jid)

    assert master.control.answers[1] == [JobsDeleted(1, jid, (), (M,)), Done()]
    assert master.owed() == {(jid, M)}


def test_nobody_confirms_what_it_does_not_owe(master: DeletingMaster) -> None:
    master.join("m")
    jid = master.submit("m")
    master.delete(jid, is_forced=True)
    for minion, which in ((N, jid), (M, Jid("20200101000000000000"))):
        master.conductor.forgotten(minion, which)
    master.settle()

    assert master.control.answers[1] == [JobsDeleted(1, jid, (M,), ())]
    assert master.owed() == {(jid, M)}


def test_watchers_of_a_deleted_job_are_told_that_it_is_over(master: DeletingMaster) -> None:
    jid = master.submit("m")
    master.conductor.watchers.add(7, jid)
    master.delete(jid, is_forced=True)

    assert [type(answer).__name__ for answer in master.control.answers[7]] == ["TargetResult", "Done"]
    assert 7 in master.control.finished


# All.


def test_all_that_have_ended_are_deleted_and_what_runs_stays(master: DeletingMaster) -> None:
    for _ in range(5):
        master.submit("m", ended=True)
    running = master.submit("m")

    assert master.delete() == [JobsDeleted(5, "", (), ()), Done()]
    assert master.stored() == {running}
    assert master.jobs.open_jids() == (running,)


def test_every_job_is_deleted_by_force(master: DeletingMaster) -> None:
    master.join("m")
    master.submit("m", ended=True)
    running = [master.submit("m"), master.submit("n", state=JobState.QUEUED)]

    assert master.delete(is_forced=True) == [JobsDeleted(3, "", (M,), ())]
    assert (master.stored(), master.jobs.open_jids()) == (set(), ())
    assert master.owed() == {(running[0], M)}
    assert master.delete(is_forced=True, connection=2) == [JobsDeleted(0, "", (), ()), Done()]


def test_too_many_names_are_refused(master: DeletingMaster) -> None:
    with pytest.raises(ArgumentError, match="too many"):
        master.delete(*(f"{number:020}" for number in range(NAMED_LIMIT + 1)))


# Meanwhile.


def test_two_deletions_of_one_job_both_succeed_and_it_is_forgotten_once(master: DeletingMaster) -> None:
    master.join("m")
    jid = master.submit("m")
    before = master.thread.counters()["store_reads"]
    for connection in (1, 2):
        master.ask_to_delete(jid, is_forced=True, connection=connection)
    wait_until(lambda: master.thread.counters()["store_reads"] == before + 2, 10, "both to have found it")
    master.settle()
    master.conductor.forgotten(M, jid)
    master.settle()

    for connection in (1, 2):
        assert master.control.answers[connection] == [JobsDeleted(1, jid, (M,), ()), JobForgotten(jid, M), Done()]
    assert (master.stored(), master.owed()) == (set(), set())


def test_one_that_asks_and_goes_away_has_its_job_deleted_and_leaves_nothing_behind(master: DeletingMaster) -> None:
    master.join("m")
    jid = master.submit("m")
    master.ask_to_delete(jid, is_forced=True)
    master.control.gone.add(1)
    master.deletes.closed(1)
    master.settle()

    assert master.stored() == set()
    assert master.deletes._awaited == {}
    master.conductor.forgotten(M, jid)
    master.settle()
    assert master.owed() == set()


def test_one_that_goes_away_while_minions_confirm_is_told_nothing_more(master: DeletingMaster) -> None:
    master.join("m")
    jid = master.submit("m")
    master.delete(jid, is_forced=True)
    master.deletes.closed(1)
    master.conductor.forgotten(M, jid)
    master.settle()

    assert len(master.control.answers[1]) == 1
    assert master.deletes._awaited == {}


def stored_elsewhere(master: DeletingMaster) -> StoredJob:
    """A job that is in the store, and that the loop has not been told of: the thread's callback comes next."""
    with SqliteJobStore.open(master.folder) as store:
        return store.submit(new_job("m"), NOW_US)


def test_a_job_that_is_just_being_created_is_not_deleted_unseen(master: DeletingMaster) -> None:
    stored = stored_elsewhere(master)

    assert failure(master.delete(stored.jid)).kind == "StateError"
    assert master.stored() == {stored.jid}


def test_a_job_that_is_just_being_created_is_forgotten_where_it_is_sent_next(master: DeletingMaster) -> None:
    master.join("m")
    stored = stored_elsewhere(master)
    master.ask_to_delete(stored.jid, is_forced=True)
    master.collect()
    master.jobs.recover([stored])
    master.settle()

    assert master.control.answers[1] == [JobsDeleted(1, stored.jid, (M,), ())]
    assert [type(message) for message in master.sent_to("m")] == [Forget]


def test_a_job_that_only_the_store_calls_open_can_be_deleted_by_force(master: DeletingMaster) -> None:
    stored = stored_elsewhere(master)

    assert master.delete(stored.jid, is_forced=True)[0] == JobsDeleted(1, stored.jid, (), ())
    assert master.stored() == set()


def test_a_deletion_that_cannot_be_stored_is_said_and_the_job_goes_on(master: DeletingMaster) -> None:
    jid = master.submit("m", state=JobState.QUEUED)
    with no_file_longer_than((master.folder / "jobs.sqlite-wal").stat().st_size):
        assert failure(master.delete(jid, is_forced=True)).kind == "StoreFullError"
    assert master.jobs.is_open(jid)
    master.thread.close()

    with DeletingMaster(master.folder) as again:
        assert again.stored() == {jid}
        assert again.owed() == set()


# Purges.


def test_a_purge_says_how_many_went_and_how_much_that_made_free(master: DeletingMaster) -> None:
    old = [master.submit("m", ended=True, stdout=bytes((number,)) * 16_000) for number in range(5)]
    running = master.submit("m")
    (answer,) = master.purge_to(0, 3, 0)

    assert isinstance(answer, JobsPurged)
    assert answer.jobs == 3
    assert answer.freed_bytes > 30_000
    assert master.stored() == {*old[3:], running}
    assert master.events()[-1] == "fleet/jobs/purged"
    assert answer.kept_open == 0


def test_a_purge_says_how_many_open_jobs_stay_beyond_the_limits(master: DeletingMaster) -> None:
    for _ in range(3):
        master.submit("m")
    master.submit("m", ended=True)
    (answer,) = master.purge_to(0, 1, 0)

    assert isinstance(answer, JobsPurged)
    assert (answer.jobs, answer.kept_open) == (1, 2)


@pytest.mark.parametrize("limits", [(0.0, 0, 0), (-1.0, 5, 0), (0.0, -1, 0), (0.0, 1, -1)])
def test_a_purge_without_a_limit_is_refused(master: DeletingMaster, limits: tuple[float, ...]) -> None:
    jid = master.submit("m", ended=True)

    with pytest.raises(ArgumentError):
        master.purge_to(*limits)
    assert master.stored() == {jid}
