"""Jobs that have a stdin, as the job machine of the master sees them: who may be given one, and who may ask for it."""

from dataclasses import replace

import pytest

from fleet.core.from_master import Inquiry
from fleet.core.from_minion import JobProgress
from fleet.core.job_states import JobState
from fleet.core.outcome import OutcomeKind
from fleet.master.job_actions import Dispatch, Tell
from fleet.master.presence import Presence, PresenceState
from fleet.master.store import StoredJob
from support.master_machine import JID, NOW, SECOND, M, Master, N, S, answer, changes, messages, only, stored

OLD = Presence(PresenceState.UP, NOW, NOW, "10.0.0.7", takes_stdin=False)


def with_stdin(**targets: JobState) -> StoredJob:
    made = stored(targets=targets)
    return replace(made, job=replace(made.job, stdin_bytes=10, stdin_digest=b"d" * 32))


@pytest.fixture
def master() -> Master:
    return Master()


def test_a_minion_that_is_too_old_is_refused_with_the_reason(master: Master) -> None:
    master.presences[M] = OLD
    actions = master.settle(master.jobs.created(with_stdin(m=S.QUEUED, n=S.SENT), NOW))
    (told,) = only(actions, Tell)
    assert (told.note.minion, told.note.state) == (M, S.REFUSED)
    assert "the fleet-minion there is too old" in told.note.reason
    assert [action.minions for action in only(actions, Dispatch)] == [frozenset({N})]


def test_one_that_comes_later_is_refused_as_well(master: Master) -> None:
    master.go(M)
    master.jobs.created(with_stdin(m=S.QUEUED), NOW)
    master.presences[M] = OLD
    assert changes(master.jobs.joined(M, [], NOW, is_same_journal=True)) == [S.REFUSED]


def test_one_that_was_replaced_by_an_older_release_is_asked_and_not_given_it_again(master: Master) -> None:
    master.jobs.created(with_stdin(m=S.SENT), NOW)
    master.presences[M] = OLD
    actions = master.jobs.ticked(NOW + 2 * SECOND)
    assert (only(actions, Dispatch), messages(actions)) == ([], [Inquiry(JID)])


def test_without_a_stdin_its_age_does_not_matter(master: Master) -> None:
    master.presences[M] = OLD
    assert only(master.create(m=S.SENT), Dispatch)
    assert not master.jobs.has_stdin(JID)


def test_who_was_given_the_job_may_ask_for_its_stdin_and_nobody_else(master: Master) -> None:
    master.go(N)
    master.jobs.created(with_stdin(m=S.SENT, n=S.QUEUED), NOW)
    assert master.jobs.has_stdin(JID)
    assert (master.jobs.stdin_of(JID, M), master.jobs.stdin_of(JID, N)) == (10, None)
    master.jobs.progressed(M, JobProgress(JID, S.ACKED), NOW)
    assert master.jobs.stdin_of(JID, M) == 10
    master.jobs.removed(N, NOW)
    assert master.jobs.stdin_of(JID, type(M)("stranger")) is None


def test_when_it_has_ended_there_nothing_is_to_be_had_any_more(master: Master) -> None:
    master.jobs.created(with_stdin(m=S.SENT, n=S.SENT), NOW)
    master.settle(master.jobs.returned(M, answer(kind=OutcomeKind.CANCELLED), NOW))
    assert (master.jobs.stdin_of(JID, M), master.jobs.stdin_of(JID, N)) == (0, 10)
    master.settle(master.jobs.returned(N, answer(), NOW))
    assert master.jobs.stdin_of(JID, N) == 0


def test_a_job_without_one_has_none_to_ask_for(master: Master) -> None:
    master.create(m=S.SENT)
    assert master.jobs.stdin_of(JID, M) is None
