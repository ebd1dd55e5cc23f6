"""Returns whose output is pulled: bounded, resumable, fair."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.crypto import digest
from fleet.core.errors import ProtocolError
from fleet.core.from_master import Need
from fleet.core.from_minion import OutputChunk, Return, StreamSummary
from fleet.core.job_states import JobState
from fleet.core.messages import CHUNK_LIMIT_BYTES, OUTPUT_PART_BYTES, WINDOW_BYTES
from fleet.core.names import MinionId
from fleet.core.outcome import OUTPUT_LIMIT_MOST_BYTES, VALUE_LIMIT_BYTES, OutcomeKind
from fleet.master.incoming import YIELD_AFTER_US, IncomingReturns
from fleet.master.pulls import PullStep
from fleet.master.store import KeepPart, KeptOutput, StoredReturn
from fleet.master.tamed_return import VALUE_LIMIT_ITEMS
from support.returns import NOW, OTHER, M, N, answer, jid, pulled, summary

KIB = 1024


def feed(incoming: IncomingReturns, minion: MinionId, need: Need, data: bytes) -> PullStep | None:
    """Send one window as a minion does."""
    step: PullStep | None = None
    end = min(len(data), need.offset + WINDOW_BYTES)
    for offset in range(need.offset, end, CHUNK_LIMIT_BYTES):
        assert step is None
        chunk = OutputChunk(need.jid, need.stream, offset, data[offset : min(end, offset + CHUNK_LIMIT_BYTES)])
        step = incoming.chunk(minion, chunk)
    return step


def pull_all(
    incoming: IncomingReturns, minion: MinionId, step: PullStep | None, data: bytes, kept: list[KeepPart] | None = None
) -> StoredReturn:
    """Play the minion, and the job cache, to the end."""
    while not isinstance(step, StoredReturn):
        if isinstance(step, Need):
            step = feed(incoming, minion, step, data)
            continue
        assert isinstance(step, KeepPart)
        if kept is not None:
            kept.append(step)
        step = incoming.part_kept(step)
    return step


def test_a_return_with_its_output_is_complete_at_once() -> None:
    incoming = IncomingReturns()
    stored = incoming.begin(M, answer(stdout=summary(b"out", inline=True), value=summary(b"\x01", inline=True)), NOW)

    assert isinstance(stored, StoredReturn)
    assert (stored.state, stored.stdout, stored.stderr, stored.value) == (JobState.SUCCEEDED, b"out", b"", b"\x01")
    assert incoming.used_bytes == 0


@given(size=st.integers(1, 3 * WINDOW_BYTES))
@settings(max_examples=10, deadline=None)
def test_output_is_pulled_window_by_window(size: int) -> None:
    incoming = IncomingReturns()
    data = bytes(number % 251 for number in range(size))
    stored = pull_all(incoming, M, incoming.begin(M, pulled(1, data), NOW), data)

    assert stored.stdout == data
    assert incoming.used_bytes == 0


def test_a_return_that_comes_again_goes_on_where_the_pull_was() -> None:
    incoming = IncomingReturns()
    data = bytes(2 * WINDOW_BYTES)
    need = incoming.begin(M, pulled(1, data), NOW)
    assert isinstance(need, Need)
    incoming.chunk(M, OutputChunk(jid(1), "stdout", 0, data[:CHUNK_LIMIT_BYTES]))

    # Its times are measured anew each time; its output is the same.
    assert incoming.begin(M, pulled(1, data, finished_us=77), NOW) == Need(jid(1), "stdout", CHUNK_LIMIT_BYTES)
    assert incoming.used_bytes == len(data)


def test_copies_and_gaps_in_the_output_are_ignored() -> None:
    incoming = IncomingReturns()
    data = bytes(number % 251 for number in range(WINDOW_BYTES))
    step = incoming.begin(M, pulled(1, data), NOW)
    for offset in (CHUNK_LIMIT_BYTES, 0, 0, 3 * CHUNK_LIMIT_BYTES):
        assert incoming.chunk(M, OutputChunk(jid(1), "stdout", offset, data[offset : offset + 100])) is None
    step = incoming.begin(M, pulled(1, data), NOW)

    assert step == Need(jid(1), "stdout", 100)
    assert pull_all(incoming, M, step, data).stdout == data


@pytest.mark.parametrize(
    "chunk",
    [
        OutputChunk(jid(1), "stdout", 0, b""),
        OutputChunk(jid(1), "stdout", -1, b"x"),
        OutputChunk(jid(1), "stdout", 50_000, b"x"),
        OutputChunk(jid(1), "stdout", 2**62, b"x"),
        OutputChunk(jid(1), "stderr", 0, b"x"),
        OutputChunk(jid(1), "../../etc", 0, b"x"),
        OutputChunk(jid(2), "stdout", 0, b"x"),
    ],
)
def test_output_that_nobody_asked_for_is_refused(chunk: OutputChunk) -> None:
    incoming = IncomingReturns()
    incoming.begin(M, pulled(1, bytes(50_000)), NOW)

    with pytest.raises(ProtocolError):
        incoming.chunk(M, chunk)
    with pytest.raises(ProtocolError):
        incoming.chunk(N, OutputChunk(jid(1), "stdout", 0, b"x"))


@pytest.mark.parametrize(
    "bad",
    [
        answer(stdout=StreamSummary(-1, 0, b"", None)),
        answer(stdout=StreamSummary(5, 4, b"", None)),
        answer(stdout=StreamSummary(OUTPUT_LIMIT_MOST_BYTES + 1, 2**40, b"", None)),
        answer(value=StreamSummary(VALUE_LIMIT_BYTES + 1, 2**40, b"", None)),
        answer(value=StreamSummary(3, 3, digest(b"abc"), b"xyz")),
        answer(value=StreamSummary(4, 4, digest(b"abc"), b"abc")),
        answer(stderr=summary(bytes(17 * KIB), inline=True)),
        answer(value_from="stdin"),
        answer(kind=OutcomeKind.ABANDONED),
    ],
)
def test_a_return_that_claims_what_it_may_not_is_refused(bad: Return) -> None:
    incoming = IncomingReturns()

    with pytest.raises(ProtocolError):
        incoming.begin(M, bad, NOW)
    assert incoming.used_bytes == incoming.waiting == 0


def test_output_that_is_not_what_its_digest_says_is_refused_and_forgotten() -> None:
    incoming = IncomingReturns()
    incoming.begin(M, pulled(1, b"a" * 20_000), NOW)

    with pytest.raises(ProtocolError, match="digest"):
        incoming.chunk(M, OutputChunk(jid(1), "stdout", 0, b"b" * 20_000))
    assert incoming.used_bytes == 0


def test_beyond_its_memory_returns_wait_and_are_taken_when_there_is_room() -> None:
    incoming = IncomingReturns(limit_bytes=100 * KIB)
    data = bytes(60 * KIB)
    first = incoming.begin(M, pulled(1, data), NOW)
    assert incoming.begin(N, pulled(2, data), NOW) is None
    assert (incoming.waiting, incoming.used_bytes) == (1, 60 * KIB)
    assert incoming.next_waiting(NOW) is None

    pull_all(incoming, M, first, data)
    waiting = incoming.next_waiting(NOW)
    assert waiting is not None
    assert pull_all(incoming, N, incoming.begin(*waiting, NOW), data).minion == N
    assert incoming.waiting == incoming.used_bytes == 0


def test_one_larger_than_the_memory_is_taken_alone() -> None:
    incoming = IncomingReturns(limit_bytes=10 * KIB)
    data = bytes(60 * KIB)

    assert pull_all(incoming, M, incoming.begin(M, pulled(1, data), NOW), data).stdout == data


def test_minions_take_turns_so_that_one_with_many_returns_delays_nobody() -> None:
    incoming = IncomingReturns(limit_bytes=10 * KIB)
    incoming.begin(OTHER, pulled(0, bytes(60 * KIB)), NOW)
    for number in range(1, 6):
        incoming.begin(M, pulled(number, bytes(60 * KIB)), NOW)
    incoming.begin(N, pulled(9, bytes(60 * KIB)), NOW)
    incoming.drop_minion(OTHER)
    order = []
    while (waiting := incoming.next_waiting(NOW)) is not None:
        order.append(waiting[0])

    assert order[:3] == [M, N, M]
    assert incoming.waiting == 0


def test_a_pull_that_claims_much_and_brings_little_yields_to_those_who_wait() -> None:
    incoming = IncomingReturns(limit_bytes=100 * KIB)
    incoming.begin(M, pulled(1, bytes(100 * KIB)), NOW)
    incoming.begin(N, pulled(2, bytes(20 * KIB)), NOW)
    assert incoming.next_waiting(NOW + YIELD_AFTER_US) is None

    waiting = incoming.next_waiting(NOW + YIELD_AFTER_US + 1_000_000)
    assert waiting is not None
    assert waiting[0] == N
    assert incoming.waiting == 1  # The slow one, whose turn comes again.


def test_a_slow_pull_that_nobody_waits_for_goes_on() -> None:
    incoming = IncomingReturns(limit_bytes=100 * KIB)
    data = bytes(100 * KIB)
    need = incoming.begin(M, pulled(1, data), NOW)

    assert incoming.next_waiting(NOW + 10**12) is None
    assert pull_all(incoming, M, need, data).stdout == data


def test_what_waits_is_bounded_and_what_does_not_fit_comes_again() -> None:
    incoming = IncomingReturns(limit_bytes=10 * KIB, waiting_limit_bytes=100 * KIB)
    incoming.begin(OTHER, pulled(0, bytes(60 * KIB)), NOW)
    for number in range(1, 200):
        incoming.begin(M, pulled(number, bytes(60 * KIB), stderr=summary(bytes(16 * KIB), inline=True)), NOW)

    assert 3 <= incoming.waiting <= 6
    assert incoming.put_off == 199 - incoming.waiting


def test_the_same_return_waits_once() -> None:
    incoming = IncomingReturns(limit_bytes=10 * KIB)
    incoming.begin(OTHER, pulled(0, bytes(60 * KIB)), NOW)
    for _ in range(5):
        incoming.begin(M, pulled(1, bytes(60 * KIB)), NOW)

    assert incoming.waiting == 1


def test_nothing_stays_of_a_minion_that_has_left() -> None:
    incoming = IncomingReturns(limit_bytes=100 * KIB)
    incoming.begin(M, pulled(1, bytes(60 * KIB)), NOW)
    incoming.begin(M, pulled(2, bytes(60 * KIB)), NOW)
    incoming.drop_minion(M)
    incoming.drop_minion(N)

    assert incoming.waiting == incoming.used_bytes == 0
    with pytest.raises(ProtocolError):
        incoming.chunk(M, OutputChunk(jid(1), "stdout", 0, b"x"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "chunk", "next", "drop", "leave"]),
            st.sampled_from([M, N, OTHER]),
            st.integers(0, 4),
        ),
        max_size=60,
    )
)
@settings(max_examples=100, deadline=None)
def test_memory_is_counted_right_whatever_happens(events: list[tuple[str, MinionId, int]]) -> None:
    incoming = IncomingReturns(limit_bytes=100 * KIB, waiting_limit_bytes=20 * KIB)
    data = bytes(60 * KIB)
    for turn, (name, minion, number) in enumerate(events):
        now = NOW + turn * 3_000_000
        if name == "begin":
            incoming.begin(minion, pulled(number, data), now)
        elif name == "chunk":
            try:
                incoming.chunk(minion, OutputChunk(jid(number), "stdout", 0, data[:CHUNK_LIMIT_BYTES]))
            except ProtocolError:
                continue
        elif name == "next" and (waiting := incoming.next_waiting(now)) is not None:
            incoming.begin(*waiting, now)
        elif name == "drop":
            incoming.drop((jid(number), minion))
        elif name == "leave":
            incoming.drop_minion(minion)
        assert incoming.used_bytes == 60 * KIB * len(incoming._pulls)
        assert incoming.waiting == sum(len(mine) for mine in incoming._queue.values())
        assert 0 <= incoming._waiting_bytes <= 20 * KIB
    for minion in (M, N, OTHER):
        incoming.drop_minion(minion)
    assert incoming.used_bytes == incoming.waiting == incoming._waiting_bytes == 0
    assert not incoming._pulled_of


def test_a_value_of_too_many_parts_is_left_out_and_the_rest_of_the_return_is_kept() -> None:
    """An empty list takes a byte here and a hundred where it is looked at."""

    def value_of(parts: int) -> bytes:
        return b"\xdd" + parts.to_bytes(4, "big") + b"\x90" * parts

    for parts, is_kept in ((VALUE_LIMIT_ITEMS - 1, True), (VALUE_LIMIT_ITEMS, False)):
        incoming, value = IncomingReturns(), value_of(parts)
        step = incoming.begin(
            M, answer(has_value=True, value=summary(value, inline=False), stdout=summary(b"out", inline=True)), NOW
        )
        while isinstance(step, Need):
            step = feed(incoming, M, step, value)
        assert isinstance(step, StoredReturn)
        assert (step.answer.has_value, step.value, step.stdout) == (is_kept, value if is_kept else b"", b"out")
        assert ("is not kept" in step.answer.message) is not is_kept


LONG = (bytes(range(251)) * (OUTPUT_PART_BYTES // 100))[: 2 * OUTPUT_PART_BYTES + 300_000]


def test_a_long_output_goes_to_the_job_cache_part_by_part_and_little_of_it_is_held() -> None:
    incoming, kept = IncomingReturns(), list[KeepPart]()
    step = incoming.begin(M, pulled(1, LONG), NOW)
    assert incoming.used_bytes == OUTPUT_PART_BYTES
    stored = pull_all(incoming, M, step, LONG, kept)

    assert [part.start for part in kept] == [0, OUTPUT_PART_BYTES, 2 * OUTPUT_PART_BYTES]
    assert b"".join(part.data for part in kept) == LONG
    assert {(part.jid, part.minion, part.stream) for part in kept} == {(jid(1), M, "stdout")}
    assert (stored.stdout, stored.stderr) == (KeptOutput(len(LONG), digest(LONG)), b"")
    assert incoming.used_bytes == 0


def to_the_first_part(incoming: IncomingReturns, data: bytes) -> KeepPart:
    step = incoming.begin(M, pulled(1, data), NOW)
    while isinstance(step, Need):
        step = feed(incoming, M, step, data)
    assert isinstance(step, KeepPart)
    return step


def test_nothing_more_is_asked_for_or_taken_before_a_part_is_durable() -> None:
    incoming = IncomingReturns()
    part = to_the_first_part(incoming, LONG)
    beyond = OutputChunk(jid(1), "stdout", OUTPUT_PART_BYTES, LONG[OUTPUT_PART_BYTES:][:CHUNK_LIMIT_BYTES])

    assert incoming.begin(M, pulled(1, LONG), NOW) is None
    assert incoming.chunk(M, beyond) is None
    assert incoming.part_kept(part) == Need(jid(1), "stdout", OUTPUT_PART_BYTES)


def test_a_part_that_could_not_be_stored_is_offered_again_when_the_return_comes_again() -> None:
    incoming = IncomingReturns()
    part = to_the_first_part(incoming, LONG)
    incoming.part_failed(part)

    assert incoming.begin(M, pulled(1, LONG), NOW) == part
    assert pull_all(incoming, M, incoming.part_kept(part), LONG).stdout == KeptOutput(len(LONG), digest(LONG))


def test_a_pull_that_was_cut_off_goes_on_behind_what_is_durable() -> None:
    incoming = IncomingReturns()
    step = incoming.part_kept(to_the_first_part(incoming, LONG))
    assert isinstance(step, Need)
    feed(incoming, M, step, LONG)
    incoming.drop_minion(M)
    assert incoming.used_bytes == 0

    again = incoming.begin(M, pulled(1, LONG, finished_us=77), NOW)
    assert again == Need(jid(1), "stdout", OUTPUT_PART_BYTES)
    assert pull_all(incoming, M, again, LONG).stdout == KeptOutput(len(LONG), digest(LONG))


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_pull_that_is_cut_off_while_its_part_is_being_stored_goes_on_when_that_is_decided(is_kept: bool) -> None:
    incoming = IncomingReturns()
    part = to_the_first_part(incoming, LONG)
    incoming.drop_minion(M)
    if is_kept:
        assert incoming.part_kept(part) is None
    else:
        incoming.part_failed(part)

    again = incoming.begin(M, pulled(1, LONG), NOW)
    assert again == Need(jid(1), "stdout", OUTPUT_PART_BYTES if is_kept else 0)
    assert pull_all(incoming, M, again, LONG).stdout == KeptOutput(len(LONG), digest(LONG))


def test_another_output_of_the_same_job_begins_anew() -> None:
    incoming, other = IncomingReturns(), LONG[::-1]
    part = to_the_first_part(incoming, LONG)
    kept = list[KeepPart]()
    step = incoming.begin(M, pulled(1, other), NOW)
    assert incoming.part_kept(part) is None  # Of the output of before: nobody waits for it.
    stored = pull_all(incoming, M, step, other, kept)

    assert kept[0].start == 0
    assert stored.stdout == KeptOutput(len(other), digest(other))


def test_a_return_that_could_not_be_stored_is_whole_at_once_when_it_comes_again() -> None:
    incoming = IncomingReturns()
    stored = pull_all(incoming, M, incoming.begin(M, pulled(1, LONG), NOW), LONG)

    assert incoming.begin(M, pulled(1, LONG), NOW) == stored


def test_a_long_output_that_is_not_what_its_digest_says_is_refused_and_begun_anew() -> None:
    incoming, false = IncomingReturns(), LONG[:-1] + b"?"
    with pytest.raises(ProtocolError, match="digest"):
        pull_all(incoming, M, incoming.begin(M, pulled(1, LONG), NOW), false)

    assert incoming.used_bytes == 0
    assert incoming.begin(M, pulled(1, LONG), NOW) == Need(jid(1), "stdout", 0)


def test_a_job_that_is_not_wanted_any_more_leaves_nothing_to_go_on_with() -> None:
    incoming = IncomingReturns()
    incoming.part_kept(to_the_first_part(incoming, LONG))
    incoming.drop_minion(M)
    incoming.drop((jid(1), M))

    assert incoming.begin(M, pulled(1, LONG), NOW) == Need(jid(1), "stdout", 0)


def test_how_many_cut_off_pulls_are_remembered_is_bounded() -> None:
    incoming = IncomingReturns(paused_limit=3)
    for number in range(5):
        step = incoming.begin(M, pulled(number, LONG), NOW)
        while isinstance(step, Need):
            step = feed(incoming, M, step, LONG)
        assert isinstance(step, KeepPart)
        incoming.part_kept(step)
        incoming.drop_minion(M)

    assert incoming.begin(M, pulled(1, LONG), NOW) == Need(jid(1), "stdout", 0)
    assert incoming.begin(M, pulled(2, LONG), NOW) == Need(jid(2), "stdout", OUTPUT_PART_BYTES)


def test_a_pull_whose_part_waits_for_a_slow_disk_does_not_yield() -> None:
    incoming = IncomingReturns(limit_bytes=OUTPUT_PART_BYTES)
    to_the_first_part(incoming, LONG)
    incoming.begin(N, pulled(2, bytes(20 * KIB)), NOW)

    assert incoming.next_waiting(NOW + 60_000_000) is None
