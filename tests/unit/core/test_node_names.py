"""Folding names and reading them back."""

import operator
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.errors import TargetError
from fleet.core.node_names import NAMES_LIMIT, expand_names, fold_names, natural_key

ALPHANUMERIC = string.ascii_letters + string.digits

numbers = st.sampled_from([form.format(number) for number in range(121) for form in ("{}", "{:02d}")] + ["0007"] * 121)
words = st.sampled_from(["web", "web-", "db", ".dc", "-", "rack_"])
names = st.builds("n{}{}{}{}{}".format, words, numbers, words, numbers, st.sampled_from(["", ".example.org", "-x"]))
plain_ids = st.builds(operator.add, st.sampled_from(ALPHANUMERIC), st.text(ALPHANUMERIC + "._-", max_size=20))


@given(st.sets(st.one_of(names, plain_ids), max_size=60))
def test_reading_folded_names_gives_the_same_names_sorted(some: set[str]) -> None:
    assert expand_names(fold_names(some)) == tuple(sorted(some))


@given(st.lists(names, max_size=30))
def test_folding_does_not_depend_on_order_or_repetition(some: list[str]) -> None:
    assert fold_names(some) == fold_names([*reversed(some), *some])


@pytest.mark.parametrize(
    ("given_names", "folded"),
    [
        ([], ""),
        (["web-1"], "web-1"),
        (["master"], "master"),
        ([f"web-{n:02d}" for n in range(1, 13)], "web-[01-12]"),
        ([f"web-{n}" for n in range(1, 13)], "web-[1-12]"),
        (["web-1", "web-2", "web-4"], "web-[1-2,4]"),
        (["web-9", "web-09", "web-10"], "web-9,web-[09-10]"),
        (["web1", "web01", "web001"], "web001,web01,web1"),
        (["web98", "web99", "web100", "web01"], "web[01,98-99],web100"),
        (["db-1", "web-2", "web-10", "web-1"], "db-1,web-[1-2,10]"),
        (["r1-n1", "r1-n2", "r2-n1", "r2-n2"], "r1-n[1-2],r2-n[1-2]"),
        (["web1.dc1", "web2.dc1", "web3.dc1"], "web[1-3].dc1"),
        (["web1.dc1", "web2.dc1", "web3.dc1", "web1.dc2", "web2.dc2", "web3.dc2"], "web[1-3].dc1,web[1-3].dc2"),
        (["web-0", "web-1"], "web-[0-1]"),
    ],
)
def test_names_are_written_short_as_a_person_would(given_names: list[str], folded: str) -> None:
    assert fold_names(given_names) == folded
    assert expand_names(folded) == tuple(sorted(given_names))


def test_groups_stand_in_natural_order() -> None:
    assert fold_names(["b10", "b2x", "a", "b9x", "b2x-1"]).startswith("a,")
    assert fold_names(["r10-a", "r2-a", "r2-b", "r10-b"]) == "r[2,10]-a,r[2,10]-b"


def test_the_natural_key_counts_numbers_as_numbers() -> None:
    assert sorted(["web-10", "web-9", "db-2", "web"], key=natural_key) == ["db-2", "web", "web-9", "web-10"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b", ("a", "b")),
        ("a b\tc\nd", ("a", "b", "c", "d")),
        (" , a ,, b , ", ("a", "b")),
        ("web[01-03]", ("web01", "web02", "web03")),
        ("web[8-11]", ("web10", "web11", "web8", "web9")),
        ("web[08-10]", ("web08", "web09", "web10")),
        ("web[098-101]", ("web098", "web099", "web100", "web101")),
        ("web[98-101]", ("web100", "web101", "web98", "web99")),
        ("web[1,3-4,07]", ("web07", "web1", "web3", "web4")),
        ("r[1-2]n[1-2].x", ("r1n1.x", "r1n2.x", "r2n1.x", "r2n2.x")),
        ("[1-2]", ("1", "2")),
        ("a[1-2,2] a1", ("a1", "a2")),
    ],
)
def test_lists_and_ranges_are_read(text: str, expected: tuple[str, ...]) -> None:
    assert expand_names(text) == expected


@pytest.mark.parametrize(
    ("text", "problem", "position"),
    [
        ("a,web[1-", "bracket without its partner", 6),
        ("web[1-2", "bracket without its partner", 4),
        ("web1]", "bracket without its partner", 5),
        ("]", "bracket without its partner", 1),
        ("web[[1-2]]", "bracket without its partner", 4),
        ("a,web[]", "'' is no range", 3),
        ("web[a-c]", "'a-c' is no range", 1),
        ("web[1-2-3]", "'1-2-3' is no range", 1),
        ("web[-2]", "'-2' is no range", 1),
        ("web[1, 2]", "' 2' is no range", 1),
        ("web[1-٣]", "is no range", 1),
        ("web[9-1]", "runs backwards", 1),
        ("web[1-012]", "padded with zeros in two ways", 1),
        ("web[001-12]", "padded with zeros in two ways", 1),
        ("ok,../etc/passwd", "'../etc/passwd' is no minion id", 4),
        ("-web", "is no minion id", 1),
        ("wéb", "is no minion id", 1),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, problem: str, position: int) -> None:
    with pytest.raises(TargetError) as caught:
        expand_names(text)
    assert problem in caught.value.message
    assert f"at character {position}:" in caught.value.message
    assert caught.value.hint


def test_a_hundred_thousand_names_are_read_and_one_more_is_refused() -> None:
    assert len(expand_names(f"n[1-{NAMES_LIMIT}]")) == NAMES_LIMIT
    for text in (f"n[0-{NAMES_LIMIT}]", f"n[1-{NAMES_LIMIT}],m", "a[1-400]b[1-400]", "n[1-" + "9" * 120 + "]"):
        with pytest.raises(TargetError, match="too many names"):
            expand_names(text)


def test_a_long_name_with_a_wide_range_is_refused_before_it_is_written_out() -> None:
    started = time.monotonic()
    with pytest.raises(TargetError, match="longer than a minion id"):
        expand_names("a" * 500_000 + f"[1-{NAMES_LIMIT}]")
    with pytest.raises(TargetError, match="is no range of numbers"):
        expand_names("a[" + "1" * 500_000 + "]")
    assert time.monotonic() - started < 10


@given(st.text(alphabet="ab01-,[] \n\x00é", max_size=40))
def test_any_text_gives_names_or_a_target_error(text: str) -> None:
    try:
        found = list(expand_names(text, limit=2000))
    except TargetError as problem:
        found = []
        shown = problem.message
    else:
        shown = fold_names(found)
    assert shown.isprintable()
    assert found == sorted(set(found))
