"""The beginning of a command stands for it, as long as no other begins so."""

from collections.abc import Sequence

import pytest

from fleet.client.verbs import VERBS
from support.fleet import BIN, Fleet
from support.processes import run_command

FIRST = sorted({verb.words[0] for verb in VERBS})

#: Python runs this before the command: a release with two more, one beside `jobs cancel` and one beside `minions`.
TWO_MORE_COMMANDS = """\
from dataclasses import replace
from fleet.client import verbs

verbs.VERBS += (replace(verbs.JOBS_CANCEL, words=("jobs", "cancels")), replace(verbs.MINIONS, words=("minionettes",)))
"""


def shortest(word: str, names: Sequence[str]) -> str:
    """The shortest beginning of ``word`` that no other name has."""
    others = [name for name in names if name != word]
    return next(
        word[:end] for end in range(1, len(word) + 1) if not any(name.startswith(word[:end]) for name in others)
    )


def shortened(words: tuple[str, ...]) -> tuple[str, ...]:
    first, *second = words
    if (first,) in [verb.words for verb in VERBS]:
        return shortest(first, FIRST), *second  # Whatever else follows is a target.
    siblings = [verb.words[1] for verb in VERBS if verb.words[0] == first and len(verb.words) > 1]
    return shortest(first, FIRST), *(shortest(word, siblings) for word in second)


@pytest.mark.parametrize("words", [verb.words for verb in VERBS])
def test_every_command_is_understood_by_its_shortest_beginning(three: Fleet, words: tuple[str, ...]) -> None:
    assert len("".join(shortened(words))) < len("".join(words))
    assert three.ok("fleet", *shortened(words), "--help") == three.ok("fleet", *words, "--help")


def test_beginnings_do_at_a_master_what_the_whole_words_do(three: Fleet) -> None:
    jid = three.submit("web-1", "test.ping")
    three.wait_for_job(jid)
    for short, whole in (
        (("j", "l"), ("jobs", "list")),
        (("jo", "sh", jid), ("jobs", "show", jid)),
        (("d", "test"), ("doc", "test")),
        (("v",), ("version",)),
    ):
        assert three.ok("fleet", *short, "--out", "json") == three.ok("fleet", *whole, "--out", "json")
    assert set(three.json("fleet", "mi")) == set(three.minions)
    assert three.ok("fleet", "j", "c", "no-such-job", code=2) == ""
    assert three.ok("fleet", "j", "c", code=64) == ""

    assert three.ok("fleet-key", "l", "acc") == three.ok("fleet-key", "list", "accepted")
    assert three.ok("fleet-key", "f", "web-1") == three.ok("fleet-key", "finger", "web-1")
    assert three.ok("fleet-key", "rej", "web-9", "-y", code=1) == three.ok("fleet-key", "reject", "web-9", "-y", code=1)


def test_a_beginning_that_several_commands_have_runs_none_and_lists_them(three: Fleet) -> None:
    folder = three.folder / "two-more"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(TWO_MORE_COMMANDS)
    environment = three.environment() | {"PYTHONPATH": str(folder)}
    for words, candidates in (
        (("fleet", "minion"), "minionettes, minions"),
        (("fleet", "mi"), "minionettes, minions"),
        (("fleet", "jobs", "c", "last"), "cancel, cancels"),
        (("fleet", "j", "canc", "last"), "cancel, cancels"),
        (("fleet-key", "list", "a"), "accepted, all"),
    ):
        done = run_command((str(BIN / words[0]), *words[1:]), environment)
        assert (done.code, done.stdout) == (2, ""), str(done)
        assert done.stderr.endswith(f" begins several words\nhint: which one: {candidates}?\n")
    for whole in (("fleet", "minions"), ("fleet", "jobs", "list")):
        assert run_command((str(BIN / whole[0]), *whole[1:]), environment).code == 0
