"""What every job cache must keep of minions; ``conftest.py`` lists the stores."""

from fleet.core.function_spec import FunctionSpec, Parameter
from fleet.core.job_states import JobState
from fleet.core.names import FunctionName
from fleet.core.values import Value
from fleet.master.store import ForgetMinion, KeepCatalogue, KeepGrains, LastSeen, MinionFacts
from fleet.master.store_thread import WritingStore
from support.job_cache import NOW_US, minion, new_job

from .conftest import Home, states


def facts(name: str, grains: bytes = b"g" * 32, catalogue: bytes = b"c" * 32, seen_us: int = NOW_US) -> MinionFacts:
    return MinionFacts(minion(name), "1.0", "10.0.0.1", b"j" * 16, "boot", seen_us, grains, catalogue)


def test_facts_grains_and_catalogues_outlive_a_restart(home: Home) -> None:
    parameter = Parameter("command", "str", required=True, help="what to run", choices=("a", "b"))
    functions = (FunctionSpec(FunctionName("cmd.run"), "Run.", "Runs.", (parameter,), reads=True),)
    grains: dict[str, Value] = {"os": "Debian", "ipv4": ["10.0.0.1"], "mem_total": 2**40, "nested": {"a": None}}
    home.store.apply([facts("web-1", seen_us=1), KeepGrains(b"g" * 32, grains)], NOW_US)
    home.store.apply([facts("web-1"), facts("db-1"), KeepCatalogue(b"c" * 32, functions)], NOW_US)

    store = home.reopen()

    assert store.minions() == (facts("db-1"), facts("web-1"))
    assert store.grains() == {b"g" * 32: grains}
    assert store.catalogues() == {b"c" * 32: functions}


def test_grains_and_catalogues_that_no_minion_has_any_more_are_dropped(store: WritingStore) -> None:
    old, new = b"o" * 32, b"n" * 32
    store.apply([facts("a", old, old), facts("b", old, old), KeepGrains(old, {}), KeepCatalogue(old, ())], NOW_US)
    store.apply([facts("a", new, new), KeepGrains(new, {"x": 1}), KeepCatalogue(new, ())], NOW_US)
    assert (set(store.grains()), set(store.catalogues())) == ({old, new}, {old, new})
    store.apply([ForgetMinion(minion("b")), ForgetMinion(minion("nobody"))], NOW_US)

    assert (set(store.grains()), set(store.catalogues())) == ({new}, {new})
    assert store.minions() == (facts("a", new, new),)


def test_when_minions_were_last_heard_changes_nothing_else_of_them(home: Home) -> None:
    home.store.apply([facts("a"), facts("b"), facts("c"), KeepGrains(b"g" * 32, {"x": 1})], NOW_US)
    moments = ((minion("a"), NOW_US + 5), (minion("nobody"), 7), (minion("c"), NOW_US + 6))
    home.store.apply([LastSeen(moments)], NOW_US)
    store = home.reopen()

    assert store.minions() == (facts("a", seen_us=NOW_US + 5), facts("b"), facts("c", seen_us=NOW_US + 6))
    assert store.grains() == {b"g" * 32: {"x": 1}}


def test_the_jobs_of_a_forgotten_minion_stay(store: WritingStore) -> None:
    jid = store.submit(new_job("a"), NOW_US).jid
    store.apply([facts("a"), ForgetMinion(minion("a"))], NOW_US)

    assert states(store, jid) == {"a": JobState.SENT}


def test_the_incarnation_is_made_with_the_store_and_stays(home: Home) -> None:
    incarnation = home.store.incarnation()

    assert len(incarnation) == 16
    assert home.reopen().incarnation() == incarnation
