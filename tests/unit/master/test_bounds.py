from collections import Counter

import pytest

from fleet.master.bounds import BOUNDS, QUIET_US, BoundWatch
from fleet.master.config import MasterSettings
from fleet.master.events import meaning_of
from support.reference import COUNTERS
from support.source import ROOT

NOW = 1_795_000_000_000_000
SETTINGS = {bound.setting: getattr(MasterSettings(), bound.setting) for bound in BOUNDS if bound.setting}


def counted(**counters: int) -> Counter[str]:
    return Counter(counters)


def test_a_bound_that_nobody_runs_into_is_not_told() -> None:
    assert BoundWatch(SETTINGS).look(counted(), {}, NOW) == []


def test_it_is_told_how_often_with_the_limit_and_its_setting() -> None:
    ((tag, payload),) = BoundWatch(SETTINGS).look(counted(control_refused=3), {}, NOW)
    assert tag == "fleet/limit/control_connections"
    assert payload == {
        "name": "control_connections",
        "count": 3,
        "who": "",
        "limit": 64,
        "setting": "control_connections_limit",
        "reason": "commands or consoles were turned away: too many are connected",
    }


def test_who_ran_into_it_and_what_was_said_of_it_is_told_where_it_is_known() -> None:
    ((_, payload),) = BoundWatch(SETTINGS).look(counted(messages_spool_full=1), {"spool": ("web-1", "full of it")}, NOW)
    assert (payload["who"], payload["reason"], payload["limit"]) == ("web-1", "full of it", None)


def test_a_flood_is_told_once_a_minute_and_nothing_of_it_is_left_out() -> None:
    watch = BoundWatch(SETTINGS)
    told = [
        (second, payload["count"])
        for second in range(150)
        for _, payload in watch.look(counted(store_refused=10 * (second + 1)), {}, NOW + second * 1_000_000)
    ]
    assert told == [(0, 10), (60, 600), (120, 600)]
    last = watch.look(counted(store_refused=1500), {}, NOW + 3 * QUIET_US)
    assert [payload["count"] for _, payload in last] == [1500 - 1210]
    assert watch.look(counted(store_refused=1500), {}, NOW + 9 * QUIET_US) == []


def test_one_bound_keeps_no_other_quiet_and_several_counters_make_one() -> None:
    watch = BoundWatch(SETTINGS)
    watch.look(counted(pings_refused=1), {}, NOW)
    ((tag, payload),) = watch.look(counted(pings_refused=2, enrolment_refused=3, enrolment_displaced=4), {}, NOW + 1)
    assert (tag, payload["count"]) == ("fleet/limit/enrol_connections", 7)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
def test_each_has_a_counter_a_setting_that_there_is_and_a_place_in_the_pages(bound: object) -> None:
    (found,) = (each for each in BOUNDS if each is bound)
    assert set(found.counters) <= set(COUNTERS)
    meaning = meaning_of(f"fleet/limit/{found.name}")
    assert meaning is not None
    ((_, payload),) = BoundWatch(SETTINGS).look(counted(**dict.fromkeys(found.counters, 1)), {}, NOW)
    assert set(meaning.fields) == set(payload)
    operations = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    line = next(line for line in operations.splitlines() if line.endswith(f"| `fleet/limit/{found.name}` |"))
    assert [name for name in (*found.counters, found.setting) if name and f"`{name}`" not in line] == []
