"""What every job cache must do, whatever it is made of: jobs, and what becomes of them; ``conftest.py`` lists the stores."""

from dataclasses import replace

import pytest

from fleet.core.control_answers import TargetResult
from fleet.core.control_requests import ListJobs
from fleet.core.job_states import JobState
from fleet.core.messages import REASON_LIMIT_CHARACTERS
from fleet.core.names import Jid
from fleet.core.outcome import OutcomeKind
from fleet.core.packing import encode_value
from fleet.master.store import Cancelled, Change, NewTarget, Note, StateChange
from fleet.master.store_thread import WritingStore
from support.job_cache import NOW_US, minion, new_job, new_return, with_answer

from .conftest import Home, states

SECOND_US = 1_000_000


# Jobs.


def test_the_jid_of_a_job_is_the_moment_when_it_was_stored(store: WritingStore) -> None:
    stored = store.submit(new_job("web-1"), NOW_US)

    assert stored.jid == "20261120221200000000"
    assert (stored.created_us, stored.expires_us) == (NOW_US, NOW_US + 30 * SECOND_US)
    assert stored.is_new
    assert stored.targets == {"web-1": JobState.SENT}


def test_jids_grow_when_two_jobs_come_in_one_microsecond_or_the_clock_goes_back(home: Home) -> None:
    jids = [home.store.submit(new_job("web-1"), NOW_US).jid, home.store.submit(new_job("web-1"), NOW_US).jid]
    later = home.store.submit(new_job("web-1"), NOW_US - 3600 * SECOND_US)
    jids.append(later.jid)
    jids.append(home.reopen().submit(new_job("web-1"), NOW_US - 7200 * SECOND_US).jid)

    assert jids == ["20261120221200000000", "20261120221200000001", "20261120221200000002", "20261120221200000003"]
    # The time to live is counted on the clock that judges it, not on the jid.
    assert later.expires_us == NOW_US - 3600 * SECOND_US + 30 * SECOND_US


def test_the_same_request_id_gets_the_same_job_also_after_a_restart(home: Home) -> None:
    job = new_job("web-1", "web-2", request_id=bytes(16))
    first = home.store.submit(job, NOW_US)
    home.store.apply([new_return(first.jid, "web-1")], NOW_US)

    again = home.reopen().submit(replace(job, words=("rm",), targets=()), NOW_US + SECOND_US)

    assert (again.jid, again.is_new) == (first.jid, False)
    assert again.targets == {"web-1": JobState.SUCCEEDED, "web-2": JobState.SENT}
    assert (again.created_us, again.expires_us) == (first.created_us, first.expires_us)
    assert replace(again.job, targets=()) == replace(job, targets=())
    assert home.store.jobs(ListJobs(0, "")).total == 1


def test_a_job_comes_back_as_it_was_given(store: WritingStore) -> None:
    job = new_job("web-2", "web-1")
    stored = store.submit(job, NOW_US)
    summary = store.job(stored.jid)

    given = (job.function, job.words, job.literals, job.values, job.options, job.target, job.target_kind, job.user)
    found = (
        summary.function,
        summary.words,
        summary.literals,
        summary.values,
        summary.options,
        summary.target,
        summary.target_kind,
        summary.user,
    )
    assert found == given
    assert (summary.created_us, summary.expires_us) == (stored.created_us, stored.expires_us)
    assert (summary.timeout_seconds, summary.signed_by) == (job.timeout_seconds, job.signed_by)
    assert (summary.state, summary.finished_us, summary.counts) == ("running", None, {"sent": 2})


def test_a_job_whose_targets_are_all_refused_at_once_is_finished(store: WritingStore) -> None:
    job = replace(new_job(), targets=(NewTarget(minion("web-1"), JobState.REFUSED, "", "no role"),))
    jid = store.submit(job, NOW_US).jid

    assert (store.job(jid).state, store.job(jid).finished_us) == ("finished", NOW_US)
    assert store.open_jobs() == ()
    result = store.result(jid, minion("web-1"))
    assert (result.state, result.reason, result.kind) == (JobState.REFUSED, "no role", "refused")


def test_open_jobs_are_those_with_an_open_target_oldest_first_also_after_a_restart(home: Home) -> None:
    ended, half, whole = (home.store.submit(new_job("a", "b"), NOW_US) for _ in range(3))
    home.store.apply([new_return(ended.jid, "a"), new_return(ended.jid, "b"), new_return(half.jid, "b")], NOW_US)
    home.store.apply([Cancelled(whole.jid)], NOW_US)

    found = home.reopen().open_jobs()

    assert [job.jid for job in found] == [half.jid, whole.jid]
    assert found[0].targets == {"a": JobState.SENT, "b": JobState.SUCCEEDED}
    assert [job.cancelled for job in found] == [False, True]
    assert found[0].job.targets == (
        NewTarget(minion("a"), JobState.SENT, "10.0.0.0"),
        NewTarget(minion("b"), JobState.SUCCEEDED, "10.0.0.1"),
    )


# What becomes of them.


def test_a_return_ends_a_target_with_all_of_its_bytes(store: WritingStore) -> None:
    jid = store.submit(new_job("web-1"), NOW_US).jid
    value = encode_value({"up": True})
    stored = new_return(jid, "web-1", b"out\xff\n", OutcomeKind.FAILED, b"err", value)
    answer = with_answer(
        stored, stdout=replace(stored.answer.stdout, total_bytes=99), traceback="T", force_stopped=True
    )
    store.apply([answer], NOW_US + 4 * SECOND_US)

    assert store.result(jid, minion("web-1")) == TargetResult(
        minion=minion("web-1"),
        state=JobState.FAILED,
        reason="it is failed",
        kind="failed",
        retcode=1,
        has_value=True,
        value=value,
        value_from="",
        stdout=b"out\xff\n",
        stderr=b"err",
        stdout_total_bytes=99,
        stderr_total_bytes=3,
        traceback="T",
        pid=4242,
        account="root",
        address="10.0.0.0",
        started_us=NOW_US + SECOND_US,
        finished_us=NOW_US + 3 * SECOND_US,
        duration_us=2 * SECOND_US,
        force_stopped=True,
    )
    assert list(store.results(jid)) == [store.result(jid, minion("web-1"))]


def test_the_way_of_a_target_is_kept_step_by_step(store: WritingStore) -> None:
    jid = store.submit(new_job("web-1", state=JobState.QUEUED), NOW_US).jid
    name = minion("web-1")
    store.apply([StateChange(jid, name, JobState.SENT, address="10.9.9.9")], NOW_US)
    store.apply([StateChange(jid, name, JobState.ACKED)], NOW_US)
    assert store.job(jid).counts == {"acked": 1}
    store.apply([StateChange(jid, name, JobState.RUNNING, pid=7, started_us=NOW_US + 5, account="www")], NOW_US)

    result = store.result(jid, name)
    assert (result.state, result.pid, result.account, result.started_us) == (JobState.RUNNING, 7, "www", NOW_US + 5)
    assert (result.address, result.finished_us, result.kind) == ("10.9.9.9", None, "")
    assert store.is_ended(jid, name) is None
    store.apply([StateChange(jid, name, JobState.LOST, "the machine was restarted", finished_us=NOW_US + 9)], NOW_US)

    result = store.result(jid, name)
    assert (result.state, result.reason, result.pid) == (JobState.LOST, "the machine was restarted", 7)
    assert (result.finished_us, result.kind) == (NOW_US + 9, "lost")
    assert store.is_ended(jid, name) is JobState.LOST


def test_a_job_is_finished_when_its_last_target_has_ended(store: WritingStore) -> None:
    jid = store.submit(new_job("a", "b", "c"), NOW_US).jid
    store.apply([new_return(jid, "a")], NOW_US + 10 * SECOND_US)
    store.apply([StateChange(jid, minion("b"), JobState.ABANDONED, finished_us=NOW_US + 2)], NOW_US + 10 * SECOND_US)
    assert store.job(jid).state == "running"
    store.apply([new_return(jid, "c", kind=OutcomeKind.FAILED)], NOW_US + 10 * SECOND_US)

    summary = store.job(jid)
    assert summary.state == "finished"
    assert summary.counts == {"succeeded": 1, "failed": 1, "abandoned": 1}
    assert summary.finished_us == NOW_US + 3 * SECOND_US


def test_a_minion_that_lies_about_the_time_ends_no_job_in_the_future(store: WritingStore) -> None:
    jid = store.submit(new_job("a"), NOW_US).jid
    store.apply([with_answer(new_return(jid, "a"), finished_us=2**63, started_us=-5)], NOW_US + SECOND_US)

    assert store.job(jid).finished_us == NOW_US + SECOND_US
    assert store.result(jid, minion("a")).started_us == 0


def test_a_job_that_was_asked_to_stop_ends_as_cancelled(store: WritingStore) -> None:
    jid = store.submit(new_job("a"), NOW_US).jid
    store.apply([Cancelled(jid)], NOW_US)
    assert store.job(jid).state == "running"
    store.apply([new_return(jid, "a", kind=OutcomeKind.CANCELLED)], NOW_US)

    assert store.job(jid).state == "cancelled"


@pytest.mark.parametrize("together", [True, False])
def test_a_job_that_has_finished_is_not_cancelled_any_more(store: WritingStore, together: bool) -> None:
    jid = store.submit(new_job("a"), NOW_US).jid
    changes: list[Change] = [new_return(jid, "a"), Cancelled(jid)]
    for batch in [changes] if together else [[change] for change in changes]:
        store.apply(batch, NOW_US)

    assert store.job(jid).state == "finished"


def test_an_end_is_final_and_what_comes_after_it_is_a_note(store: WritingStore) -> None:
    jid = store.submit(new_job("a"), NOW_US).jid
    name = minion("a")
    store.apply([StateChange(jid, name, JobState.ABANDONED, "the key was removed")], NOW_US)
    before = store.result(jid, name)
    store.apply(
        [
            new_return(jid, "a", b"too late"),
            StateChange(jid, name, JobState.RUNNING),
            Note(jid, name, NOW_US, "a note"),
        ],
        NOW_US,
    )

    assert store.result(jid, name) == replace(
        before,
        notes=("a return (succeeded) came after abandoned", "running came after abandoned", "a note"),
    )
    assert store.job(jid).counts == {"abandoned": 1}


def test_what_comes_twice_changes_nothing_and_leaves_no_note(store: WritingStore) -> None:
    jid = store.submit(new_job("a", "b"), NOW_US).jid
    running = StateChange(jid, minion("a"), JobState.RUNNING, pid=1)
    store.apply([running, new_return(jid, "b", b"once")], NOW_US)
    before = list(store.results(jid))
    store.apply([running, new_return(jid, "b", b"twice"), new_return(jid, "b", b"twice")], NOW_US)

    assert list(store.results(jid)) == before
    assert store.job(jid).counts == {"running": 1, "succeeded": 1}


def test_a_minion_that_repeats_itself_fills_nothing_with_notes(store: WritingStore) -> None:
    jid = store.submit(new_job("a"), NOW_US).jid
    store.apply([new_return(jid, "a")], NOW_US)
    store.apply([Note(jid, minion("a"), NOW_US, "the same") for _ in range(50)], NOW_US)
    assert store.result(jid, minion("a")).notes == ("the same",)
    store.apply([Note(jid, minion("a"), NOW_US, f"{number} " + "x" * 9_000) for number in range(50)], NOW_US)

    notes = store.result(jid, minion("a")).notes
    assert len(notes) <= 16
    assert max(map(len, notes)) == REASON_LIMIT_CHARACTERS


def test_a_return_of_a_queued_target_ends_nothing(store: WritingStore) -> None:
    """Nothing was handed over, so no minion has a word in it."""
    jid = store.submit(new_job("a", state=JobState.QUEUED), NOW_US).jid
    store.apply([new_return(jid, "a")], NOW_US)

    assert states(store, jid) == {"a": JobState.QUEUED}


def test_a_change_of_what_is_not_stored_is_passed_over(store: WritingStore) -> None:
    jid = store.submit(new_job("a"), NOW_US).jid
    nowhere = Jid("20991231235959000000")
    for where, who in ((jid, "b"), (nowhere, "a"), (Jid("9" * 20), "a")):
        name = minion(who)
        store.apply([StateChange(where, name, JobState.ACKED), new_return(where, who), Cancelled(where)], NOW_US)
        store.apply([Note(where, name, NOW_US, "note")], NOW_US)
        assert store.is_ended(where, name) is None

    assert states(store, jid) == {"a": JobState.SENT}


def test_texts_and_numbers_of_a_minion_are_cut_to_what_can_be_stored(store: WritingStore) -> None:
    jid = store.submit(new_job("a"), NOW_US).jid
    store.apply(
        [
            with_answer(
                new_return(jid, "a"),
                message="m" * 100_000 + "\ud800",
                traceback="t\ud800\0" * 100_000,
                account="x" * 100_000,
                value_from="nonsense",
                pid=2**64 - 1,
                retcode=-(2**63),
                duration_us=2**64 - 1,
                finished_us=2**64 - 1,
            )
        ],
        NOW_US,
    )

    result = store.result(jid, minion("a"))
    assert result.state is JobState.SUCCEEDED
    assert len(result.reason) == REASON_LIMIT_CHARACTERS
    assert len(result.traceback) <= 32_000
    assert len(result.account) <= 256
    assert result.value_from == ""


def fail_within_a_transaction(store: WritingStore, jid: Jid) -> None:
    with store.transaction():
        store.submit(new_job("b", "c"), NOW_US)
        store.apply([new_return(jid, "a")], NOW_US)
        raise ZeroDivisionError


def test_a_transaction_is_all_or_nothing(store: WritingStore) -> None:
    jid = store.submit(new_job("a"), NOW_US).jid
    with pytest.raises(ZeroDivisionError):
        fail_within_a_transaction(store, jid)

    assert store.jobs(ListJobs(0, "")).total == 1
    assert states(store, jid) == {"a": JobState.SENT}
    with store.transaction():
        other = store.submit(new_job("b", "c"), NOW_US).jid
        store.apply([new_return(jid, "a")], NOW_US)
        store.apply([new_return(other, "b")], NOW_US)
    assert (states(store, jid), store.job(other).counts) == ({"a": JobState.SUCCEEDED}, {"sent": 1, "succeeded": 1})


def test_a_second_connection_reads_what_is_committed_while_the_first_one_writes(store: WritingStore) -> None:
    jid = store.submit(new_job("a"), NOW_US).jid
    reader = store.open_reader()
    try:
        with store.transaction():
            store.apply([new_return(jid, "a")], NOW_US)
            assert states(reader, jid) == {"a": JobState.SENT}
        assert states(reader, jid) == {"a": JobState.SUCCEEDED}
    finally:
        reader.close()
