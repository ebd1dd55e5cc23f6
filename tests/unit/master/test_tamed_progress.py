"""What a hostile progress may claim: nothing that fills the memory, or that the store cannot take."""

from fleet.core.from_minion import JobProgress
from fleet.core.job_states import JobState
from fleet.master.job_actions import Commit
from fleet.master.store import StateChange
from fleet.master.tamed_progress import PID_LIMIT, tamed_progress
from fleet.master.tamed_return import ACCOUNT_LIMIT_CHARACTERS, MOMENT_LIMIT_US
from support.master_machine import JID, NOW, M, Master


def test_an_honest_progress_stays_as_it_is() -> None:
    for message in (
        JobProgress(JID, JobState.ACKED),
        JobProgress(JID, JobState.RUNNING, 42, NOW, "root"),
    ):
        assert tamed_progress(message) == message


def test_texts_and_numbers_without_measure_are_cut() -> None:
    vast = JobProgress(JID, JobState.RUNNING, 2**63, 2**63, "x" * 437_000)
    expected = JobProgress(JID, JobState.RUNNING, PID_LIMIT, MOMENT_LIMIT_US, "x" * ACCOUNT_LIMIT_CHARACTERS)
    assert tamed_progress(vast) == expected
    negative = tamed_progress(JobProgress(JID, JobState.RUNNING, -(2**62), -1))
    assert (negative.pid, negative.started_us) == (0, 0)


def test_an_open_job_holds_and_stores_what_is_tamed() -> None:
    master = Master()
    master.create()
    (commit,) = master.jobs.progressed(M, JobProgress(JID, JobState.RUNNING, 2**63, NOW, "x" * 437_000), NOW)
    assert isinstance(commit, Commit)
    (change,) = commit.changes
    assert isinstance(change, StateChange)
    assert (change.pid, change.account) == (PID_LIMIT, "x" * ACCOUNT_LIMIT_CHARACTERS)
