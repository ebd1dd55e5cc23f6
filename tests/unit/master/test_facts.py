"""What the master has learned of its minions."""

from dataclasses import replace

import pytest

from fleet.core.from_minion import Hello
from fleet.core.function_spec import FunctionSpec
from fleet.core.names import FunctionName, MinionId
from fleet.master.facts import GRAIN_LIMIT_CHARACTERS, NAMES_OF_ONE_LIMIT, FleetFacts
from fleet.master.store import MinionFacts

A, B = MinionId("a"), MinionId("b")
G1, G2, C1 = b"1" * 32, b"2" * 32, b"c" * 32
SPEC = FunctionSpec(FunctionName("cmd.run"), "Run.", "", ())


def hello(minion: MinionId = A, grains: bytes = G1, catalogue: bytes = C1, journal: bytes = b"j" * 16) -> Hello:
    return Hello(minion, 1, 1, "0.1.0", journal, "boot", grains, catalogue, (), True, 0)


@pytest.fixture
def facts() -> FleetFacts:
    return FleetFacts((), {}, {})


def test_grains_are_wanted_once_and_belong_to_all_who_name_them(facts: FleetFacts) -> None:
    facts.greeted(hello(A), "", 1)
    assert facts.wants_grains(G1)
    assert facts.grains_of(A) == {}
    assert facts.learn_grains(A, G1, {"os": "Debian"}) is None
    facts.greeted(hello(B), "", 1)

    assert not facts.wants_grains(G1)
    assert facts.grains_of(A) == facts.grains_of(B) == {"os": "Debian"}


def test_until_new_grains_are_reported_the_old_ones_select(facts: FleetFacts) -> None:
    facts.greeted(hello(), "", 1)
    facts.learn_grains(A, G1, {"os": "Debian"})
    facts.greeted(hello(grains=G2), "", 2)

    assert facts.wants_grains(G2)
    assert facts.grains_of(A) == {"os": "Debian"}
    after = facts.learn_grains(A, G2, {"os": "Arch"})
    assert after is not None
    assert after.grains_digest == G2
    assert facts.grains_of(A) == {"os": "Arch"}


def test_one_that_changes_its_grains_all_the_time_fills_no_memory(facts: FleetFacts) -> None:
    facts.greeted(hello(A), "", 1)
    facts.greeted(hello(B), "", 1)
    facts.learn_grains(B, G1, {"shared": True})
    facts.learn_grains(A, G1, {"shared": True})
    for number in range(1_000):
        facts.learn_grains(A, number.to_bytes(32, "big"), {"number": number})

    assert facts.grains_of(A) == {"number": 999}
    assert facts.grains_of(B) == {"shared": True}
    assert len(facts._grains) == 2
    facts.forget(A)
    facts.forget(B)
    assert not facts._grains
    assert not facts._users


def test_what_somebody_unknown_reports_is_not_kept(facts: FleetFacts) -> None:
    assert facts.learn_grains(A, G1, {"x": 1}) is None
    assert facts.learn_catalogue(A, C1, (SPEC,)) is None
    assert facts.wants_grains(G1)
    assert facts.wants_catalogue(C1)


def test_another_journal_is_noticed_and_a_first_one_is_none(facts: FleetFacts) -> None:
    assert facts.greeted(hello(), "", 1)[1]
    assert facts.greeted(hello(), "", 2)[1]
    assert not facts.greeted(hello(journal=b"k" * 16), "", 3)[1]


def test_functions_by_glob_or_module_of_minions_that_there_are(facts: FleetFacts) -> None:
    other = replace(SPEC, name=FunctionName("test.ping"))
    facts.greeted(hello(), "", 1)
    facts.learn_catalogue(A, C1, (other, SPEC))

    assert facts.functions(()) == (SPEC, other)
    assert facts.functions(("cmd",)) == facts.functions(("c*.run",)) == (SPEC,)
    assert facts.spec_for(SPEC.name, [A, B]) == SPEC
    assert facts.spec_for(SPEC.name, [B]) is None
    facts.forget(A)
    assert facts.functions(()) == ()


def test_what_the_store_has_is_taken_up() -> None:
    known = MinionFacts(A, "0.1", "", b"j" * 16, "boot", 1, G1, C1)
    facts = FleetFacts([known], {G1: {"os": "Debian"}}, {C1: (SPEC,)})

    assert facts.get(A) == known
    assert facts.grains_of(A) == {"os": "Debian"}
    assert not facts.wants_catalogue(C1)


def test_what_a_hello_claims_is_cut_to_its_size(facts: FleetFacts) -> None:
    long = replace(hello(), fleet_version="v" * 9_000, boot_id="b" * 9_000, journal_id=b"j" * 9_000)
    kept, _ = facts.greeted(replace(long, grains_digest=b"g" * 9_000, catalogue_digest=b"c" * 9_000), "", 1)

    sizes = map(len, (kept.version, kept.boot_id, kept.journal_id, kept.grains_digest, kept.catalogue_digest))
    assert list(sizes) == [64, 64, 16, 32, 32]


def test_the_names_of_grains_are_those_that_some_minion_has(facts: FleetFacts) -> None:
    facts.greeted(hello(A), "", 1)
    facts.learn_grains(A, G1, {"os": "Debian", "dns": {"port": 53}})

    assert facts.grain_names() == {"os", "dns"}
    assert [facts.has_grain(path) for path in ("os", "dns:port", "dns:x", "x")] == [True, True, False, False]
    facts.forget(A)
    assert facts.grain_names() == frozenset()


def test_when_a_minion_was_heard_is_kept_where_it_has_moved_enough(facts: FleetFacts) -> None:
    facts.greeted(hello(A), "", 10)
    facts.greeted(hello(B), "", 60)
    heard = [(A, 70), (B, 70), (MinionId("stranger"), 70)]

    assert facts.heard(heard, 60) == ((A, 70),)
    assert facts.heard(heard, 60) == ()
    assert facts.heard(heard, 1) == ((B, 70),)
    learned = facts.learn_grains(A, G2, {})
    assert learned is not None
    assert learned.last_seen_us == 70, "what is stored of a minion afterwards is no older"


def test_a_vast_host_name_is_cut_and_of_ever_so_many_grains_some_names_are_enough(facts: FleetFacts) -> None:
    facts.greeted(hello(), "", 1)
    assert not facts.has_grains()
    facts.learn_grains(A, G1, {"host": "h" * 400_000, **{f"g{number}": 1 for number in range(60_000)}})
    assert facts.has_grains()
    assert facts.host_of(A) == "h" * GRAIN_LIMIT_CHARACTERS
    assert len(facts.grain_names()) == NAMES_OF_ONE_LIMIT
    assert facts.has_grain("g59999")
