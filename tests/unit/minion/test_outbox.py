"""Which returns leave, and when they leave again."""

from fleet.core.messages import WINDOW_BYTES
from fleet.core.names import Jid
from fleet.minion.outbox import RESEND_FIRST_US, RESEND_LIMIT_US, Outbox

A, B, C = (Jid(str(number) * 20) for number in (1, 2, 3))


def open_outbox(*jids: Jid, size: int = 1_000) -> Outbox:
    outbox = Outbox()
    for jid in jids:
        outbox.add(jid, size)
    outbox.open(jids)
    return outbox


def test_nothing_leaves_without_a_session() -> None:
    outbox = Outbox()
    outbox.add(A, 10)

    assert outbox.take(0) == []
    assert outbox.deadline_us() is None
    outbox.open([A])
    assert outbox.take(0) == [A]
    outbox.close()
    assert outbox.take(10**12) == []


def test_what_is_not_answered_is_sent_again_ever_later() -> None:
    outbox, now, pauses = open_outbox(A), 0, []
    for _ in range(7):
        assert outbox.take(now) == [A]
        due = outbox.deadline_us()
        assert due is not None
        assert outbox.take(due - 1) == []
        pauses.append(due - now)
        now = due

    assert pauses == [5_000_000, 10_000_000, 20_000_000, 40_000_000, 60_000_000, 60_000_000, 60_000_000]
    assert (pauses[0], pauses[-1]) == (RESEND_FIRST_US, RESEND_LIMIT_US)


def test_what_is_answered_never_leaves_again() -> None:
    outbox = open_outbox(A, B)
    outbox.take(0)
    outbox.remove(A)

    assert outbox.take(RESEND_LIMIT_US) == [B]


def test_no_more_than_the_window_is_under_way_but_one_return_at_least() -> None:
    outbox = open_outbox(A, B, C, size=WINDOW_BYTES // 2)
    assert outbox.take(0) == [A, B]
    assert outbox.take(1) == []
    outbox.remove(A)
    assert outbox.take(2) == [C]

    assert open_outbox(A, B, size=2 * WINDOW_BYTES).take(0) == [A]


def test_one_that_is_never_answered_does_not_keep_the_others_back() -> None:
    outbox = open_outbox(A, B, size=WINDOW_BYTES)
    assert outbox.take(0) == [A]

    assert outbox.take(RESEND_FIRST_US) == [B]


def test_a_new_session_sends_everything_again_at_once() -> None:
    outbox = open_outbox(A, B)
    outbox.take(0)
    outbox.close()
    outbox.open([A, B])

    assert outbox.take(1) == [A, B]


def test_what_is_asked_for_leaves_at_once_and_once() -> None:
    outbox = open_outbox(A)
    outbox.take(0)
    outbox.repeat(A)
    outbox.repeat(A)
    outbox.repeat(B)

    assert outbox.take(1) == [A]


def test_what_is_being_pulled_waits_with_its_repetition() -> None:
    outbox = open_outbox(A)
    outbox.take(0)
    outbox.postpone(A, 4_000_000)
    outbox.postpone(B, 4_000_000)

    assert outbox.take(8_999_999) == []
    assert outbox.take(9_000_000) == [A]
