from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.client.blocks import reason_line
from fleet.client.groups import Folding, fold
from fleet.client.results import MinionResult, read_result, read_silence
from fleet.core.control_answers import TargetResult
from fleet.core.job_states import JobState
from support.fake_master import JID, ran, returned, silent, without_value


def results(*answers: TargetResult) -> list[MinionResult]:
    return [read_result(JID, answer) for answer in answers]


def test_identical_results_fold_and_the_largest_group_of_successes_comes_first() -> None:
    groups = fold(results(ran("b", b"1\n"), ran("web-2", b"2\n"), ran("web-10", b"2\n"), ran("web-1", b"2\n")))
    assert [(group.minions, group.lines) for group in groups] == [
        (("web-1", "web-2", "web-10"), ("2",)),
        (("b",), ("1",)),
    ]


def test_results_never_fold_across_exit_codes_states_or_streams() -> None:
    same = b"same\n"
    cases = [
        ran("a", same),
        ran("b", same, retcode=1),
        ran("c", same, retcode=2),
        replace(ran("d", same, retcode=1), state=JobState.TIMED_OUT),
        ran("e", b"", same),
        replace(ran("f", same), retcode=None),
    ]
    assert len(fold(results(*cases))) == len(cases)


def test_failures_come_first_then_the_silent_then_the_refusing() -> None:
    groups = fold(
        results(
            ran("ok"),
            without_value("refused", JobState.REFUSED, "no"),
            without_value("expired", JobState.EXPIRED, "late"),
            without_value("lost", JobState.LOST, "gone"),
            ran("failed", retcode=1),
        )
    )
    assert [group.minions[0] for group in groups] == ["failed", "lost", "expired", "refused", "ok"]
    assert [group.title for group in groups] == [
        "failed, exit 1",
        "lost: gone",
        "expired: late",
        "refused: no",
        "",
    ]


@pytest.mark.parametrize(
    ("state", "retcode", "reason", "title"),
    [
        (JobState.CANCELLED, -15, "cancelled", "cancelled, killed by signal 15"),
        (JobState.CANCELLED, None, "cancelled", "cancelled"),
        (
            JobState.CANCELLED,
            None,
            "cancelled before it was handed over",
            "cancelled: cancelled before it was handed over",
        ),
        (JobState.FAILED, -9, "ended by signal 9 (SIGKILL)", "failed, killed by signal 9"),
        (JobState.FAILED, 3, "exit code 3", "failed, exit 3"),
        (JobState.FAILED, 127, "cannot run 'x'", "failed, exit 127: cannot run 'x'"),
    ],
)
def test_a_reason_that_says_nothing_new_is_not_told(
    state: JobState, retcode: int | None, reason: str, title: str
) -> None:
    result = replace(without_value("a", state, reason), retcode=retcode)
    (group,) = fold(results(result))
    assert group.title == reason_line(read_result(JID, result)) == title


def test_a_signal_and_a_bug_are_named() -> None:
    killed = ran("a", b"x", retcode=-9)
    bug = replace(
        ran("b"),
        state=JobState.FAILED,
        kind="crashed",
        reason="KeyError: 'x'",
        retcode=None,
        traceback="Traceback\n  x\n",
    )
    titles = {group.minions[0]: (group.title, group.lines) for group in fold(results(killed, bug))}
    assert titles == {
        "a": ("failed, killed by signal 9", ("x",)),
        "b": ("failed: KeyError: 'x'", ("Traceback", "  x")),
    }


_OUTPUTS = [b"", b"x", b"y", b"up 1 day", b"up 22 days", b"a\nb 3"]
_STATES = [JobState.SUCCEEDED, JobState.FAILED, JobState.TIMED_OUT, JobState.CANCELLED]


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,3}-[0-9]{1,3}", fullmatch=True),
        st.tuples(
            st.sampled_from(_OUTPUTS),
            st.sampled_from([b"", b"e 1", b"e 2"]),
            st.sampled_from([None, 0, 1, 2, 12]),
            st.sampled_from(_STATES),
        ),
        max_size=30,
    ),
    st.sampled_from(Folding),
)
def test_nobody_is_lost_or_counted_twice_and_exit_codes_and_states_stay_apart(
    chosen: dict[str, tuple[bytes, bytes, int | None, JobState]], folding: Folding
) -> None:
    answers = (
        replace(ran(name, out, err), retcode=code, state=state, reason="")
        for name, (out, err, code, state) in chosen.items()
    )
    groups = fold(results(*answers), folding)
    assert sorted(name for group in groups for name in group.minions) == sorted(chosen)
    assert [group.rank for group in groups] == sorted(group.rank for group in groups)
    for group in groups:
        its = [chosen[name] for name in group.minions]
        assert {(code, state) for _, _, code, state in its} == {(group.retcode, group.state)}
        assert group.numbers_differ == (len({(out, err) for out, err, _, _ in its}) > 1)
        assert folding is Folding.NUMBERS or not group.numbers_differ
        assert folding is not Folding.OFF or len(group.minions) == 1


@given(st.lists(st.sampled_from(_OUTPUTS), max_size=20))
def test_the_more_counts_as_the_same_the_fewer_groups_there_are(outputs: list[bytes]) -> None:
    its = results(*(ran(f"web-{index}", out) for index, out in enumerate(outputs)))
    off, exact, numbers = (len(fold(its, folding)) for folding in (Folding.OFF, Folding.EXACT, Folding.NUMBERS))
    assert len(outputs) == off >= exact >= numbers


def test_what_differs_in_numbers_alone_folds_when_asked_and_the_first_minion_is_shown() -> None:
    its = results(ran("web-10", b"up 3 days"), ran("web-9", b"up 44 days"), ran("web-1", b"up 1 day"))
    assert [(group.minions, group.lines, group.numbers_differ) for group in fold(its, Folding.NUMBERS)] == [
        (("web-9", "web-10"), ("up 44 days",), True),
        (("web-1",), ("up 1 day",), False),
    ]


def test_silences_that_differ_in_a_time_fold_when_numbers_do_not_count() -> None:
    its = [read_silence(JID, silent(f"db-{number}", f"last heard {number} s ago")) for number in (1, 2)]
    (group,) = fold(its, Folding.NUMBERS)
    assert (group.minions, group.title, group.numbers_differ) == (("db-1", "db-2"), "silent: last heard 1 s ago", True)
    assert len(fold(its)) == 2


def test_what_looks_like_the_mark_of_stderr_does_not_fold_with_stderr() -> None:
    assert len(fold(results(ran("a", b"stderr:\n  bad"), ran("b", b"", b"bad")))) == 2


def test_a_stream_that_is_not_shown_keeps_nobody_apart() -> None:
    """``cmd.retcode`` asks for the exit code, whatever was written."""
    codes = (replace(returned(name, 0), stderr=stderr, retcode=0) for name, stderr in (("a", b"x"), ("b", b"")))
    assert [group.minions for group in fold(results(*codes))] == [("a", "b")]


def test_values_fold_like_texts() -> None:
    groups = fold(results(returned("a", {"x": [1]}), returned("b", {"x": [1]}), returned("c", {"x": [2]})))
    assert [group.minions for group in groups] == [("a", "b"), ("c",)]
    assert len(fold(results(returned("a", {"x": [1]}), returned("c", {"x": [2]})), Folding.NUMBERS)) == 1


@pytest.mark.parametrize("folding", Folding)
def test_no_results_are_no_groups(folding: Folding) -> None:
    assert fold([], folding) == ()


def test_moments_in_titles_are_in_the_zone_of_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    with monkeypatch.context() as patch:
        patch.setenv("TZ", "KST-9")
        time.tzset()
        (group,) = fold([read_silence(JID, silent("a", "down since 2026-11-18T20:12:44Z"))])
        assert group.title == "silent: down since 2026-11-19 05:12:44 KST"
    time.tzset()
