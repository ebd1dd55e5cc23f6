import pytest

from fleet.core.errors import ArgumentError, TargetError
from fleet.core.names import MinionId
from fleet.core.values import Value
from fleet.master.minion_choice import choose_minions, no_such_minion, nobody_matches

ACCEPTED: dict[MinionId, dict[str, Value]] = {
    MinionId("web-1"): {"os": "Debian"},
    MinionId("web-2"): {"os": "Alpine"},
    MinionId("db-1"): {},
}


@pytest.mark.parametrize(
    ("text", "kind", "chosen", "unknown"),
    [
        ("web-*", "glob", {"web-1", "web-2"}, ()),
        ("web-1,web-9", "list", {"web-1"}, ("web-9",)),
        ("os:Deb*", "grain", {"web-1"}, ()),
        ("web-(1|3)", "regex", {"web-1"}, ()),
        ("* and not G@os:Alpine", "compound", {"web-1"}, ()),
        ("web-9", "glob", set(), ("web-9",)),
    ],
)
def test_a_target_is_read_as_for_a_run(text: str, kind: str, chosen: set[str], unknown: tuple[str, ...]) -> None:
    found, missing = choose_minions(text, kind, ACCEPTED)
    assert (set(map(str, found)), missing) == (chosen, unknown)


def test_what_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="no kind of target"):
        choose_minions("*", "nodegroup", ACCEPTED)
    with pytest.raises(TargetError):
        choose_minions("a and", "compound", ACCEPTED)


def test_nobody_is_told_with_who_may_be_meant() -> None:
    assert "did you mean web-1" in no_such_minion(MinionId("wbe-1"), ACCEPTED, ()).hint
    assert "did you mean" not in no_such_minion(MinionId("zzz"), ACCEPTED, ()).hint
    problem = nobody_matches("wbe-1", "glob", ACCEPTED, ())
    assert "did you mean web-1" in problem.hint
    assert problem.exit_code == 3
