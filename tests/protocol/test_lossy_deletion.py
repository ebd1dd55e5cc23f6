"""Jobs are deleted by force over a network that loses, doubles and reorders, with daemons that die between any two actions.

Whatever happens, when it is over nothing of a deleted job is left on any minion, nobody owes anything, and no job ran after its minion
had said that it holds nothing of it. The planted bugs show that this can fail.
"""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.from_master import Forget
from fleet.core.from_minion import Forgotten
from fleet.core.job_states import TERMINAL
from fleet.core.messages import PROTOCOL_VERSION
from fleet.core.names import Jid, MinionId
from fleet.master.forgetting import Forgetting
from fleet.master.job_actions import MasterJobAction
from fleet.master.jobs import MasterJobs
from fleet.master.store import Owed
from fleet.minion.job_steps import JobAction, SendMessage, Step
from fleet.minion.jobs import MinionJobs
from support.lives import DELETING, Event, live, random_events

RELEASES = pytest.mark.parametrize("speaks", [1, PROTOCOL_VERSION])


@RELEASES
@given(
    events=st.lists(
        st.tuples(st.sampled_from(DELETING), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=60
    )
)
@settings(max_examples=40, deadline=None)
def test_whatever_happens_nothing_is_left_of_what_was_deleted(speaks: int, events: list[Event]) -> None:
    live(events, speaks=speaks)


@RELEASES
@pytest.mark.parametrize("seed", range(3))
def test_long_lives_end_well(speaks: int, seed: int) -> None:
    for number in range(20):
        fleet = live(random_events(70_000 + seed * 1_000 + number, names=DELETING), speaks=speaks)
        kept = {state for (jid, _), state in fleet.store.states.items() if jid not in fleet.store.deleted}
        assert kept <= TERMINAL


def test_lives_delete_jobs_in_every_step() -> None:
    owing: set[str] = set()

    class Watched(MinionJobs):
        def forgot(self, message: Forget, now_us: int) -> list[JobAction]:
            job = self._jobs.get(message.jid)
            owing.add(job.step.value if job else "unknown")
            return super().forgot(message, now_us)

    for seed in range(60):
        live(random_events(seed, names=DELETING), minion_jobs=Watched)
    assert owing >= {"unknown", Step.ACCEPTED.value, Step.STARTING.value, Step.STARTED.value, Step.ENDED.value}


# Planted bugs: the property must find each of them.


class _ToldOnce(Forgetting):
    def due(self, minion: MinionId, now_us: int) -> list[Owed]:
        return [owed for owed in super().due(minion, now_us) if self._of_minion[minion][owed.jid].pause_us <= 2_000_000]

    def joined(self, minion: MinionId, now_us: int) -> list[Owed]:
        return self.due(minion, now_us)


class _RemembersNothing(Forgetting):
    def __init__(self, owed: Iterable[Owed] = ()) -> None:
        super().__init__(())


class _NobodyOwes(MasterJobs):
    def begin_deletion(self, jid: Jid) -> tuple[MinionId, ...]:
        super().begin_deletion(jid)
        return ()


class _HandsOverWhatIsDeleted(MasterJobs):
    def begin_deletion(self, jid: Jid) -> tuple[MinionId, ...]:
        owing = super().begin_deletion(jid)
        if jid in self._jobs:
            self._jobs[jid].deletions = 0
        return owing


class _StillWatched(MasterJobs):
    def deleted(self, jid: Jid, user: str, now_us: int) -> list[MasterJobAction]:
        return super().deleted(jid, user, now_us)[:1] if jid not in self._jobs else []


class _StopsNothing(MinionJobs):
    def forgot(self, message: Forget, now_us: int) -> list[JobAction]:
        return [SendMessage(Forgotten(message.jid))]


class _LeavesNoTombstone(MinionJobs):
    def _forget_unknown(self, message: Forget, now_us: int) -> list[JobAction]:
        return [SendMessage(Forgotten(message.jid))]


class _ForgetsWhatWaitsBeforeThatIsWritten(MinionJobs):
    def forgot(self, message: Forget, now_us: int) -> list[JobAction]:
        job = self._jobs.get(message.jid)
        if job is not None and job.step is Step.ACCEPTED:
            self._waiting.remove(job.jid)
            return self._forget(job)
        return super().forgot(message, now_us)


_PLANTED: dict[str, dict[str, Any]] = {
    "a minion is told once": {"forgetting": _ToldOnce},
    "a restart forgets who owes": {"forgetting": _RemembersNothing},
    "nobody is told": {"master_jobs": _NobodyOwes},
    "what is being deleted is handed over": {"master_jobs": _HandsOverWhatIsDeleted},
    "the loop keeps what the store has not": {"master_jobs": _StillWatched},
    "nothing is stopped": {"minion_jobs": _StopsNothing},
    "there is no tombstone": {"minion_jobs": _LeavesNoTombstone},
}


@pytest.mark.parametrize("bug", _PLANTED)
def test_a_planted_bug_is_found(bug: str) -> None:
    for seed in range(600):
        try:
            live(random_events(seed, names=DELETING), **_PLANTED[bug])
        except AssertionError:
            return
    pytest.fail("600 lives did not find it")


#: The disk of a minion is full while a job that waits for its turn is deleted; then its daemon dies.
_WAITS = [
    *[("deliver some", 11, 0)] * 2,
    *[("submit", 1, 2)] * 3,
    *[("deliver some", 11, 0)] * 2,
    ("disk", 0, 1),
    ("delete", 2, 0),
    ("commit", 5, 0),
    *[("deliver some", 11, 0), ("time", 2, 0)] * 3,
    ("disk", 0, 0),
    ("kill", 0, 0),
]


def test_what_waits_is_not_forgotten_before_that_is_written() -> None:
    live(_WAITS)
    with pytest.raises(AssertionError, match="was started after a said that it holds nothing of it"):
        live(_WAITS, minion_jobs=_ForgetsWhatWaitsBeforeThatIsWritten)
