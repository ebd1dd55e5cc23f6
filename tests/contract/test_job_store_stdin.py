"""What every job cache must do with the stdin of jobs: keep it until nobody can ask for it any more."""

from dataclasses import replace

from fleet.core.crypto import digest
from fleet.core.job_states import JobState
from fleet.core.names import Jid
from fleet.master.store import DeleteJob, NewJob
from fleet.master.store_thread import WritingStore
from support.job_cache import NOW_US, new_job, new_return

from .conftest import Home

DATA = bytes(range(256)) * 2_500
WINDOW = 256 * 1024


def with_stdin(*targets: str, data: bytes = DATA, state: JobState = JobState.SENT) -> NewJob:
    return replace(new_job(*targets, state=state), stdin_bytes=len(data), stdin_digest=digest(data))


def whole(store: WritingStore, jid: Jid) -> bytes:
    """Read it as minions do."""
    found = b""
    while part := store.stdin(jid, len(found), WINDOW):
        found += part
    return found


def test_it_is_kept_over_restarts_and_read_from_anywhere(home: Home) -> None:
    jid = home.store.submit(with_stdin("web-1"), NOW_US, DATA).jid
    other = home.store.submit(with_stdin("web-1", data=b"x"), NOW_US, b"x").jid
    store = home.reopen()

    assert whole(store, jid) == DATA
    assert whole(store, other) == b"x"
    for offset in (1, WINDOW - 1, WINDOW, WINDOW + 1, len(DATA) - 1):
        assert store.stdin(jid, offset, WINDOW) == DATA[offset : offset + WINDOW]
        assert store.stdin(jid, offset, 10) == DATA[offset : offset + 10]
    assert store.stdin(jid, len(DATA), WINDOW) == b""
    (stored, _) = store.open_jobs()
    assert (stored.job.stdin_bytes, stored.job.stdin_digest) == (len(DATA), digest(DATA))


def test_the_same_request_keeps_the_first_one(store: WritingStore) -> None:
    job = with_stdin("web-1")
    first = store.submit(job, NOW_US, DATA)
    assert store.submit(job, NOW_US, b"other").jid == first.jid
    assert whole(store, first.jid) == DATA


def test_it_goes_when_the_job_has_ended_everywhere_and_its_length_is_still_known(store: WritingStore) -> None:
    jid = store.submit(with_stdin("web-1", "web-2"), NOW_US, DATA).jid
    store.apply([new_return(jid, "web-1")], NOW_US)
    assert whole(store, jid) == DATA
    store.apply([new_return(jid, "web-2")], NOW_US)
    assert store.stdin(jid, 0, WINDOW) == b""
    assert store.job(jid).stdin_bytes == len(DATA)


def test_of_a_job_that_has_no_open_target_nothing_is_kept(store: WritingStore) -> None:
    jid = store.submit(with_stdin("web-1", state=JobState.REFUSED), NOW_US, DATA).jid
    assert store.stdin(jid, 0, WINDOW) == b""


def test_it_goes_with_the_job(store: WritingStore) -> None:
    jid = store.submit(with_stdin("web-1"), NOW_US, DATA).jid
    before = store.size_bytes()
    store.apply([DeleteJob(jid, is_forced=True)], NOW_US)
    assert store.stdin(jid, 0, WINDOW) == b""
    assert store.size_bytes() < before - len(DATA) // 2


def test_a_job_without_one_has_none(store: WritingStore) -> None:
    jid = store.submit(new_job("web-1"), NOW_US).jid
    assert store.stdin(jid, 0, WINDOW) == b""
    assert store.stdin(Jid("00000000000000000000"), 0, WINDOW) == b""
    assert store.job(jid).stdin_bytes == 0
