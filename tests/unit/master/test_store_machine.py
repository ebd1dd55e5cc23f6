"""Any order of jobs, changes, deletions, repeats, failures and restarts: the store says what a dictionary says, and holds nothing else."""

import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fleet.core.control_requests import ListJobs
from fleet.core.job_states import TERMINAL, JobState, may_follow
from fleet.core.names import Jid, MinionId
from fleet.core.outcome import OutcomeKind, state_for
from fleet.master.store import Cancelled, DeleteJob, StateChange, StoredReturn
from fleet.master.store_file import NAME
from fleet.master.store_sqlite import SqliteJobStore
from support.job_cache import NOW_US, new_job, new_return, uses_of_outputs

Step = StateChange | StoredReturn | Cancelled | DeleteJob
#: Steps on the way come more often than ends, else few targets take several.
STATES = [*JobState, *[JobState.ACKED, JobState.RUNNING] * 4]
NAMES = [MinionId("a"), MinionId("b"), MinionId("c")]


class StoreMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state"
        self.store = SqliteJobStore.open(self.path)
        self.states: dict[Jid, dict[MinionId, JobState]] = {}
        self.requests: dict[bytes, Jid] = {}
        self.cancelled: set[Jid] = set()
        self.ends: dict[tuple[Jid, MinionId], object] = {}
        self.last_jid = Jid("")
        self.now_us = NOW_US

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def expect(self, change: Step) -> None:
        """Make the change in the dictionary."""
        jid = change.answer.jid if isinstance(change, StoredReturn) else change.jid
        if jid not in self.states:
            return
        if isinstance(change, DeleteJob):
            if change.is_forced or not set(self.states[change.jid].values()) - TERMINAL:
                self.delete(change.jid)
            return
        if isinstance(change, Cancelled):
            if set(self.states[change.jid].values()) - TERMINAL:
                self.cancelled.add(change.jid)
            return
        minion, after = change.minion, change.state
        before = self.states[jid].get(minion)
        if before is None:
            return
        by_master = isinstance(change, StateChange) and may_follow(before, after, by_minion=False)
        if by_master or may_follow(before, after, by_minion=True):
            self.states[jid][minion] = after

    def delete(self, jid: Jid) -> None:
        del self.states[jid]
        self.requests = {request: of for request, of in self.requests.items() if of != jid}
        self.cancelled.discard(jid)
        self.ends = {key: end for key, end in self.ends.items() if key[0] != jid}

    def fail(self, changes: list[Step]) -> None:
        with self.store.transaction():
            self.store.apply(changes, self.now_us)
            raise ZeroDivisionError

    @rule(
        names=st.sets(st.sampled_from(NAMES), min_size=1),
        state=st.sampled_from([JobState.QUEUED, JobState.SENT]),
        number=st.integers(0, 3),
        step_us=st.integers(-5, 5),
    )
    def submit(self, names: set[MinionId], state: JobState, number: int, step_us: int) -> None:
        self.now_us += step_us
        request_id = bytes((number,)) * 16
        stored = self.store.submit(new_job(*names, state=state, request_id=request_id), self.now_us)
        if request_id in self.requests:
            assert (stored.jid, stored.is_new) == (self.requests[request_id], False)
        else:
            assert stored.is_new
            assert stored.jid > self.last_jid
            self.last_jid = stored.jid
            self.states[stored.jid] = dict.fromkeys(names, state)
            self.requests[request_id] = stored.jid
        assert stored.targets == self.states[stored.jid]

    @precondition(lambda self: self.states)
    @rule(data=st.data(), fails=st.booleans())
    def apply(self, data: st.DataObject, fails: bool) -> None:
        jids, names = st.sampled_from(sorted(self.states)), st.sampled_from(NAMES)
        # Few enough that they are often equal, also to a reason.
        outputs = st.sampled_from([b"", b"x", b"why", b"z" * 9_000])
        changes: list[Step] = data.draw(
            st.lists(
                st.one_of(
                    st.builds(StateChange, jids, names, st.sampled_from(STATES), st.sampled_from(["", "x", "why"])),
                    st.builds(new_return, jids, names, outputs, st.sampled_from(OutcomeKind), outputs, outputs),
                    st.builds(Cancelled, jids),
                    st.builds(DeleteJob, jids, st.booleans()),
                ),
                min_size=1,
                max_size=12,
            )
        )
        if fails:
            with pytest.raises(ZeroDivisionError):
                self.fail(changes)
            return
        for change in changes:
            self.expect(change)
        if data.draw(st.booleans()):
            self.store.apply(changes, self.now_us)
        else:
            with self.store.transaction():
                for change in changes:
                    self.store.apply([change], self.now_us)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = SqliteJobStore.open(self.path)

    @invariant()
    def the_states_are_those_of_the_model_and_the_counts_are_right(self) -> None:
        page = self.store.jobs(ListJobs(0, ""))
        assert page.total == len(self.states)
        assert [job.jid for job in page.jobs] == sorted(self.states, reverse=True)
        for job in page.jobs:
            states = self.states[job.jid]
            assert {result.minion: result.state for result in self.store.results(job.jid)} == states
            assert job.counts == Counter(state.value for state in states.values())
            is_open = bool(set(states.values()) - TERMINAL)
            assert (job.finished_us is None) is is_open
            ended = "cancelled" if job.jid in self.cancelled else "finished"
            assert job.state == ("running" if is_open else ended)
        is_open_too = [jid for jid, states in sorted(self.states.items()) if set(states.values()) - TERMINAL]
        assert [job.jid for job in self.store.open_jobs()] == is_open_too

    @invariant()
    def the_uses_of_outputs_are_counted_right_and_nothing_is_kept_that_nobody_has(self) -> None:
        found = uses_of_outputs(self.path / NAME)
        assert found.counted == found.recounted
        assert found.kept == set(found.recounted)
        assert found.jobs == set(self.states)

    @invariant()
    def an_end_never_changes(self) -> None:
        for jid, states in self.states.items():
            for minion, state in states.items():
                assert self.store.is_ended(jid, minion) is (state if state in TERMINAL else None)
                if state in TERMINAL:
                    result = self.store.result(jid, minion)
                    end = (result.state, result.reason, result.kind, result.stdout, result.finished_us)
                    assert self.ends.setdefault((jid, minion), end) == end


StoreMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestStoreMachine = StoreMachine.TestCase


def test_every_kind_of_outcome_is_an_end() -> None:
    assert {state_for(kind) for kind in OutcomeKind} <= TERMINAL


@pytest.mark.parametrize("seed", range(8))
def test_in_long_lives_an_output_is_kept_as_long_as_somebody_has_it(tmp_path: Path, seed: int) -> None:
    """Longer ones than above, by dice: most jobs take all of their steps, and go."""
    dice = Random(seed)
    outputs = (b"", b"x", b"why", b"z" * 9_000)
    ways = (JobState.ACKED, JobState.RUNNING, JobState.LOST, JobState.ABANDONED)
    with SqliteJobStore.open(tmp_path) as store:
        for _ in range(60):
            jids = [job.jid for job in store.jobs(ListJobs(4, "")).jobs]
            if len(jids) < 4:
                jids.append(store.submit(new_job(*NAMES), NOW_US).jid)
            changes: list[Step] = []
            for _ in range(dice.randrange(1, 9)):
                jid, name = dice.choice(jids), dice.choice(NAMES)
                drawn = [dice.choice(outputs) for _ in range(3)]
                stored = new_return(jid, name, drawn[0], dice.choice(list(OutcomeKind)), drawn[1], drawn[2])
                step = StateChange(jid, name, dice.choice(ways), dice.choice(("", "x", "why", f"only {dice.random()}")))
                deleted = DeleteJob(jid, is_forced=dice.random() < 0.5)
                kinds: list[Step] = [step, stored, deleted]
                changes.append(dice.choices(kinds, [5, 3, 1])[0])
            store.apply(changes, NOW_US)
            found = uses_of_outputs(tmp_path / NAME)
            assert found.counted == found.recounted
            assert found.kept == set(found.recounted)
            assert store.jobs(ListJobs(0, "")).total == len(store.jobs(ListJobs(0, "")).jobs)
