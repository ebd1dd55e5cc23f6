import json

import pytest

from fleet.client.key_command import main
from fleet.core.control_requests import ListKeys
from fleet.keys.fingerprint import fingerprint
from support.fake_keys import DB_1, MASTER, OLD, OTHER_DB, WEB_1, WEB_2, listed, run_master
from support.fake_master import Start

Captured = pytest.CaptureFixture[str]


LIST = (
    "Accepted Keys:\n"
    f"    db-1   {DB_1.fingerprint}\n"
    "Pending Keys:\n"
    f"    web-1  {WEB_1.fingerprint}  pairing code {WEB_1.pairing_code}  from 10.0.0.9\n"
    f"    web-2  {WEB_2.fingerprint}  pairing code {WEB_2.pairing_code}  from 10.0.0.9\n"
    "Rejected Keys:\n"
    f"    old-1  {OLD.fingerprint}\n"
    "Denied Keys:\n"
    f"    db-1   {OTHER_DB.fingerprint}  pairing code {OTHER_DB.pairing_code}  from 10.0.0.9\n"
    "5/5\n"
)


@pytest.mark.parametrize("words", [(), ("-L",), ("list",), ("list", "all"), ("-l", "all"), ("li",)])
def test_the_list_has_all_four_sections_with_fingerprints(
    start: Start, capsys: Captured, words: tuple[str, ...]
) -> None:
    run_master(start)
    assert main(words) == 0
    assert capsys.readouterr().out == LIST


def test_empty_sections_are_there_too(start: Start, capsys: Captured) -> None:
    start({ListKeys: [listed((), dropped=3)]})
    assert main(["-L"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "Accepted Keys:\nPending Keys:\nRejected Keys:\nDenied Keys:\n0/0\n"
    assert "3 candidates were dropped" in captured.err


@pytest.mark.parametrize("state", ["pending", "pend", "pre", "un"])
def test_one_state_is_listed_alone(start: Start, capsys: Captured, state: str) -> None:
    run_master(start)
    assert main(["-l", state]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "Pending Keys:"
    assert out.splitlines()[-1] == "2/5"
    assert "Accepted" not in out


def test_the_document_of_keys_is_what_scripts_rely_on(start: Start, capsys: Captured) -> None:
    run_master(start)
    assert main(["-L", "--out", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "accepted": {"db-1": DB_1.fingerprint},
        "pending": {"web-1": [WEB_1.fingerprint], "web-2": [WEB_2.fingerprint]},
        "rejected": {"old-1": [OLD.fingerprint]},
        "denied": {"db-1": [OTHER_DB.fingerprint]},
    }


def test_fingers_are_shown_by_glob_and_for_all_with_the_masters(start: Start, capsys: Captured) -> None:
    run_master(start)
    assert main(["-f", "web-*"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2/5"
    assert main(["-F"]) == 0
    assert capsys.readouterr().out == f"Master:\n    {fingerprint(MASTER)}\n{LIST}"
    assert main(["finger", "--out", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["master"] == fingerprint(MASTER)
    assert main(["-f", "mail-*"]) == 1
