"""The job machine of the master, step by step; ``tests/protocol/test_lossy_network.py`` has what befalls it."""

import time
from itertools import pairwise

import pytest

from fleet.core.control_answers import TargetResult, TargetSilent
from fleet.core.crypto import digest
from fleet.core.errors import ProtocolError
from fleet.core.from_master import Cancel, Inquiry, Need, Stored
from fleet.core.from_minion import InventoryItem, JobProgress, OutputChunk, StreamSummary
from fleet.core.job_states import JobState
from fleet.core.names import MinionId, jid_from_microseconds
from fleet.core.outcome import OutcomeKind
from fleet.master.deliveries import (
    ACKNOWLEDGE_LEAST_US,
    ACKNOWLEDGE_PATIENCE,
    ACKNOWLEDGE_PER_TARGET_US,
    END_PATIENCE_US,
)
from fleet.master.job_actions import (
    AnswerReturn,
    Commit,
    CommitReturn,
    Dispatch,
    Emit,
    JobEnded,
    LookUpEnded,
    SendTo,
    Settle,
    Tell,
)
from fleet.master.store import Cancelled
from support.master_machine import (
    JID,
    NOW,
    SECOND,
    M,
    Master,
    N,
    S,
    answer,
    changes,
    messages,
    only,
    stored,
    told,
)


@pytest.fixture
def master() -> Master:
    return Master()


def test_a_job_is_handed_to_those_that_are_there_and_the_others_are_named_at_once(master: Master) -> None:
    master.go(N)
    actions = master.create(m=S.SENT, n=S.QUEUED)

    assert [type(action) for action in actions] == [Emit, Dispatch, Tell]
    assert only(actions, Dispatch)[0].minions == {M}
    note = only(actions, Tell)[0].note
    assert note == TargetSilent(N, S.QUEUED, "down since 2026-11-18T11:06:40Z")
    assert master.jobs.is_open(JID)
    assert master.jobs.targets_of(JID) == (M, N)
    assert master.jobs.order_for(JID) == (b"document", b"signature")


def test_one_that_left_while_the_job_was_stored_is_named_at_once(master: Master) -> None:
    master.go(M)

    assert told(master.create(m=S.SENT)) == [(TargetSilent, S.SENT)]


def test_one_that_came_while_the_job_was_stored_is_handed_it_and_not_called_silent(master: Master) -> None:
    """Its hello was taken before the job was known: nothing else would hand it over before its time to live is over."""
    actions = master.create(m=S.QUEUED)

    assert told(actions) == []
    assert changes(actions) == [S.SENT]
    (handed,) = only(only(actions, Commit)[0].then, Dispatch)
    assert handed.minions == {M}


def test_a_job_that_is_known_is_not_created_twice(master: Master) -> None:
    master.create()

    assert master.create() == []
    assert master.jobs.created(stored(9, is_new=False), NOW) == []


def test_a_job_without_an_open_target_has_ended(master: Master) -> None:
    assert only(master.create(m=S.REFUSED), JobEnded) == [JobEnded(JID)]
    assert not master.jobs.is_open(JID)


def test_a_return_is_committed_then_answered_then_told(master: Master) -> None:
    master.create()
    (commit,) = master.jobs.returned(M, answer(), NOW)
    assert isinstance(commit, CommitReturn)
    actions = master.jobs.committed(commit.stored)

    assert [type(action) for action in actions] == [AnswerReturn, Emit, JobEnded]
    assert messages(actions) == [Stored(JID)]
    assert told(actions) == [(TargetResult, S.SUCCEEDED)]
    assert master.jobs.committed(commit.stored) == [SendTo(M, Stored(JID))]
    assert master.jobs.counts() == {"jobs_open": 0, "targets_open": 0, "returns_waiting": 0}


def test_a_return_that_comes_again_while_it_is_committed_is_not_committed_twice(master: Master) -> None:
    master.create()
    master.jobs.returned(M, answer(), NOW)

    assert master.jobs.returned(M, answer(), NOW) == []


def test_a_return_of_what_is_not_open_is_looked_up(master: Master) -> None:
    assert only(master.jobs.returned(M, answer(), NOW), LookUpEnded)[0].state is S.SUCCEEDED
    master.create(m=S.SENT, n=S.SENT)
    master.settle(master.jobs.returned(M, answer(), NOW))
    assert only(master.jobs.returned(M, answer(kind=OutcomeKind.LOST), NOW), LookUpEnded)[0].state is S.LOST


def test_only_jobs_that_were_sent_to_a_minion_may_be_returned(master: Master) -> None:
    master.go(N)
    master.create(m=S.SENT, n=S.QUEUED)

    for minion in (N, MinionId("stranger")):
        with pytest.raises(ProtocolError):
            master.jobs.returned(minion, answer(), NOW)
        with pytest.raises(ProtocolError):
            master.jobs.progressed(minion, JobProgress(JID, S.RUNNING), NOW)
        assert master.jobs.unknown(minion, JID, NOW) == []


def test_a_minion_may_not_say_what_cannot_follow(master: Master) -> None:
    master.create()
    master.jobs.progressed(M, JobProgress(JID, S.RUNNING), NOW)

    for kind in (OutcomeKind.EXPIRED, OutcomeKind.ABANDONED):
        with pytest.raises(ProtocolError):
            master.jobs.returned(M, answer(kind=kind), NOW)
    for state in set(S) - {S.ACKED, S.RUNNING}:
        with pytest.raises(ProtocolError):
            master.jobs.progressed(M, JobProgress(JID, state), NOW)


def test_progress_is_told_when_it_is_durable_and_never_goes_back(master: Master) -> None:
    master.create()
    (commit,) = master.jobs.progressed(M, JobProgress(JID, S.RUNNING, 42, NOW, "root"), NOW)
    assert isinstance(commit, Commit)
    assert [type(action) for action in commit.then] == [Emit]

    assert master.jobs.progressed(M, JobProgress(JID, S.ACKED), NOW) == []


def test_silence_is_judged_by_the_missing_acknowledgement_of_this_job(master: Master) -> None:
    master.create(m=S.SENT, n=S.SENT)
    master.jobs.progressed(N, JobProgress(JID, S.ACKED), NOW)
    assert master.jobs.silences(JID, NOW) == []
    assert only(master.jobs.ticked(NOW + ACKNOWLEDGE_LEAST_US), Tell) == []
    actions = master.jobs.ticked(NOW + ACKNOWLEDGE_LEAST_US + 1_000)

    assert [action.note.minion for action in only(actions, Tell)] == [M]
    assert only(actions, Dispatch)[0].minions == {M}
    assert [silent.minion for silent in master.jobs.silences(JID, NOW)] == [M]
    assert told(master.jobs.ticked(NOW + 3_600 * SECOND)) == []


def test_who_has_not_acknowledged_is_waited_for_a_little_longer_while_others_do(master: Master) -> None:
    master.jobs.created(stored(targets={f"m{number}": S.SENT for number in range(1_000)}), NOW)
    first = NOW + ACKNOWLEDGE_LEAST_US + 1_000 * ACKNOWLEDGE_PER_TARGET_US
    last = NOW + ACKNOWLEDGE_LEAST_US + ACKNOWLEDGE_PATIENCE * 1_000 * ACKNOWLEDGE_PER_TARGET_US
    heard = 0
    for now in range(NOW, last - 100_000, 100_000):
        master.jobs.progressed(MinionId(f"m{heard}"), JobProgress(JID, S.ACKED), now)
        heard += 1
        assert only(master.jobs.ticked(now), Tell) == []
        assert only(master.jobs.ticked(now), Dispatch) == []
    assert last - 100_000 > first

    actions = master.jobs.ticked(last)
    assert len(only(actions, Tell)) == len(only(actions, Dispatch)) == 1_000 - heard


def test_once_nobody_acknowledges_any_more_those_who_have_not_are_named(master: Master) -> None:
    master.jobs.created(stored(targets={f"m{number}": S.SENT for number in range(1_000)}), NOW)
    heard_us = NOW + ACKNOWLEDGE_LEAST_US
    master.jobs.progressed(MinionId("m0"), JobProgress(JID, S.ACKED), heard_us)
    assert only(master.jobs.ticked(heard_us + ACKNOWLEDGE_LEAST_US - 1), Tell) == []
    assert len(only(master.jobs.ticked(heard_us + ACKNOWLEDGE_LEAST_US), Tell)) == 999


def test_an_order_is_repeated_ever_later_while_the_minion_is_there(master: Master) -> None:
    master.create()
    times = [now for now in range(NOW, NOW + 200 * SECOND, 100_000) if only(master.jobs.ticked(now), Dispatch)]
    pauses = [(later - before) // SECOND for before, later in pairwise(times)]
    assert pauses[:8] == [1, 2, 4, 8, 16, 30, 30, 30]

    master.go(M)
    assert only(master.jobs.ticked(NOW + 300 * SECOND), Dispatch) == []
    assert only(master.jobs.ticked(NOW + 400 * SECOND), Dispatch) == []


def test_what_waited_is_handed_over_when_that_is_durable(master: Master) -> None:
    master.go(M)
    master.create(m=S.QUEUED)
    master.come(M)
    (commit,) = master.jobs.joined(M, (), NOW, is_same_journal=True)

    assert isinstance(commit, Commit)
    assert changes([commit]) == [S.SENT]
    assert [type(action) for action in commit.then] == [Settle, Dispatch]
    assert master.jobs.ticked(NOW + 3_600 * SECOND) == []  # Not expired, not sent again: it is being handed over.
    assert master.jobs.returned(M, answer(), NOW) == []
    master.settle([commit])
    with pytest.raises(ProtocolError):
        master.jobs.progressed(M, JobProgress(JID, S.QUEUED), NOW)
    assert only(master.jobs.returned(M, answer(), NOW), CommitReturn)


def test_a_hand_over_that_cannot_be_stored_is_tried_again(master: Master) -> None:
    master.go(M)
    master.create(m=S.QUEUED)
    master.come(M)
    (commit,) = master.jobs.joined(M, (), NOW, is_same_journal=True)
    assert isinstance(commit, Commit)
    master.jobs.changes_failed(commit.changes)

    assert changes(master.jobs.ticked(NOW + 1)) == [S.SENT]


def test_a_minion_that_is_back_too_late_does_not_get_the_job(master: Master) -> None:
    master.go(M)
    master.create(m=S.QUEUED)
    master.come(M)
    late = NOW + 30 * SECOND
    assert master.jobs.joined(M, (), late, is_same_journal=True) == []
    actions = master.jobs.ticked(late)

    assert changes(actions) == [S.EXPIRED]
    assert told(master.settle(actions)) == [(TargetResult, S.EXPIRED)]
    assert not master.jobs.is_open(JID)


def test_two_machines_with_one_key_get_no_jobs(master: Master) -> None:
    master.go(M, conflict="two machines speak with one key")
    master.create(m=S.QUEUED)

    assert master.jobs.joined(M, (), NOW, is_same_journal=True) == []


def test_a_session_that_ends_is_told_to_those_who_wait_for_its_acknowledgement(master: Master) -> None:
    master.create()
    master.go(M)

    assert told(master.jobs.left(M, NOW)) == [(TargetSilent, S.SENT)]
    assert master.jobs.left(M, NOW) == []


@pytest.mark.parametrize(
    ("state", "told_state", "expected", "change"),
    [
        (S.SENT, None, Dispatch, None),
        (S.ACKED, None, SendTo, None),
        (S.RUNNING, None, SendTo, None),
        (S.SENT, S.ACKED, Commit, S.ACKED),
        (S.ACKED, S.RUNNING, Commit, S.RUNNING),
        (S.RUNNING, S.ACKED, None, None),
        (S.SENT, S.SUCCEEDED, Commit, S.ACKED),  # An end is told by a return, and by nothing else.
    ],
)
def test_a_minion_that_is_back_is_asked_about_what_it_does_not_tell(
    master: Master, state: JobState, told_state: JobState | None, expected: type | None, change: JobState | None
) -> None:
    master.jobs.recover([stored(targets={"m": state})])
    inventory = () if told_state is None else (InventoryItem(JID, told_state),)
    actions = master.jobs.joined(M, inventory, NOW, is_same_journal=True)

    assert [type(action) for action in actions] == ([] if expected is None else [expected])
    assert changes(actions) == ([] if change is None else [change])
    assert messages(actions) == ([Inquiry(JID)] if expected is SendTo else [])


def test_a_question_is_repeated_until_it_is_answered(master: Master) -> None:
    master.jobs.recover([stored(targets={"m": S.RUNNING})])
    master.jobs.joined(M, (), NOW, is_same_journal=True)
    assert messages(master.jobs.ticked(NOW + SECOND)) == [Inquiry(JID)]
    actions = master.jobs.unknown(M, JID, NOW)

    assert changes(actions) == [S.LOST]
    assert told(master.settle(actions)) == [(TargetResult, S.LOST)]


@pytest.mark.parametrize("state", [S.SENT, S.ACKED, S.RUNNING])
def test_a_new_journal_ends_everything_that_was_handed_over(master: Master, state: JobState) -> None:
    master.jobs.recover([stored(targets={"m": state, "n": S.RUNNING})])

    assert changes(master.jobs.joined(M, (), NOW, is_same_journal=False)) == [S.LOST]
    assert master.jobs.returned(M, answer(), NOW) == []  # Its end is being committed.


def test_a_job_that_a_restored_master_takes_for_queued_is_learned_from_the_minion(master: Master) -> None:
    master.jobs.recover([stored(targets={"m": S.QUEUED})])
    late = NOW + 3_600 * SECOND
    actions = master.jobs.joined(M, (InventoryItem(JID, S.RUNNING),), late, is_same_journal=True)

    assert changes(actions) == [S.SENT]
    assert only(master.settle(actions, late), Dispatch)


def test_the_key_of_a_minion_was_removed(master: Master) -> None:
    master.create(m=S.SENT, n=S.SENT)
    actions = master.jobs.removed(M, NOW)

    assert changes(actions) == [S.ABANDONED]
    assert told(master.settle(actions)) == [(TargetResult, S.ABANDONED)]
    assert master.jobs.is_open(JID)
    assert master.jobs.removed(M, NOW) == []


def test_a_return_that_is_being_committed_wins_over_the_masters_word(master: Master) -> None:
    master.create()
    (commit,) = master.jobs.returned(M, answer(), NOW)
    assert isinstance(commit, CommitReturn)
    assert master.jobs.removed(M, NOW) == []

    assert told(master.jobs.committed(commit.stored)) == [(TargetResult, S.SUCCEEDED)]


def test_when_that_return_cannot_be_stored_the_masters_word_holds(master: Master) -> None:
    master.create()
    (commit,) = master.jobs.returned(M, answer(), NOW)
    assert isinstance(commit, CommitReturn)
    master.jobs.removed(M, NOW)
    master.jobs.commit_failed(commit.stored)

    assert changes(master.jobs.ticked(NOW)) == [S.ABANDONED]


def test_an_end_that_cannot_be_stored_is_not_told_and_is_tried_again(master: Master) -> None:
    master.create()
    (commit,) = master.jobs.removed(M, NOW)
    assert isinstance(commit, Commit)
    master.jobs.changes_failed(commit.changes)
    assert master.jobs.is_open(JID)
    assert master.jobs.explained(JID, TARGET, NOW).state is S.SENT

    again = master.jobs.ticked(NOW)
    assert changes(again) == [S.ABANDONED]
    assert master.jobs.ticked(NOW) == []
    assert only(master.settle(again), JobEnded)


TARGET = TargetResult(
    M, S.SENT, "", "", None, False, b"", "", b"", b"", 0, 0, "", None, "", "", None, None, None, force_stopped=False
)


def test_a_return_that_could_not_be_stored_is_asked_for_again(master: Master) -> None:
    master.create()
    (commit,) = master.jobs.returned(M, answer(), NOW)
    assert isinstance(commit, CommitReturn)
    master.jobs.joined(
        M, (), NOW, is_same_journal=True
    )  # The minion was restarted, and knows nothing of an instant function.
    master.jobs.commit_failed(commit.stored)

    assert only(master.jobs.ticked(NOW + END_PATIENCE_US), Dispatch)


def test_a_queued_job_is_cancelled_by_the_masters_word_and_another_by_the_minions(master: Master) -> None:
    master.go(N)
    master.create(m=S.SENT, n=S.QUEUED)
    assert master.jobs.cancel_outcome(JID, ()) == ((M,), (N,), ())
    actions = master.jobs.cancelled(JID, (), NOW)

    assert only(actions, Commit)[0].changes == (Cancelled(JID),)
    assert messages(actions) == [Cancel(JID, NOW + 30 * SECOND)]
    assert changes(actions) == [S.CANCELLED]
    assert master.jobs.cancel_outcome(JID, ()) == ((M,), (), (N,))


def test_a_cancel_is_repeated_until_the_job_has_ended(master: Master) -> None:
    master.create()
    master.jobs.progressed(M, JobProgress(JID, S.RUNNING), NOW)
    master.jobs.cancelled(JID, (M,), NOW)
    assert messages(master.jobs.ticked(NOW + SECOND)) == [Cancel(JID, NOW + 30 * SECOND)]
    master.go(M)
    master.jobs.left(M, NOW)
    assert master.jobs.ticked(NOW + 100 * SECOND) == []
    master.come(M)
    known = (InventoryItem(JID, S.RUNNING),)
    assert messages(master.jobs.joined(M, known, NOW, is_same_journal=True)) == [Cancel(JID, NOW + 30 * SECOND)]

    master.settle(master.jobs.returned(M, answer(kind=OutcomeKind.CANCELLED), NOW))
    assert master.jobs.ticked(NOW + 3_600 * SECOND) == []


def test_a_cancelled_job_stays_cancelled_when_the_master_restarts(master: Master) -> None:
    master.jobs.recover([stored(targets={"m": S.QUEUED, "n": S.RUNNING}, cancelled=True)])

    assert master.jobs.joined(M, (), NOW, is_same_journal=True) == []
    assert changes(master.jobs.ticked(NOW)) == [S.CANCELLED]
    known = (InventoryItem(JID, S.RUNNING),)
    assert messages(master.jobs.joined(N, known, NOW, is_same_journal=True)) == [Cancel(JID, NOW + 30 * SECOND)]


def test_a_cancel_that_meets_a_hand_over_goes_before_the_order(master: Master) -> None:
    master.go(M)
    master.create(m=S.QUEUED)
    master.come(M)
    actions = master.jobs.joined(M, (), NOW, is_same_journal=True)
    master.jobs.cancelled(JID, (M,), NOW)

    assert [type(action) for action in master.settle(actions)] == [SendTo, Dispatch]


def test_output_is_pulled_and_only_from_the_session_that_was_asked(master: Master) -> None:
    master.create()
    data = bytes(20_000)
    summary = StreamSummary(len(data), len(data), digest(data), None)
    assert messages(master.jobs.returned(M, answer(stdout=summary), NOW)) == [Need(JID, "stdout", 0)]
    assert only(master.jobs.chunk(M, OutputChunk(JID, "stdout", 0, data), NOW), CommitReturn)

    master.create(1)
    jid = jid_from_microseconds(NOW + 1)
    master.jobs.returned(M, answer(jid, stdout=summary), NOW)
    master.jobs.left(M, NOW)
    with pytest.raises(ProtocolError):
        master.jobs.chunk(M, OutputChunk(jid, "stdout", 0, data), NOW)


def test_a_result_that_has_not_ended_is_explained(master: Master) -> None:
    master.create()
    master.jobs.progressed(M, JobProgress(JID, S.RUNNING), NOW)
    master.go(M)
    explained = master.jobs.explained(JID, TARGET, NOW)

    assert (explained.state, explained.reason) == (S.RUNNING, "running, not reachable since 2026-11-18T11:06:40Z")
    assert master.jobs.explained(jid_from_microseconds(5), TARGET, NOW) is TARGET


def _run(number: int) -> float:
    """Hand a job to so many minions, and take all returns, with a tick after every hundredth."""
    master = Master()
    names = [MinionId(f"m{each}") for each in range(number)]
    begun = time.process_time()
    master.jobs.created(stored(targets=dict.fromkeys(names, S.SENT)), NOW)
    for each, minion in enumerate(names):
        master.jobs.progressed(minion, JobProgress(JID, S.RUNNING), NOW)
        if each % 100 == 0:
            master.jobs.ticked(NOW + each)
    for each, minion in enumerate(names):
        master.settle(master.jobs.returned(minion, answer(), NOW))
        if each % 100 == 0:
            master.jobs.ticked(NOW + number + each)
    assert not master.jobs.is_open(JID)
    return time.process_time() - begun


def test_ten_times_as_many_minions_cost_about_ten_times_as_much() -> None:
    small = min(_run(400) for _ in range(3))

    assert _run(4_000) < 30 * small


def test_the_open_jobs_of_a_minion_are_named_newest_first_and_only_so_many(master: Master) -> None:
    for number in range(4):
        master.create(number, m=S.SENT, n=S.SENT)
    master.jobs.progressed(M, JobProgress(jid_from_microseconds(NOW + 3), S.RUNNING), NOW)

    newest = master.jobs.newest_of(M, 2)
    assert [(job.jid, job.function, job.state) for job in newest] == [
        (jid_from_microseconds(NOW + 3), "cmd.run", S.RUNNING),
        (jid_from_microseconds(NOW + 2), "cmd.run", S.SENT),
    ]
    assert master.jobs.newest_of(MinionId("none"), 2) == ()
