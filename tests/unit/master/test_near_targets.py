"""A target that selects nothing: what it meant, what waits for a decision, and which grains there are."""

from collections.abc import Iterator

import pytest

from fleet.core.names import MinionId
from fleet.core.target_parser import parse_target
from fleet.core.targets import TargetKind
from fleet.core.values import Value
from fleet.keys.minion_key import KeyState, MinionKey
from fleet.master.near_targets import (
    COMPARED_LIMIT,
    ELEMENTS_LOOKED_AT,
    NAMES_LOOKED_AT,
    TEXTS_LIMIT,
    explain_no_match,
    grain_texts,
    near_names,
)

GRAINS: dict[MinionId, dict[str, Value]] = {
    MinionId("web-1"): {"site": "berlin", "roles": ["web", "edge"], "os": "Debian", "disk": {"sda": {"size": 5}}},
    MinionId("web-2"): {"site": "oslo", "roles": ["web"], "os": "Debian"},
    MinionId("db-1"): {"site": "berlin", "roles": ["db"], "os": "Debian"},
}


def key(minion: str, state: KeyState) -> MinionKey:
    return MinionKey(MinionId(minion), minion.encode().ljust(32, b"-"), state, 1, 1, "192.0.2.1")


KEYS = (
    *(key(minion, KeyState.ACCEPTED) for minion in GRAINS),
    key("web-1", KeyState.DENIED),
    key("mail-1", KeyState.PENDING),
    key("mail-2", KeyState.REJECTED),
)


def explained(text: str, kind: str = "glob") -> tuple[str, str]:
    problem = explain_no_match(text, parse_target(text, TargetKind(kind)), GRAINS, KEYS)
    assert problem.exit_code == 3
    return problem.message, problem.hint


@pytest.mark.parametrize(
    ("text", "kind", "why", "hint"),
    [
        ("wbe-1", "glob", "no accepted key has the id wbe-1", "did you mean web-1"),
        ("wbe-*", "glob", "no minion matches 'wbe-*'", "did you mean web-"),
        ("mail-1", "glob", "the key of mail-1 is pending", "fleet-key -a mail-1"),
        ("mail-2", "glob", "the key of mail-2 is rejected", "`fleet-key -a mail-2` accepts it all the same"),
        ("mial-1", "glob", "no accepted key has the id mial-1", "did you mean mail-1 (its key is pending)"),
        ("mail-*", "glob", "only keys that are not accepted: mail-1 (pending), mail-2 (rejected)", "fleet-key -L"),
        ("zzz", "glob", "no accepted key has the id zzz", "`fleet minions` lists"),
        (
            "wbe-1,bd-1",
            "list",
            "no accepted key has the id bd-1; no accepted key has the id wbe-1",
            "did you mean db-1",
        ),
        ("sites:berlin", "grain", "no minion has a grain 'sites'", "did you mean site?"),
        ("x:berlin", "grain", "no minion has a grain 'x'", "did you mean disk or os or roles or site?"),
        ("site:belrin", "grain", "no site is 'belrin'", "there are: berlin, oslo"),
        ("roles:wbe", "grain", "no roles is 'wbe'", "there are: web, db, edge"),
        ("disk:sda:size:7", "grain", "no disk is 'sda:size:7'", "there are: sda:size:5"),
        ("web", "regex", "'web' fits a part of web-1, web-2", "it must fit the whole id: -E '.*web.*'"),
        ("mail-.", "regex", "only keys that are not accepted: mail-1 (pending)", "fleet-key -a ID"),
        ("G@site:belrin and wbe-*", "compound", "no site is 'belrin'", "did you mean web-"),
        (
            "G@site:oslo and db-1",
            "compound",
            "each part of it selects some, together they select none",
            "fleet minions",
        ),
        ("web-* and not web-*", "compound", "together they select none", "fleet minions"),
    ],
)
def test_what_is_near_is_offered_and_what_waits_is_named(text: str, kind: str, why: str, hint: str) -> None:
    message, advice = explained(text, kind)
    assert message.startswith("no minion matches ")
    assert why in message
    assert hint in advice


def test_a_long_target_makes_a_short_message() -> None:
    message, advice = explained(",".join(f"lost-{number}" for number in range(200)), "list")
    assert len(message) < 300
    assert len(advice) < 300
    assert message.endswith("; and 197 more")


def test_many_values_are_cut_with_the_nearest_first() -> None:
    grains: dict[MinionId, dict[str, Value]] = {
        MinionId(f"m-{number}"): {"rack": f"r{number:03}"} for number in range(50)
    }
    problem = explain_no_match("rack:r0420", parse_target("rack:r0420", TargetKind.GRAIN), grains, ())
    assert problem.hint.startswith("there are: r042, ")
    assert problem.hint.endswith(" and 45 more")


def test_minions_that_have_not_reported_are_counted() -> None:
    grains: dict[MinionId, dict[str, Value]] = {MinionId("a"): {}, MinionId("b"): {"os": "Debian"}}
    problem = explain_no_match("os:debian", parse_target("os:debian", TargetKind.GRAIN), grains, ())
    assert "1 of 2 minions have not reported their grains yet" in problem.message
    assert problem.hint == "there are: Debian"


@pytest.mark.parametrize(
    ("keys", "hint"), [((), "start fleet-minion"), ((key("a", KeyState.PENDING),), "1 of them wait")]
)
def test_without_an_accepted_key_the_first_step_is_named(keys: tuple[MinionKey, ...], hint: str) -> None:
    problem = explain_no_match("*", parse_target("*", TargetKind.GLOB), {}, keys)
    assert "no key is accepted yet" in problem.message
    assert hint in problem.hint


def test_among_ten_thousand_only_the_most_alike_are_compared() -> None:
    known = [f"node-{number:05}.fleet" for number in range(10_000)]
    assert len(known) > COMPARED_LIMIT
    assert near_names("ndoe-00017.fleet", known)[0] == "node-00017.fleet"
    assert near_names("node-00017.flete", known)[0] == "node-00017.fleet"


class Counted(list[Value]):
    """A list that counts how often an element of any such list was taken."""

    taken = 0

    def __iter__(self) -> Iterator[Value]:
        for item in super().__iter__():
            Counted.taken += 1
            yield item


@pytest.mark.parametrize("element", ["text", [], None, b"x"])
def test_of_a_vast_grain_only_the_first_elements_are_looked_at(element: Value) -> None:
    Counted.taken = 0
    assert len(grain_texts(Counted([element] * 60_000))) < ELEMENTS_LOOKED_AT
    assert Counted.taken <= ELEMENTS_LOOKED_AT


def test_long_paths_and_texts_of_a_grain_are_cut_on_the_way() -> None:
    deep: Value = "y" * 100_000
    for _ in range(30):
        deep = {"x" * 10_000: deep}
    assert [len(text) for text in grain_texts(deep)] == [60]


def test_of_many_minions_with_vast_grains_no_more_texts_are_collected_than_help() -> None:
    values: dict[MinionId, dict[str, Value]] = {
        MinionId(f"m-{number}"): {"tags": Counted(f"t-{number}-{each}" for each in range(2_000))}
        for number in range(200)
    }
    Counted.taken = 0
    problem = explain_no_match("tags:x", parse_target("tags:x", TargetKind.GRAIN), values, ())
    assert "there are: t-" in problem.hint
    matched = 200 * 2_000
    assert Counted.taken - matched <= TEXTS_LIMIT + 2 * ELEMENTS_LOOKED_AT


def test_names_that_nobody_types_and_those_beyond_the_limit_are_not_compared() -> None:
    assert near_names("os", ["o" * 100_000, "osx"]) == ["osx"]
    names = iter([f"n{number}" for number in range(NAMES_LOOKED_AT + 10)])
    near_names("os", names)
    assert len(list(names)) == 10


def test_no_further_part_of_a_target_is_explained_when_enough_are() -> None:
    message, _ = explained(" or ".join(f"lost-{number}" for number in range(60)), "compound")
    assert message.count("no accepted key has the id") == 3
    assert message.endswith("; its further parts were not looked at")
