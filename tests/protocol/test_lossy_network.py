"""Both job machines over a network that loses, doubles and reorders, with daemons that die between any two actions.

Whatever happens, when it is over every target of every job is in one state that its history allows, nothing was started twice, and nobody was
told what was not durable. The planted bugs show that this can fail.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.job_states import TERMINAL, JobState
from fleet.core.messages import InventoryItem, Need, Stored
from fleet.core.names import MinionId
from fleet.master.job_actions import Commit, CommitReturn, Dispatch, JobEnded, MasterJobAction, SendTo
from fleet.master.jobs import MasterJobs
from fleet.master.open_jobs import OpenJob
from fleet.master.store import StoredReturn
from fleet.minion.job_steps import Found, JobAction, JournalEntry, Remains, Step, WriteJournal
from fleet.minion.jobs import MinionJobs
from support.simulated_parts import INSTANT, PROGRAM, SECOND_US, UNKNOWN
from support.simulation import Fleet

Event = tuple[str, int, int]

_FUNCTIONS = (PROGRAM, PROGRAM, PROGRAM, INSTANT, UNKNOWN)
_TTLS_SECONDS = (30.0, 2.0, 600.0)
_SPANS_US = (100_000, SECOND_US, 3 * SECOND_US, 20 * SECOND_US, 70 * SECOND_US, 3_600 * SECOND_US)


def _minion(fleet: Fleet, number: int) -> Any:
    return fleet.minions[number % len(fleet.minions)]


def _deliver_some(fleet: Fleet, number: int, _: int) -> None:
    for _position in range(number % 12 + 1):
        fleet.deliver(0)


def _kill(fleet: Fleet, number: int, how: int) -> None:
    minion = _minion(fleet, number)
    if how % 2:
        fleet.guarded(minion, minion.kill_processes)
    minion.crash()


def _die_soon(fleet: Fleet, number: int, actions: int) -> None:
    _minion(fleet, number).actions_left = actions % 12


def _fill_disk(fleet: Fleet, number: int, how: int) -> None:
    _minion(fleet, number).disk_is_full = bool(how % 2)


#: What may happen, by name; two numbers say to whom and how.
EVENTS: dict[str, Callable[[Fleet, int, int], object]] = {
    "submit": lambda fleet, a, b: fleet.submit(a, _FUNCTIONS[b % 5], _TTLS_SECONDS[b % 3]),
    "submit to all": lambda fleet, a, b: fleet.submit(-1, PROGRAM, _TTLS_SECONDS[b % 3]),
    "cancel": lambda fleet, a, b: fleet.cancel(a, b),
    "connect": lambda fleet, a, b: _minion(fleet, a).connect(),
    "disconnect": lambda fleet, a, b: _minion(fleet, a).disconnect(),
    "deliver": lambda fleet, a, b: fleet.deliver(a),
    "deliver some": _deliver_some,
    "drop": lambda fleet, a, b: fleet.drop(a),
    "duplicate": lambda fleet, a, b: fleet.duplicate(a),
    "commit": lambda fleet, a, b: fleet.master.commit(a % 6 + 1),
    "commit fails": lambda fleet, a, b: fleet.master.commit(a % 3 + 1, fails=True),
    "time": lambda fleet, a, b: fleet.pass_time(_SPANS_US[a % len(_SPANS_US)]),
    "finish": lambda fleet, a, b: _minion(fleet, a).finish_program(b),
    "kill": _kill,
    "die soon": _die_soon,
    "wipe": lambda fleet, a, b: _minion(fleet, a).wipe() if b % 4 == 0 else None,
    "disk": _fill_disk,
    "restart master": lambda fleet, a, b: fleet.restart_master(a % 5),
    "remove key": lambda fleet, a, b: fleet.remove(a) if b % 4 == 0 else None,
}
#: How often each is drawn: mostly life goes on, else nothing is ever under way when it is struck.
_WEIGHTS = {
    "submit": 4,
    "submit to all": 2,
    "connect": 4,
    "deliver": 3,
    "deliver some": 10,
    "commit": 6,
    "time": 3,
    "finish": 3,
}
_NAMES = [name for name in EVENTS for _ in range(_WEIGHTS.get(name, 1))]


def live(events: Sequence[Event], **bugs: Any) -> Fleet:
    """Let a fleet live through this, and check it."""
    fleet = Fleet(**bugs)
    for minion in fleet.minions:
        minion.connect()
    for name, first, second in events:
        EVENTS[name](fleet, first, second)
    fleet.settle()
    fleet.check()
    return fleet


@given(
    events=st.lists(st.tuples(st.sampled_from(_NAMES), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=60)
)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_every_target_ends_as_its_history_allows(events: list[Event]) -> None:
    live(events)


def random_events(seed: int, number: int = 70) -> list[Event]:
    """Make a life by dice; long ones find what short ones do not."""
    dice = Random(seed)
    return [(dice.choice(_NAMES), dice.randrange(1_000), dice.randrange(1_000)) for _ in range(number)]


@pytest.mark.parametrize("seed", range(6))
def test_long_lives_end_well(seed: int) -> None:
    for number in range(20):
        live(random_events(seed * 1_000 + number))


def test_lives_reach_every_state() -> None:
    seen = {state for seed in range(40) for state in live(random_events(seed)).store.states.values()}

    assert seen >= TERMINAL - {JobState.FAILED, JobState.TIMED_OUT}


# Planted bugs: the property must find each of them.


class _StoredBeforeCommit(MasterJobs):
    def _assembled(self, step: StoredReturn | Need | None, minion: MinionId, now_us: int) -> list[MasterJobAction]:
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
}


@pytest.mark.parametrize("bug", _PLANTED)
def test_a_planted_bug_is_found(bug: str) -> None:
    for seed in range(190, 590):
        try:
            live(random_events(seed), **_PLANTED[bug])
        except AssertionError:
            return
    pytest.fail("400 lives did not find it")
