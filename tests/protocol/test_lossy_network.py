"""Both job machines over a network that loses, doubles and reorders, with daemons that die between any two actions.

Whatever happens, when it is over every target of every job is in one state that its history allows, nothing was started twice, and nobody was
told what was not durable. The planted bugs show that this can fail.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.from_master import Stored
from fleet.core.from_minion import InventoryItem
from fleet.core.job_states import TERMINAL, JobState
from fleet.core.names import MinionId
from fleet.master.job_actions import Commit, CommitReturn, Dispatch, JobEnded, MasterJobAction, SendTo
from fleet.master.jobs import MasterJobs
from fleet.master.open_jobs import OpenJob
from fleet.master.pulls import PullStep
from fleet.minion.job_steps import Found, JobAction, JournalEntry, Remains, Step, WriteJournal
from fleet.minion.jobs import MinionJobs
from support.lives import NAMES, Event, live, random_events


@given(
    events=st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=60)
)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_every_target_ends_as_its_history_allows(events: list[Event]) -> None:
    live(events)


@pytest.mark.parametrize("seed", range(6))
def test_long_lives_end_well(seed: int) -> None:
    for number in range(20):
        assert set(live(random_events(seed * 1_000 + number)).store.states.values()) <= TERMINAL


def test_lives_reach_every_state() -> None:
    seen = {state for seed in range(40) for state in live(random_events(seed)).store.states.values()}

    assert seen >= TERMINAL - {JobState.FAILED, JobState.TIMED_OUT}


def test_lives_run_commands_with_a_stdin() -> None:
    fleets = [live(random_events(seed)) for seed in range(40)]
    ends = [
        fleet.store.states[jid, minion]
        for fleet in fleets
        for jid, stored in fleet.store.jobs.items()
        for minion in stored.targets
        if stored.job.stdin_bytes
    ]

    assert {JobState.SUCCEEDED, JobState.EXPIRED} <= set(ends)


# Planted bugs: the property must find each of them.


class _StoredBeforeCommit(MasterJobs):
    def _assembled(self, step: PullStep | None, minion: MinionId, now_us: int) -> list[MasterJobAction]:
        actions = super()._assembled(step, minion, now_us)
        early = [
            SendTo(minion, Stored(action.stored.answer.jid)) for action in actions if isinstance(action, CommitReturn)
        ]
        return [*early, *actions]


class _ToldBeforeCommit(MasterJobs):
    def _end(self, *arguments: Any, **options: Any) -> list[MasterJobAction]:
        actions: list[MasterJobAction] = []
        for action in super()._end(*arguments, **options):
            actions += [*action.then, Commit(action.changes)] if isinstance(action, Commit) else [action]
        return actions


class _SentBeforeCommit(MasterJobs):
    def _hand_over(self, *arguments: Any, **options: Any) -> list[MasterJobAction]:
        actions = super()._hand_over(*arguments, **options)
        early = [then for action in actions if isinstance(action, Commit) for then in action.then]
        return [*(action for action in early if isinstance(action, Dispatch)), *actions]


class _ForgetsCancels(MasterJobs):
    def _send_cancel(self, *arguments: Any, **options: Any) -> list[MasterJobAction]:
        return []


class _NeverAsks(MasterJobs):
    def _resend(self, *arguments: Any, **options: Any) -> list[MasterJobAction]:
        return []


class _EndsTwice(MasterJobs):
    def _closed(self, job: OpenJob, minion: MinionId, state: JobState) -> list[MasterJobAction]:
        return [JobEnded(job.jid), *super()._closed(job, minion, state)]


class _NoDeduplication(MinionJobs):
    def ordered(self, encoded: bytes, signature: bytes, now_us: int) -> list[JobAction]:
        jid = self._decode(encoded).jid
        self._jobs.pop(jid, None)
        self._answered.pop(jid, None)
        self._settled.pop(jid, None)
        if jid in self._waiting:
            self._waiting.remove(jid)
        return super().ordered(encoded, signature, now_us)


class _StartsBeforeJournal(MinionJobs):
    def _accept(self, *arguments: Any) -> list[JobAction]:
        (write,) = super()._accept(*arguments)
        assert isinstance(write, WriteJournal)
        return [*write.then, replace(write, then=())]


class _RestartsWhatWasStarting(MinionJobs):
    def _recover_job(self, entry: JournalEntry, found: Found) -> list[JobAction]:
        if entry.step is Step.STARTING and found.remains is Remains.NOTHING:
            entry = replace(entry, step=Step.ACCEPTED)
        return super()._recover_job(entry, found)


class _TellsWrongStates(MinionJobs):
    def inventory(self) -> tuple[InventoryItem, ...]:
        return tuple(replace(item, state=JobState.RUNNING) for item in super().inventory())


class _StartsWithoutStdin(MinionJobs):
    def _start_waiting(self, now_us: int) -> list[JobAction]:
        for jid in self._waiting:
            self._jobs[jid].lacks_stdin = False
        return super()._start_waiting(now_us)


_PLANTED: dict[str, dict[str, Any]] = {
    "a return is answered before it is durable": {"master_jobs": _StoredBeforeCommit},
    "an end is told before it is durable": {"master_jobs": _ToldBeforeCommit},
    "a job leaves before that is durable": {"master_jobs": _SentBeforeCommit},
    "a cancel is never sent": {"master_jobs": _ForgetsCancels},
    "nothing is asked for again": {"master_jobs": _NeverAsks},
    "an end is told too early": {"master_jobs": _EndsTwice},
    "there is no journal": {"keeps_journal": False},
    "a copy of an order is a new order": {"minion_jobs": _NoDeduplication},
    "a job starts before the journal says so": {"minion_jobs": _StartsBeforeJournal},
    "what was starting is started again": {"minion_jobs": _RestartsWhatWasStarting},
    "what has ended is told as running": {"minion_jobs": _TellsWrongStates},
    "a job starts before its stdin is there": {"minion_jobs": _StartsWithoutStdin},
}


@pytest.mark.parametrize("bug", _PLANTED)
def test_a_planted_bug_is_found(bug: str) -> None:
    for seed in range(190, 590):
        try:
            live(random_events(seed), **_PLANTED[bug])
        except AssertionError:
            return
    pytest.fail("400 lives did not find it")
