"""What every job cache must find: one job by its name, a page of them, those that fit; ``conftest.py`` lists the stores."""

import string
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.control_answers import JobSummary
from fleet.core.control_requests import ListJobs
from fleet.core.dataclass import fields
from fleet.core.errors import ArgumentError, NotFoundError
from fleet.core.job_states import TERMINAL, JobState
from fleet.core.names import FunctionName, Jid, MinionId
from fleet.master.store import Cancelled, DeleteJob, StateChange
from fleet.master.store_thread import WritingStore
from support.job_cache import NOW_US, minion, new_job, new_return

from .conftest import STORES

SECOND_US = 1_000_000


def test_results_come_sorted_by_minion_id(store: WritingStore) -> None:
    jid = store.submit(new_job("b", "a", "c"), NOW_US).jid

    assert [result.minion for result in store.results(jid)] == ["a", "b", "c"]


def test_jobs_are_paged_from_the_newest_to_the_oldest(store: WritingStore) -> None:
    jids = [store.submit(new_job("a"), NOW_US + number * SECOND_US).jid for number in range(5)]

    assert [job.jid for job in store.jobs(ListJobs(0, "")).jobs] == jids[::-1]
    assert [job.jid for job in store.jobs(ListJobs(2, "")).jobs] == [jids[4], jids[3]]
    page = store.jobs(ListJobs(2, jids[3]))
    assert ([job.jid for job in page.jobs], page.total) == ([jids[2], jids[1]], 5)
    assert [job.jid for job in store.jobs(ListJobs(2, "last")).jobs] == [jids[3], jids[2]]
    # A jid that is no job any more is a place all the same.
    assert [job.jid for job in store.jobs(ListJobs(9, "20261120221201500000")).jobs] == [jids[1], jids[0]]
    with pytest.raises(NotFoundError):
        store.jobs(ListJobs(2, "no jid"))


def test_a_job_is_found_by_its_jid_the_end_of_it_or_as_the_last_one(store: WritingStore) -> None:
    first = store.submit(new_job("a"), NOW_US + 123_456).jid
    second = store.submit(new_job("a"), NOW_US + 3600 * SECOND_US + 923_456).jid

    assert store.resolve_jid(first) == first
    assert store.resolve_jid("last") == second
    assert store.resolve_jid("923456") == second
    assert store.resolve_jid("00123456") == first
    assert store.resolve_jid(first[1:]) == first
    with pytest.raises(NotFoundError) as caught:
        store.resolve_jid("456")
    assert first in caught.value.hint
    assert second in caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "56", "999", "x" * 5_000, "LAST", "²³⁴", "-123", "20261399999999000000", "1" * 21]
)
def test_what_names_no_job_is_said_to_name_none(store: WritingStore, text: str) -> None:
    store.submit(new_job("a"), NOW_US + 123_456)

    with pytest.raises(NotFoundError) as caught:
        store.resolve_jid(text)
    assert len(caught.value.message) < 100
    assert caught.value.hint


def test_the_last_job_of_an_empty_store_is_not_found(store: WritingStore) -> None:
    with pytest.raises(NotFoundError):
        store.resolve_jid("last")
    assert store.jobs(ListJobs(50, "")) == store.jobs(ListJobs(0, ""))


def test_a_job_or_a_target_that_is_not_there_is_not_found(store: WritingStore) -> None:
    jid = store.submit(new_job("a"), NOW_US).jid

    with pytest.raises(NotFoundError):
        store.job(Jid("20200101000000000000"))
    with pytest.raises(NotFoundError):
        store.result(jid, minion("b"))
    assert list(store.results(Jid("20200101000000000000"))) == []


# Those that fit.


@dataclass(frozen=True)
class Known:
    """A job as the model remembers it."""

    summary: JobSummary
    minions: frozenset[str]

    def fits(self, query: ListJobs) -> bool:
        """Say what the store must say."""
        job, states = self.summary, set(self.summary.counts)
        of_job = query.state in {"running", "finished", "cancelled"}
        return (
            (not query.user or job.user == query.user)
            and (not query.function or fnmatchcase(job.function, query.function))
            and (not query.target or fnmatchcase(job.target, query.target))
            and (not query.minion or query.minion in self.minions)
            and (not query.state or (job.state == query.state if of_job else query.state in states))
            and (not query.since_us or job.created_us >= query.since_us)
            and (not query.until_us or job.created_us < query.until_us)
        )


NAMES = ("a", "b", "c")
_JOBS = st.lists(
    st.tuples(
        st.sampled_from(["test.ping", "pkg.install", "pkg.remove"]),
        st.sampled_from(["*", "web-[0-9]*", "G@os:x", "it's"]),
        st.sampled_from(["root", "ada (uid 1000)"]),
        st.lists(
            st.tuples(st.sampled_from(NAMES), st.sampled_from(JobState)), unique_by=lambda each: each[0], min_size=1
        ),
        st.booleans(),
    ),
    max_size=12,
)
_QUERIES = st.builds(
    ListJobs,
    limit=st.integers(1, 4),
    before=st.just(""),
    user=st.sampled_from(["", "", "root", "ada (uid 1000)", "nobody"]),
    function=st.sampled_from(["", "", "pkg.*", "*", "test.ping", "[!p]*", "x"]),
    target=st.sampled_from(["", "", "*", "it's", "web-*", "G@*"]),
    minion=st.sampled_from(["", "", *NAMES, "d"]),
    state=st.sampled_from(["", "", "running", "finished", "cancelled", "failed", "queued", "abandoned"]),
    since_us=st.sampled_from([0, NOW_US + 2 * SECOND_US]),
    until_us=st.sampled_from([0, NOW_US + 5 * SECOND_US, NOW_US]),
)


@pytest.mark.parametrize("open_store", STORES, ids=lambda opens: opens.__qualname__)
@given(jobs=_JOBS, queries=st.lists(_QUERIES, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_the_pages_of_a_filter_are_together_all_that_fits(
    open_store: Callable[[Path], WritingStore],
    jobs: list[tuple[str, str, str, list[tuple[str, JobState]], bool]],
    queries: list[ListJobs],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "state")
        try:
            known = [submit(store, number, *job) for number, job in enumerate(jobs)]
            for query in queries:
                fitting = [job.summary for job in reversed(known) if job.fits(query)]
                assert every_page(store, query, len(fitting)) == fitting
                assert list(store.jobs(replace(query, limit=0)).jobs) == fitting
        finally:
            store.close()


def submit(
    store: WritingStore,
    number: int,
    function: str,
    target: str,
    user: str,
    ends: list[tuple[str, JobState]],
    stop: bool,
) -> Known:
    """Store a job whose targets end as they are to."""
    job = replace(new_job(*(name for name, _ in ends)), function=FunctionName(function), target=target, user=user)
    jid = store.submit(job, NOW_US + number * SECOND_US).jid
    if stop:
        store.apply([Cancelled(jid)], NOW_US)
    store.apply([StateChange(jid, MinionId(name), state) for name, state in ends], NOW_US)
    assert store.job(jid).finished_us is None or {state for _, state in ends} <= TERMINAL
    return Known(store.job(jid), frozenset(name for name, _ in ends))


def every_page(store: WritingStore, query: ListJobs, total: int) -> list[JobSummary]:
    """Turn pages as a client does, each after the last job of the one before."""
    found: list[JobSummary] = []
    while True:
        page = store.jobs(query)
        assert (page.total, len(page.jobs) <= query.limit) == (total, True)
        if not page.jobs:
            return found
        found += page.jobs
        query = replace(query, before=page.jobs[-1].jid)


@pytest.mark.parametrize("state", ["bogus", "RUNNING", "jid_us", "1", "failed > 0 OR 1", "finished_us", "\0", " "])
def test_a_state_that_is_none_is_an_error_that_lists_them(store: WritingStore, state: str) -> None:
    store.submit(new_job("a"), NOW_US)

    with pytest.raises(ArgumentError) as caught:
        store.jobs(ListJobs(0, "", state=state))
    assert "running, finished, cancelled, queued, sent, acked, succeeded, failed" in caught.value.hint
    assert len(store.jobs(ListJobs(0, "")).jobs) == 1


_TEXTS = [field.name for field in fields(ListJobs) if field.name in {"user", "function", "target", "minion"}]
_INJECTIONS = (
    "' OR 1=1 --",
    "'; DROP TABLE jobs; --",
    '" OR ""="',
    "%",
    "_",
    "%%%",
    "[",
    "[^",
    "[!",
    "[]",
    "a[",
    "?1",
    ":a",
    "\\",
    "root\0",
    "\0",
    "*" * 200 + "x",
    string.punctuation.replace("*", ""),
)


@pytest.mark.parametrize("field", _TEXTS)
@pytest.mark.parametrize("text", _INJECTIONS, ids=lambda text: repr(text[:20]))
def test_what_is_asked_for_is_text_and_never_a_statement(store: WritingStore, field: str, text: str) -> None:
    store.submit(new_job("a"), NOW_US)

    query: ListJobs = replace(ListJobs(0, ""), **{field: text})  # type: ignore[arg-type]
    assert store.jobs(query) == store.jobs(ListJobs(0, "", user="nobody at all"))
    assert store.jobs(ListJobs(0, "")).total == 1


@pytest.mark.parametrize("query", [ListJobs(0, "", function="x" * 100_000), ListJobs(0, "", target="*" * 100_000)])
def test_a_pattern_that_is_too_long_is_an_error_of_whoever_asked(store: WritingStore, query: ListJobs) -> None:
    with pytest.raises(ArgumentError, match="100000 characters"):
        store.jobs(query)


def test_a_text_is_found_as_it_was_written_also_with_quotes_and_wildcards(store: WritingStore) -> None:
    odd = 'it\'s 100% [of] "them"_?'
    jid = store.submit(replace(new_job("a"), user=odd, target="[x]"), NOW_US).jid
    store.submit(new_job("a"), NOW_US)

    assert [job.jid for job in store.jobs(ListJobs(0, "", user=odd)).jobs] == [jid]
    assert [job.jid for job in store.jobs(ListJobs(0, "", target="[[]x]")).jobs] == [jid]
    assert store.jobs(ListJobs(0, "", target="[x]")).total == 0


@pytest.mark.parametrize("number", [2**63, 2**64 - 1])
def test_numbers_beyond_what_is_stored_are_no_error(store: WritingStore, number: int) -> None:
    jid = store.submit(new_job("a"), NOW_US).jid

    assert [job.jid for job in store.jobs(ListJobs(number, "", until_us=number)).jobs] == [jid]
    assert store.jobs(ListJobs(1, "", since_us=number)).total == 0


def test_a_page_goes_on_also_when_the_job_that_it_began_after_was_deleted(store: WritingStore) -> None:
    jids = [store.submit(new_job("a"), NOW_US + number).jid for number in range(4)]
    page = store.jobs(ListJobs(2, "", minion="a"))
    assert [job.jid for job in page.jobs] == [jids[3], jids[2]]
    store.apply([DeleteJob(jids[2], is_forced=True)], NOW_US)

    assert [job.jid for job in store.jobs(ListJobs(2, jids[2], minion="a")).jobs] == [jids[1], jids[0]]


def test_a_result_is_given_without_its_output_too_and_the_targets_are_sorted(store: WritingStore) -> None:
    jid = store.submit(new_job("b", "c", "a"), NOW_US).jid
    store.apply([new_return(jid, "b", b"twelve bytes", value=b"\xc3")], NOW_US)

    only = store.result(jid, minion("b"), has_output=False)
    assert (only.minion, only.stdout, only.has_value, only.stdout_total_bytes) == ("b", b"", False, 12)
    assert store.targets(jid) == ("a", "b", "c")
    assert store.targets(Jid("20200101000000000000")) == ()
