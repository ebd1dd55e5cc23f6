"""Which minions a target selects."""

import time
from collections.abc import Mapping
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.errors import TargetError
from fleet.core.names import MinionId
from fleet.core.node_names import expand_names
from fleet.core.target_parser import parse_target
from fleet.core.targets import (
    ELEMENTS_LIMIT,
    And,
    Glob,
    GrainGlob,
    IdList,
    Not,
    Or,
    Regex,
    Target,
    TargetKind,
    explicit_ids,
    matches,
    regex_matcher,
    select,
)
from fleet.core.values import Value

Fleet = Mapping[MinionId, Mapping[str, Value]]

FLEET: Fleet = {
    MinionId("web-1"): {"os": "Debian", "roles": ["web", "cache"], "num_cpus": 4, "env": "prod"},
    MinionId("web-2"): {"os": "Debian", "roles": ["web"], "num_cpus": 16, "env": "test"},
    MinionId("web-10"): {"os": "Rocky", "roles": [], "virtual": True, "env": "prod"},
    MinionId("Web-3"): {"os": "debian", "disk": {"sda": {"size": 10.5}, "sdb": "none"}},
    MinionId("db-1"): {"os": "Debian GNU/Linux", "ipv6": ["::1", "fe80::1"], "note": None, "raw": b"x"},
    MinionId("new-1"): {},
}


def chosen(text: str, kind: TargetKind = TargetKind.GLOB) -> set[str]:
    return set(select(parse_target(text, kind), FLEET))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", set(FLEET)),
        ("web-1", {"web-1"}),
        ("web-*", {"web-1", "web-2", "web-10"}),
        ("web-?", {"web-1", "web-2"}),
        ("web-[1-3]", {"web-1", "web-2"}),
        ("web-[!1]", {"web-2"}),
        ("?eb-[23]", {"web-2", "Web-3"}),
        ("WEB-1", set()),
        ("eb-1", set()),
        ("web", set()),
        ("nobody", set()),
    ],
)
def test_a_glob_must_fit_the_whole_id_case_and_all(pattern: str, expected: set[str]) -> None:
    assert chosen(pattern) == expected


def test_a_list_selects_those_that_there_are() -> None:
    assert chosen("web-1,db-1 nobody", TargetKind.LIST) == {"web-1", "db-1"}
    assert chosen("web-[1-5],web-10", TargetKind.LIST) == {"web-1", "web-2", "web-10"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("os:Debian", {"web-1", "web-2"}),
        ("os:Debian*", {"web-1", "web-2", "db-1"}),
        ("os:[dD]ebian", {"web-1", "web-2", "Web-3"}),
        ("os:*", {"web-1", "web-2", "web-10", "Web-3", "db-1"}),
        ("os:ebian", set()),
        ("roles:cache", {"web-1"}),
        ("roles:*", {"web-1", "web-2"}),
        ("num_cpus:4", {"web-1"}),
        ("num_cpus:1*", {"web-2"}),
        ("virtual:True", {"web-10"}),
        ("virtual:true", set()),
        ("virtual:1", set()),
        ("disk:sda:size:10.5", {"Web-3"}),
        ("disk:sda:size:10", set()),
        ("disk:sdb:n*", {"Web-3"}),
        ("disk:sd?", {"Web-3"}),
        ("disk:sdc:*", set()),
        ("ipv6:fe80::1", {"db-1"}),
        ("note:*", set()),
        ("note:None", set()),
        ("raw:*", set()),
        ("nothing:*", set()),
        ("os:x:y", set()),
    ],
)
def test_a_grain_is_compared_as_text_through_lists_and_dictionaries(expression: str, expected: set[str]) -> None:
    assert chosen(expression, TargetKind.GRAIN) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("web-.*", {"web-1", "web-2", "web-10"}),
        ("web-1", {"web-1"}),
        ("eb-1", set()),
        ("(?i)web-[13]", {"web-1", "Web-3"}),
        ("web|web-2", {"web-2"}),
        (".*", set(FLEET)),
    ],
)
def test_a_regular_expression_must_match_the_whole_id(pattern: str, expected: set[str]) -> None:
    assert chosen(pattern, TargetKind.REGEX) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web-* and G@env:prod", {"web-1", "web-10"}),
        ("web-* and not G@env:prod", {"web-2"}),
        ("db-* or web-1 and G@env:test", {"db-1"}),
        ("(db-* or web-1) and G@env:prod", {"web-1"}),
        ("not web-*", {"Web-3", "db-1", "new-1"}),
        ("not not web-1", {"web-1"}),
        ("* and not L@web-[1-2],db-1", {"web-10", "Web-3", "new-1"}),
        ("E@web-(1|2) and not G@roles:cache", {"web-2"}),
        ("not (web-* or db-*)", {"Web-3", "new-1"}),
    ],
)
def test_compounds_combine_them(text: str, expected: set[str]) -> None:
    assert chosen(text, TargetKind.COMPOUND) == expected


def test_a_minion_whose_grains_are_unknown_is_selected_by_no_grain_and_by_no_negated_grain() -> None:
    """An attack on "everything but production": the newest machine has not yet said what it is."""
    for text in ("G@env:*", "not G@env:prod", "* and not G@env:prod", "not (web-* or G@env:prod)"):
        assert "new-1" not in chosen(text, TargetKind.COMPOUND), text
    assert "new-1" in chosen("new-1 or not G@env:prod", TargetKind.COMPOUND)
    assert "new-1" in chosen("not (web-* and G@env:prod)", TargetKind.COMPOUND)


def test_a_minion_that_reported_grains_but_not_this_one_is_selected_by_the_negation() -> None:
    assert "db-1" in chosen("not G@env:prod", TargetKind.COMPOUND)


@pytest.mark.parametrize(
    "pattern", ["(", "a{2,1}", r"(a)\1", "(?=x)x", "(?P<n", "[z-a]", "(a{500}){500}", "\ud800", "*"]
)
def test_a_regular_expression_that_re2_does_not_take_is_a_target_error(pattern: str) -> None:
    with pytest.raises(TargetError, match="cannot be read") as caught:
        regex_matcher(pattern)
    assert "RE2" in caught.value.hint


def test_no_regular_expression_takes_more_than_linear_time() -> None:
    matcher = regex_matcher("(a+)+(a+)+(a+)+b")
    started = time.monotonic()
    assert matcher("a" * 5_000) is None
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("count", [1, 3, 100, 1_000, 20_000])
def test_a_regular_expression_of_any_length_fits_each_of_its_words_and_no_other(count: int) -> None:
    words = [f"host-{number * 7_919 % 100_003:x}" for number in range(count)]
    matcher = regex_matcher("|".join(words))
    assert all(map(matcher, words[:20]))
    assert not any(matcher(text) for word in words[:20] for text in (f"{word}-", f" {word}", word[:-1] + "_"))


def test_no_glob_takes_for_ever_on_a_grain() -> None:
    started = time.monotonic()
    assert not matches(GrainGlob("a", "*a" * 200 + "b"), MinionId("m"), {"a": "a" * 2_000})
    assert time.monotonic() - started < 10


def test_explicit_ids_are_those_spelt_out_also_where_they_are_excluded() -> None:
    target = parse_target("web-1 or web-* and not (L@db-[1-2] or G@os:web-7) or E@web-8", TargetKind.COMPOUND)
    assert explicit_ids(target) == {"web-1", "db-1", "db-2"}
    assert explicit_ids(parse_target("web-[1-2]", TargetKind.GLOB)) == frozenset()


def test_ten_thousand_minions_are_chosen_from_in_a_moment() -> None:
    fleet: Fleet = {
        minion: {"os": "Debian" if n % 2 else "Rocky", "roles": ["web", "db"]}
        for n, minion in enumerate(expand_names("node-[00001-10000].example.org"))
    }
    text = "(node-* and G@os:Deb* and not E@.*7[.]example[.]org) or L@node-[00001-00100].example.org or G@roles:d?"
    target = parse_target(text, TargetKind.COMPOUND)
    started = time.monotonic()
    assert len(select(target, fleet)) == 10_000
    assert time.monotonic() - started < 10  # 0.03 s on an idle machine


ids = st.sampled_from([MinionId(f"{name}-{number}") for name in ("web", "db", "Web") for number in range(13)])
grain_values = st.one_of(
    st.sampled_from(["Debian", "Rocky", "debian", "", True, None, 4, 4.5, b"x"]),
    st.lists(st.sampled_from(["web", "db"]), max_size=2),
    st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y", 1]), max_size=2),
)
fleets = st.dictionaries(ids, st.dictionaries(st.sampled_from(["os", "roles"]), grain_values, max_size=2), max_size=8)
leaves: st.SearchStrategy[Target] = st.one_of(
    st.sampled_from([Glob(text) for text in ("*", "web-*", "web-?", "*-[1-3]", "web-1", "[!w]*")]),
    st.frozensets(ids, max_size=4).map(IdList),
    st.sampled_from(
        [GrainGlob(name, text) for name in ("os", "roles", "none") for text in ("*", "Deb*", "web", "a:x", "a", "T*")]
    ),
    st.sampled_from([Regex(text) for text in ("web.*", ".*1", "(web|db)-1")]),
)


def _branches(parts: st.SearchStrategy[Target]) -> st.SearchStrategy[Target]:
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.one_of(several.map(And), several.map(Or), parts.map(Not))


trees = st.recursive(leaves, _branches, max_leaves=8)


# Trees and fleets take longer to draw than to look at: what holds for the same of them is looked at together.


@given(trees, trees, trees, fleets)
def test_and_and_or_are_set_operations_and_de_morgan_holds(a: Target, b: Target, c: Target, fleet: Fleet) -> None:
    assert select(And((a, b)), fleet) == select(a, fleet) & select(b, fleet)
    assert select(Or((a, b)), fleet) == select(a, fleet) | select(b, fleet)
    assert select(And((a, Or((b, c)))), fleet) == select(Or((And((a, b)), And((a, c)))), fleet)
    assert select(Not(Not(a)), fleet) == select(a, fleet)
    assert select(Not(And((a, b))), fleet) == select(Or((Not(a), Not(b))), fleet)
    assert select(Not(Or((a, b))), fleet) == select(And((Not(a), Not(b))), fleet)


@given(trees, fleets)
def test_each_is_judged_alone_as_among_all_and_known_grains_leave_no_third_nor_both(a: Target, fleet: Fleet) -> None:
    yes, no = select(a, fleet), select(Not(a), fleet)
    assert not yes & no
    assert {minion for minion in fleet if fleet[minion]} <= yes | no <= set(fleet)
    assert yes == {minion for minion, grains in fleet.items() if matches(a, minion, grains)}


@given(
    grain_values | st.dictionaries(st.just("a"), grain_values),
    st.sampled_from(["*", "Deb*", "web", "a", "a:x", "a:*", "a:b:x", "T*", "4*"]),
)
def test_a_grain_fits_as_each_of_its_elements_does(value: Value, pattern: str) -> None:
    def fits(value: Value, pattern: str) -> bool:
        name, colon, rest = pattern.partition(":")
        if isinstance(value, list):
            return any(fits(item, pattern) for item in value)
        if isinstance(value, dict):
            return (
                fits(value[name], rest)
                if colon and name in value
                else not colon and any(fits(key, pattern) for key in value)
            )
        return isinstance(value, str | bool | int | float) and fnmatchcase(str(value), pattern)

    fleet: Fleet = {MinionId("a"): {"g": value}, MinionId("b"): {"g": value}}
    assert select(GrainGlob("g", pattern), fleet) == (frozenset(fleet) if fits(value, pattern) else frozenset())


@given(st.text(alphabet="web-12*?[]!", min_size=1, max_size=10), st.lists(ids, max_size=6))
def test_a_glob_is_what_fnmatch_says(pattern: str, minions: list[MinionId]) -> None:
    expected = {minion for minion in minions if fnmatchcase(minion, pattern)}
    assert select(Glob(pattern), {minion: {} for minion in minions}) == expected


@pytest.mark.parametrize("pattern", ["roles:last", "roles:l*t"])
@pytest.mark.parametrize("nested", [False, True])
def test_beyond_its_limit_a_grain_is_unknown_so_neither_it_nor_its_negation_selects(pattern: str, nested: bool) -> None:
    def selected(others: int) -> list[bool]:
        roles: list[Value] = [[] if nested else f"r{number}" for number in range(others)]
        grains: Fleet = {MinionId("a"): {"roles": [*roles, "last"]}}
        texts = (f"G@{pattern}", f"not G@{pattern}")
        return [bool(select(parse_target(text, TargetKind.COMPOUND), grains)) for text in texts]

    assert selected(ELEMENTS_LIMIT - 2) == [True, False]
    assert selected(ELEMENTS_LIMIT) == [False, False]


def test_a_member_of_a_vast_dictionary_is_found_by_its_name() -> None:
    packages: Value = {f"p{number}": 1 for number in range(3 * ELEMENTS_LIMIT)}
    grains: Fleet = {MinionId("a"): {"packages": packages}}
    assert select(GrainGlob("packages", "p29999"), grains)
    assert select(GrainGlob("packages", "p29999:1"), grains)
