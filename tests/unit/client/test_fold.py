import io
import sys
from dataclasses import replace

import pytest

from fleet.client.fold import print_fold, styled_writer, summary_line
from fleet.client.groups import Folding
from fleet.client.ranks import Only, Rank
from fleet.client.results import MinionResult, RunResult, read_result
from fleet.client.shown import Shown
from fleet.core.control_answers import TargetResult
from fleet.core.job_states import JobState
from fleet.core.names import FunctionName
from support.fake_master import JID, ran, returned, without_value

FOLDED = Shown("fold")


def results(*answers: TargetResult) -> list[MinionResult]:
    return [read_result(JID, answer) for answer in answers]


def outcome(*answers: TargetResult, seconds: float = 0.25) -> RunResult:
    return RunResult(JID, FunctionName("cmd.run"), {each.minion: each for each in results(*answers)}, (), seconds)


def printed(run: RunResult, capsys: pytest.CaptureFixture[str], *, shown: Shown = FOLDED, color: bool = False) -> str:
    print_fold(run, shown, styled_writer(color=color))
    return capsys.readouterr().out


def uptimes(count: int, first: int = 1) -> list[TargetResult]:
    return [ran(f"web-{number}", f"up {number}\n".encode()) for number in range(first, first + count)]


def test_where_nothing_folds_two_columns_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    run = outcome(
        *uptimes(2, 9), ran("db-1", b"bad\n", retcode=1), ran("db-12", retcode=2), without_value("x", JobState.LOST, "")
    )
    assert printed(run, capsys).splitlines()[:-2] == [
        "✗ db-1   failed, exit 1  bad",
        "✗ db-12  failed, exit 2",
        "✗ x      lost",
        "✓ web-9   up 9",
        "✓ web-10  up 10",
    ]


def test_one_that_folds_or_says_more_keeps_a_small_rank_out_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    for other in ((ran("a", b"same"), ran("b", b"same")), (ran("a", b"1\n2"),)):
        lines = printed(outcome(*uptimes(3), *other), capsys).splitlines()
        assert "✓ web-1" in lines
        assert "    up 1" in lines


def test_one_minion_alone_is_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(outcome(*uptimes(1)), capsys).startswith("✓ web-1\n    up 1\n")


def test_most_of_very_many_stand_in_columns_after_those_that_fold(capsys: pytest.CaptureFixture[str]) -> None:
    run = outcome(*uptimes(30), ran("pair-1", b"same"), ran("pair-2", b"same"))
    lines = printed(run, capsys).splitlines()
    assert lines[:4] == ["✓ pair-[1-2] (2)", "    same", "✓ web-1   up 1", "✓ web-2   up 2"]
    assert lines[31:] == ["✓ web-30  up 30", "", "32 ok · 32 targeted in 0.2 s   fleet jobs show 000042"]


def test_a_table_ends_after_200_lines_and_says_how_to_see_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    run = outcome(*uptimes(1198))
    lines = printed(run, capsys).splitlines()
    assert lines[199:201] == ["✓ web-200  up 200", "… 998 more: --all   fleet jobs show 000042 --out fold --all"]
    assert lines[-1].startswith("1,198 ok")
    assert len(printed(run, capsys, shown=Shown("fold", is_all=True)).splitlines()) == 1200
    assert "more" not in printed(outcome(*uptimes(200)), capsys)


def test_who_has_other_numbers_is_said_to_have_them(capsys: pytest.CaptureFixture[str]) -> None:
    run = outcome(*uptimes(3), ran("x", b"up 4", retcode=1))
    assert printed(run, capsys, shown=Shown("fold", folding=Folding.NUMBERS)).splitlines()[:4] == [
        "✗ x  failed, exit 1",
        "    up 4",
        "✓ web-[1-3] (3)  the numbers differ; these are of web-1",
        "    up 1",
    ]


def test_only_those_that_are_chosen_are_shown_and_all_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    run = replace(
        outcome(*uptimes(2), ran("x", b"bad", retcode=1), without_value("y", JobState.REFUSED, "")), unknown=("z",)
    )
    summary = "\n2 ok · 1 failed · 1 refused · 1 unknown · 4 targeted in 0.2 s   fleet jobs show 000042\n"
    for ranks, expected in (
        ({Rank.FAILED}, "✗ x  failed, exit 1\n    bad\n"),
        ({Rank.SILENT}, "! z  unknown: no accepted key has this id\n"),
        ({Rank.REFUSED}, "⊘ y  refused\n"),
        ({Rank.OK}, "✓ web-1  up 1\n✓ web-2  up 2\n"),
    ):
        assert printed(run, capsys, shown=Shown("fold", Only(frozenset(ranks)))) == expected + summary


def test_others_of_the_same_exit_code_are_compared_with_the_largest_group(capsys: pytest.CaptureFixture[str]) -> None:
    run = outcome(
        ran("a", b"1\n2\n3\n"),
        ran("b", b"1\n2\n3\n"),
        ran("c", b"1\n3\n\x1b4\n"),
        ran("d", b"1\n2\n", retcode=1),
        without_value("e", JobState.EXPIRED, "late"),
    )
    shown = Shown("fold", has_diff=True)
    assert printed(run, capsys, shown=shown).splitlines()[:-2] == [
        "✗ d  failed, exit 1",
        "    1",
        "    2",
        "! e  expired: late",
        "✓ a,b (2)",
        "    1",
        "    2",
        "    3",
        "✓ c  differs from a:",
        "    @@ -1,3 +1,3 @@",
        "     1",
        "    -2",
        "     3",
        "    +␛4",
    ]
    colored = printed(run, capsys, shown=shown, color=True)
    assert "\x1b[31m-2\x1b[0m" in colored
    assert "\x1b[32m+␛4\x1b[0m" in colored


def test_without_anybody_who_says_something_there_is_nothing_to_compare(capsys: pytest.CaptureFixture[str]) -> None:
    run = outcome(without_value("e", JobState.EXPIRED, "late"))
    assert printed(run, capsys, shown=Shown("fold", has_diff=True)).startswith("! e  expired: late\n")


def test_what_would_take_long_to_compare_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    run = outcome(ran("a", b"x\n" * 5000), ran("b", b"y\n" * 5000))
    out = printed(run, capsys, shown=Shown("fold", has_diff=True))
    assert "too much to compare: differs from a\n    y\n" in out
    assert out.count("    y\n") == 5000


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
