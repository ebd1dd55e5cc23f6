"""The journal: what is appended is there after any crash, whole or not at all, and damage is told."""

import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.errors import StateError
from fleet.core.names import Jid, jid_from_microseconds
from fleet.core.outcome import OutcomeKind
from fleet.minion.job_steps import JournalEntry, Step
from fleet.minion.journal import COMPACTION_LEAST_BYTES, Journal, JournalFullError

ID = bytes(range(16))
STEPS = (Step.ACCEPTED, Step.STARTING, Step.STARTED, Step.ENDED, Step.ANSWERED)


def jid(number: int) -> Jid:
    return jid_from_microseconds(1_795_000_000_000_000 + number)


def entry(number: int, step: Step, document: bytes = b"") -> JournalEntry:
    return JournalEntry(jid(number), step, 1000 + number, document, b"signed" if document else b"")


@contextmanager
def opened(path: Path, random16: bytes = ID) -> Iterator[Journal]:
    journal = Journal.open(path, random16)
    try:
        yield journal
    finally:
        journal.close()


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: the kernel then refuses to write as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_new_journal_is_empty_private_and_keeps_its_id(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with opened(path) as journal:
        assert (journal.journal_id, dict(journal.entries())) == (ID, {})
    assert path.stat().st_mode & 0o777 == 0o600
    with opened(path, bytes(16)) as journal:
        assert journal.journal_id == ID


def test_what_was_appended_is_there_after_a_restart_oldest_first(tmp_path: Path) -> None:
    with opened(tmp_path / "journal") as journal:
        journal.append(entry(2, Step.ACCEPTED, b"document"), entry(2, Step.STARTING))
        journal.append(entry(1, Step.TOMBSTONE))
        journal.append(JournalEntry(jid(2), Step.ENDED, 7, verdict=OutcomeKind.LOST, message="gone"))
    with opened(tmp_path / "journal") as journal:
        assert list(journal.entries().values()) == [
            JournalEntry(jid(2), Step.ENDED, 7, verdict=OutcomeKind.LOST, message="gone"),
            entry(1, Step.TOMBSTONE),
        ]


@pytest.mark.parametrize("step", [Step.STARTING, Step.STARTED])
def test_the_document_stays_with_a_job_that_has_not_ended(tmp_path: Path, step: Step) -> None:
    with opened(tmp_path / "journal") as journal:
        journal.append(entry(1, Step.ACCEPTED, b"document"))
        journal.append(entry(1, step))
        assert journal.entries()[jid(1)] == entry(1, step, b"document")
        before = journal.entries()
    with opened(tmp_path / "journal") as journal:
        assert journal.entries() == before
        journal.append(entry(1, Step.ENDED))
        assert journal.entries()[jid(1)].document == b""


@pytest.mark.parametrize(
    ("before", "after"),
    [(before, after) for position, before in enumerate(STEPS) for after in STEPS[:position]]
    + [(step, Step.TOMBSTONE) for step in STEPS]
    + [(Step.TOMBSTONE, step) for step in STEPS],
)
def test_no_entry_leads_a_job_back_to_where_it_could_start_again(tmp_path: Path, before: Step, after: Step) -> None:
    with opened(tmp_path / "journal") as journal:
        journal.append(entry(1, before))
        size = (tmp_path / "journal").stat().st_size
        with pytest.raises(StateError, match=f"is {before} in the journal and cannot become {after}"):
            journal.append(entry(2, Step.ACCEPTED), entry(1, after))
        assert (tmp_path / "journal").stat().st_size == size
        assert dict(journal.entries()) == {jid(1): entry(1, before)}


appends = st.lists(
    st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=30)), min_size=1, max_size=3), min_size=1, max_size=5
)


def test_cut_at_any_byte_a_prefix_of_the_appends_is_kept_and_the_next_append_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", _do_nothing)  # Thousands of them; what is tested here is what is read.
    path = tmp_path / "journal"
    states, sizes = _write(path, [[(1, b"a")], [(2, b"b"), (1, b""), (3, b"c")], [(2, b"")]])
    whole = path.read_bytes()
    for cut in range(sizes[0], len(whole) + 1):
        path.write_bytes(whole[:cut])
        _check_cut(path, cut, states, sizes)


@settings(max_examples=60, deadline=None)
@given(appends, st.data())
def test_cut_anywhere_any_journal_keeps_a_prefix_of_its_appends(
    plan: list[list[tuple[int, bytes]]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "journal")
        states, sizes = _write(path, plan)
        cut = data.draw(st.integers(sizes[0], sizes[-1]))
        os.truncate(path, cut)
        _check_cut(path, cut, states, sizes)


@settings(max_examples=100, deadline=None)
@given(appends, st.data())
def test_a_flipped_byte_loses_nothing_but_a_last_append_and_else_is_told(
    plan: list[list[tuple[int, bytes]]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "journal")
        states, sizes = _write(path, plan)
        whole = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(whole)
        in_last_append = len(sizes) > 1 and place >= sizes[-2]
        if in_last_append:
            with opened(path) as journal:
                assert dict(journal.entries()) == states[-2]
        else:
            with pytest.raises(StateError) as caught:
                Journal.open(path, ID)
            assert caught.value.hint


def test_damage_before_good_entries_is_told_with_what_to_do_and_the_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    _, sizes = _write(path, [[(1, b"a")], [(2, b"b")], [(3, b"c")]])
    whole = bytearray(path.read_bytes())
    whole[sizes[1] + 14] ^= 1
    path.write_bytes(whole)
    with pytest.raises(StateError, match=f"damaged at byte {sizes[1]}, and good entries follow") as caught:
        Journal.open(path, ID)
    assert "move it away" in caught.value.hint
    assert path.read_bytes() == whole


def test_a_torn_append_that_holds_a_copy_of_a_good_one_is_still_cut_off(tmp_path: Path) -> None:
    # An attack: a job's document that contains the bytes of a sound frame must not stop the minion after a crash.
    path = tmp_path / "journal"
    _, sizes = _write(path, [[(1, b"a")]])
    frame = path.read_bytes()[sizes[0] :]
    with opened(path) as journal:
        journal.append(entry(2, Step.ACCEPTED, frame + bytes(100)))
    path.write_bytes(path.read_bytes()[:-50])
    with opened(path) as journal:
        assert set(journal.entries()) == {jid(1)}


def test_the_rest_of_another_journal_behind_the_end_is_cut_off(tmp_path: Path) -> None:
    _, sizes = _write(tmp_path / "other", [[(1, b"a")], [(2, b"b")]], bytes(16))
    _write(tmp_path / "journal", [[(1, b"a")]])
    with (tmp_path / "journal").open("ab") as file:
        file.write((tmp_path / "other").read_bytes()[sizes[1] :])
    with opened(tmp_path / "journal") as journal:
        assert set(journal.entries()) == {jid(1)}


@pytest.mark.parametrize("content", [b"", b"fleet", b"#!/bin/sh\n" * 10, bytes(100)])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "journal").touch(mode=0o600)
    (tmp_path / "journal").write_bytes(content)
    with pytest.raises(StateError, match="is no journal"):
        Journal.open(tmp_path / "journal", ID)
    assert (tmp_path / "journal").read_bytes() == content


def test_a_journal_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal").touch(mode=0o600)
    (tmp_path / "journal").write_bytes(b"fleet-journal-2\n" + bytes(100))
    with pytest.raises(StateError, match="newer release"):
        Journal.open(tmp_path / "journal", ID)


def test_a_full_disk_leaves_the_journal_as_it_was_and_it_goes_on_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with opened(path) as journal:
        journal.append(entry(1, Step.ACCEPTED, b"a"))
        before = path.read_bytes()
        with disk_full_at(len(before) + 100), pytest.raises(JournalFullError, match="no room"):
            journal.append(entry(2, Step.ACCEPTED, bytes(1000)))
        assert path.read_bytes() == before
        assert set(journal.entries()) == {jid(1)}
        journal.append(entry(3, Step.ACCEPTED, b"c"))
    with opened(path) as journal:
        assert set(journal.entries()) == {jid(1), jid(3)}


def test_after_a_failed_fsync_nothing_is_taken_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path / "journal") as journal:
        journal.append(entry(1, Step.ACCEPTED, b"a"))
        monkeypatch.setattr(os, "fsync", _fail)
        with pytest.raises(StateError, match="cannot be written: input/output error"):
            journal.append(entry(2, Step.ACCEPTED, b"b"))
        monkeypatch.undo()
        with pytest.raises(StateError, match="cannot be written"):
            journal.append(entry(3, Step.ACCEPTED, b"c"))
        assert set(journal.entries()) == {jid(1)}
    with opened(tmp_path / "journal") as journal:
        assert set(journal.entries()) == {jid(1)}


def test_every_append_is_durable_when_it_returns_and_costs_one_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    with opened(path) as journal:
        seen: list[int] = []
        monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append(os.fstat(descriptor).st_size))
        journal.append(entry(1, Step.ACCEPTED, b"a"), entry(1, Step.STARTING))
        assert seen == [path.stat().st_size]


def test_only_what_is_answered_may_be_forgotten(tmp_path: Path) -> None:
    with opened(tmp_path / "journal") as journal:
        journal.append(entry(1, Step.ANSWERED), entry(2, Step.TOMBSTONE), entry(3, Step.ENDED))
        with pytest.raises(ValueError, match="only what is answered"):
            journal.forget([jid(3)])
        journal.forget([jid(1), jid(2), jid(4)])
        assert set(journal.entries()) == {jid(3)}


def test_a_journal_of_mostly_forgotten_jobs_is_rewritten_and_keeps_what_lives(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with opened(path) as journal:
        journal.append(entry(1, Step.ACCEPTED, b"kept"), entry(1, Step.STARTING))
        for number in range(2, 102):
            journal.append(entry(number, Step.ACCEPTED, bytes(COMPACTION_LEAST_BYTES // 90)))
            journal.append(entry(number, Step.ENDED), entry(number, Step.ANSWERED))
        before = path.stat().st_size
        journal.forget(jid(number) for number in range(2, 101))
        assert path.stat().st_size < before / 100
        assert path.stat().st_mode & 0o777 == 0o600
        journal.append(entry(1, Step.STARTED))
        journal.append(entry(200, Step.ACCEPTED, b"new"))
        expected = journal.entries()
        assert list(expected) == [jid(1), jid(101), jid(200)]
    assert os.listdir(tmp_path) == ["journal"]
    with opened(path, bytes(16)) as journal:
        assert (journal.journal_id, journal.entries()) == (ID, expected)


def test_a_rewrite_that_finds_no_room_leaves_the_old_file_in_use(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with opened(path) as journal:
        journal.append(entry(1, Step.ACCEPTED, b"kept"))
        for number in range(2, 102):
            journal.append(entry(number, Step.ANSWERED, bytes(COMPACTION_LEAST_BYTES // 90)))
        with disk_full_at(10):
            journal.forget(jid(number) for number in range(2, 102))
        journal.append(entry(1, Step.STARTING))
    with opened(path) as journal:
        assert journal.entries()[jid(1)].step is Step.STARTING


def _write(
    path: Path, plan: list[list[tuple[int, bytes]]], random16: bytes = ID
) -> tuple[list[dict[Jid, JournalEntry]], list[int]]:
    """Append what is planned; return what lived, and how long the file was, after the header and after each append."""
    taken = dict.fromkeys(range(4), 0)
    with opened(path, random16) as journal:
        states, sizes = [dict(journal.entries())], [path.stat().st_size]
        for append in plan:
            entries = []
            for number, document in append:
                entries.append(entry(number, STEPS[min(taken[number], 4)], document))
                taken[number] += 1
            journal.append(*entries)
            states.append(dict(journal.entries()))
            sizes.append(path.stat().st_size)
    return states, sizes


def _check_cut(path: Path, cut: int, states: list[dict[Jid, JournalEntry]], sizes: list[int]) -> None:
    """Open a journal that was cut at a byte: it holds the appends that were whole, and takes the next one."""
    kept = max(number for number, size in enumerate(sizes) if size <= cut)
    with opened(path) as journal:
        assert dict(journal.entries()) == states[kept], cut
        assert journal.cut_off_bytes == cut - sizes[kept]
        assert path.stat().st_size == sizes[kept]
        journal.append(entry(99, Step.ACCEPTED, b"later"))
    with opened(path) as journal:
        assert dict(journal.entries()) == {**states[kept], jid(99): entry(99, Step.ACCEPTED, b"later")}


def _do_nothing(_: int) -> None:
    """Stand in for fsync."""


def _fail(_: int) -> None:
    raise OSError(5, "Input/output error")
