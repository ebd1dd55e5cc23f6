"""What a minion asks for of the stdin of its jobs, over a link that loses, doubles and reorders."""

from random import Random

import pytest

from fleet.core.from_master import StdinChunk
from fleet.core.from_minion import NeedStdin
from fleet.core.messages import CHUNK_LIMIT_BYTES, WINDOW_BYTES
from fleet.core.names import Jid
from fleet.minion.stdin_fetches import ASK_AGAIN_FIRST_US, ASK_AGAIN_LIMIT_US, StdinFetches
from support.minion_machine import NOW, jid

A, B = jid(1), jid(2)
LENGTH = 2 * WINDOW_BYTES + 100


@pytest.fixture
def fetches() -> StdinFetches:
    made = StdinFetches()
    made.open()
    made.begin(A, LENGTH, 0)
    return made


def chunk(offset: int, length: int = CHUNK_LIMIT_BYTES, of: Jid = A) -> StdinChunk:
    return StdinChunk(of, offset, bytes(length))


def take(fetches: StdinFetches, some: StdinChunk, now_us: int = NOW) -> bool:
    """Take a chunk if it fits; tell whether that was the last one."""
    return fetches.fits(some) and fetches.arrived(some.jid, len(some.data), now_us)


def window(fetches: StdinFetches, offset: int, now_us: int = NOW) -> None:
    """Take a whole window."""
    for start in range(offset, offset + WINDOW_BYTES, CHUNK_LIMIT_BYTES):
        assert fetches.fits(chunk(start))
        fetches.arrived(A, CHUNK_LIMIT_BYTES, now_us)


def test_one_window_after_the_other_until_all_is_here(fetches: StdinFetches) -> None:
    assert fetches.take_due(NOW) == NeedStdin(A, 0)
    assert fetches.take_due(NOW) is None
    window(fetches, 0)
    assert fetches.take_due(NOW) == NeedStdin(A, WINDOW_BYTES)
    window(fetches, WINDOW_BYTES)
    assert fetches.take_due(NOW) == NeedStdin(A, 2 * WINDOW_BYTES)
    assert take(fetches, chunk(2 * WINDOW_BYTES, 100))
    fetches.end(A)
    assert (fetches.take_due(NOW), fetches.deadline_us(), A in fetches) == (None, None, False)


def test_what_is_here_already_is_not_asked_for() -> None:
    fetches = StdinFetches()
    fetches.open()
    fetches.begin(A, LENGTH, 12_345)
    assert fetches.take_due(NOW) == NeedStdin(A, 12_345)


def test_copies_gaps_and_what_nobody_asked_for_are_left_out(fetches: StdinFetches) -> None:
    assert not fetches.fits(chunk(0))
    fetches.take_due(NOW)
    take(fetches, chunk(0))
    for wrong in (
        chunk(0),
        chunk(2 * CHUNK_LIMIT_BYTES),
        chunk(CHUNK_LIMIT_BYTES, LENGTH),
        chunk(CHUNK_LIMIT_BYTES, of=B),
    ):
        assert not fetches.fits(wrong)
    assert fetches.fits(chunk(CHUNK_LIMIT_BYTES))


def test_what_does_not_come_is_asked_for_again_ever_later(fetches: StdinFetches) -> None:
    fetches.take_due(NOW)
    take(fetches, chunk(0), NOW + 1_000)
    now_us, pauses = NOW + 1_000, []
    for _ in range(6):
        due_us = fetches.deadline_us()
        assert due_us is not None
        assert fetches.take_due(due_us - 1) is None
        assert fetches.take_due(due_us) == NeedStdin(A, CHUNK_LIMIT_BYTES)
        pauses.append(due_us - now_us)
        now_us = due_us
    assert pauses == [ASK_AGAIN_FIRST_US * factor for factor in (1, 2, 4, 8)] + [ASK_AGAIN_LIMIT_US] * 2


def test_a_chunk_that_comes_puts_the_next_question_off_however_slow_the_link_is(fetches: StdinFetches) -> None:
    fetches.take_due(NOW)
    take(fetches, chunk(0), NOW + ASK_AGAIN_FIRST_US - 1)
    assert fetches.take_due(NOW + ASK_AGAIN_FIRST_US) is None


def test_who_is_not_answered_lets_others_have_their_turn(fetches: StdinFetches) -> None:
    fetches.begin(B, 10, 0)
    fetches.take_due(NOW)
    later = NOW + ASK_AGAIN_FIRST_US
    assert fetches.take_due(later) == NeedStdin(B, 0)
    assert take(fetches, chunk(0, 10, B), later)
    fetches.end(B)
    assert fetches.take_due(later) == NeedStdin(A, 0)


def test_what_could_not_be_kept_is_asked_for_later_and_after_the_others(fetches: StdinFetches) -> None:
    fetches.begin(B, 10, 0)
    fetches.take_due(NOW)
    take(fetches, chunk(0))
    fetches.failed(A, 0, NOW)
    assert fetches.take_due(NOW) == NeedStdin(B, 0)
    fetches.end(B)
    assert fetches.take_due(NOW + ASK_AGAIN_FIRST_US) is None
    due_us = fetches.deadline_us()
    assert due_us is not None
    assert fetches.take_due(due_us) == NeedStdin(A, 0)


def test_without_a_session_nothing_is_asked_for_and_in_the_next_one_all_is_due(fetches: StdinFetches) -> None:
    fetches.take_due(NOW)
    take(fetches, chunk(0))
    fetches.close()
    assert (fetches.take_due(NOW + 10**9), fetches.deadline_us()) == (None, None)
    assert not fetches.fits(chunk(CHUNK_LIMIT_BYTES))
    fetches.open()
    assert fetches.take_due(NOW) == NeedStdin(A, CHUNK_LIMIT_BYTES)


def test_a_job_that_needs_its_stdin_no_more_makes_room_for_the_next(fetches: StdinFetches) -> None:
    fetches.begin(B, 10, 0)
    fetches.take_due(NOW)
    assert fetches.keep_only([B]) == [A]
    assert not fetches.fits(chunk(0))
    assert fetches.take_due(NOW) == NeedStdin(B, 0)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_lost_doubled_or_reordered_all_of_it_comes_in_order(seed: int) -> None:
    dice = Random(seed)
    whole = dice.randbytes(LENGTH)
    fetches, have, now_us = StdinFetches(), bytearray(), NOW
    fetches.open()
    fetches.begin(A, LENGTH, 0)
    network: list[StdinChunk] = []
    for _ in range(10_000):
        asked = fetches.take_due(now_us)
        if asked is not None and dice.random() < 0.8:
            end = min(asked.offset + WINDOW_BYTES, LENGTH)
            starts = range(asked.offset, end, CHUNK_LIMIT_BYTES)
            network += [StdinChunk(A, start, whole[start : min(start + CHUNK_LIMIT_BYTES, end)]) for start in starts]
        if not network:
            now_us += ASK_AGAIN_LIMIT_US
            continue
        position = 0 if dice.random() < 0.8 else dice.randrange(len(network))
        some = network[position] if dice.random() < 0.1 else network.pop(position)
        if dice.random() < 0.1 or not fetches.fits(some):
            continue
        have += some.data
        if fetches.arrived(A, len(some.data), now_us):
            break
    assert bytes(have) == whole
