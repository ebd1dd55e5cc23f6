"""Jobs on their way to one minion: a window of them unanswered, the rest in order as it answers."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.core.messages import WINDOW_BYTES
from fleet.core.names import Jid, MinionId
from fleet.master.credit import Credit

M, N = MinionId("m"), MinionId("n")
HALF = WINDOW_BYTES // 2


def jid(number: int) -> Jid:
    return Jid(f"20261120221042{number:06}")


def test_a_window_goes_out_and_the_rest_waits_in_order_for_answers() -> None:
    credit = Credit()
    assert [credit.take(M, jid(number), HALF) for number in range(5)] == [True, True, False, False, False]
    assert credit.put_off == 3
    assert credit.take(N, jid(2), HALF), "one minion delays no other"
    assert credit.answered(M, jid(1)) == [jid(2)]
    assert credit.answered(M, jid(1)) == [], "an answer counts once"
    assert credit.answered(M, jid(0)) == [jid(3)]
    assert credit.figures() == {"orders_unanswered_bytes": (WINDOW_BYTES, WINDOW_BYTES)}


def test_one_job_is_sent_however_long_it_is() -> None:
    credit = Credit()
    assert credit.take(M, jid(0), 10 * WINDOW_BYTES)
    assert not credit.take(M, jid(1), 1)
    assert credit.answered(M, jid(0)) == [jid(1)]


def test_a_job_that_is_repeated_counts_each_time_and_is_answered_at_once() -> None:
    credit = Credit()
    assert [credit.take(M, jid(0), HALF) for _ in range(3)] == [True, True, False]
    assert credit.put_off == 0, "it waits to be repeated: no job was put off"
    assert credit.answered(M, jid(0)) == [], "what it has answered is not sent once more"
    assert credit.figures()["orders_unanswered_bytes"][0] == 0


def test_small_jobs_do_not_pass_a_large_one_that_waits() -> None:
    credit = Credit()
    assert credit.take(M, jid(0), HALF)
    assert not credit.take(M, jid(1), WINDOW_BYTES)
    assert not credit.take(M, jid(2), 1)
    assert credit.answered(M, jid(0)) == [jid(1)]
    assert credit.answered(M, jid(1)) == [jid(2)]


def test_a_session_that_has_gone_owes_nothing() -> None:
    credit = Credit()
    assert credit.take(M, jid(0), WINDOW_BYTES)
    assert not credit.take(M, jid(1), 1)
    credit.left(M)
    assert credit.answered(M, jid(0)) == []
    assert credit.take(M, jid(1), WINDOW_BYTES)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(1, WINDOW_BYTES)), max_size=60))
def test_whatever_comes_and_goes_no_more_than_a_window_is_unanswered_and_none_is_forgotten(
    steps: list[tuple[bool, int, int]],
) -> None:
    credit = Credit()
    wanted: set[Jid] = set()
    sent: set[Jid] = set()
    for is_new, number, size in steps:
        if is_new:
            wanted.add(jid(number))
            if credit.take(M, jid(number), size):
                sent.add(jid(number))
        else:
            wanted.discard(jid(number))
            sent.update(credit.answered(M, jid(number)))
        assert credit.figures()["orders_unanswered_bytes"][0] <= WINDOW_BYTES
    while sent:
        one = sent.pop()
        wanted.discard(one)
        sent.update(credit.answered(M, one))
    assert not wanted
