from fleet.core.names import Jid, MinionId, jid_from_microseconds
from fleet.master.forgetting import RESEND_FIRST_US, RESEND_LIMIT_US, TOLD_LIMIT, Forgetting
from fleet.master.store import Owed

NOW = 1_795_000_000_000_000
M, N = MinionId("m"), MinionId("n")


def jid(number: int) -> Jid:
    return jid_from_microseconds(NOW + number)


def owed(number: int, minion: MinionId = M) -> Owed:
    return Owed(jid(number), minion, NOW + 30_000_000 + number)


def test_what_is_owed_is_told_at_once_and_to_whom_it_concerns() -> None:
    forgetting = Forgetting([owed(1), owed(2)])
    forgetting.owe([owed(1, N)])

    assert len(forgetting) == 3
    assert set(forgetting.minions()) == {M, N}
    assert forgetting.due(M, NOW) == [owed(1), owed(2)]
    assert forgetting.due(N, NOW) == [owed(1, N)]
    assert forgetting.due(MinionId("nobody"), NOW) == []


def test_it_is_told_again_after_two_seconds_then_ever_later_up_to_a_minute() -> None:
    forgetting = Forgetting([owed(1)])
    now_us, pauses = NOW, list[int]()
    assert forgetting.due(M, now_us)
    last_us = now_us
    while len(pauses) < 8:
        now_us += 500_000
        if forgetting.due(M, now_us):
            pauses.append(now_us - last_us)
            last_us = now_us
    assert pauses[:5] == [RESEND_FIRST_US * 2**power for power in range(5)]
    assert pauses[5:] == [RESEND_LIMIT_US] * 3


def test_a_minion_that_comes_back_is_told_everything_at_once_and_from_the_beginning() -> None:
    forgetting = Forgetting([owed(1)])
    for step in range(100):
        forgetting.due(M, NOW + step * 1_000_000)
    later = NOW + 100_000_000

    assert forgetting.joined(M, later) == [owed(1)]
    assert forgetting.due(M, later + RESEND_FIRST_US - 1) == []
    assert forgetting.due(M, later + RESEND_FIRST_US) == [owed(1)]
    assert forgetting.joined(N, later) == []


def test_a_minion_that_owes_much_is_told_so_many_until_it_confirms() -> None:
    forgetting = Forgetting(owed(number) for number in range(TOLD_LIMIT + 50))
    first = forgetting.due(M, NOW)
    assert first == [owed(number) for number in range(TOLD_LIMIT)]
    assert forgetting.due(M, NOW + 1) == []

    for each in first[:20]:
        forgetting.settle(M, each.jid)
    assert forgetting.due(M, NOW + 2) == [owed(number) for number in range(TOLD_LIMIT, TOLD_LIMIT + 20)]


def test_those_that_take_long_to_confirm_keep_no_others_back() -> None:
    forgetting = Forgetting(owed(number) for number in range(3 * TOLD_LIMIT))
    told = {each.jid for turn in range(5) for each in forgetting.due(M, NOW + turn * RESEND_FIRST_US)}

    assert len(told) == 3 * TOLD_LIMIT


def test_one_that_does_not_confirm_keeps_no_other_minion_back() -> None:
    forgetting = Forgetting(owed(number) for number in range(TOLD_LIMIT))
    forgetting.due(M, NOW)
    forgetting.owe([owed(1, N)])

    assert forgetting.due(N, NOW) == [owed(1, N)]


def test_what_is_confirmed_is_told_no_more_and_only_once_news() -> None:
    forgetting = Forgetting([owed(1), owed(2)])
    assert forgetting.owes(M, jid(1))
    assert forgetting.settle(M, jid(1))
    assert not forgetting.owes(M, jid(1))
    assert not forgetting.settle(M, jid(1))
    assert forgetting.due(M, NOW) == [owed(2)]
    assert forgetting.settle(M, jid(2))
    assert (len(forgetting), forgetting.minions()) == (0, ())


def test_nobody_settles_what_others_owe_or_nobody_does() -> None:
    forgetting = Forgetting([owed(1)])

    assert not forgetting.settle(N, jid(1))
    assert not forgetting.settle(M, jid(9))
    assert len(forgetting) == 1


def test_what_is_owed_anew_is_told_anew() -> None:
    """Two deletions of one job may overlap; the second knows of no confirmation."""
    forgetting = Forgetting([owed(1)])
    forgetting.due(M, NOW)
    forgetting.owe([owed(1)])

    assert (len(forgetting), forgetting.due(M, NOW)) == (1, [owed(1)])
