import json
from dataclasses import replace

import pytest

from fleet.client import event_stream
from fleet.client.events_command import missed_text
from fleet.client.fleet_command import main
from fleet.core.control_answers import EventNote, MasterStatus
from fleet.core.control_requests import AskStatus, FollowEvents
from support.fake_master import MOMENT_US, Start

Captured = pytest.CaptureFixture[str]

NOTE = EventNote(7, "fleet/job/1/new\x1b", MOMENT_US, {"minions": ["web-1"], "raw": b"\xff"}, 0)
STATUS = MasterStatus("0.1.0", "ozmg", 42, MOMENT_US, MOMENT_US, "root", {}, {}, {}, {}, newest_event=5)


def test_events_are_a_line_each_and_end_after_the_count(start: Start, capsys: Captured) -> None:
    master = start({FollowEvents: [NOTE, replace(NOTE, number=9, missed=1), NOTE]})
    assert main(["events", "fleet/job/*", "--count", "2", "--after", "1795212612000042"]) == 0
    captured = capsys.readouterr()
    line = '  2026-11-20 22:10:12 UTC  fleet/job/1/new␛  {"minions": ["web-1"], "raw": {"base64": "/w=="}}\n'
    assert captured.out == f"7{line}9{line}"
    assert captured.err == "warning: 1 event was missed\n"
    assert master.requests == [FollowEvents("fleet/job/*", 1795212612000042)]


def test_events_are_documents_too_and_begin_with_the_next_one(start: Start, capsys: Captured) -> None:
    master = start({AskStatus: [STATUS], FollowEvents: [replace(NOTE, missed=-1)]})
    assert main(["events", "--count=1", "--out", "jsonl"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "number": 7,
        "tag": "fleet/job/1/new\x1b",
        "time": "2026-11-20T22:10:12.000042Z",
        "data": {"minions": ["web-1"], "raw": {"base64": "/w=="}},
        "missed": -1,
    }
    assert captured.err == f"warning: {missed_text(replace(NOTE, missed=-1), 5)}\n"
    assert master.requests == [AskStatus(), FollowEvents("*", 5)]


def test_a_master_that_goes_away_is_waited_for_and_nothing_is_printed_twice(
    start: Start, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "RETRY_FIRST_SECONDS", 0.01)
    numbers = iter(range(7, 20))
    master = start({FollowEvents: [lambda: replace(NOTE, number=next(numbers)), None]})
    assert main(["events", "--after", "6", "-n", "3", "--out", "jsonl"]) == 0
    captured = capsys.readouterr()
    assert [json.loads(line)["number"] for line in captured.out.splitlines()] == [7, 8, 9]
    assert [request.after for request in master.requests if isinstance(request, FollowEvents)] == [6, 7, 8]
    assert captured.err.count("the master went away") == 2
    assert captured.err.count("the master is back") == 2


def test_a_master_that_is_not_there_to_begin_with_is_an_error(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("FLEET_ROOT", str(tmp_path))
    assert main(["events", "--after", "0"]) == 1
    assert main(["events"]) == 1
    assert "no master runs here" in capsys.readouterr().err


def test_what_was_missed_is_counted_or_said_to_be_unknown() -> None:
    assert missed_text(replace(NOTE, missed=12_345), 5) == "12,345 events were missed"
    assert "the master was restarted since" in missed_text(replace(NOTE, missed=-1), 6)


def test_a_number_beyond_all_events_is_no_restart(start: Start, capsys: Captured) -> None:
    start({FollowEvents: [replace(NOTE, missed=-1)]})
    assert main(["events", "--after", "8", "-n", "1"]) == 0
    said = "warning: event 8 has not happened yet, or is of another master process; "
    assert capsys.readouterr().err == f"{said}this begins with the first one kept\n"
