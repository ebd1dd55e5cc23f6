"""What the job machine wants is carried out: returns that came together are stored together, a repeated order costs one look."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.core.crypto import digest
from fleet.core.from_master import JobOrder, Stored
from fleet.core.job_states import JobState
from fleet.core.names import Jid, MinionId
from fleet.master.job_actions import CommitReturn, Dispatch
from fleet.master.presence import Presence
from fleet.master.sessions import Sessions
from fleet.master.store import KeptOutput, StoredReturn
from support.deleting_master import DeletingMaster
from support.job_cache import NOW_US, new_return

MINIONS = ("web-1", "web-2", "web-3")


@pytest.fixture
def master(tmp_path: Path) -> Iterator[DeletingMaster]:
    with DeletingMaster(tmp_path) as master:
        for minion in MINIONS:
            master.join(minion)
        yield master


def come(master: DeletingMaster, *returns: StoredReturn) -> None:
    """These returns come in one turn of the loop."""
    for stored in returns:
        found = master.jobs.returned(stored.minion, stored.answer, NOW_US)
        assert [type(action) for action in found] == [CommitReturn]
        master.conductor.perform([CommitReturn(stored)])
    master.settle()


def answers(master: DeletingMaster, minion: str) -> list[object]:
    return [message for message in master.sent_to(minion) if isinstance(message, Stored)]


def test_returns_that_came_together_are_one_change_of_the_store_and_each_is_answered(master: DeletingMaster) -> None:
    jid = master.submit(*MINIONS)
    before = master.thread.counters()["store_commits"]
    come(master, *(new_return(jid, minion) for minion in MINIONS))
    assert master.thread.counters()["store_commits"] - before <= 3  # One for all; the others are of ``settle`` itself.
    assert [answers(master, minion) for minion in MINIONS] == [[Stored(jid)]] * 3
    assert master.conductor.commits.counters.returns_stored == 3
    assert not master.jobs.is_open(jid)


def without_its_output(jid: Jid, minion: str) -> StoredReturn:
    """A return that no store can take: its long output has not come."""
    return replace(new_return(jid, minion), stdout=KeptOutput(5, digest(b"never")))


def test_one_that_cannot_be_stored_keeps_back_no_other(master: DeletingMaster) -> None:
    jid = master.submit(*MINIONS)
    come(master, new_return(jid, "web-1"), without_its_output(jid, "web-2"), new_return(jid, "web-3"))
    assert [answers(master, minion) for minion in MINIONS] == [[Stored(jid)], [], [Stored(jid)]]
    counters = master.conductor.commits.counters
    assert (counters.returns_stored, counters.commits_failed) == (2, 1)
    come(master, new_return(jid, "web-2"))
    assert answers(master, "web-2") == [Stored(jid)]


def test_what_is_stored_later_is_stored_behind_the_returns_that_came_before(master: DeletingMaster) -> None:
    jid = master.submit("web-1")
    master.conductor.perform(master.jobs.returned(MinionId("web-1"), new_return(jid, "web-1").answer, NOW_US))
    master.conductor.commit(())
    master.settle()
    assert answers(master, "web-1") == [Stored(jid)]


def test_an_order_that_is_repeated_to_one_minion_looks_at_that_one_alone(
    master: DeletingMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four hundred that had not acknowledged kept the loop for twenty seconds: each order went through all targets."""
    minions = (*MINIONS, *(f"db-{number}" for number in range(200)))
    jid = master.submit(*minions, state=JobState.SENT)
    looked_at: list[MinionId] = []
    presence = Sessions.presence

    def watched(self: Sessions, minion: MinionId, now_us: int) -> Presence:
        looked_at.append(minion)
        return presence(self, minion, now_us)

    monkeypatch.setattr(Sessions, "presence", watched)
    master.conductor.perform([Dispatch(jid, b"document", NOW_US, frozenset({MinionId("web-1")}))])
    assert looked_at == ["web-1"]
    assert [type(message) for message in master.sent_to("web-1")] == [JobOrder]
