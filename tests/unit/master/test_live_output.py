"""Followers of running jobs: each is told every byte once and in order, whoever else follows, however slow or lossy it gets."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.control_answers import OutputPart
from fleet.core.control_requests import OutputPosition
from fleet.core.errors import ProtocolError
from fleet.core.from_master import Follow
from fleet.core.from_minion import LiveOutput
from fleet.core.messages import CHUNK_LIMIT_BYTES, FOLLOW_LIMIT_BYTES, FOLLOWED_JOBS_LIMIT
from fleet.core.names import Jid, MinionId
from fleet.master.live_output import ANEW_US, REPEAT_US, LiveOutputs
from fleet.minion.live_output import LiveOutputs as MinionOutputs

NOW = 10_000_000
M, N = MinionId("m"), MinionId("n")


def jid(number: int) -> Jid:
    return Jid(f"20261120221042{number:06}")


JID = jid(1)


@dataclass
class Following:
    """A master's live outputs, with the connections that are full."""

    full: set[int] = field(default_factory=set)
    live: LiveOutputs = field(init=False)

    def __post_init__(self) -> None:
        self.live = LiveOutputs(self.full.__contains__)


def piece(data: bytes, offset: int = 0, stream: str = "stdout", job: int = 1) -> LiveOutput:
    return LiveOutput(jid(job), stream, offset, data)


def test_a_minion_is_asked_once_however_many_follow_and_each_is_told() -> None:
    live = Following().live
    live.follow(7, JID, [M, N])
    assert live.due(NOW) == [
        (M, Follow(JID, 1, 0, 0, FOLLOW_LIMIT_BYTES)),
        (N, Follow(JID, 1, 0, 0, FOLLOW_LIMIT_BYTES)),
    ]
    assert live.due(NOW) == []
    assert live.take(M, piece(b"abc")) == [(7, OutputPart(M, "stdout", 0, b"abc"))]
    live.follow(8, JID, [M])
    assert live.due(NOW + ANEW_US) == [(M, Follow(JID, 2, 0, 0, FOLLOW_LIMIT_BYTES))], "for the one who has nothing"
    assert live.take(M, piece(b"abcde")) == [
        (7, OutputPart(M, "stdout", 3, b"de")),
        (8, OutputPart(M, "stdout", 0, b"abcde")),
    ]


def test_who_names_a_position_is_told_what_comes_after_it() -> None:
    live = Following().live
    live.follow(7, JID, [M], [OutputPosition(M, 5, 2), OutputPosition(N, 1, 1)])
    assert live.due(NOW) == [(M, Follow(JID, 1, 5, 2, FOLLOW_LIMIT_BYTES))]
    assert live.take(M, piece(b"x", 5)) == [(7, OutputPart(M, "stdout", 5, b"x"))]


def test_more_is_asked_for_when_half_has_come_and_a_quiet_job_now_and_then() -> None:
    live = Following().live
    live.follow(7, JID, [M])
    live.due(NOW)
    half = FOLLOW_LIMIT_BYTES // 2
    assert half <= CHUNK_LIMIT_BYTES
    live.take(M, piece(b"x" * (half - 1)))
    assert live.due(NOW) == []
    live.take(M, piece(b"x", half - 1))
    assert live.due(NOW) == [(M, Follow(JID, 1, half, 0, FOLLOW_LIMIT_BYTES))]
    assert live.due(NOW + REPEAT_US) == [(M, Follow(JID, 2, half, 0, FOLLOW_LIMIT_BYTES))]


def test_after_a_gap_and_after_a_new_session_it_begins_where_it_stopped() -> None:
    live = Following().live
    live.follow(7, JID, [M])
    live.due(NOW)
    live.take(M, piece(b"abc"))
    assert live.take(M, piece(b"xyz", 100)) == []
    assert live.due(NOW) == [], "what is under way is waited for"
    assert live.due(NOW + ANEW_US) == [(M, Follow(JID, 2, 3, 0, FOLLOW_LIMIT_BYTES))]
    live.joined(M)
    assert live.due(NOW + ANEW_US) == [(M, Follow(JID, 3, 3, 0, FOLLOW_LIMIT_BYTES))]


def test_one_who_does_not_read_is_told_nothing_and_later_what_he_missed() -> None:
    following = Following()
    live = following.live
    live.follow(7, JID, [M])
    live.follow(8, JID, [M])
    live.due(NOW)
    following.full.add(8)
    assert live.take(M, piece(b"abc")) == [(7, OutputPart(M, "stdout", 0, b"abc"))]
    assert live.due(NOW + ANEW_US) == [], "the other one lacks nothing"
    following.full.clear()
    assert live.due(NOW + ANEW_US) == [(M, Follow(JID, 2, 0, 0, FOLLOW_LIMIT_BYTES))]
    assert live.take(M, piece(b"abc")) == [(8, OutputPart(M, "stdout", 0, b"abc"))]


def test_when_nobody_reads_nothing_is_asked_for_until_somebody_does() -> None:
    following = Following()
    live = following.live
    live.follow(7, JID, [M])
    following.full.add(7)
    assert live.due(NOW) == []
    following.full.clear()
    assert len(live.due(NOW)) == 1


def test_few_jobs_of_one_minion_are_followed_at_one_time_and_the_others_after_those() -> None:
    live = Following().live
    for number in range(FOLLOWED_JOBS_LIMIT + 1):
        live.follow(number, jid(number), [M])
    assert [follow.jid for _, follow in live.due(NOW)] == [jid(number) for number in range(FOLLOWED_JOBS_LIMIT)]
    live.ended(jid(0), M)
    assert [follow.jid for _, follow in live.due(NOW)] == [jid(FOLLOWED_JOBS_LIMIT)]


def test_nothing_is_kept_of_what_has_ended_or_is_not_followed_any_more() -> None:
    live = Following().live
    live.follow(7, JID, [M, N])
    live.ended(JID, M)
    live.ended(JID, M)
    assert live.take(M, piece(b"abc")) == []
    assert len(live) == 1
    live.closed(7)
    live.closed(7)
    assert (len(live), live.due(NOW)) == (0, [])


@pytest.mark.parametrize(
    "message",
    [piece(b""), piece(b"x", -1), piece(b"x", 0, "value"), piece(b"x" * (CHUNK_LIMIT_BYTES + 1))],
    ids=["empty", "before the beginning", "no stream", "too long"],
)
def test_what_is_no_piece_of_output_is_refused(message: LiveOutput) -> None:
    live = Following().live
    live.follow(7, JID, [M])
    with pytest.raises(ProtocolError):
        live.take(M, message)


def test_what_is_beyond_what_was_asked_for_is_told_to_nobody() -> None:
    live = Following().live
    live.follow(7, JID, [M])
    live.due(NOW)
    for offset in range(0, FOLLOW_LIMIT_BYTES, CHUNK_LIMIT_BYTES):
        assert live.take(M, piece(b"x" * CHUNK_LIMIT_BYTES, offset))
    assert live.take(M, piece(b"x", FOLLOW_LIMIT_BYTES)) == []


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_whatever_is_lost_or_slow_each_is_told_every_byte_once_and_in_order(data: st.DataObject) -> None:
    following = Following()
    live = following.live
    written = bytearray()
    minion = MinionOutputs(
        lambda _, stream, offset, limit: bytes(written[offset : offset + limit]) if stream == "stdout" else b""
    )
    told = {connection: bytearray() for connection in (1, 2)}
    now = NOW
    live.follow(1, JID, [M])

    def run(*, loses: bool) -> None:
        for _, follow in live.due(now):
            if not (loses and data.draw(st.booleans())):
                minion.follow(follow, now)
        for message in list(minion.take(now)):
            if loses and data.draw(st.integers(0, 3)) == 0:
                continue
            for connection, part in live.take(M, message):
                assert part.offset == len(told[connection])
                told[connection] += part.data

    for step in range(data.draw(st.integers(1, 8))):
        if step == 2:
            live.follow(2, JID, [M])
        written += bytes([step]) * data.draw(st.integers(0, 2 * FOLLOW_LIMIT_BYTES))
        following.full.clear()
        following.full.update(data.draw(st.sets(st.sampled_from([1, 2]))))
        if data.draw(st.integers(0, 4)) == 0:
            minion.left()
            live.joined(M)
        now += data.draw(st.integers(0, ANEW_US))
        run(loses=True)
    following.full.clear()
    live.follow(2, JID, [M], [OutputPosition(M, len(told[2]))])
    for _ in range(200):
        now += REPEAT_US
        run(loses=False)
    assert told == {1: written, 2: written}
