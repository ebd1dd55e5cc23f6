import io
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.client.fold import print_fold, styled_writer, summary_line
from fleet.client.groups import fold
from fleet.client.results import MinionResult, RunResult, read_result
from fleet.client.shown import Shown
from fleet.core.control import TargetResult
from fleet.core.job_states import JobState
from fleet.core.names import FunctionName
from support.fake_master import JID, ran, returned, without_value


def results(*answers: TargetResult) -> list[MinionResult]:
    return [read_result(JID, answer) for answer in answers]


def outcome(*answers: TargetResult, seconds: float = 0.25) -> RunResult:
    return RunResult(JID, FunctionName("cmd.run"), {each.minion: each for each in results(*answers)}, (), seconds)


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
        "failed, exit 1: exit code 1",
        "lost: gone",
        "expired: late",
        "refused: no",
        "",
    ]


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


def printed(run: RunResult, capsys: pytest.CaptureFixture[str], *, color: bool = False) -> str:
    print_fold(run, Shown("fold"), styled_writer(color=color))
    return capsys.readouterr().out


def test_what_never_folds_stands_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    answers = [ran(f"web-{number}", f"up {number}\n".encode()) for number in range(1, 31)]
    lines = printed(outcome(*answers, ran("pair-1", b"same"), ran("pair-2", b"same")), capsys).splitlines()
    assert lines[:4] == ["✓ pair-[1-2] (2)", "    same", "✓ web-1   up 1", "✓ web-2   up 2"]
    assert lines[31:] == ["✓ web-30  up 30", "", "32 ok · 32 targeted in 0.2 s   fleet jobs show 000042"]


def test_colours_are_for_headings_alone_and_what_minions_sent_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    run = outcome(ran("a", b"[red]x[/red] :smile: \x1b[31m " + b"long " * 60), returned("b", 1))
    plain, colored = printed(run, capsys), printed(run, capsys, color=True)
    assert "\x1b[1;32m✓ a" in colored
    assert "  [red]x[/red] :smile: ␛[31m" in colored
    import re

    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain
    assert "\x1b" not in plain


def test_rich_is_loaded_for_colours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    print_fold(outcome(ran("a")), Shown("fold"), styled_writer(color=False))
    assert "rich" not in sys.modules
    styled_writer(color=True)
    assert "rich" in sys.modules


def test_the_summary_counts_everything() -> None:
    run = replace(
        outcome(ran("a"), ran("b"), ran("c", retcode=1), without_value("d", JobState.TIMED_OUT, "")), unknown=("x",)
    )
    assert (
        summary_line(run) == "2 ok · 1 failed · 1 timed out · 1 unknown · 4 targeted in 0.2 s   fleet jobs show 000042"
    )


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,3}-[0-9]{1,3}", fullmatch=True),
        st.tuples(st.sampled_from([b"", b"x", b"y"]), st.sampled_from([0, 1, 2])),
        max_size=30,
    )
)
def test_nobody_is_lost_or_counted_twice(chosen: dict[str, tuple[bytes, int]]) -> None:
    groups = fold(results(*(ran(name, out, retcode=code) for name, (out, code) in chosen.items())))
    names = [name for group in groups for name in group.minions]
    assert sorted(names) == sorted(chosen)
    for group in groups:
        assert len({chosen[name] for name in group.minions}) == 1
