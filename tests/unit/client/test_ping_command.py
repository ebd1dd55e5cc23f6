import json

import pytest

from fleet.client.fleet_command import main
from fleet.client.ping_command import Tally, median
from fleet.core.control import Answer
from fleet.core.control_answers import Failure, MinionPinged
from fleet.core.control_requests import PingMinion
from fleet.core.names import MinionId
from support.fake_master import Start, Step

Captured = pytest.CaptureFixture[str]
WEB = MinionId("web-1")


def replies(*answers: Answer) -> list[Step]:
    every = iter(answers)
    return [lambda: next(every)]


def test_each_reply_is_a_line_and_the_last_one_counts(start: Start, capsys: Captured) -> None:
    master = start({PingMinion: replies(MinionPinged(WEB, 451), MinionPinged(WEB, 300), MinionPinged(WEB, 1_500))})
    assert main(["ping", "web-1", "-n", "3", "--interval", "0"]) == 0
    assert capsys.readouterr().out == (
        "Reply from web-1 in 0.451 ms\n"
        "Reply from web-1 in 0.300 ms\n"
        "Reply from web-1 in 1.500 ms\n"
        "3 sent, 3 received, 0 lost, min/median/max 0.300/0.451/1.500 ms\n"
    )
    assert master.requests == [PingMinion(WEB)] * 3


def test_one_that_is_not_answered_is_twelve_with_its_reason(start: Start, capsys: Captured) -> None:
    lost = MinionPinged(WEB, None, "connected, last heard 3.0 s ago\x1b", 1_040_000)
    start(
        {PingMinion: replies(lost, MinionPinged(WEB, 500), MinionPinged(WEB, None, "down since 2026-11-20T22:10:12Z"))}
    )
    assert main(["ping", "web-1", "--count=3", "--interval", "0", "-t", "1"]) == 12
    assert capsys.readouterr().out == (
        "No reply from web-1 in 1.0 s: connected, last heard 3.0 s ago␛\n"
        "Reply from web-1 in 0.500 ms\n"
        "No reply from web-1: down since 2026-11-20 22:10:12 UTC\n"
        "3 sent, 1 received, 2 lost, min/median/max 0.500/0.500/0.500 ms\n"
    )


def test_the_time_to_wait_is_the_masters_unless_it_is_given(start: Start) -> None:
    master = start({PingMinion: [MinionPinged(WEB, 1)]})
    assert main(["ping", "web-1", "-n1", "-t", "2.5"]) == 0
    assert master.requests == [PingMinion(WEB, 2.5)]


def test_the_document_has_every_reply(start: Start, capsys: Captured) -> None:
    start({PingMinion: replies(MinionPinged(WEB, 250), MinionPinged(WEB, None, "gone", 5))})
    assert main(["ping", "web-1", "-n", "2", "--interval", "0", "--out", "json"]) == 12
    assert json.loads(capsys.readouterr().out) == {
        "minion": "web-1",
        "replies": [{"round_trip_ms": 0.25, "reason": ""}, {"round_trip_ms": None, "reason": "gone"}],
        "sent": 2,
        "received": 1,
        "lost": 1,
        "min_ms": 0.25,
        "median_ms": 0.25,
        "max_ms": 0.25,
    }


def test_an_unknown_minion_is_three(start: Start, capsys: Captured) -> None:
    start({PingMinion: [Failure("NoMatchError", "no minion wbe-1", "did you mean web-1?")]})
    assert main(["ping", "wbe-1"]) == 3
    assert capsys.readouterr().out == ""


def test_the_middle_of_an_even_number_is_between_the_two() -> None:
    assert median([1.0, 2.0, 4.0, 9.0]) == 3.0
    assert median([1.0, 2.0, 4.0]) == 2.0
    assert Tally("m").summary() == "0 sent, 0 received, 0 lost"
