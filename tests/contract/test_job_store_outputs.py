"""What every job cache must do with long outputs: take them part by part, give them the same way, and keep nothing that is not whole."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from fleet.core.crypto import digest
from fleet.core.errors import NotFoundError, StateError
from fleet.core.job_states import JobState
from fleet.core.names import Jid, MinionId
from fleet.core.outcome import OutcomeKind
from fleet.master.store import DeleteJob, KeepPart, KeptOutput, Note, StateChange, StoredReturn
from fleet.master.store_thread import WritingStore
from support.job_cache import NOW_US, new_job, new_return, stream

from .conftest import Home

PART_BYTES = 100_000
DATA = (bytes(range(251)) * (PART_BYTES // 50))[: 3 * PART_BYTES - 7]
OTHER = DATA[::-1]


def parts(jid: Jid, data: bytes = DATA, minion: str = "web-1", name: str = "stdout") -> list[KeepPart]:
    starts = range(0, len(data), PART_BYTES)
    return [KeepPart(jid, MinionId(minion), name, start, data[start : start + PART_BYTES]) for start in starts]


def ended(jid: Jid, stdout: bytes | None = DATA, stderr: bytes | None = None, minion: str = "web-1") -> StoredReturn:
    """A return whose outputs were kept part by part; None for an empty one."""
    whole = new_return(jid, minion)
    outputs = {"stdout": stdout, "stderr": stderr}
    summaries = {name: replace(stream(data), inline=None) for name, data in outputs.items() if data is not None}
    kept = {name: KeptOutput(len(data), digest(data)) for name, data in outputs.items() if data is not None}
    return replace(whole, answer=replace(whole.answer, **summaries), **kept)  # type: ignore[arg-type]


def keep(store: WritingStore, changes: Iterable[KeepPart]) -> None:
    """Each in a transaction of its own, as they come."""
    for change in changes:
        store.apply([change], NOW_US)


def read(
    store: WritingStore, jid: Jid, minion: str = "web-1", name: str = "stdout", limit_bytes: int = 70_001
) -> bytes:
    found = b""
    while part := store.output(jid, MinionId(minion), name, len(found), limit_bytes):
        found += part
    return found


@pytest.fixture
def jid(store: WritingStore) -> Jid:
    return store.submit(new_job("web-1", "web-2"), NOW_US).jid


def test_an_output_that_came_in_parts_is_read_from_anywhere_and_is_in_no_answer(home: Home, jid: Jid) -> None:
    keep(home.store, [*parts(jid), *parts(jid, OTHER, name="stderr")])
    home.store.apply([ended(jid, DATA, OTHER)], NOW_US)
    store = home.reopen()
    result = store.result(jid, MinionId("web-1"))

    assert (result.state, result.stdout, result.stderr) == (JobState.SUCCEEDED, b"", b"")
    assert result.long == {"stdout": len(DATA), "stderr": len(OTHER)}
    assert (result.stdout_total_bytes, result.stderr_total_bytes) == (len(DATA), len(OTHER))
    assert (read(store, jid), read(store, jid, name="stderr")) == (DATA, OTHER)
    for offset in (0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, len(DATA) - 1):
        for limit_bytes in (1, PART_BYTES, len(DATA)):
            found = store.output(jid, MinionId("web-1"), "stdout", offset, limit_bytes)
            assert found == DATA[offset : offset + limit_bytes]
    assert store.output(jid, MinionId("web-1"), "stdout", len(DATA), 10) == b""


def test_a_short_output_is_read_the_same_way(store: WritingStore, jid: Jid) -> None:
    store.apply([new_return(jid, "web-1", b"short")], NOW_US)

    assert store.result(jid, MinionId("web-1")).long == {}
    assert store.output(jid, MinionId("web-1"), "stdout", 1, 3) == b"hor"
    assert store.output(jid, MinionId("web-1"), "stdout", 9, 3) == b""
    assert store.output(jid, MinionId("web-1"), "stderr", 0, 3) == b""
    assert store.output(jid, MinionId("web-2"), "stdout", 0, 3) == b""
    with pytest.raises(NotFoundError):
        store.output(jid, MinionId("web-3"), "stdout", 0, 3)


def test_the_lengths_alone_are_told_without_the_outputs(store: WritingStore, jid: Jid) -> None:
    keep(store, parts(jid))
    store.apply([ended(jid)], NOW_US)
    result = store.result(jid, MinionId("web-1"), has_output=False)

    assert (result.stdout_total_bytes, result.long) == (len(DATA), {})


def test_several_results_are_those_that_are_read_one_by_one_in_the_order_asked_for(store: WritingStore) -> None:
    names = [MinionId(f"web-{number}") for number in range(7)]
    jid = store.submit(new_job(*names), NOW_US).jid
    returns = [
        new_return(jid, "web-0", b"the same", stderr=b"the same"),
        new_return(jid, "web-1", b"the same"),
        new_return(jid, "web-2", b"other", OutcomeKind.FAILED, b"the same"),
        new_return(jid, "web-3", value=b"\xa1v"),
        new_return(jid, "web-4", b"the same", OutcomeKind.FAILED, b"the same"),
    ]
    keep(store, parts(jid, minion="web-5"))
    store.apply([*returns, ended(jid, minion="web-5"), Note(jid, names[1], NOW_US, "a late return")], NOW_US)
    wanted = [names[6], MinionId("never-heard"), *names[5::-1]]

    for has_output in (True, False):
        alone = [store.result(jid, name, has_output=has_output) for name in wanted if name in names]
        assert list(store.results_of(jid, wanted, 1 << 20, has_output=has_output)) == alone
    assert store.results_of(jid, [], 1 << 20) == ()
    assert store.results_of(Jid("20200101000000000000"), names, 1 << 20) == ()


def test_no_more_results_are_read_than_reach_the_limit(store: WritingStore) -> None:
    names = [MinionId(f"web-{number}") for number in range(4)]
    jid = store.submit(new_job(*names), NOW_US).jid
    store.apply([new_return(jid, name, bytes(100)) for name in names], NOW_US)

    assert [len(store.results_of(jid, names, limit)) for limit in (1, 100, 101, 300, 301, 1_000)] == [1, 1, 2, 3, 4, 4]


def test_the_same_output_of_two_minions_lies_there_once(store: WritingStore, jid: Jid) -> None:
    sizes = []
    for minion in ("web-1", "web-2"):
        keep(store, parts(jid, minion=minion))
        store.apply([ended(jid, minion=minion)], NOW_US)
        sizes.append(store.size_bytes())

    assert sizes[1] - sizes[0] < PART_BYTES
    assert read(store, jid) == read(store, jid, "web-2") == DATA


def test_it_goes_with_the_last_job_that_has_it(store: WritingStore, jid: Jid) -> None:
    before = store.size_bytes()
    second = store.submit(new_job("web-1"), NOW_US).jid
    for each in (jid, second):
        keep(store, parts(each))
        store.apply([ended(each)], NOW_US)
    store.apply([DeleteJob(jid, is_forced=True)], NOW_US)
    assert read(store, second) == DATA
    store.apply([DeleteJob(second)], NOW_US)

    assert store.size_bytes() < before + PART_BYTES


@pytest.mark.parametrize(
    "end",
    [
        lambda jid: StateChange(jid, MinionId("web-1"), JobState.LOST),
        lambda jid: new_return(jid, "web-1", b"something shorter"),
        lambda jid: DeleteJob(jid, is_forced=True),
    ],
    ids=["lost", "another output", "deleted"],
)
def test_what_was_kept_goes_when_its_target_ends_otherwise(store: WritingStore, jid: Jid, end: object) -> None:
    before = store.size_bytes()
    keep(store, parts(jid)[:2])
    assert store.size_bytes() > before + PART_BYTES
    store.apply([end(jid)], NOW_US)  # type: ignore[operator]

    assert store.size_bytes() < before + PART_BYTES


def test_what_was_kept_of_open_targets_goes_with_the_next_start(home: Home, jid: Jid) -> None:
    before = home.store.size_bytes()
    keep(home.store, parts(jid))

    assert home.reopen().size_bytes() < before + PART_BYTES


def test_a_part_at_the_beginning_replaces_what_came_before(store: WritingStore, jid: Jid) -> None:
    shorter = OTHER[: PART_BYTES + 5]
    keep(store, [*parts(jid), *parts(jid, shorter)])
    store.apply([ended(jid, shorter)], NOW_US)

    assert read(store, jid) == shorter


def test_parts_of_what_has_ended_or_is_not_there_are_left_out(store: WritingStore, jid: Jid) -> None:
    store.apply([new_return(jid, "web-1", b"out")], NOW_US)
    before = store.size_bytes()
    keep(store, [*parts(jid), *parts(jid, minion="web-3"), *parts(Jid("20200101000000000000"))])

    assert store.size_bytes() == before
    assert read(store, jid) == b"out"


@pytest.mark.parametrize("missing", [0, 1, 2, None], ids=["first", "middle", "last", "all"])
def test_an_end_whose_output_is_not_whole_is_refused_and_can_be_stored_later(
    store: WritingStore, jid: Jid, missing: int | None
) -> None:
    every = parts(jid)
    keep(store, [] if missing is None else every[:missing] + every[missing + 1 :])
    with pytest.raises(StateError, match="bytes of a stdout are in the job cache"):
        store.apply([ended(jid)], NOW_US)
    assert store.is_ended(jid, MinionId("web-1")) is None

    keep(store, every)
    store.apply([ended(jid)], NOW_US)
    assert read(store, jid) == DATA


def test_what_was_learned_in_a_transaction_that_failed_is_forgotten_with_it(store: WritingStore, jid: Jid) -> None:
    """The number of a text that was taken back must not stand for another text later."""
    web = MinionId("web-1")
    with pytest.raises(StateError):
        store.apply([StateChange(jid, web, JobState.ACKED, address="192.0.2.1"), ended(jid, minion="web-2")], NOW_US)
    store.apply([StateChange(jid, web, JobState.ACKED, account="192.0.2.9", address="192.0.2.1")], NOW_US)
    (result,) = (each for each in store.results(jid) if each.minion == web)
    assert (result.state, result.account, result.address) == (JobState.ACKED, "192.0.2.9", "192.0.2.1")
