"""The events of a job as a whole: seldom, true, and one at its end."""

from fleet.core.from_minion import JobProgress
from fleet.core.job_states import JobState
from fleet.core.names import FunctionName, Jid, MinionId, jid_from_microseconds
from fleet.master.events import meaning_of
from fleet.master.job_actions import Commit, Emit, JobEnded, MasterJobAction, Settle
from fleet.master.job_events import PROGRESS_PAUSE_US
from fleet.master.jobs import MasterJobs
from fleet.master.presence import Presence, PresenceState
from fleet.master.store import NewJob, StoredJob

NOW = 1_795_000_000_000_000
JID = jid_from_microseconds(NOW)
S = JobState


def jobs() -> MasterJobs:
    up = Presence(PresenceState.UP, NOW, NOW, "10.0.0.7")
    return MasterJobs(lambda _: up, lambda _: (b"document", b"signature"))


def stored(*minions: str, state: JobState = S.SENT) -> StoredJob:
    job = NewJob(b"r" * 16, FunctionName("cmd.run"), (), (), (), {}, "*", "glob", "root", 30.0, 0.0, 1, "", ())
    targets = {MinionId(minion): state for minion in minions}
    return StoredJob(JID, job, NOW, NOW + 30_000_000, is_new=True, targets=targets)


def runs(machine: MasterJobs, minion: str) -> None:
    machine.progressed(MinionId(minion), JobProgress(JID, S.RUNNING, 7, NOW, "root"), NOW)


def ends(machine: MasterJobs, minion: str) -> list[MasterJobAction]:
    """End one target by the operator's word, durably."""
    actions: list[MasterJobAction] = []
    for action in machine.removed(MinionId(minion), NOW):
        for then in action.then if isinstance(action, Commit) else ():
            actions += machine.settled(then, NOW) if isinstance(then, Settle) else [then]
    return actions


def counts(actions: list[MasterJobAction], action: str, jid: Jid = JID) -> list[object]:
    tag = f"fleet/job/{jid}/{action}"
    events = [each for each in actions if isinstance(each, Emit) and each.tag == tag]
    for event in events:
        meaning = meaning_of(event.tag)
        assert meaning is not None
        assert tuple(event.payload) == meaning.fields
        assert (event.payload["jid"], event.payload["function"]) == (jid, "cmd.run")
    return [event.payload["counts"] for event in events]


def test_progress_is_told_once_a_second_and_only_after_something_has_changed() -> None:
    machine = jobs()
    machine.created(stored("a", "b", "c"), NOW)
    runs(machine, "a")

    def told(after_us: int) -> list[object]:
        return counts(machine.ticked(NOW + after_us), "prog")

    assert told(PROGRESS_PAUSE_US - 1) == []
    assert told(PROGRESS_PAUSE_US) == [{"running": 1, "sent": 2}]
    runs(machine, "b")
    assert told(2 * PROGRESS_PAUSE_US - 1) == []
    assert told(2 * PROGRESS_PAUSE_US) == [{"running": 2, "sent": 1}]
    assert told(9 * PROGRESS_PAUSE_US) == []
    ends(machine, "b")
    assert told(10 * PROGRESS_PAUSE_US) == [{"abandoned": 1, "running": 1, "sent": 1}]


def test_a_job_on_one_minion_has_no_progress_of_its_own_and_still_an_end() -> None:
    machine = jobs()
    machine.created(stored("a"), NOW)
    runs(machine, "a")

    assert counts(machine.ticked(NOW + 5 * PROGRESS_PAUSE_US), "prog") == []
    assert counts(ends(machine, "a"), "end") == [{"abandoned": 1}]


def test_a_job_ends_with_its_last_target_and_then_only() -> None:
    machine = jobs()
    machine.created(stored("a", "b"), NOW)

    assert counts(ends(machine, "a"), "end") == []
    last = ends(machine, "b")
    assert counts(last, "end") == [{"abandoned": 2}]
    assert isinstance(last[-1], JobEnded)  # Watchers end after the event.
    assert counts(machine.ticked(NOW + 5 * PROGRESS_PAUSE_US), "prog") == []


def test_a_job_of_which_nothing_is_open_ends_as_it_begins() -> None:
    assert counts(jobs().created(stored("a", "b", state=S.REFUSED), NOW), "end") == [{"refused": 2}]


def test_a_job_that_was_open_before_a_restart_counts_all_of_its_targets() -> None:
    machine = jobs()
    before = stored("a", "b")
    machine.recover(
        [
            StoredJob(
                JID,
                before.job,
                NOW,
                before.expires_us,
                is_new=False,
                targets={
                    MinionId("a"): S.SUCCEEDED,
                    MinionId("b"): S.RUNNING,
                },
            )
        ]
    )

    assert counts(ends(machine, "b"), "end") == [{"abandoned": 1, "succeeded": 1}]
