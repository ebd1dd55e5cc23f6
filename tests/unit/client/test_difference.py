from collections.abc import Sequence
from difflib import unified_diff

from hypothesis import given
from hypothesis import strategies as st

from fleet.client.difference import Comparison

_LINES = st.lists(st.sampled_from(["a", "b", "", "+c", "@@"]), max_size=24)


def difference(reference: Sequence[str], lines: Sequence[str]) -> list[str] | None:
    return Comparison(reference).difference(lines)


@given(_LINES, _LINES)
def test_it_is_the_unified_diff_of_difflib(reference: list[str], lines: list[str]) -> None:
    assert difference(reference, lines) == list(unified_diff(reference, lines, lineterm=""))[2:]


@given(_LINES, _LINES)
def test_what_is_taken_away_and_added_turns_one_into_the_other(reference: list[str], lines: list[str]) -> None:
    changes = difference(reference, lines)
    assert changes is not None
    hunks = [line for line in changes if not line.startswith("@@ ")]
    gone, come = ([line[1:] for line in hunks if line[0] in kinds] for kinds in (" -", " +"))
    for whole, part in ((reference, gone), (lines, come)):
        rest = iter(whole)
        assert all(line in rest for line in part)
    assert sorted(reference + [line[1:] for line in hunks if line[0] == "+"]) == sorted(
        lines + [line[1:] for line in hunks if line[0] == "-"]
    )


def test_equal_texts_have_no_difference() -> None:
    assert difference(["a", "b"], ["a", "b"]) == []
    assert difference(["a"], ["a", "b"]) == ["@@ -1 +1,2 @@", " a", "+b"]


#: A line that both repeat between lines that only one of them has: each of two thousand matches is searched for among all the rest.
_HOSTILE_REFERENCE = [line for number in range(1990) for line in (f"s{number % 48}", f"u{number}")]
_HOSTILE = [line for number in range(1968) for line in (f"s{number % 48}", f"v{number}")] + [
    f"v{number}" for number in range(1968, 2032)
]


def test_what_minions_could_make_slow_on_purpose_is_not_compared() -> None:
    assert difference(["x"] * 4_001, ["y"]) is None
    assert difference(["x"], ["y"] * 4_001) is None
    repeated = [str(number % 101) for number in range(3_900)]
    assert difference(repeated, repeated[::-1]) is None


def test_long_texts_that_hardly_differ_cost_few_steps() -> None:
    unique = [str(number) for number in range(3_900)]
    comparison = Comparison(unique)
    before = comparison.steps_left
    assert comparison.difference([*unique, "new"]) is not None
    assert before - comparison.steps_left == 7_800


def test_one_text_uses_up_a_part_of_the_steps_and_all_together_no_more_than_there_are() -> None:
    comparison = Comparison(_HOSTILE_REFERENCE)
    before = comparison.steps_left
    assert comparison.difference(_HOSTILE) is None
    assert before * 2 / 3 < comparison.steps_left < before
    assert comparison.difference([*_HOSTILE_REFERENCE, "new"]) is not None
    # A search takes long: that the steps come to their end is seen with fewer of them.
    few = Comparison(_HOSTILE_REFERENCE, limit_steps=before // 20)
    for _ in range(10):
        assert few.difference(_HOSTILE) is None
    assert 0 <= few.steps_left < before / 100


def test_when_the_steps_are_used_up_nothing_more_is_compared() -> None:
    comparison = Comparison(["a", "b"], limit_steps=4)
    assert comparison.difference(["a", "b"]) == []
    assert comparison.steps_left == 0
    assert comparison.difference(["a", "b"]) is None
