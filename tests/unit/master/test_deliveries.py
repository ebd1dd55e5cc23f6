"""Deletion of open jobs, as the job machine of the master sees it: whatever else happens meanwhile, in any order."""

from collections.abc import Callable

import pytest

from fleet.core.control_answers import TargetResult
from fleet.core.crypto import digest
from fleet.core.errors import ProtocolError
from fleet.core.from_master import Cancel, Stored
from fleet.core.from_minion import InventoryItem, JobProgress, OutputChunk, StreamSummary
from fleet.core.names import MinionId, jid_from_microseconds
from fleet.master.job_actions import (
    Commit,
    CommitReturn,
    Dispatch,
    Emit,
    JobEnded,
    LookUpEnded,
    MasterJobAction,
    Tell,
)
from support.master_machine import JID, NOW, SECOND, M, Master, N, S, answer, changes, messages, only, stored, told

LATER = NOW + 100 * SECOND


@pytest.fixture
def master() -> Master:
    return Master()


def tags(actions: list[MasterJobAction]) -> list[str]:
    return [action.tag for action in only(actions, Emit)]


def delete(master: Master) -> tuple[MinionId, ...]:
    return master.jobs.begin_deletion(JID)


def finish(master: Master) -> list[MasterJobAction]:
    return master.jobs.deleted(JID, "ada", NOW)


def assert_nothing_is_held(master: Master) -> None:
    assert master.jobs.counts() == {"jobs_open": 0, "targets_open": 0, "returns_waiting": 0}
    assert master.jobs._incoming.used_bytes == 0
    assert (master.jobs.is_open(JID), master.jobs.open_jids(), master.jobs.order_for(JID)) == (False, (), None)


def test_those_that_may_hold_something_of_a_job_owe_it_and_only_they() -> None:
    master = Master()
    states = {"q": S.QUEUED, "s": S.SENT, "a": S.ACKED, "r": S.RUNNING, "done": S.SUCCEEDED, "no": S.REFUSED}
    master.jobs.recover([stored(targets=states)])

    assert delete(master) == ("a", "r", "s")
    assert master.jobs.expires_us(JID) == NOW + 30 * SECOND


def test_a_job_that_is_not_open_is_owed_by_nobody(master: Master) -> None:
    assert delete(master) == ()
    assert master.jobs.expires_us(JID) == 0
    assert finish(master) == [Emit(f"fleet/job/{JID}/deleted", {"jid": JID, "user": "ada"})]
    master.jobs.deletion_failed(JID)
    assert_nothing_is_held(master)


def test_watchers_are_told_the_rest_is_abandoned_and_their_watch_ends(master: Master) -> None:
    master.create(m=S.SENT, n=S.SENT)
    master.settle(master.jobs.returned(N, answer(), NOW))
    delete(master)
    actions = finish(master)

    assert [type(action) for action in actions] == [Emit, Tell, JobEnded]
    assert tags(actions) == [f"fleet/job/{JID}/deleted"]
    note = only(actions, Tell)[0].note
    assert isinstance(note, TargetResult)
    assert (note.minion, note.state, note.reason) == (M, S.ABANDONED, "deleted by ada")
    assert_nothing_is_held(master)
    assert master.jobs.silences(JID, NOW) == []


def test_nothing_is_handed_over_any_more(master: Master) -> None:
    master.go(M)
    master.create(m=S.QUEUED)
    assert delete(master) == ()
    master.come(M)

    assert master.jobs.joined(M, (), NOW, is_same_journal=True) == []
    assert only(master.jobs.ticked(NOW + SECOND), Commit) == []
    finish(master)
    assert master.jobs.joined(M, (), NOW, is_same_journal=True) == []
    assert_nothing_is_held(master)


@pytest.mark.parametrize("comes_first", [True, False])
def test_when_it_could_not_be_deleted_it_goes_on_also_for_those_that_came_meanwhile(
    master: Master, comes_first: bool
) -> None:
    found: list[MasterJobAction] = []
    master.go(M)
    master.create(m=S.QUEUED)
    delete(master)
    for step in (0, 1):
        if comes_first is (step == 0):
            master.come(M)
            found = master.jobs.joined(M, (), NOW, is_same_journal=True)
        else:
            master.jobs.deletion_failed(JID)
    actions = [*found, *master.jobs.ticked(NOW + SECOND)]

    assert changes(actions) == [S.SENT]
    assert len(only(master.settle(actions), Dispatch)) == 1
    assert master.jobs.is_open(JID)


def test_of_two_deletions_the_failure_of_one_hands_nothing_over(master: Master) -> None:
    master.go(M)
    master.create(m=S.QUEUED)
    delete(master)
    delete(master)
    master.jobs.deletion_failed(JID)
    master.come(M)

    assert master.jobs.joined(M, (), NOW, is_same_journal=True) == []
    assert only(master.jobs.ticked(NOW + SECOND), Commit) == []
    master.jobs.deletion_failed(JID)
    assert changes(master.jobs.ticked(NOW + SECOND)) == [S.SENT]


def test_of_two_deletions_the_second_finds_nothing_left(master: Master) -> None:
    master.create()
    assert delete(master) == delete(master) == (M,)
    assert JobEnded(JID) in finish(master)

    assert [type(action) for action in finish(master)] == [Emit]
    assert_nothing_is_held(master)


def test_one_that_is_being_handed_over_owes_it(master: Master) -> None:
    master.go(M)
    master.create(m=S.QUEUED)
    master.come(M)
    handed_over = master.jobs.joined(M, (), NOW, is_same_journal=True)
    assert delete(master) == (M,)

    # The commits are told in order: the order leaves, and what comes after it has the minion forget it.
    assert len(only(master.settle(handed_over), Dispatch)) == 1
    finish(master)
    assert_nothing_is_held(master)


def test_a_hand_over_that_failed_is_not_tried_again_while_it_is_deleted(master: Master) -> None:
    master.go(M)
    master.create(m=S.QUEUED)
    master.come(M)
    (commit,) = only(master.jobs.joined(M, (), NOW, is_same_journal=True), Commit)
    delete(master)
    master.jobs.changes_failed(commit.changes)
    assert only(master.jobs.ticked(NOW + SECOND), Commit) == []

    master.jobs.deletion_failed(JID)
    assert changes(master.jobs.ticked(NOW + SECOND)) == [S.SENT]


def test_a_return_that_was_being_stored_ends_its_target_before(master: Master) -> None:
    master.create()
    returned = master.jobs.returned(M, answer(), NOW)
    assert delete(master) == (M,)
    actions = master.settle(returned)

    assert messages(actions) == [Stored(JID)]
    assert JobEnded(JID) in actions
    assert tags(finish(master)) == [f"fleet/job/{JID}/deleted"]
    assert_nothing_is_held(master)


def test_a_return_that_comes_while_it_is_deleted_is_answered_and_told_to_nobody(master: Master) -> None:
    master.create()
    delete(master)
    (commit,) = only(master.jobs.returned(M, answer(), NOW), CommitReturn)
    assert told(finish(master)) == [(TargetResult, S.ABANDONED)]

    assert master.settle([commit]) == master.jobs.committed(commit.stored)
    assert messages(master.jobs.committed(commit.stored)) == [Stored(JID)]
    assert told(master.jobs.committed(commit.stored)) == []


def test_a_return_that_comes_afterwards_is_looked_up_and_its_failure_hurts_nobody(master: Master) -> None:
    master.create()
    (commit,) = only(master.jobs.returned(M, answer(), NOW), CommitReturn)
    delete(master)
    finish(master)

    master.jobs.commit_failed(commit.stored)
    (action,) = master.jobs.returned(M, answer(), NOW)
    assert isinstance(action, LookUpEnded)
    assert (action.jid, action.minion) == (JID, M)


def test_output_that_was_being_pulled_is_let_go_and_makes_room(master: Master) -> None:
    master.create()
    data = bytes(20_000)
    master.jobs.returned(M, answer(stdout=StreamSummary(len(data), len(data), digest(data), None)), NOW)
    assert master.jobs._incoming.used_bytes == len(data)
    delete(master)
    finish(master)

    assert_nothing_is_held(master)
    with pytest.raises(ProtocolError):
        master.jobs.chunk(M, OutputChunk(JID, "stdout", 0, data), NOW)


def test_progress_while_it_is_deleted_is_taken_and_afterwards_refused(master: Master) -> None:
    master.create()
    delete(master)
    progress = JobProgress(JID, S.RUNNING, 42, NOW, "root")
    assert changes(master.jobs.progressed(M, progress, NOW)) == [S.RUNNING]
    finish(master)

    with pytest.raises(ProtocolError):
        master.jobs.progressed(M, progress, NOW)


ENDS: list[Callable[[Master], list[MasterJobAction]]] = [
    lambda master: master.jobs.unknown(M, JID, NOW),
    lambda master: master.jobs.removed(M, NOW),
    lambda master: master.jobs.joined(M, (), NOW, is_same_journal=False),
]


@pytest.mark.parametrize("end", ENDS, ids=["unknown", "removed", "new journal"])
@pytest.mark.parametrize("fails", [True, False])
def test_an_end_by_the_masters_word_is_not_told_while_it_is_deleted(
    master: Master, end: Callable[[Master], list[MasterJobAction]], fails: bool
) -> None:
    master.create()
    delete(master)
    assert end(master) == []
    assert only(master.jobs.ticked(LATER), Commit) == []
    if not fails:
        assert told(finish(master)) == [(TargetResult, S.ABANDONED)]
        assert_nothing_is_held(master)
        return
    master.jobs.deletion_failed(JID)
    actions = master.settle(master.jobs.ticked(LATER))
    assert JobEnded(JID) in actions
    assert told(actions)[0][1] in {S.LOST, S.ABANDONED}


@pytest.mark.parametrize("fails", [True, False])
def test_a_job_that_expires_while_it_is_deleted_is_told_as_deleted(master: Master, fails: bool) -> None:
    master.go(M)
    master.create(m=S.QUEUED)
    delete(master)
    assert master.jobs.ticked(LATER) == []
    if fails:
        master.jobs.deletion_failed(JID)
        assert (TargetResult, S.EXPIRED) in told(master.settle(master.jobs.ticked(LATER)))
    else:
        assert told(finish(master)) == [(TargetResult, S.ABANDONED)]
        assert_nothing_is_held(master)


def test_a_cancel_meanwhile_still_reaches_those_that_run_it(master: Master) -> None:
    master.create()
    delete(master)

    assert messages(master.jobs.cancelled(JID, (), NOW)) == [Cancel(JID, NOW + 30 * SECOND)]
    finish(master)
    assert master.jobs.cancelled(JID, (), NOW) == []
    assert master.jobs.cancel_outcome(JID, (M,)) == ((), (), (M,))


def test_whoever_leaves_and_comes_back_meanwhile_changes_nothing(master: Master) -> None:
    master.create()
    delete(master)
    master.jobs.left(M, NOW)
    master.jobs.joined(M, (InventoryItem(JID, S.RUNNING),), NOW, is_same_journal=True)
    finish(master)
    assert_nothing_is_held(master)
    assert master.jobs.left(M, NOW) == []
    assert master.jobs.joined(M, (InventoryItem(JID, S.RUNNING),), NOW, is_same_journal=True) == []
    assert master.jobs.unknown(M, JID, NOW) == []
    assert master.jobs.ticked(LATER) == []


def test_another_job_goes_on(master: Master) -> None:
    master.create()
    master.create(1)
    other = jid_from_microseconds(NOW + 1)
    delete(master)
    finish(master)

    assert master.jobs.open_jids() == (other,)
    assert JobEnded(other) in master.settle(master.jobs.returned(M, answer(other), NOW))
