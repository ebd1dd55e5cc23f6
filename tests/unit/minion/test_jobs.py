"""The job machine of a minion, step by step; ``tests/protocol/test_lossy_network.py`` has what befalls it."""

import pytest

from fleet.core.errors import ProtocolError
from fleet.core.from_master import Cancel, Discard, Stored
from fleet.core.from_minion import InventoryItem, JobProgress, UnknownJob
from fleet.core.job_states import JobState
from fleet.core.master_time import measure
from fleet.core.outcome import OutcomeKind
from fleet.minion.job_steps import (
    AskTime,
    ForgetJob,
    Found,
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
from fleet.minion.job_table import FORGET_PAUSE_US, IN_DOUBT_LIMIT_BYTES, REMEMBER_US
from support.minion_machine import DONE, MIB, NOW, exact, jid, messages, new_jobs, only, order, steps, verdict


def test_an_order_is_journaled_before_it_is_acknowledged_and_started() -> None:
    (write,) = new_jobs().ordered(order(1), b"s", NOW)

    assert isinstance(write, WriteJournal)
    assert [entry.step for entry in write.entries] == [Step.ACCEPTED, Step.STARTING]
    assert write.entries[0].document == order(1)
    assert write.entries[0].signature == b"s"
    acked, start = write.then
    assert acked == SendMessage(JobProgress(jid(1), JobState.ACKED))
    assert isinstance(start, StartJob)


def test_the_whole_life_of_a_job() -> None:
    jobs = new_jobs()
    jobs.ordered(order(1), b"", NOW)
    assert jobs.load() == (1, 0)
    assert jobs.inventory() == (InventoryItem(jid(1), JobState.ACKED),)
    (write,) = jobs.started(jid(1), 42, "root", NOW)
    assert isinstance(write, WriteJournal)
    assert messages(write.then) == [JobProgress(jid(1), JobState.RUNNING, 42, NOW, "root")]
    assert jobs.inventory() == (InventoryItem(jid(1), JobState.RUNNING),)
    (write,) = jobs.ended(jid(1), DONE, NOW)
    assert isinstance(write, WriteJournal)
    assert write.then == (SendReturn(jid(1), None, ""),)
    # How it ended is told by the return alone, which may follow this.
    assert jobs.inventory() == (InventoryItem(jid(1), JobState.ACKED),)
    (write,) = jobs.answered(Stored(jid(1)), NOW)
    assert isinstance(write, WriteJournal)
    assert steps([write]) == [Step.ANSWERED]
    assert write.then == (ForgetJob(jid(1)),)
    assert (jobs.inventory(), jobs.load(), list(jobs.open_jobs())) == ((), (0, 0), [])


def test_a_minion_is_at_rest_until_an_order_comes_and_when_all_are_answered() -> None:
    jobs = new_jobs()
    seen = [jobs.is_at_rest]
    jobs.ordered(order(1), b"", NOW)
    jobs.ordered(order(2, "test.ping"), b"", NOW)
    jobs.ended(jid(2), DONE, NOW)
    jobs.answered(Stored(jid(2)), NOW)
    seen.append(jobs.is_at_rest)
    jobs.ended(jid(1), DONE, NOW)
    seen.append(jobs.is_at_rest)  # The return may have to be sent again.
    jobs.answered(Stored(jid(1)), NOW)
    assert [*seen, jobs.is_at_rest] == [True, False, False, True]


def test_an_order_in_doubt_is_no_rest() -> None:
    jobs = new_jobs(joined=False)
    assert jobs.ordered(order(1), b"", NOW) == [AskTime()]
    assert not jobs.is_at_rest
    jobs.time_learned(exact(NOW + 300_000_000), NOW + 300_000_000)
    assert not jobs.is_at_rest  # Why it was refused is still to be told.


def test_a_copy_of_an_order_is_answered_with_where_the_job_stands() -> None:
    jobs = new_jobs()
    jobs.ordered(order(1), b"", NOW)
    assert messages(jobs.ordered(order(1), b"", NOW)) == [JobProgress(jid(1), JobState.ACKED)]
    jobs.started(jid(1), 42, "root", NOW)
    assert messages(jobs.ordered(order(1), b"", NOW)) == [JobProgress(jid(1), JobState.RUNNING, 42, NOW, "root")]
    jobs.ended(jid(1), DONE, NOW)
    assert only(jobs.ordered(order(1), b"", NOW), SendReturn) == [SendReturn(jid(1), None, "")]
    jobs.answered(Stored(jid(1)), NOW)
    assert jobs.ordered(order(1), b"", NOW) == [SendMessage(UnknownJob(jid(1)))]


@pytest.mark.parametrize("function", ["test.ping", "no.such"])
def test_what_is_not_journaled_does_not_run_again_by_a_late_copy(function: str) -> None:
    jobs = new_jobs()
    actions = jobs.ordered(order(1, function), b"", NOW)
    assert steps(actions) == []
    if function == "test.ping":
        assert len(only(actions, RunInstant)) == 1
        actions = jobs.instant_ended(jid(1), 100, NOW)
    assert len(only(actions, SendReturn)) == 1
    assert jobs.inventory() == ()
    assert jobs.answered(Stored(jid(1)), NOW) == [ForgetJob(jid(1))]

    assert jobs.ordered(order(1, function), b"", NOW) == [SendMessage(UnknownJob(jid(1)))]


def test_an_order_that_is_none_is_refused() -> None:
    with pytest.raises(ProtocolError):
        new_jobs().ordered(b"\x90", b"", NOW)


def test_no_more_than_the_limit_run_and_the_rest_wait_in_order() -> None:
    jobs = new_jobs(Limits(running=2))
    starts = [len(only(jobs.ordered(order(number), b"", NOW), StartJob)) for number in range(5)]
    assert starts == [1, 1, 0, 0, 0]
    assert jobs.load() == (2, 3)

    (start,) = only(jobs.ended(jid(0), DONE, NOW), StartJob)
    assert start.document.jid == jid(2)


def test_room_for_the_output_is_reserved_before_a_start() -> None:
    jobs = new_jobs(Limits(spool_bytes=7 * MIB))
    starts = [len(only(jobs.ordered(order(number), b"", NOW), StartJob)) for number in range(3)]
    assert starts == [1, 1, 0]  # Stdout, stderr and value of each.

    jobs.ended(jid(0), Found(Remains.STATUS, 1_000, 3 * MIB), NOW)
    assert jobs.ended(jid(1), Found(Remains.STATUS, 1_000, 3 * MIB), NOW)
    assert jobs.load() == (0, 1)  # Six are held, unanswered: three more do not fit.
    (start,) = only(jobs.answered(Stored(jid(0)), NOW), StartJob)
    assert start.document.jid == jid(2)


def test_a_job_that_could_never_fit_runs_alone() -> None:
    jobs = new_jobs(Limits(spool_bytes=MIB))

    assert len(only(jobs.ordered(order(1), b"", NOW), StartJob)) == 1
    assert len(only(jobs.ordered(order(2), b"", NOW), StartJob)) == 0


def test_a_full_spool_refuses_and_drops_nothing() -> None:
    jobs = new_jobs(Limits(spool_jobs=2))
    for number in (1, 2):
        jobs.ordered(order(number), b"", NOW)
        jobs.ended(jid(number), DONE, NOW)

    assert verdict(jobs.ordered(order(3), b"", NOW)) is OutcomeKind.SPOOL_FULL
    assert {item.jid for item in jobs.inventory()} == {jid(1), jid(2)}


def test_the_arguments_of_waiting_jobs_are_bounded() -> None:
    jobs = new_jobs(Limits(running=1))
    verdicts = [only(jobs.ordered(order(number, padding=MIB), b"", NOW), SendReturn) for number in range(70)]

    assert sum(map(len, verdicts)) == 6


def test_refusals_are_bounded_too_and_the_master_asks_again() -> None:
    jobs = new_jobs(Limits(spool_jobs=1, instant_returns=2))
    answers = [jobs.ordered(order(number, "no.such"), b"", NOW) for number in range(5)]

    assert [len(only(actions, SendReturn)) for actions in answers] == [1, 1, 1, 0, 0]


def test_an_expired_job_is_not_started() -> None:
    assert verdict(new_jobs().ordered(order(1, ttl=-1), b"", NOW)) is OutcomeKind.EXPIRED


def test_a_job_that_looks_expired_is_asked_for_first_and_judged_by_the_answer() -> None:
    jobs = new_jobs()
    late = NOW + 20_000_000
    assert jobs.ordered(order(1, ttl=10_000_000), b"", late) == [AskTime()]
    assert jobs.inquired(jid(1), late) == []  # It may still start, so it is not unknown.

    behind = measure(late, late, late - 15_000_000)
    assert len(only(jobs.time_learned(behind, late), StartJob)) == 1


def test_after_a_stop_every_order_waits_for_the_masters_time() -> None:
    jobs = new_jobs()
    later = NOW + 300_000_000
    assert jobs.ordered(order(1, ttl=10_000_000), b"", later) == [AskTime()]
    assert jobs.ordered(order(2, ttl=600_000_000), b"", later) == [AskTime()]

    actions = jobs.time_learned(exact(later), later)
    assert verdict(actions) is OutcomeKind.EXPIRED
    assert [start.document.jid for start in only(actions, StartJob)] == [jid(2)]


def test_an_answer_that_is_itself_doubtful_keeps_what_waits() -> None:
    jobs = new_jobs()
    later = NOW + 300_000_000
    jobs.ordered(order(1, ttl=305_000_000), b"", later)
    slow = measure(later - 30_000_000, later, later - 15_000_000)
    assert only(jobs.time_learned(slow, later), AskTime)

    assert len(only(jobs.time_learned(exact(later), later), StartJob)) == 1


def test_orders_in_doubt_are_bounded() -> None:
    jobs = new_jobs(joined=False)
    for number in range(20):
        assert jobs.ordered(order(number, padding=MIB), b"", NOW) == [AskTime()]

    actions = jobs.time_learned(exact(NOW), NOW)
    assert len(only(actions, WriteJournal)) == IN_DOUBT_LIMIT_BYTES // MIB - 1


def test_a_job_that_waited_for_too_long_expires() -> None:
    jobs = new_jobs(Limits(running=1))
    jobs.ordered(order(1), b"", NOW)
    jobs.ordered(order(2, ttl=10_000_000), b"", NOW)
    later = NOW + 20_000_000
    assert only(jobs.ended(jid(1), DONE, later), AskTime)

    actions = jobs.time_learned(exact(later), later)
    assert steps(actions) == [Step.ENDED]
    assert verdict(actions) is OutcomeKind.EXPIRED


def test_a_running_job_is_stopped_and_tells_by_itself_how_it_ended() -> None:
    jobs = new_jobs()
    jobs.ordered(order(1), b"", NOW)

    assert jobs.cancelled(Cancel(jid(1), NOW), NOW) == [StopJob(jid(1), "cancelled")]
    assert jobs.cancelled(Cancel(jid(1), NOW), NOW) == [StopJob(jid(1), "cancelled")]


def test_a_waiting_job_is_cancelled_durably() -> None:
    jobs = new_jobs(Limits(running=1))
    jobs.ordered(order(1), b"", NOW)
    jobs.ordered(order(2), b"", NOW)
    (write,) = jobs.cancelled(Cancel(jid(2), NOW), NOW)

    assert isinstance(write, WriteJournal)
    assert write.entries[0].verdict is OutcomeKind.CANCELLED
    assert verdict(write.then) is OutcomeKind.CANCELLED
    assert only(jobs.ended(jid(1), DONE, NOW), StartJob) == []


def test_a_cancel_for_an_unknown_job_leaves_a_tombstone_that_the_job_meets() -> None:
    jobs = new_jobs()
    actions = jobs.cancelled(Cancel(jid(1), NOW + 30_000_000), NOW)
    assert steps(actions) == [Step.TOMBSTONE]
    assert verdict(actions) is OutcomeKind.CANCELLED
    jobs.answered(Stored(jid(1)), NOW)
    again = new_jobs()
    again.recover({jid(1): JournalEntry(jid(1), Step.TOMBSTONE, NOW + 30_000_000)}, {})

    for machine in (jobs, again):
        actions = machine.ordered(order(1), b"", NOW)
        assert only(actions, StartJob) == []


def test_a_cancel_for_a_job_in_doubt_keeps_it_from_starting() -> None:
    jobs = new_jobs(joined=False)
    jobs.ordered(order(1), b"", NOW)
    jobs.cancelled(Cancel(jid(1), NOW), NOW)

    assert only(jobs.time_learned(exact(NOW), NOW), StartJob) == []


def test_what_the_journal_cannot_take_is_not_done() -> None:
    jobs = new_jobs()
    jobs.ordered(order(1), b"", NOW)
    assert verdict(jobs.journal_failed(jid(1), "no space", NOW)) is OutcomeKind.SPOOL_FULL
    assert jobs.load() == (0, 0)


def test_a_waiting_job_whose_start_cannot_be_written_waits_on_at_its_place() -> None:
    jobs = new_jobs(Limits(running=1))
    for number in (1, 2, 3):
        jobs.ordered(order(number), b"", NOW)
    jobs.ended(jid(1), DONE, NOW)
    assert jobs.journal_failed(jid(2), "no space", NOW) == []
    assert jobs.journal_failed(jid(2), "no space", NOW) == []
    assert jobs.load() == (0, 2)

    assert [start.document.jid for start in only(jobs.ticked(NOW), StartJob)] == [jid(2)]


def test_a_cancel_that_cannot_be_written_is_not_told_and_the_job_never_starts() -> None:
    jobs = new_jobs(Limits(running=1))
    for number in (1, 2):
        jobs.ordered(order(number), b"", NOW)
    jobs.cancelled(Cancel(jid(2), NOW), NOW)
    jobs.journal_failed(jid(2), "no space", NOW)
    actions = jobs.ended(jid(1), DONE, NOW)

    assert only(actions, StartJob) == []
    assert [sent.verdict for sent in only(actions, SendReturn)] == [None, OutcomeKind.CANCELLED]
    assert steps(actions)[-1] is Step.ENDED


def test_a_tombstone_that_cannot_be_written_is_no_answer() -> None:
    jobs = new_jobs()
    jobs.cancelled(Cancel(jid(1), NOW), NOW)
    jobs.journal_failed(jid(1), "no space", NOW)

    assert only(jobs.ticked(NOW + 3_600_000_000), SendReturn) == []
    assert steps(jobs.cancelled(Cancel(jid(1), NOW), NOW)) == [Step.TOMBSTONE]


def test_a_job_whose_acceptance_is_being_written_is_not_built_upon() -> None:
    jobs = new_jobs(Limits(running=1))
    jobs.ordered(order(1), b"", NOW)
    jobs.ordered(order(2, ttl=10_000_000), b"", NOW)
    later = NOW + 300_000_000
    jobs.ended(jid(1), DONE, later)
    jobs.ordered(order(3, ttl=600_000_000), b"", later)

    # All of one breath: what arrived is accepted, what waited has expired; only then is there room.
    actions = jobs.time_learned(exact(later), later)
    assert steps(actions) == [Step.ACCEPTED, Step.ENDED]
    assert verdict(jobs.journal_failed(jid(3), "no space", later)) is OutcomeKind.SPOOL_FULL
    assert jobs.load() == (0, 0)


def test_a_job_whose_acceptance_was_written_starts_with_the_next_event() -> None:
    jobs = new_jobs(Limits(running=1))
    jobs.ordered(order(1), b"", NOW)
    jobs.ordered(order(2, ttl=10_000_000), b"", NOW)
    later = NOW + 300_000_000
    jobs.ended(jid(1), DONE, later)
    jobs.ordered(order(3, ttl=600_000_000), b"", later)
    jobs.time_learned(exact(later), later)

    assert [start.document.jid for start in only(jobs.ticked(later), StartJob)] == [jid(3)]


def test_an_answer_that_cannot_be_written_keeps_the_folder_and_is_not_for_the_journal_to_forget() -> None:
    jobs = new_jobs()
    jobs.ordered(order(1), b"", NOW)
    jobs.ended(jid(1), DONE, NOW)
    (write,) = jobs.answered(Stored(jid(1)), NOW)
    assert isinstance(write, WriteJournal)
    jobs.journal_failed(jid(1), "no space", NOW)

    later = NOW + 2 * REMEMBER_US
    jobs.time_learned(exact(later), later)
    assert jobs.forgettable(later) == []
    assert jobs.ordered(order(1), b"", later) == [SendMessage(UnknownJob(jid(1)))]


@pytest.mark.parametrize("step", [Step.ACCEPTED, Step.STARTING, Step.STARTED])
def test_after_a_restart_only_what_had_not_begun_to_start_may_start(step: Step) -> None:
    jobs = new_jobs(joined=False)
    entry = JournalEntry(jid(1), step, NOW + 30_000_000, order(1))
    actions = [*jobs.recover({jid(1): entry}, {}), *jobs.joined(exact(NOW), NOW)]

    assert len(only(actions, StartJob)) == (step is Step.ACCEPTED)
    lost = [sent.verdict for sent in only(actions, SendReturn)]
    assert lost == ([] if step is Step.ACCEPTED else [OutcomeKind.LOST])


@pytest.mark.parametrize("step", [Step.STARTING, Step.STARTED])
def test_after_a_restart_what_runs_is_taken_up_and_what_has_ended_is_returned(step: Step) -> None:
    entry = JournalEntry(jid(1), step, NOW + 30_000_000, order(1))
    alive, ended = new_jobs(joined=False), new_jobs(joined=False)
    assert alive.recover({jid(1): entry}, {jid(1): Found(Remains.ALIVE)}) == []
    assert alive.load() == (1, 0)
    assert alive.inventory() == (InventoryItem(jid(1), JobState.RUNNING),)

    ended.recover({jid(1): entry}, {jid(1): DONE})
    assert only(ended.joined(exact(NOW), NOW), SendReturn) == [SendReturn(jid(1), None, "")]


def test_after_a_restart_an_unanswered_return_is_sent_and_an_answered_one_is_known() -> None:
    jobs = new_jobs(joined=False)
    entries = {
        jid(1): JournalEntry(jid(1), Step.ENDED, NOW, order(1), verdict=OutcomeKind.EXPIRED, message="late"),
        jid(2): JournalEntry(jid(2), Step.ANSWERED, NOW, order(2)),
    }
    assert jobs.recover(entries, {}) == []

    assert only(jobs.joined(exact(NOW), NOW), SendReturn) == [SendReturn(jid(1), OutcomeKind.EXPIRED, "late")]
    assert jobs.ordered(order(2), b"", NOW) == [SendMessage(UnknownJob(jid(2)))]


@pytest.mark.parametrize("document", [b"", b"\x90"])
def test_a_job_whose_document_is_gone_is_lost_and_keeps_no_other_back(document: bytes) -> None:
    jobs = new_jobs(Limits(running=1), joined=False)
    entries = {
        jid(1): JournalEntry(jid(1), Step.ACCEPTED, NOW + 30_000_000, document),
        jid(2): JournalEntry(jid(2), Step.ACCEPTED, NOW + 30_000_000, order(2)),
    }
    jobs.recover(entries, {})
    actions = jobs.joined(exact(NOW), NOW)

    assert [start.document.jid for start in only(actions, StartJob)] == [jid(2)]
    assert verdict(actions) is OutcomeKind.LOST


def test_an_inquiry_for_an_unknown_job_says_so() -> None:
    assert new_jobs().inquired(jid(1), NOW) == [SendMessage(UnknownJob(jid(1)))]


def test_answers_for_what_has_not_ended_are_ignored() -> None:
    jobs = new_jobs()
    jobs.ordered(order(1), b"", NOW)

    assert jobs.answered(Stored(jid(1)), NOW) == []
    assert jobs.answered(Discard(jid(9), "?"), NOW) == []
    assert not jobs.asked_for_output(jid(1), NOW)
    assert jobs.started(jid(9), 1, "", NOW) == jobs.ended(jid(9), DONE, NOW) == jobs.instant_ended(jid(9), 1, NOW) == []


def test_what_can_not_come_again_is_forgotten_but_not_by_a_doubtful_clock() -> None:
    jobs = new_jobs()
    jobs.ordered(order(1), b"", NOW)
    jobs.ended(jid(1), DONE, NOW)
    jobs.answered(Stored(jid(1)), NOW)
    jobs.cancelled(Cancel(jid(2), NOW), NOW)
    assert jobs.forgettable(NOW) == []

    later = NOW + REMEMBER_US + 60_000_000
    assert jobs.forgettable(later) == []
    jobs.time_learned(exact(later), later)
    assert sorted(jobs.forgettable(later)) == [jid(1), jid(2)]
    assert jobs.forgettable(later + FORGET_PAUSE_US) == []


def test_returns_leave_only_while_there_is_a_session() -> None:
    jobs = new_jobs()
    jobs.ordered(order(1), b"", NOW)
    jobs.left()

    assert only(jobs.ended(jid(1), DONE, NOW), SendReturn) == []
    assert jobs.deadline_us() is None
    assert len(only(jobs.joined(exact(NOW), NOW), SendReturn)) == 1
    assert jobs.deadline_us() is not None
