"""Minion keys as a master lists them, and a fake master that changes what it is asked to change."""

from collections.abc import Sequence
from dataclasses import replace

from fleet.core.control_answers import KeyList, KeyRow
from fleet.core.control_requests import ChangeKeys, ListKeys
from fleet.core.names import MinionId
from fleet.keys.fingerprint import fingerprint, pairing_code
from support.fake_master import MOMENT_US, FakeMaster, Start

MASTER = b"m" * 32


def key(minion: str, number: int, state: str) -> KeyRow:
    public = bytes([number]) * 32
    code = pairing_code(MASTER, public)
    return KeyRow(MinionId(minion), fingerprint(public), code, state, "10.0.0.9", MOMENT_US)


WEB_1, WEB_2, DB_1 = key("web-1", 1, "pending"), key("web-2", 2, "pending"), key("db-1", 3, "accepted")
OTHER_DB, OLD = key("db-1", 4, "denied"), key("old-1", 5, "rejected")
TWIN = key("web-1", 6, "pending")
ROWS = (WEB_1, WEB_2, DB_1, OTHER_DB, OLD)


def listed(rows: Sequence[KeyRow] = ROWS, dropped: int = 0) -> KeyList:
    return KeyList(tuple(rows), fingerprint(MASTER), dropped)


def run_master(start: Start, rows: Sequence[KeyRow] = ROWS) -> FakeMaster:
    """A master that changes what it is asked to change."""
    states = {"accept": "accepted", "reject": "rejected", "delete": "deleted"}

    def changed() -> KeyList:
        request = master.requests[-1]
        assert isinstance(request, ChangeKeys)
        chosen = {(each.minion, each.fingerprint) for each in request.keys}
        return listed(
            [replace(row, state=states[request.action]) for row in rows if (row.minion, row.fingerprint) in chosen]
        )

    master = start({ListKeys: [listed(rows)], ChangeKeys: [changed]})
    return master
