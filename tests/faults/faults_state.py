"""Faults of what daemons keep and count on: disks, clocks, keys, state folders, and a job cache that is older than it should be."""

import os
import re
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from faults.faults_processes import kill_daemon
from faults.history import Fault
from faults.plan import FaultKind
from faults.strike import Injector, Strike
from fleet.core.job_states import TERMINAL
from fleet.core.names import jid_from_microseconds
from fleet.master.store_schema import STATE_CODES

_HOUR_SECONDS = 3600.0
_NO_ROOM = re.compile("no space left|disk is full")
#: By how much a clock is set.
_JUMPS_HOURS = (2.0, -3.0, 7.0)


def _fill(strike: Strike) -> Fault | None:
    """Leave no room for a while; a third of the times the daemon is killed and started in the middle of that.

    It may then end at once, with the reason, and is started again when there is room, as a service manager does.
    """
    disk, daemon = strike.site.disks.get(strike.planned.lane), strike.site.daemon(strike.planned.lane)
    if disk is None:
        return None
    disk.fill()
    try:
        if strike.planned.dice * 7 % 1 < 1 / 3:
            daemon.kill()
            strike.site.launch(strike.planned.lane)
        strike.last()
    finally:
        disk.free()
    if daemon.has_crashed() and _NO_ROOM.search(daemon.log()):
        strike.site.start_again(strike.planned.lane)
    return strike.done()


def _set_clock(strike: Strike) -> Fault:
    """Set the clock of a daemon by hours, and back; half of the times the daemon is started under the wrong one."""
    site, lane, dice = strike.site, strike.planned.lane, strike.planned.dice
    site.set_clock(lane, _JUMPS_HOURS[int(dice * len(_JUMPS_HOURS))] * _HOUR_SECONDS)
    if dice * 5 % 1 < 0.5:
        kill_daemon(strike)
    else:
        strike.last()
    site.set_clock(lane, 0.0)
    return strike.done()


def _delete_key(strike: Strike) -> Fault:
    strike.site.delete_key(strike.planned.lane, is_typed=strike.planned.dice < 0.5)
    strike.last()
    strike.site.accept_key(strike.planned.lane)
    return strike.done()


def _wipe_journal(strike: Strike) -> Fault:
    lane = strike.planned.lane
    strike.site.daemon(lane).kill()
    (strike.site.state_folder(lane) / "journal").unlink(missing_ok=True)
    strike.last()
    strike.site.start_again(strike.planned.lane)
    return strike.done()


def _wipe_state(strike: Strike) -> Fault:
    """All that a minion kept is gone, also its key; what it ran goes on. The operator removes the old key and accepts the new one."""
    site, lane = strike.site, strike.planned.lane
    site.daemon(lane).kill()
    for entry in site.state_folder(lane).iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    site.delete_key(lane)
    strike.last()
    strike.site.start_again(strike.planned.lane)
    site.accept_key(lane)
    return strike.done()


def _restore(strike: Strike) -> Fault:
    """Copy the job cache, let some time pass, and put the copy in its place, as ``docs/operations.md`` says."""
    site = strike.site
    state = site.state_folder(strike.planned.lane)
    cache, copy = state / "jobs.sqlite", state / "copy.sqlite"
    copy.unlink(missing_ok=True)
    began = time.time()
    with closing(sqlite3.connect(cache)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    newest, still_open = _read_copy(copy)
    strike.last()
    site.daemon(strike.planned.lane).kill()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{cache}{suffix}").unlink(missing_ok=True)
        Path(f"{copy}{suffix}").unlink(missing_ok=True) if suffix else None
    copy.chmod(0o600)
    os.replace(copy, cache)
    site.start_again(strike.planned.lane)
    return replace(strike.done(), began=began, newest=newest, open_in_copy=still_open)


def _read_copy(copy: Path) -> tuple[str, frozenset[tuple[str, str]]]:
    """Return the newest job that a copy of the job cache knows, and which (job, minion) have not ended in it."""
    open_codes = ",".join(str(code) for state, code in STATE_CODES.items() if state not in TERMINAL)
    with closing(sqlite3.connect(copy)) as connection:
        (newest_us,) = connection.execute("SELECT max(jid_us) FROM jobs").fetchone()
        rows = connection.execute(
            "SELECT jid_us, text FROM job_targets JOIN texts ON texts.id = job_targets.minion "
            f"WHERE state IN ({open_codes})"
        ).fetchall()
    newest = str(jid_from_microseconds(newest_us)) if newest_us else ""
    return newest, frozenset((str(jid_from_microseconds(jid_us)), minion) for jid_us, minion in rows)


INJECTORS: dict[FaultKind, Injector] = {
    FaultKind.FULL_STORE: _fill,
    FaultKind.FULL_SPOOL: _fill,
    FaultKind.CLOCK_MASTER: _set_clock,
    FaultKind.CLOCK_MINION: _set_clock,
    FaultKind.DELETE_KEY: _delete_key,
    FaultKind.WIPE_JOURNAL: _wipe_journal,
    FaultKind.WIPE_STATE: _wipe_state,
    FaultKind.RESTORE_MASTER: _restore,
}
