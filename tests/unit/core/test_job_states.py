"""The states of a job on a minion."""

from itertools import product

import pytest

from fleet.core.job_states import BY_MASTER, BY_MINION, TERMINAL, JobState, Result, may_follow, result_of
from fleet.core.outcome import Outcome, OutcomeKind, state_for

OPEN = set(JobState) - TERMINAL


@pytest.mark.parametrize(("before", "after"), list(product(sorted(TERMINAL), JobState)))
def test_nothing_follows_a_terminal_state(before: JobState, after: JobState) -> None:
    assert not may_follow(before, after, by_minion=True)
    assert not may_follow(before, after, by_minion=False)


def test_only_the_master_decides_about_what_was_not_handed_over() -> None:
    assert JobState.QUEUED not in BY_MINION
    assert set(BY_MASTER) == OPEN


@pytest.mark.parametrize("before", [JobState.SENT, JobState.ACKED, JobState.RUNNING])
def test_after_a_hand_over_the_master_may_only_give_a_job_up(before: JobState) -> None:
    assert BY_MASTER[before] == {JobState.LOST, JobState.ABANDONED}
    assert JobState.ABANDONED not in BY_MINION[before]


def test_no_state_leads_back() -> None:
    order = list(JobState)
    for table in (BY_MINION, BY_MASTER):
        assert all(order.index(after) > order.index(before) for before, some in table.items() for after in some)


def test_a_state_that_ends_a_queued_job_ends_a_handed_over_one_too() -> None:
    for before in (JobState.SENT, JobState.ACKED):
        assert BY_MINION[before] >= TERMINAL - {JobState.ABANDONED}
    assert JobState.EXPIRED not in BY_MINION[JobState.RUNNING]


def test_the_result_of_every_state() -> None:
    failures = {JobState.FAILED, JobState.TIMED_OUT, JobState.CANCELLED, JobState.LOST}

    assert {state for state in JobState if result_of(state) is Result.FAILURE} == failures
    assert {state for state in JobState if result_of(state) is Result.SUCCESS} == {JobState.SUCCEEDED}


@pytest.mark.parametrize("kind", OutcomeKind)
def test_every_outcome_means_a_terminal_state(kind: OutcomeKind) -> None:
    assert state_for(kind) in TERMINAL
    assert Outcome(kind).state is state_for(kind)
