"""Who is sent the next part of a stdin: one window each, so much in all, and nobody waits for one that does not answer."""

import pytest

from fleet.core.messages import WINDOW_BYTES
from fleet.core.names import MinionId, jid_from_microseconds
from fleet.master.stdin_windows import PATIENCE_US, READS_LIMIT, REPEAT_US, StdinWindows, Window

NOW = 1_795_000_000_000_000
A, B = (jid_from_microseconds(NOW + number) for number in range(2))


def window(minion: str = "m", number: int = 0, jid: object = A) -> Window:
    return Window(MinionId(minion), jid, number * WINDOW_BYTES)  # type: ignore[arg-type]


def sent(windows: StdinWindows, wanted: Window, now_us: int = NOW) -> None:
    """A window is read and handed to the transport."""
    windows.asked(wanted)
    assert windows.next(now_us) == wanted
    assert windows.was_read(wanted, now_us)


@pytest.fixture
def windows() -> StdinWindows:
    return StdinWindows()


def test_a_window_is_answered_by_asking_for_the_one_that_follows(windows: StdinWindows) -> None:
    for number in range(5):
        sent(windows, window(number=number))
    assert windows.figures()["stdin_sent_bytes"][0] == WINDOW_BYTES


@pytest.mark.parametrize("other", [window(number=0), window(number=2), window(jid=B)])
def test_who_asks_for_anything_else_waits(windows: StdinWindows, other: Window) -> None:
    sent(windows, window())
    windows.asked(other)
    assert windows.next(NOW + REPEAT_US - 1) is None
    assert windows.next(NOW + REPEAT_US) == other


def test_who_has_all_of_one_may_ask_for_the_next_at_once(windows: StdinWindows) -> None:
    sent(windows, window())
    windows.has_all(MinionId("m"), B)
    assert windows.figures()["stdin_sent_bytes"][0] == WINDOW_BYTES
    windows.has_all(MinionId("m"), A)
    assert windows.figures()["stdin_sent_bytes"][0] == 0
    sent(windows, window(jid=B))


def test_the_same_question_while_it_is_read_is_no_other(windows: StdinWindows) -> None:
    windows.asked(window())
    assert windows.next(NOW) == window()
    windows.asked(window())
    assert windows.was_read(window(), NOW)
    assert windows.next(NOW + PATIENCE_US) is None


def test_what_is_not_wanted_any_more_when_it_is_read_is_not_sent(windows: StdinWindows) -> None:
    windows.asked(window())
    windows.next(NOW)
    windows.asked(window(jid=B))
    assert not windows.was_read(window(), NOW)
    assert windows.next(NOW) == window(jid=B)


def test_they_have_their_turn_in_the_order_in_which_they_asked(windows: StdinWindows) -> None:
    for name in "cab":
        windows.asked(window(name))
    assert [windows.next(NOW) for _ in range(4)] == [window("c"), window("a"), window("b"), None]


def test_so_many_are_read_at_a_time(windows: StdinWindows) -> None:
    for number in range(READS_LIMIT + 1):
        windows.asked(window(f"m{number}"))
    first = [windows.next(NOW) for _ in range(READS_LIMIT)]
    assert windows.next(NOW) is None
    assert first[0] is not None
    windows.was_read(first[0], NOW)
    assert windows.next(NOW) == window(f"m{READS_LIMIT}")


def test_who_does_not_answer_keeps_nobody_from_his_turn() -> None:
    windows = StdinWindows(2 * WINDOW_BYTES)
    sent(windows, window("a"))
    sent(windows, window("b"))
    windows.asked(window("c"))
    assert windows.next(NOW) is None
    windows.ticked(NOW + PATIENCE_US - 1)
    assert windows.next(NOW) is None
    windows.ticked(NOW + PATIENCE_US)
    assert windows.next(NOW + PATIENCE_US) == window("c")
    # One that was only slow goes on where it is.
    sent(windows, window("a", 1), NOW + PATIENCE_US)


def test_a_minion_that_left_holds_nothing(windows: StdinWindows) -> None:
    sent(windows, window("a"))
    windows.asked(window("a", 1))
    windows.left(MinionId("a"))
    windows.left(MinionId("a"))
    assert (windows.next(NOW), windows.figures()["stdin_sent_bytes"][0]) == (None, 0)
    # Back with the same question while the one before is being read, it gets that.
    windows.asked(window("b"))
    windows.next(NOW)
    windows.left(MinionId("b"))
    windows.asked(window("b"))
    assert windows.was_read(window("b"), NOW)
    assert windows.next(NOW) is None
