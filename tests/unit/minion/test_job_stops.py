"""What a minion does when the master has deleted a job, wherever the job stands."""

from collections.abc import Callable

import pytest

from fleet.core.from_master import Cancel, Discard, Forget, Stored
from fleet.core.from_minion import Forgotten, JobProgress, UnknownJob
from fleet.core.job_states import JobState
from fleet.core.outcome import OutcomeKind
from fleet.minion.job_steps import (
    ForgetJob,
    Found,
    JobAction,
    JournalEntry,
    Limits,
    Remains,
    RunInstant,
    SendMessage,
    SendReturn,
    StartJob,
    Step,
    StopJob,
    WriteJournal,
)
from fleet.minion.job_table import REMEMBER_US
from fleet.minion.jobs import MinionJobs
from support.minion_machine import DONE, MIB, NOW, exact, flat, jid, messages, new_jobs, only, order, steps, verdict

EXPIRES = NOW + 30_000_000
#: What is written, then removed, then said: none of it before the one before.
FORGOTTEN: list[JobAction] = [ForgetJob(jid(1)), SendMessage(Forgotten(jid(1)))]


def forget(jobs: MinionJobs, number: int = 1, now_us: int = NOW) -> list[JobAction]:
    return jobs.forgot(Forget(jid(number), EXPIRES), now_us)


def assert_empty(jobs: MinionJobs) -> None:
    assert (jobs.inventory(), jobs.load(), list(jobs.open_jobs())) == ((), (0, 0), [])
    assert (jobs._jobs, jobs._held_bytes, jobs._document_bytes, jobs._in_doubt) == ({}, 0, 0, {})
    assert jobs.deadline_us() is None


def assert_never_starts(jobs: MinionJobs, now_us: int = NOW) -> None:
    actions = [*jobs.ordered(order(1), b"", now_us), *jobs.ticked(now_us), *jobs.time_learned(exact(now_us), now_us)]
    assert only(actions, StartJob) == []
    assert only(actions, RunInstant) == []


def restarted(actions: list[JobAction], *before: JournalEntry) -> MinionJobs:
    """The machine of the next daemon, which knows what was written, with nothing alive."""
    jobs = new_jobs(joined=False)
    entries = {entry.jid: entry for write in only(actions, WriteJournal) for entry in write.entries}
    jobs.recover({**{entry.jid: entry for entry in before}, **entries}, {})
    return jobs


def test_an_unknown_job_leaves_a_tombstone_that_its_order_meets_also_after_a_restart() -> None:
    jobs = new_jobs()
    actions = forget(jobs)
    assert steps(actions) == [Step.TOMBSTONE]
    (write,) = only(actions, WriteJournal)
    assert write.then == (SendMessage(Forgotten(jid(1))),)
    assert_empty(jobs)

    for machine in (jobs, restarted(actions)):
        machine.joined(exact(NOW), NOW)
        assert verdict(machine.ordered(order(1), b"", NOW)) is OutcomeKind.CANCELLED
        machine.answered(Discard(jid(1), "no such job"), NOW)
        assert_never_starts(machine)


def test_an_unknown_job_whose_order_can_not_come_any_more_is_forgotten_without_a_trace() -> None:
    jobs = new_jobs()
    later = EXPIRES + REMEMBER_US + 1
    jobs.time_learned(exact(later), later)

    assert forget(jobs, now_us=later) == [SendMessage(Forgotten(jid(1)))]


def test_asked_again_it_says_so_again_and_writes_nothing() -> None:
    jobs = new_jobs()
    forget(jobs)

    assert forget(jobs) == [SendMessage(Forgotten(jid(1)))]
    assert forget(jobs) == [SendMessage(Forgotten(jid(1)))]


def test_a_tombstone_that_cannot_be_written_is_none_and_is_not_confirmed_next_time() -> None:
    jobs = new_jobs()
    forget(jobs)
    assert jobs.journal_failed(jid(1), "no space", NOW) == []

    actions = forget(jobs)
    assert steps(actions) == [Step.TOMBSTONE]
    assert messages([action for action in actions if not isinstance(action, WriteJournal)]) == []


def test_a_job_in_doubt_is_not_started_when_the_time_is_known() -> None:
    jobs = new_jobs(joined=False)
    jobs.ordered(order(1), b"", NOW)
    actions = forget(jobs)

    assert messages(actions) == [Forgotten(jid(1))]
    assert steps(actions) == [Step.TOMBSTONE]
    assert_never_starts(jobs)


def waiting() -> MinionJobs:
    """Job 2 runs, job 1 waits for its turn."""
    jobs = new_jobs(Limits(running=1))
    jobs.ordered(order(2), b"", NOW)
    jobs.ordered(order(1), b"", NOW)
    return jobs


def test_a_job_that_waits_is_ended_durably_first_and_its_return_is_not_wanted() -> None:
    jobs = waiting()
    actions = forget(jobs)
    assert steps(actions) == [Step.ENDED]
    assert verdict(actions) is OutcomeKind.CANCELLED
    assert jobs.load() == (1, 0)

    (write,) = only(jobs.answered(Discard(jid(1), "no such job"), NOW), WriteJournal)
    assert write.entries[0].step is Step.ANSWERED
    assert write.then == (ForgetJob(jid(1)),)
    jobs.ended(jid(2), DONE, NOW)
    jobs.answered(Stored(jid(2)), NOW)
    assert_empty(jobs)
    assert_never_starts(jobs)


def test_a_job_that_waited_and_is_asked_for_again_is_forgotten() -> None:
    jobs = waiting()
    forget(jobs)

    assert flat(forget(jobs))[1:] == FORGOTTEN
    assert forget(jobs) == [SendMessage(Forgotten(jid(1)))]


def test_a_job_that_waits_and_whose_end_cannot_be_written_is_not_said_to_be_forgotten() -> None:
    """The journal says that it waits: the next start would run it."""
    jobs = waiting()
    forget(jobs)
    assert jobs.journal_failed(jid(1), "no space", NOW) == []
    assert jobs.load() == (1, 1)

    actions = [*forget(jobs), *jobs.ended(jid(2), DONE, NOW), *jobs.ticked(NOW)]
    assert only(actions, StartJob) == []
    assert Forgotten(jid(1)) not in messages(actions)
    assert [entry.step for write in only(actions, WriteJournal) for entry in write.entries if entry.jid == jid(1)] == [
        Step.ENDED
    ]
    after = restarted(actions, JournalEntry(jid(1), Step.ACCEPTED, EXPIRES, order(1)))
    assert only(after.joined(exact(NOW), NOW), StartJob) == []


@pytest.mark.parametrize("is_started", [False, True])
def test_a_job_that_runs_is_stopped_and_forgotten_when_it_has_ended(is_started: bool) -> None:
    jobs = new_jobs()
    jobs.ordered(order(1), b"", NOW)
    if is_started:
        jobs.started(jid(1), 42, "root", NOW)
    assert forget(jobs) == [StopJob(jid(1), "deleted")]
    assert forget(jobs) == [StopJob(jid(1), "deleted")]
    assert jobs.load() == (1, 0)

    (write,) = jobs.ended(jid(1), DONE, NOW)
    assert isinstance(write, WriteJournal)
    assert (steps([write]), list(write.then)) == ([Step.ANSWERED], FORGOTTEN)
    assert_empty(jobs)
    assert_never_starts(jobs)
    assert_never_starts(restarted([write]))


def test_a_job_whose_supervisor_is_gone_is_forgotten_too() -> None:
    jobs = new_jobs()
    jobs.ordered(order(1), b"", NOW)
    forget(jobs)
    actions = jobs.ended(jid(1), Found(Remains.NOTHING), NOW, "its supervisor is gone")

    assert only(actions, SendReturn) == []
    assert flat(actions)[1:] == FORGOTTEN


def test_a_job_that_starts_while_it_is_being_stopped_says_so_and_is_forgotten_all_the_same() -> None:
    jobs = new_jobs()
    jobs.ordered(order(1), b"", NOW)
    forget(jobs)
    assert messages(jobs.started(jid(1), 42, "root", NOW)) == [JobProgress(jid(1), JobState.RUNNING, 42, NOW, "root")]

    assert flat(jobs.ended(jid(1), DONE, NOW))[1:] == FORGOTTEN


def test_its_end_makes_room_for_the_next_one() -> None:
    jobs = new_jobs(Limits(running=1))
    jobs.ordered(order(1), b"", NOW)
    jobs.ordered(order(2), b"", NOW)
    forget(jobs)

    assert [start.document.jid for start in only(jobs.ended(jid(1), DONE, NOW), StartJob)] == [jid(2)]


def test_a_daemon_that_is_restarted_meanwhile_is_asked_again_and_forgets() -> None:
    entry = JournalEntry(jid(1), Step.STARTED, EXPIRES, order(1))
    jobs = new_jobs(joined=False)
    jobs.recover({jid(1): entry}, {jid(1): Found(Remains.ALIVE)})
    jobs.joined(exact(NOW), NOW)

    assert forget(jobs) == [StopJob(jid(1), "deleted")]
    assert flat(jobs.ended(jid(1), DONE, NOW))[1:] == FORGOTTEN


def unanswered(jobs: MinionJobs) -> None:
    jobs.ordered(order(1), b"", NOW)
    jobs.ended(jid(1), Found(Remains.STATUS, 1_000, 3 * MIB), NOW)


def instant(jobs: MinionJobs) -> None:
    jobs.ordered(order(1, "test.ping"), b"", NOW)
    jobs.instant_ended(jid(1), 100, NOW)


def refused(jobs: MinionJobs) -> None:
    jobs.ordered(order(1, "no.such"), b"", NOW)


def stopped_unseen(jobs: MinionJobs) -> None:
    jobs.cancelled(Cancel(jid(1), EXPIRES), NOW)


@pytest.mark.parametrize(
    ("end", "written"),
    [(unanswered, [Step.ANSWERED]), (instant, []), (refused, []), (stopped_unseen, [])],
)
def test_a_return_that_was_not_answered_is_dropped(end: Callable[[MinionJobs], None], written: list[Step]) -> None:
    jobs = new_jobs()
    end(jobs)
    actions = forget(jobs)

    assert steps(actions) == written
    assert [action for action in flat(actions) if not isinstance(action, WriteJournal)] == FORGOTTEN
    assert_empty(jobs)
    assert only(jobs.ticked(NOW + 600_000_000), SendReturn) == []
    assert only(jobs.joined(exact(NOW), NOW), SendReturn) == []
    assert_never_starts(jobs)


def test_an_instant_function_that_is_under_way_leaves_no_return() -> None:
    jobs = new_jobs()
    jobs.ordered(order(1, "test.ping"), b"", NOW)

    assert forget(jobs) == FORGOTTEN
    assert jobs.instant_ended(jid(1), 100, NOW) == []
    assert_empty(jobs)


def test_a_job_that_was_answered_long_ago_is_confirmed_at_once() -> None:
    jobs = new_jobs()
    unanswered(jobs)
    jobs.answered(Stored(jid(1)), NOW)

    assert forget(jobs) == [SendMessage(Forgotten(jid(1)))]
    assert jobs.ordered(order(1), b"", NOW) == [SendMessage(UnknownJob(jid(1)))]


def test_a_cancelled_job_whose_tombstone_stands_is_confirmed_and_keeps_it() -> None:
    jobs = new_jobs()
    stopped_unseen(jobs)
    jobs.answered(Discard(jid(1), "?"), NOW)

    assert forget(jobs) == [SendMessage(Forgotten(jid(1)))]
    assert_never_starts(jobs)


@pytest.mark.parametrize("step", [Step.STARTED, Step.ENDED])
def test_where_the_last_line_cannot_be_written_nothing_runs_again(step: Step) -> None:
    """Its folder stays until the next start, which makes its return from it; the master does not want that."""
    jobs = new_jobs()
    unanswered(jobs)
    forget(jobs)
    assert jobs.journal_failed(jid(1), "no space", NOW) == []
    assert_empty(jobs)
    assert forget(jobs) == [SendMessage(Forgotten(jid(1)))]

    after = new_jobs(joined=False)
    after.recover({jid(1): JournalEntry(jid(1), step, EXPIRES, order(1))}, {jid(1): DONE})
    actions = after.joined(exact(NOW), NOW)
    assert only(actions, StartJob) == []
    assert only(actions, SendReturn) == [SendReturn(jid(1), None, "")]
    after.answered(Discard(jid(1), "no such job"), NOW)
    assert_empty(after)


def test_a_job_that_could_not_be_accepted_and_was_deleted_does_not_run() -> None:
    jobs = new_jobs()
    jobs.ordered(order(1), b"", NOW)
    assert verdict(jobs.journal_failed(jid(1), "no space", NOW)) is OutcomeKind.SPOOL_FULL

    assert forget(jobs) == FORGOTTEN
    assert_empty(jobs)
    assert_never_starts(jobs)


def test_a_deletion_concerns_one_job_alone() -> None:
    jobs = new_jobs()
    jobs.ordered(order(1), b"", NOW)
    jobs.ordered(order(2), b"", NOW)
    forget(jobs)
    jobs.ended(jid(1), DONE, NOW)

    assert [item.jid for item in jobs.inventory()] == [jid(2)]
    assert jobs.load() == (1, 0)
