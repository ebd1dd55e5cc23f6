"""What every job cache must do when jobs are deleted, and which it gives up first; ``conftest.py`` lists the stores."""

import os
from dataclasses import replace

import pytest

from fleet.core.control_requests import ListJobs
from fleet.core.errors import NotFoundError
from fleet.core.job_states import JobState
from fleet.core.names import Jid
from fleet.core.outcome import OutcomeKind
from fleet.master.store import DeleteJob, Forgot, Keep, NewTarget, Note, Owed, Shrink, StateChange
from fleet.master.store_thread import WritingStore
from support.job_cache import NOW_US, minion, new_job, new_return

from .conftest import Home, states

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US


def ended(store: WritingStore, *names: str, stdout: bytes = b"out", at_us: int = NOW_US) -> Jid:
    """A job that has ended everywhere."""
    jid = store.submit(new_job(*names), at_us).jid
    # The return says that it ended three seconds after NOW_US; the store keeps that within the job's own life.
    store.apply([new_return(jid, name, stdout) for name in names], at_us)
    return jid


def test_a_deleted_job_is_gone_with_its_targets_and_notes(home: Home) -> None:
    gone, stays = ended(home.store, "a", "b"), ended(home.store, "a")
    home.store.apply([Note(jid, minion("a"), NOW_US, "a note") for jid in (gone, stays)], NOW_US)
    home.store.apply([DeleteJob(gone)], NOW_US)

    for is_reopened in (False, True):
        store = home.reopen() if is_reopened else home.store
        assert [job.jid for job in store.jobs(ListJobs(0, "")).jobs] == [stays]
        assert store.jobs(ListJobs(0, "")).total == 1
        assert (list(store.results(gone)), store.is_ended(gone, minion("a"))) == ([], None)
        with pytest.raises(NotFoundError):
            store.resolve_jid(gone)
        with pytest.raises(NotFoundError):
            store.job(gone)
        assert store.result(stays, minion("a")).notes == ("a note",)


def test_outputs_that_others_have_too_stay_and_the_rest_goes(home: Home) -> None:
    shared, own = os.urandom(200_000), os.urandom(3_000_000)
    gone, stays = ended(home.store, "a", "b", stdout=shared), ended(home.store, "a", stdout=shared)
    alone = ended(home.store, "c", stdout=own)
    before = home.store.size_bytes()
    home.store.apply([DeleteJob(gone), DeleteJob(alone)], NOW_US)

    store = home.reopen()
    assert store.result(stays, minion("a")).stdout == shared
    assert 3_000_000 < before - store.size_bytes() < 3_200_000
    store.apply([DeleteJob(stays)], NOW_US)
    assert before - store.size_bytes() > 3_200_000


def test_what_comes_back_after_a_deletion_is_stored_anew(store: WritingStore) -> None:
    output = os.urandom(50_000)
    first = ended(store, "a", stdout=output)
    second = store.submit(new_job("a"), NOW_US).jid
    # Within one transaction the only one who had it goes, and another comes.
    store.apply([DeleteJob(first), new_return(second, "a", output)], NOW_US)
    assert store.result(second, minion("a")).stdout == output
    third = store.submit(new_job("a"), NOW_US).jid
    store.apply([new_return(third, "a", output), DeleteJob(second)], NOW_US)
    assert store.result(third, minion("a")).stdout == output


def test_what_comes_for_a_deleted_job_is_passed_over(store: WritingStore) -> None:
    jid = ended(store, "a")
    store.apply([DeleteJob(jid), DeleteJob(jid)], NOW_US)
    name = minion("a")
    store.apply([StateChange(jid, name, JobState.LOST), new_return(jid, "a"), Note(jid, name, NOW_US, "n")], NOW_US)

    assert (list(store.results(jid)), store.jobs(ListJobs(0, "")).total) == ([], 0)
    store.apply([DeleteJob(Jid("9" * 20), is_forced=True)], NOW_US)
    assert store.jobs(ListJobs(0, "")).total == 0


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.SENT, JobState.ACKED, JobState.RUNNING])
def test_an_open_job_stays_unless_that_is_forced(store: WritingStore, state: JobState) -> None:
    targets = (NewTarget(minion("a"), state, ""), NewTarget(minion("b"), JobState.REFUSED, ""))
    jid = store.submit(replace(new_job(), targets=targets), NOW_US).jid
    store.apply([DeleteJob(jid, owing=(minion("a"),))], NOW_US)
    assert (states(store, jid), store.owed()) == ({"a": state, "b": JobState.REFUSED}, ())

    store.apply([DeleteJob(jid, is_forced=True)], NOW_US)
    assert (store.jobs(ListJobs(0, "")).total, store.open_jobs()) == (0, ())


def test_a_job_that_ends_in_the_same_transaction_has_ended(store: WritingStore) -> None:
    jid = store.submit(new_job("a"), NOW_US).jid
    store.apply([new_return(jid, "a"), DeleteJob(jid)], NOW_US)

    assert store.jobs(ListJobs(0, "")).total == 0


def test_what_minions_owe_outlives_the_store_until_they_have_forgotten(home: Home) -> None:
    jid = home.store.submit(new_job("a", "b", ttl_seconds=7), NOW_US).jid
    a, b = minion("a"), minion("b")
    home.store.apply([DeleteJob(jid, is_forced=True, owing=(a, b))], NOW_US)

    expires_us = NOW_US + 7 * SECOND_US
    store = home.reopen()
    assert sorted(store.owed(), key=lambda owed: owed.minion) == [Owed(jid, a, expires_us), Owed(jid, b, expires_us)]
    store.apply([Forgot(jid, a), Forgot(jid, minion("c")), Forgot(Jid("9" * 20), b)], NOW_US)
    assert home.reopen().owed() == (Owed(jid, b, expires_us),)


def test_a_deletion_that_is_taken_back_has_changed_nothing(store: WritingStore) -> None:
    jid = ended(store, "a", stdout=b"kept")

    def fails() -> None:
        with store.transaction():
            store.apply([DeleteJob(jid, owing=(minion("a"),))], NOW_US)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert store.result(jid, minion("a")).stdout == b"kept"
    assert (store.jobs(ListJobs(0, "")).total, store.owed()) == (1, ())


def test_a_request_id_of_a_deleted_job_may_be_used_again(store: WritingStore) -> None:
    first = store.submit(new_job("a", request_id=bytes(16)), NOW_US).jid
    store.apply([DeleteJob(first, is_forced=True)], NOW_US)

    second = store.submit(new_job("a", request_id=bytes(16)), NOW_US)
    assert (second.is_new, second.jid > first) == (True, True)


def test_room_that_is_free_is_given_back_part_by_part(store: WritingStore) -> None:
    jids = [ended(store, "a", stdout=os.urandom(3_000_000)) for _ in range(4)]
    store.apply([DeleteJob(jid) for jid in jids], NOW_US)
    frees = [store.free_bytes()]
    while frees[-1]:
        store.apply([Shrink()], NOW_US)
        frees.append(store.free_bytes())
        assert frees[-1] < frees[-2]
    assert len(frees) > 2
    assert store.size_bytes() < 200_000


# Which are to go.


def test_jobs_go_when_their_end_is_older_than_what_is_kept(store: WritingStore) -> None:
    keep = Keep(age_seconds=86_400)
    old = ended(store, "a")
    late = store.submit(new_job("a"), NOW_US + 1).jid
    store.apply([StateChange(late, minion("a"), JobState.LOST, finished_us=NOW_US + DAY_US)], NOW_US + DAY_US)
    ended(store, "a", at_us=NOW_US + DAY_US)

    assert store.expendable(keep, NOW_US + DAY_US) == ()
    ended_us = store.job(old).finished_us
    assert ended_us is not None
    assert store.expendable(keep, ended_us + DAY_US) == ()
    assert store.expendable(keep, ended_us + DAY_US + 1) == (old,)
    assert store.expendable(keep, NOW_US + 3 * DAY_US)[:2] == (old, late)


def test_the_oldest_go_when_there_are_more_than_are_kept(store: WritingStore) -> None:
    jids = [ended(store, "a", at_us=NOW_US + number) for number in range(5)]

    assert store.expendable(Keep(count=5), NOW_US) == ()
    assert store.expendable(Keep(count=3), NOW_US) == tuple(jids[:2])
    store.apply([DeleteJob(jid) for jid in jids[:2]], NOW_US)
    assert store.expendable(Keep(count=3), NOW_US) == ()


def test_the_oldest_go_while_the_store_holds_more_bytes_than_it_may(store: WritingStore) -> None:
    jids = [ended(store, "a", stdout=os.urandom(100_000), at_us=NOW_US + number) for number in range(60)]
    keep = Keep(size_bytes=store.size_bytes() - 1)
    chosen = store.expendable(keep, NOW_US)

    assert 0 < len(chosen) < 60
    assert chosen == tuple(jids[: len(chosen)])
    store.apply([DeleteJob(jid) for jid in chosen], NOW_US)
    assert store.expendable(keep, NOW_US) == ()


def test_no_limit_keeps_everything(store: WritingStore) -> None:
    ended(store, "a")

    assert store.expendable(Keep(), NOW_US + 10**17) == ()


def test_open_jobs_are_never_expendable(store: WritingStore) -> None:
    half = store.submit(new_job("a", "b"), NOW_US).jid
    store.apply([new_return(half, "a", os.urandom(100_000))], NOW_US)
    store.submit(new_job("a", state=JobState.QUEUED), NOW_US)
    done = ended(store, "a")
    later_us = NOW_US + 10_000 * DAY_US

    for keep in (Keep(age_seconds=1), Keep(count=1), Keep(size_bytes=1), Keep(1, 1, 1)):
        assert store.expendable(keep, later_us) == (done,)
    assert store.ended_jobs() == (done,)
    store.apply([DeleteJob(done)], NOW_US)
    for keep in (Keep(age_seconds=1), Keep(count=1), Keep(size_bytes=1), Keep(1, 1, 1)):
        assert store.expendable(keep, later_us) == ()
    assert store.ended_jobs() == ()


def test_open_jobs_beyond_the_limits_are_counted(store: WritingStore) -> None:
    for number in range(3):
        store.submit(new_job("a"), NOW_US + number * DAY_US)
    now_us = NOW_US + 2 * DAY_US

    limits = (
        (Keep(), 0),
        (Keep(age_seconds=3 * 86_400), 0),
        (Keep(age_seconds=86_400 / 2), 2),
        (Keep(count=3), 0),
        (Keep(count=2), 1),
        (Keep(age_seconds=86_400 / 2, count=2), 2),
        (Keep(size_bytes=store.size_bytes()), 0),
        (Keep(size_bytes=1), 3),
    )
    assert [store.kept_open(keep, now_us) for keep, _ in limits] == [expected for _, expected in limits]


def test_one_transaction_removes_so_many_jobs_and_targets_and_the_largest_job_alone(store: WritingStore) -> None:
    with store.transaction():
        small = [ended(store, "a", at_us=NOW_US + number) for number in range(250)]
    names = [f"m{number}" for number in range(3_000)]
    refused = tuple(NewTarget(minion(name), JobState.REFUSED, "") for name in names)
    large = [store.submit(replace(new_job(), targets=refused), NOW_US + DAY_US + number).jid for number in range(2)]

    assert store.ended_jobs() == tuple(small[:200])
    store.apply([DeleteJob(jid) for jid in small], NOW_US)
    assert store.ended_jobs() == (large[0],)
    assert store.expendable(Keep(age_seconds=1), NOW_US + 9 * DAY_US) == (large[0],)


def test_one_transaction_removes_so_many_bytes(store: WritingStore) -> None:
    output = os.urandom(12_000_000)
    jids = [ended(store, "a", stdout=output + bytes((number,))) for number in range(4)]

    assert store.ended_jobs() == tuple(jids[:2])
    assert store.expendable(Keep(count=1), NOW_US) == tuple(jids[:2])


def test_a_job_that_failed_or_was_refused_is_as_expendable_as_any(store: WritingStore) -> None:
    refused = store.submit(replace(new_job(), targets=(NewTarget(minion("a"), JobState.REFUSED, ""),)), NOW_US).jid
    failed = store.submit(new_job("a"), NOW_US).jid
    store.apply([new_return(failed, "a", kind=OutcomeKind.FAILED)], NOW_US)

    assert store.ended_jobs() == (refused, failed)
