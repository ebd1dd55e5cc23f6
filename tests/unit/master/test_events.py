"""The ring of events: everybody reads at his own pace, and is told what he missed."""

import ast
import gc
import sys
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.job_states import JobState
from fleet.core.names import FunctionName, Jid, MinionId
from fleet.master.events import MISSED_UNKNOWN, TAGS, EventRing, meaning_of
from fleet.master.job_events import ReturnEvent
from support.source import files_of


def publish(ring: EventRing, *tags: str) -> None:
    for tag in tags:
        ring.publish(tag, {"tag": tag}, 7)


def test_an_event_is_numbered_from_one_and_keeps_what_it_was_given() -> None:
    ring = EventRing()
    subscription = ring.subscribe("*")
    publish(ring, "fleet/a", "fleet/b")

    first, second = subscription.take(10)
    assert (first.number, first.tag, first.time_us, first.payload, first.missed) == (
        1,
        "fleet/a",
        7,
        {"tag": "fleet/a"},
        0,
    )
    assert second.number == 2
    assert subscription.take(10) == []


def test_a_pattern_is_held_against_the_whole_tag() -> None:
    ring = EventRing()
    patterns = ["fleet/job/*", "*/ret/*", "fleet/job", "fleet/key/[ab]", "FLEET/*", ""]
    subscriptions = [ring.subscribe(pattern) for pattern in patterns]
    publish(ring, "fleet/job/1/ret/a", "fleet/job/1/new", "fleet/key/b", "fleet/key/bb\n")

    taken = [[note.number for note in subscription.take(10)] for subscription in subscriptions]
    assert taken == [[1, 2], [1], [], [3], [], []]


def test_a_subscriber_sees_what_comes_after_it_or_after_the_number_that_it_names() -> None:
    ring = EventRing()
    publish(ring, "a", "b", "c")

    def numbers(after: int) -> list[int]:
        return [note.number for note in ring.subscribe("*", after).take(10)]

    assert (numbers(-1), numbers(0), numbers(2), numbers(3)) == ([], [1, 2, 3], [3], [])


def test_the_numbers_of_a_later_process_are_higher_than_those_of_an_earlier_one() -> None:
    earlier, later = EventRing(first=1_000_000), EventRing(first=2_000_000)
    publish(earlier, *"abc")
    publish(later, "d")

    assert [note.number for note in earlier.subscribe("*", 0).take(10)] == [1_000_000, 1_000_001, 1_000_002]
    assert (later.oldest, later.newest, later.published) == (2_000_000, 2_000_000, 1)


@pytest.mark.parametrize("after", [1, 1_999_998, 2_000_002, 2**62])
def test_a_number_of_another_process_reads_everything_since_the_start_and_nobody_can_tell_what_was_missed(
    after: int,
) -> None:
    ring = EventRing(first=2_000_000)
    publish(ring, "a", "b")

    notes = ring.subscribe("*", after).take(10)
    assert [(note.number, note.missed) for note in notes] == [(2_000_000, MISSED_UNKNOWN), (2_000_001, 0)]


def test_within_a_process_the_number_of_what_was_missed_is_exact() -> None:
    ring = EventRing(limit=2, first=2_000_000)
    publish(ring, *"abcde")

    def first(after: int) -> tuple[int, int]:
        note = ring.subscribe("*", after).take(1)[0]
        return note.number, note.missed

    assert (first(1_999_999), first(2_000_001), first(2_000_002)) == ((2_000_003, 3), (2_000_003, 1), (2_000_003, 0))
    assert first(0) == (2_000_003, 3)


def test_what_nobody_can_tell_is_not_counted_on() -> None:
    ring = EventRing(limit=1, first=2_000_000)
    subscription = ring.subscribe("*", 5)
    publish(ring, *"abc")

    assert [(note.number, note.missed) for note in subscription.take(10)] == [(2_000_002, MISSED_UNKNOWN)]


def test_take_gives_no_more_than_asked_for_and_loses_nothing() -> None:
    ring = EventRing()
    subscription = ring.subscribe("*")
    publish(ring, *"abcde")

    assert [len(subscription.take(2)) for _ in range(4)] == [2, 2, 1, 0]


def test_whoever_is_too_slow_is_told_how_many_of_his_events_are_lost() -> None:
    ring = EventRing(limit=4)
    all_of_them, some, none = ring.subscribe("*"), ring.subscribe("x/*"), ring.subscribe("never")
    publish(ring, "x/1", "y/2", "x/3", "x/4", "y/5", "x/6", "y/7")

    assert [(note.number, note.missed) for note in all_of_them.take(10)] == [(4, 3), (5, 0), (6, 0), (7, 0)]
    assert some.missed == 2
    assert [(note.number, note.missed) for note in some.take(10)] == [(4, 2), (6, 0)]
    assert (none.take(10), none.missed) == ([], 0)
    assert ring.missed == 3 + 2, "for each who would have read them"


def test_whoever_comes_too_late_for_the_number_that_he_names_is_told_too() -> None:
    ring = EventRing(limit=2)
    publish(ring, *"abcde")

    assert [(note.number, note.missed) for note in ring.subscribe("*", 1).take(10)] == [(4, 2), (5, 0)]


def test_the_ring_is_bounded_in_bytes_whatever_minions_put_into_events() -> None:
    ring = EventRing(limit=1_000, limit_bytes=100_000)
    for _ in range(500):
        ring.publish("fleet/minion/a/event/x", {"data": bytes(20_000)}, 0)

    assert ring.newest - ring.oldest + 1 <= 5
    ring.publish("huge", {"data": bytes(200_000)}, 0)
    assert (ring.oldest, ring.newest) == (501, 501)
    publish(ring, "a")
    assert (ring.oldest, ring.newest) == (502, 502)


def test_a_subscription_that_was_forgotten_costs_nothing() -> None:
    ring = EventRing(limit=2)
    subscription = ring.subscribe("*")
    assert len(ring._subscriptions) == 1
    del subscription
    gc.collect()

    assert len(ring._subscriptions) == 0


@given(
    st.integers(1, 8),
    st.lists(st.one_of(st.sampled_from(["a/1", "a/2", "b/1"]), st.integers(0, 5)), max_size=60),
    st.sampled_from(["*", "a/*", "b/*", "c"]),
)
def test_taken_and_missed_are_together_all_that_was_published(limit: int, steps: list[str | int], pattern: str) -> None:
    ring = EventRing(limit=limit)
    subscription = ring.subscribe(pattern)
    fitting = taken = missed = 0
    numbers = []
    for step in [*steps, 1_000]:
        if isinstance(step, str):
            publish(ring, step)
            fitting += pattern in {"*", f"{step[0]}/*"}
            continue
        for note in subscription.take(step):
            numbers.append(note.number)
            taken += 1
            missed += note.missed
    assert taken + missed + subscription.missed == fitting
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("tag", "pattern"),
    [
        ("fleet/auth", "fleet/auth"),
        ("fleet/key/accept", "fleet/key/<action>"),
        ("fleet/minion/web-1/up", "fleet/minion/<minion>/up"),
        ("fleet/minion/web-1/event/disk/up", "fleet/minion/<minion>/event/<name>"),
        ("fleet/job/20261120221200000000/ret/a.b", "fleet/job/<jid>/ret/<minion>"),
        ("fleet/limit/store", "fleet/limit/store"),
        ("fleet/limit/pings", "fleet/limit/<name>"),
    ],
)
def test_the_table_says_what_a_tag_means(tag: str, pattern: str) -> None:
    meaning = meaning_of(tag)

    assert meaning is not None
    assert meaning.pattern == pattern


@pytest.mark.parametrize("tag", ["", "fleet", "fleet/job/1", "fleet/minion/a/b/up", "xfleet/auth", "fleet/auth\n"])
def test_the_table_does_not_know_other_tags(tag: str) -> None:
    assert meaning_of(tag) is None


def test_every_kind_of_event_stands_in_the_table_once() -> None:
    assert len({meaning.pattern for meaning in TAGS}) == len(TAGS)
    assert all(meaning.meaning for meaning in TAGS)


#: One call publishes both.
SEVERAL = {"fleet/minion/x/x": ("fleet/minion/x/start", "fleet/minion/x/up")}


def published() -> Iterator[tuple[str, set[str]]]:
    """Find every event that the master publishes by itself: its tag, with ``x`` for what varies, and the names of its fields."""
    for file in files_of("master"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args):
                continue
            tag = _tag(call.args[0])
            if call.func.attr == "publish_event" and tag:
                for each in SEVERAL.get(tag, (tag,)):
                    yield each, {keyword.arg or "" for keyword in call.keywords}
            elif call.func.attr == "publish" and tag and isinstance(call.args[1], ast.Dict):
                yield tag, {ast.literal_eval(key) for key in call.args[1].keys if key is not None}


def _tag(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else ""


def test_every_event_that_the_master_publishes_is_in_the_table_with_exactly_its_fields() -> None:
    """Those of jobs are held against it where the job machine is tested, those of real daemons in ``tests/e2e/test_events.py``."""
    found = list(published())
    assert {"fleet/master/start", "fleet/auth", "fleet/minion/x/up", "fleet/limit/store"} <= {tag for tag, _ in found}
    for tag, names in found:
        meaning = meaning_of(tag)
        assert meaning is not None, tag
        assert names == set(meaning.fields), tag


def test_what_events_hold_in_memory_is_no_more_than_their_limit_whatever_they_are_made_of() -> None:
    """A thousand empty maps are a kilobyte on the wire, and eighty as maps: they are kept as they came."""
    ring = EventRing(1_000, limit_bytes=500_000)
    tracemalloc.start()
    try:
        for number in range(1_000):
            ring.publish(f"fleet/minion/web-1/event/{number}", {"x": [{} for _ in range(1_000)]}, 0)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    kept, _ = ring.figures()["events"]
    assert 300 < kept < 500
    assert held_bytes < 600_000


@given(st.text(max_size=3_000))
def test_an_event_of_a_return_counts_at_least_what_it_holds(reason: str) -> None:
    event = ReturnEvent(Jid("2" * 20), MinionId("web-1"), FunctionName("cmd.run"), JobState.FAILED, 1, reason, 2_000)
    own = (event, event.jid, event.retcode, event.duration_us)
    assert event.memory_bytes >= sum(map(sys.getsizeof, own)) + len(reason)
    assert event.tag == f"fleet/job/{event.jid}/ret/web-1"
    assert set(event.payload) == set(getattr(meaning_of(event.tag), "fields", ()))
    assert event.payload["duration_ms"] == 2
