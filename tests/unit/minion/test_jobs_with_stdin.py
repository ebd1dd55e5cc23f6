"""Jobs that wait for their stdin, as the job machine of a minion sees them."""

from collections.abc import Callable

import pytest

from fleet.core import packing
from fleet.core.from_master import Cancel
from fleet.core.from_minion import JobProgress
from fleet.core.job_document import JobDocument
from fleet.core.job_states import JobState
from fleet.core.names import FunctionName
from fleet.core.outcome import OutcomeKind
from fleet.minion.job_steps import Found, JournalEntry, Limits, Remains, SendReturn, StartJob, Step
from fleet.minion.jobs import MinionJobs
from support.minion_machine import MIB, NOW, exact, jid, messages, new_jobs, only, order, steps, verdict

LATER = NOW + 60_000_000


def with_stdin(number: int, length: int = 1_000) -> bytes:
    return packing.encode(
        JobDocument(
            jid(number), FunctionName("cmd.run"), (), (), (), {}, "root", NOW, NOW + 30_000_000, 0.0, MIB, length, b"d"
        )
    )


def started(actions: list) -> list[object]:  # type: ignore[type-arg]
    return [start.document.jid for start in only(actions, StartJob)]


def lacking(jobs: MinionJobs) -> list[object]:
    return [document.jid for document in jobs.lacking_stdin()]


def test_it_is_journaled_and_acknowledged_and_starts_when_its_stdin_is_here() -> None:
    jobs = new_jobs()
    actions = jobs.ordered(with_stdin(1), b"", NOW)
    assert (steps(actions), messages(actions)) == ([Step.ACCEPTED], [JobProgress(jid(1), JobState.ACKED)])
    assert started(jobs.ticked(NOW)) == []
    assert lacking(jobs) == [jid(1)]
    actions = jobs.stdin_arrived(jid(1), NOW)
    assert (steps(actions), started(actions)) == ([Step.STARTING], [jid(1)])
    assert lacking(jobs) == []
    assert jobs.stdin_arrived(jid(1), NOW) == []


def test_others_start_meanwhile_and_in_their_order() -> None:
    jobs = new_jobs(Limits(running=2))
    jobs.ordered(with_stdin(1), b"", NOW)
    assert started(jobs.ordered(order(2), b"", NOW)) == [jid(2)]
    assert started(jobs.ordered(order(3), b"", NOW)) == [jid(3)]
    jobs.ordered(order(4), b"", NOW)
    jobs.ordered(with_stdin(5), b"", NOW)
    jobs.ticked(NOW)
    # Room comes: the first in the queue that lacks nothing has it.
    assert started(jobs.stdin_arrived(jid(5), NOW)) == []
    assert started(jobs.ended(jid(2), Found(Remains.STATUS), NOW)) == [jid(4)]
    assert started(jobs.ended(jid(3), Found(Remains.STATUS), NOW)) == [jid(5)]
    assert started(jobs.stdin_arrived(jid(1), NOW)) == []


def test_a_cancel_ends_it_while_it_waits() -> None:
    jobs = new_jobs()
    jobs.ordered(with_stdin(1), b"", NOW)
    jobs.ticked(NOW)
    assert verdict(jobs.cancelled(Cancel(jid(1), NOW), NOW)) is OutcomeKind.CANCELLED
    assert (lacking(jobs), jobs.stdin_arrived(jid(1), NOW)) == ([], [])


def test_it_expires_when_its_stdin_does_not_come_in_time() -> None:
    jobs = new_jobs()
    jobs.ordered(with_stdin(1), b"", NOW)
    jobs.ordered(with_stdin(2), b"", NOW)
    jobs.time_learned(exact(LATER), LATER)
    actions = jobs.ticked(LATER)
    ends = [*only(actions, SendReturn)]
    assert {end.verdict for end in ends} <= {OutcomeKind.EXPIRED}
    assert lacking(jobs) == []
    assert jobs.inventory()[0].jid == jid(1)


def test_the_reason_says_what_it_waited_for() -> None:
    jobs = new_jobs()
    jobs.ordered(with_stdin(1), b"", NOW)
    (sent,) = only(jobs.time_learned(exact(LATER), LATER) + jobs.ticked(LATER), SendReturn)
    assert sent == SendReturn(jid(1), OutcomeKind.EXPIRED, "its time to live passed while it waited for its stdin")


def test_without_its_stdin_it_ends_and_says_why() -> None:
    jobs = new_jobs()
    jobs.ordered(with_stdin(1), b"", NOW)
    jobs.ticked(NOW)
    actions = jobs.stdin_gone(jid(1), "gone", NOW)
    assert only(actions, SendReturn) == [SendReturn(jid(1), OutcomeKind.UNAVAILABLE, "it was not started: gone")]
    assert steps(actions) == [Step.ENDED]
    assert jobs.stdin_gone(jid(1), "gone", NOW) == []


def test_where_its_end_cannot_be_journaled_it_waits_on() -> None:
    jobs = new_jobs()
    jobs.ordered(with_stdin(1), b"", NOW)
    jobs.ticked(NOW)
    jobs.stdin_gone(jid(1), "gone", NOW)
    assert jobs.journal_failed(jid(1), "full", NOW) == []
    assert lacking(jobs) == [jid(1)]
    assert started(jobs.stdin_arrived(jid(1), NOW)) == [jid(1)]


def test_where_it_cannot_be_journaled_it_is_refused() -> None:
    jobs = new_jobs()
    jobs.ordered(with_stdin(1), b"", NOW)
    assert verdict(jobs.journal_failed(jid(1), "full", NOW)) is OutcomeKind.SPOOL_FULL
    jobs.ticked(NOW)
    assert lacking(jobs) == []


def test_after_a_restart_it_waits_for_its_stdin_again() -> None:
    jobs = new_jobs()
    entry = JournalEntry(jid(1), Step.ACCEPTED, NOW + 30_000_000, with_stdin(1))
    assert started(jobs.recover({jid(1): entry}, {}) + jobs.ticked(NOW)) == []
    assert lacking(jobs) == [jid(1)]
    assert started(jobs.stdin_arrived(jid(1), NOW)) == [jid(1)]


def test_room_for_it_is_reserved_before_it_is_accepted() -> None:
    asked: list[int] = []

    def no_room(owed_bytes: int) -> str:
        asked.append(owed_bytes)
        return "full" if owed_bytes > 2_500 else ""

    jobs = _jobs(no_room)
    jobs.ordered(with_stdin(1), b"", NOW)
    jobs.ordered(with_stdin(2), b"", NOW)
    assert verdict(jobs.ordered(with_stdin(3), b"", NOW)) is OutcomeKind.SPOOL_FULL
    assert asked == [1_000, 2_000, 3_000]
    jobs.stdin_arrived(jid(1), NOW)
    assert steps(jobs.ordered(with_stdin(4), b"", NOW)) == [Step.ACCEPTED]


@pytest.mark.parametrize(("length", "kind"), [(MIB, OutcomeKind.SPOOL_FULL), (MIB // 2, None)])
def test_it_counts_for_the_spool(length: int, kind: OutcomeKind | None) -> None:
    jobs = new_jobs(Limits(spool_bytes=MIB + MIB // 2))
    jobs.ordered(with_stdin(1, MIB), b"", NOW)
    jobs.ticked(NOW)
    assert started(jobs.stdin_arrived(jid(1), NOW)) == [jid(1)]
    actions = jobs.ordered(with_stdin(2, length), b"", NOW)
    if kind is None:
        assert steps(actions) == [Step.ACCEPTED]
    else:
        (sent,) = only(actions, SendReturn)
        assert (sent.verdict, "bytes of stdin" in sent.message) == (kind, True)


def _jobs(no_room: Callable[[int], str]) -> MinionJobs:
    jobs = MinionJobs(
        Limits(),
        refuse=lambda _document: None,
        is_instant=lambda _document: False,
        decode=lambda encoded: packing.decode(JobDocument, encoded),
        no_room=no_room,
    )
    jobs.joined(exact(NOW), NOW)
    return jobs
