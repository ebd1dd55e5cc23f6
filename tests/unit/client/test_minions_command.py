import json
from dataclasses import replace

import pytest

from fleet.client.fleet_command import main
from fleet.client.help_text import _COLUMNS
from fleet.client.minion_columns import BUILT_IN, DEFAULT
from fleet.core.control_answers import Done, Failure, MinionJob, MinionRow, TargetPreview
from fleet.core.control_requests import ListMinions, PreviewTarget
from fleet.core.job_states import JobState
from fleet.core.names import FunctionName, MinionId
from fleet.core.values import Value
from support.fake_master import JID, MOMENT_US, Start

Captured = pytest.CaptureFixture[str]

UP = MinionRow(
    MinionId("web-1"), "up", MOMENT_US, MOMENT_US + 1, "10.0.0.1", "0.1.0", "Debian 12", "ozmg", 1500, -2000, 1, 2
)
DOWN = MinionRow(MinionId("db-1"), "down", None, None, "", "", "", "abcd", 0, 0, 0, 0)


def row(minion: str, **grains: Value) -> MinionRow:
    return replace(UP, minion=MinionId(minion), grains=grains)


def test_minions_are_sorted_and_those_never_seen_are_there(start: Start, capsys: Captured) -> None:
    master = start({ListMinions: [UP, DOWN, Done()]})
    assert main(["minions"]) == 0
    head, down, up, footer = capsys.readouterr().out.splitlines()
    assert head.split() == [name.upper() for name in DEFAULT]
    assert down.split() == ["db-1", "down", "never", "never", "-", "-", "-", "0", "0", "-", "-"]
    assert "10.0.0.1  0.1.0    Debian 12  1        2        1.5 ms      -2.0 ms" in up
    assert footer == "2/2"
    assert master.requests == [ListMinions()]


def test_since_when_a_minion_is_away_that_the_master_has_not_seen_itself_is_not_claimed(
    start: Start, capsys: Captured
) -> None:
    start({ListMinions: [replace(UP, state="down", since_us=None), Done()]})
    assert main(["minions", "--columns", "minion,since,last-seen"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split()[:3] == ["web-1", "unknown", "2026-11-20"]


def test_the_document_of_minions_is_what_scripts_rely_on(start: Start, capsys: Captured) -> None:
    job = MinionJob(JID, FunctionName("cmd.run"), JobState.RUNNING)
    start({ListMinions: [replace(UP, host="web-1.example", protocol=2, jobs=(job,)), DOWN, Done()]})
    assert main(["min", "--out", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["db-1", "web-1"]
    assert document["web-1"] == {
        "state": "up",
        "since": "2026-11-20T22:10:12.000042Z",
        "last_seen": "2026-11-20T22:10:12.000043Z",
        "address": "10.0.0.1",
        "version": "0.1.0",
        "os": "Debian 12",
        "fingerprint": "ozmg",
        "round_trip_ms": 1.5,
        "skew_ms": -2.0,
        "running": 1,
        "waiting": 2,
        "conflict": "",
        "host": "web-1.example",
        "protocol": 2,
        "jobs": [{"jid": JID, "function": "cmd.run", "state": "running"}],
    }
    assert document["db-1"]["last_seen"] is None


def test_a_line_a_minion_is_its_document_with_its_id(start: Start, capsys: Captured) -> None:
    start({ListMinions: [UP, DOWN, Done()]})
    assert main(["minions", "--out", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert main(["minions", "--out", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"minion": minion, **members} for minion, members in document.items()]
    assert main(["minions", "--count-by", "os", "--out", "jsonl"]) == 2
    assert "one of: text, json, yaml" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "kind"), [("-G", "grain"), ("-E", "regex"), ("-L", "list"), ("-C", "compound")])
def test_a_target_is_written_as_for_a_run(start: Start, option: str, kind: str) -> None:
    master = start({ListMinions: [UP, Done()], PreviewTarget: [TargetPreview((), ())]})
    assert main(["minions", option, "x:y"]) == 0
    assert main(["minions", "web-*"]) == 0
    assert master.asked(ListMinions) == [ListMinions("x:y", kind), ListMinions("web-*", "glob")]


def test_a_listed_id_that_nobody_has_is_told(start: Start, capsys: Captured) -> None:
    start({ListMinions: [UP, Done()], PreviewTarget: [TargetPreview((), ("web-9",))]})
    assert main(["minions", "-L", "web-1,web-9"]) == 0
    assert capsys.readouterr().err == "warning: no accepted key has the id web-9\n"


def test_states_choose_and_the_last_line_says_how_many_there_are(start: Start, capsys: Captured) -> None:
    rows = [replace(UP, minion=MinionId(f"web-{number}")) for number in range(5)]
    start({ListMinions: [*rows, DOWN, replace(UP, minion=MinionId("x"), state="silent"), Done()]})
    assert main(["minions", "--state", "up", "--limit", "2", "--columns", "minion"]) == 0
    assert capsys.readouterr().out == "MINION\nweb-0\nweb-1\n2/5\n"
    assert main(["minions", "--state", "down,silent", "--columns", "minion,state"]) == 0
    shown = "MINION  STATE\ndb-1    down\nx       silent\n2/2\n"
    assert capsys.readouterr().out == shown
    assert main(["minions", "--state", "down", "--state", "silent", "--columns", "minion,state"]) == 0
    assert capsys.readouterr().out == shown
    assert main(["minions", "--limit", "1", "--out", "json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["db-1"]


def test_a_column_may_be_any_grain_and_wide_characters_stay_aligned(start: Start, capsys: Captured) -> None:
    master = start(
        {ListMinions: [row("a", owner="개발자", roles=["web", "db"]), row("b", owner="x", dns={"port": 53}), Done()]}
    )
    assert main(["minions", "--columns", "minion,owner,roles,dns,LAST_SEEN"]) == 0
    assert capsys.readouterr().out == (
        "MINION  owner   roles    dns           LAST-SEEN\n"
        "a       개발자  web, db  -             2026-11-20 22:10:12 UTC\n"
        'b       x       -        {"port": 53}  2026-11-20 22:10:12 UTC\n'
        "2/2\n"
    )
    assert master.requests == [ListMinions("", "glob", ("owner", "roles", "dns"))]
    assert main(["minions", "--columns", "owner", "--out", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["a"]["grains"], document["a"]["state"]) == ({"owner": "개발자"}, "up")


def test_an_unknown_column_is_two_with_what_may_be_meant(start: Start, capsys: Captured) -> None:
    start({ListMinions: [Failure("ArgumentError", "no minion has a grain 'stat'", "did you mean stage?")]})
    assert main(["minions", "--columns", "stat"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: no minion has a grain 'stat', and no column is called so\nhint: did you mean stage? or the column state? there are: minion, "
    )
    assert main(["minions", "--columns", "xyzzy"]) == 2
    assert capsys.readouterr().err == "error: no minion has a grain 'stat'\nhint: did you mean stage?\n"


def test_an_unknown_column_that_no_grain_is_like_may_be_one_of_ours(start: Start, capsys: Captured) -> None:
    start({ListMinions: [Failure("ArgumentError", "no minion has a grain 'vers1on'", "look there")]})
    assert main(["minions", "--count-by", "vers1on"]) == 2
    assert "\nhint: did you mean version? there are: minion, " in capsys.readouterr().err


def test_counts_are_by_value_largest_first(start: Start, capsys: Captured) -> None:
    rows = [row("a", roles=["web", "edge"]), row("b", roles=["web", "web"]), row("c", roles="db"), row("d")]
    master = start({ListMinions: [*rows, Done()]})
    assert main(["minions", "--count-by", "roles"]) == 0
    assert capsys.readouterr().out == "roles  MINIONS\nweb    2\ndb     1\nedge   1\n-      1\n4/4\n"
    assert main(["minions", "--count-by", "roles", "--limit", "1"]) == 0
    assert capsys.readouterr().out == "roles  MINIONS\nweb    2\n1/4\n"
    assert main(["minions", "--count-by", "roles", "--out", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "by": "roles",
        "counts": {"web": 2, "db": 1, "edge": 1},
        "without": 1,
        "minions": 4,
    }
    assert master.requests[0] == ListMinions("", "glob", ("roles",))
    assert main(["minions", "--count-by", "state"]) == 0
    assert capsys.readouterr().out == "STATE  MINIONS\nup     4\n1/1\n"


def test_a_conflict_is_a_warning(start: Start, capsys: Captured) -> None:
    start({ListMinions: [replace(UP, conflict="two machines"), Done()]})
    assert main(["minions"]) == 0
    assert capsys.readouterr().err == "warning: two machines\n"


def test_help_names_every_column() -> None:
    assert [name for name in BUILT_IN if name not in _COLUMNS.split()] == []
    assert set(DEFAULT) <= set(BUILT_IN)


def test_a_clock_that_is_far_away_is_told_in_a_unit_that_reads_well(start: Start, capsys: Captured) -> None:
    start(
        {
            ListMinions: [
                *(replace(UP, minion=MinionId(f"m{skew}"), skew_us=skew) for skew in (-4, 7_200_000_000)),
                Done(),
            ]
        }
    )
    assert main(["minions", "--columns", "skew"]) == 0
    assert capsys.readouterr().out == "SKEW\n+0.0 ms\n+2 h\n2/2\n"
