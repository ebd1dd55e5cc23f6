"""Any order of offers, decisions, failures and restarts keeps the rules of the store."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fleet.core.errors import KeyStoreError
from fleet.core.names import MinionId
from fleet.keys.minion_key import KeyState, MinionKey
from fleet.keys.selection import KeyRequest, key_row, select_for_accept
from fleet.keys.store import KeyStore

LIMIT = 4
MASTER = bytes(32)
ids = st.sampled_from([MinionId("a"), MinionId("b"), MinionId("c")])
numbers = st.integers(1, 6)


class StoreMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state"
        self.store = KeyStore.open(self.path, LIMIT)
        self.now_us = 0
        self.accepted_by_hand: set[tuple[MinionId, bytes]] = set()

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def tick(self) -> int:
        self.now_us += 1
        return self.now_us

    def pick(self, data: st.DataObject) -> MinionKey:
        return data.draw(st.sampled_from(self.store.all()))

    @rule(minion_id=ids, number=numbers)
    def offer(self, minion_id: MinionId, number: int) -> None:
        public_key = bytes((number,)) * 32
        before = {(key.minion_id, key.public_key): key.state for key in self.store.all()}
        key = self.store.offer(minion_id, public_key, "10.0.0.1", self.tick())

        known = before.get((minion_id, public_key))
        assert key in self.store.all()
        assert known in {None, key.state}
        assert known is not None or key.state.is_candidate

    @precondition(lambda self: self.store.all())
    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        key = self.pick(data)
        before = self.store.all()
        try:
            self.store.accept([key], self.tick())
        except KeyStoreError:
            assert self.store.all() == before
        else:
            assert key.state is not KeyState.DENIED
            assert self.store.accepted(key.minion_id) == self.store.accepted_by_key(key.public_key)

    @rule(pattern=st.sampled_from([None, "*", "[ab]"]))
    def accept_broadly(self, pattern: str | None) -> None:
        before = {(key.minion_id, key.fingerprint): key for key in self.store.all()}
        conflicts = self.store.conflicts()
        chosen = select_for_accept([key_row(key, MASTER) for key in before.values()], KeyRequest(pattern)).chosen
        keys = [before[row.minion, row.fingerprint] for row in chosen]

        assert all(key.state is KeyState.PENDING and key.minion_id not in conflicts for key in keys)
        # Never refused: what is chosen broadly can be accepted together.
        assert len(self.store.accept(keys, self.tick())) == len(keys)

    @precondition(lambda self: self.store.all())
    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        self.store.reject([self.pick(data)], self.tick())

    @precondition(lambda self: self.store.all())
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        key = self.pick(data)
        self.store.delete([key])
        assert key.public_key not in {other.public_key for other in self.store.of_id(key.minion_id)}

    @precondition(lambda self: self.store.all())
    @rule(data=st.data())
    def fail_to_write(self, data: st.DataObject) -> None:
        key, before = self.pick(data), self.store.all()
        self.store._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(KeyStoreError):
            self.store.delete([key])
        self.store._connection.execute("PRAGMA query_only = OFF")
        assert self.store.all() == before

    @rule()
    def restart(self) -> None:
        before = self.store.all()
        self.store.close()
        self.store = KeyStore.open(self.path, LIMIT)
        assert self.store.all() == before

    @invariant()
    def an_id_has_one_accepted_key_and_a_key_one_accepted_id(self) -> None:
        accepted = self.store.by_state(KeyState.ACCEPTED)
        assert len({key.minion_id for key in accepted}) == len({key.public_key for key in accepted}) == len(accepted)
        assert all(self.store.accepted_by_key(key.public_key) == key for key in accepted)

    @invariant()
    def a_candidate_is_denied_exactly_while_another_key_is_accepted(self) -> None:
        for key in self.store.all():
            taken = self.store.accepted(key.minion_id) is not None
            assert not key.state.is_candidate or key.state is (KeyState.DENIED if taken else KeyState.PENDING)

    @invariant()
    def candidates_are_bounded(self) -> None:
        assert sum(key.state.is_candidate for key in self.store.all()) <= LIMIT


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
