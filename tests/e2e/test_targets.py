"""Each kind of target selects what it should; what it does not select is not there, and no target is never everything."""

import pytest

from support.fleet import Fleet


@pytest.mark.parametrize(
    ("words", "selected"),
    [
        (("*",), "db-1 web-1 web-2"),
        (("web-*",), "web-1 web-2"),
        (("web-?",), "web-1 web-2"),
        (("web-[2-9]",), "web-2"),
        (("*-[!2]",), "db-1 web-1"),
        (("web-1",), "web-1"),
        (("-L", "db-1,web-2"), "db-1 web-2"),
        (("-L", "web-[1-2]"), "web-1 web-2"),
        (("-G", "site:berlin"), "db-1 web-1"),
        (("-G", "roles:web"), "web-1 web-2"),
        (("-G", "os:*"), "db-1 web-1 web-2"),
        (("-E", "(web|db)-1"), "db-1 web-1"),
        (("-C", "G@site:berlin and not web-*"), "db-1"),
        (("-C", "( E@web-[0-9] or L@db-1 ) and G@site:oslo"), "web-2"),
    ],
)
def test_a_target_selects_exactly_these(three: Fleet, words: tuple[str, ...], selected: str) -> None:
    expected = selected.split()
    assert three.json("fleet", *words, "test.ping") == dict.fromkeys(expected, True)
    assert sorted(three.ok("fleet", "--preview-target", *words).split()) == expected


def test_a_regular_expression_must_match_the_whole_id(three: Fleet) -> None:
    assert three.run("fleet", "-E", "web", "test.ping").code == 3


def test_a_target_without_a_minion_is_said_so_and_is_not_every_minion(three: Fleet) -> None:
    done = three.run("fleet", "mail-*", "cmd.run", "touch $FLEET_ROOT/touched")
    assert (done.code, done.stdout) == (3, "")
    assert "mail-*" in done.stderr
    empty = three.run("fleet", "", "cmd.run", "touch $FLEET_ROOT/touched")
    assert empty.code in {2, 3}
    assert empty.stdout == ""
    assert not any((three.minion_root(minion) / "touched").exists() for minion in three.minions)


def test_outside_the_target_is_absent_and_inside_but_failed_is_present(three: Fleet) -> None:
    lines = three.lines("web-*", "cmd.run", "true", "cwd=/nonexistent", code=11)
    assert sorted(line["minion"] for line in lines) == ["web-1", "web-2"]
    assert all("/nonexistent" in line["reason"] for line in lines)
    job = three.job()
    assert set(job["returns"]) == {"web-1", "web-2"}


def test_an_id_that_nobody_has_is_named(three: Fleet) -> None:
    done = three.run("fleet", "-L", "web-1,web-9", "test.ping", "--out", "json")
    assert done.code == 12, str(done)
    assert "web-9" in done.stderr
    assert "web-1" in done.stdout


def test_options_stand_anywhere_and_after_two_dashes_words_are_words(three: Fleet) -> None:
    expected = {"db-1": True, "web-1": True}
    for words in (
        ("-G", "site:berlin", "test.ping"),
        ("site:berlin", "-G", "test.ping"),
        ("site:berlin", "test.ping", "-G"),
    ):
        assert three.json("fleet", *words) == expected
    assert three.json("fleet", "--", "web-1", "test.echo", "-G") == {"web-1": "-G"}
