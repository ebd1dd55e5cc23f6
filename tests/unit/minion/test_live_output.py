"""What a minion sends of jobs that are followed: as much as may be under way, from where it was asked, and no longer than that."""

from collections.abc import Mapping

from fleet.core.from_master import Follow
from fleet.core.from_minion import LiveOutput
from fleet.core.messages import CHUNK_LIMIT_BYTES, FOLLOW_LIMIT_BYTES, FOLLOW_US, FOLLOWED_JOBS_LIMIT
from fleet.core.names import Jid
from fleet.minion.live_output import LOOK_US, LiveOutputs

NOW = 1_000_000


def jid(number: int) -> Jid:
    return Jid(f"20261120221042{number:06}")


def outputs_of(files: Mapping[tuple[Jid, str], bytes]) -> LiveOutputs:
    return LiveOutputs(lambda jid, stream, offset, limit: files.get((jid, stream), b"")[offset : offset + limit])


def ask(number: int = 1, stdout: int = 0, stderr: int = 0, *, job: int = 1, limit: int = FOLLOW_LIMIT_BYTES) -> Follow:
    return Follow(jid(job), number, stdout, stderr, limit)


def test_both_streams_are_sent_at_once_and_then_only_what_is_new() -> None:
    files = {(jid(1), "stdout"): b"out", (jid(1), "stderr"): b"err"}
    live = outputs_of(files)
    live.follow(ask(), NOW)
    assert list(live.take(NOW)) == [LiveOutput(jid(1), "stdout", 0, b"out"), LiveOutput(jid(1), "stderr", 0, b"err")]
    files[jid(1), "stdout"] += b" more"
    assert list(live.take(NOW + LOOK_US - 1)) == [], "it is not time to look"
    assert live.deadline_us() == NOW + LOOK_US
    assert list(live.take(NOW + LOOK_US)) == [LiveOutput(jid(1), "stdout", 3, b" more")]


def test_no_more_is_sent_than_may_be_under_way_and_no_piece_is_longer_than_a_chunk() -> None:
    live = outputs_of({(jid(1), "stdout"): b"x" * 10 * FOLLOW_LIMIT_BYTES})
    live.follow(ask(limit=10**9), NOW)
    pieces = list(live.take(NOW))
    assert sum(len(piece.data) for piece in pieces) == FOLLOW_LIMIT_BYTES
    assert max(len(piece.data) for piece in pieces) <= CHUNK_LIMIT_BYTES
    assert list(live.take(NOW + LOOK_US)) == []
    live.follow(ask(stdout=1000), NOW + LOOK_US)
    again = list(live.take(NOW + LOOK_US))
    assert [(piece.offset, len(piece.data)) for piece in again] == [(FOLLOW_LIMIT_BYTES, 1000)], (
        "the same number goes on"
    )


def test_a_new_number_begins_anew_where_it_says() -> None:
    live = outputs_of({(jid(1), "stdout"): b"0123456789"})
    live.follow(ask(1), NOW)
    assert list(live.take(NOW))
    live.follow(ask(2, stdout=4), NOW)
    assert list(live.take(NOW)) == [LiveOutput(jid(1), "stdout", 4, b"456789")]


def test_what_nobody_asks_for_any_more_is_not_sent() -> None:
    files = {(jid(1), "stdout"): b"", (jid(2), "stdout"): b""}
    live = outputs_of(files)
    live.follow(ask(job=1), NOW)
    live.follow(ask(job=2), NOW)
    live.ended(jid(2))
    assert list(live.take(NOW + FOLLOW_US - 1)) == []
    files[jid(1), "stdout"] = files[jid(2), "stdout"] = b"late"
    assert list(live.take(NOW + 2 * FOLLOW_US)) == []
    assert live.deadline_us() is None
    live.follow(ask(job=1), NOW)
    live.left()
    assert (list(live.take(NOW)), live.deadline_us()) == ([], None)


def test_of_too_many_jobs_those_are_sent_that_were_asked_for_last() -> None:
    jobs = range(FOLLOWED_JOBS_LIMIT + 1)
    live = outputs_of({(jid(job), "stdout"): b"x" for job in jobs})
    for job in jobs:
        live.follow(ask(job=job), NOW)
    assert [piece.jid for piece in live.take(NOW)] == [jid(job) for job in jobs][1:]
