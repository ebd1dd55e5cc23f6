from hypothesis import given
from hypothesis import strategies as st

from fleet.client.difference import difference

_LINES = st.lists(st.sampled_from(["a", "b", "", "+c", "@@"]), max_size=12)


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


def test_what_minions_could_make_slow_on_purpose_is_not_compared() -> None:
    assert difference(["x"] * 4_001, ["y"]) is None
    assert difference(["x"], ["y"] * 4_001) is None
    repeated = [str(number % 101) for number in range(3_900)]
    assert difference(repeated, repeated[::-1]) is None
    unique = [str(number) for number in range(3_900)]
    assert difference(unique, [*unique, "new"]) is not None
