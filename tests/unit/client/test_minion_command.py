import json
from dataclasses import replace

import pytest

from fleet.client.fleet_command import main
from fleet.core.control_answers import Done, Failure, GrainsShown, KeyList, KeyRow, MinionJob, MinionRow
from fleet.core.control_requests import ListKeys, ListMinions, ShowGrains
from fleet.core.job_states import JobState
from fleet.core.names import FunctionName, MinionId
from support.fake_master import JID, MOMENT_US, Start

Captured = pytest.CaptureFixture[str]

WEB = MinionId("web-1")
ROW = MinionRow(
    minion=WEB,
    state="up",
    since_us=MOMENT_US,
    last_seen_us=MOMENT_US + 2_000_000,
    address="10.0.0.1",
    version="0.1.0",
    os="Debian",
    fingerprint="ozmg",
    round_trip_us=450,
    skew_us=20,
    running=1,
    waiting=0,
    host="web-1.example",
    protocol=2,
    jobs=(MinionJob(JID, FunctionName("cmd.run"), JobState.RUNNING),),
)
KEYS = KeyList(
    (
        KeyRow(WEB, "ozmg", "", "accepted", "10.0.0.1", 0),
        KeyRow(WEB, "evil", "", "denied", "10.9.9.9", 0),
        KeyRow(MinionId("new-1"), "abcd", "", "pending", "10.0.0.2", 0),
    ),
    "master",
    0,
)
GRAINS = GrainsShown(WEB, {"os": "Debian", "dns": {"search": ["a\x1b", "b"]}, "x": None})


def test_everything_about_one_minion_is_told(start: Start, capsys: Captured) -> None:
    master = start({ListKeys: [KEYS], ListMinions: [ROW, Done()], ShowGrains: [GRAINS]})
    assert main(["minions", "show", "web-1"]) == 0
    out = capsys.readouterr().out
    for line in (
        "MINION      web-1",
        "LAST-SEEN   2026-11-20 22:10:14 UTC",
        "KEY         accepted, ozmg",
        "OTHER KEY   denied, evil, from 10.9.9.9",
        "HOST        web-1.example",
        "PROTOCOL    2",
        "ROUND-TRIP  0.5 ms",
        "SKEW        +0.0 ms",
        f"OPEN JOB    {JID}  cmd.run  running",
        "GRAINS",
        "    os: Debian",
        "    dns:",
        "            - a␛",
    ):
        assert f"{line}\n" in out, line
    assert "STATE       up since 2026-11-20 22:10:12 UTC, " in out
    assert master.asked(ListMinions) == [ListMinions("web-1", "list")]


def test_the_document_holds_key_link_jobs_and_grains(start: Start, capsys: Captured) -> None:
    start({ListKeys: [KEYS], ListMinions: [ROW, Done()], ShowGrains: [GRAINS]})
    assert main(["minions", "show", "web-1", "--out", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["minion"] == "web-1"
    assert document["key"] == "accepted"
    assert document["fingerprint"] == "ozmg"
    assert document["other_keys"] == [{"state": "denied", "fingerprint": "evil"}]
    assert document["jobs"] == [{"jid": JID, "function": "cmd.run", "state": "running"}]
    assert document["grains"] == {"os": "Debian", "dns": {"search": ["a\x1b", "b"]}, "x": None}


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (replace(ROW, state="down", since_us=None, last_seen_us=None), "down: never connected to this master"),
        (replace(ROW, state="down", since_us=None), "down: not seen since the master's start"),
        (replace(ROW, state="silent", since_us=None), "silent: connected, but heartbeats are missing"),
        (replace(ROW, since_us=None, conflict="two machines"), "up: two machines"),
    ],
)
def test_what_is_wrong_with_it_is_said(start: Start, capsys: Captured, row: MinionRow, state: str) -> None:
    start({ListKeys: [KEYS], ListMinions: [row, Done()], ShowGrains: [GrainsShown(WEB, {})]})
    assert main(["minions", "show", "web-1"]) == 0
    out = capsys.readouterr().out
    assert f"STATE       {state}\n" in out
    assert out.endswith("GRAINS\n    none were reported\n")


def test_an_id_without_an_accepted_key_is_three_and_another_key_of_it_is_told(start: Start, capsys: Captured) -> None:
    start({ListKeys: [KEYS], ListMinions: [Failure("NoMatchError", "no minion wbe-1", "did you mean web-1?")]})
    assert main(["minions", "show", "wbe-1"]) == 3
    assert capsys.readouterr().err == "error: no minion wbe-1\nhint: did you mean web-1?\n"
    assert main(["minions", "show", "new-1"]) == 3
    assert "there is one that is pending\nhint: " in capsys.readouterr().err
