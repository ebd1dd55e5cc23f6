"""The harness finds bugs: each of those that would break a promise is planted in a daemon, and seen from outside."""

from dataclasses import replace

import pytest

from faults.harness import RunTerms, run, sorts
from faults.orders import Mix
from faults.patched_daemon import PLANTED
from faults.plan import FaultKind
from faults.report import Report

#: Half a minute where nothing else runs, and far more beside a whole suite.
pytestmark = pytest.mark.timeout(300)

F = FaultKind
#: Few daemons and one sort of fault for each: what is found so has only to be there in ``make chaos``.
TERMS = RunTerms(
    seed=3,
    seconds=14,
    jobs_per_second=7,
    submitters=2,
    settle_seconds=12,
    quiet_seconds=0.1,
    why_no_disks="none is filled",
    pause_seconds=(0.2, 0.6),
)
#: Each bug of a minion: what strikes it, and how it shows.
OF_MINIONS = {
    "no-journal": (F.KILL_MINION, "unexplained loss"),
    "spool-dropped-at-restart": (F.KILL_MINION, "unexplained loss"),
    "no-readoption": (F.KILL_MINION, "unexplained loss"),
    "no-deduplication": (F.STOP_MINION, "ran twice"),
    "expired-is-started": (F.STOP_MINION, "started too late"),
    "cancel-overtakes": (F.DELAY, "ran although cancelled"),
}
OF_MASTER = "acknowledge-before-commit"
#: Each minion has another bug, and one more has none.
MINIONS = {f"m{number}": bug for number, bug in enumerate(OF_MINIONS, start=1)}
SOUND = f"m{len(MINIONS) + 1}"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """One run with all bugs of minions at once."""
    terms = replace(
        TERMS,
        minions=len(MINIONS) + 1,
        bugs=MINIONS,
        kinds_of={minion: (OF_MINIONS[bug][0],) for minion, bug in MINIONS.items()},
        kinds=(F.KILL_MINION, F.STOP_MINION, F.DELAY),
        mix=Mix(cancelled_of_ten=3, all_of_ten=7),
        stretch=1.5,
    )
    return run(tmp_path_factory.mktemp("f"), terms)


def test_every_bug_that_can_be_planted_is_tried() -> None:
    assert {*OF_MINIONS, OF_MASTER} == set(PLANTED)


@pytest.mark.parametrize("minion", MINIONS)
def test_a_bug_that_is_planted_in_a_minion_is_found_there(minion: str, report: Report) -> None:
    _, shows = OF_MINIONS[MINIONS[minion]]
    found = [finding for finding in report.findings if finding.minion == minion]
    assert shows in sorts(found), f"{MINIONS[minion]}:\n{report.text()}"


def test_nothing_is_found_on_a_minion_beside_them_that_has_no_bug(report: Report) -> None:
    assert [finding for finding in report.findings if finding.minion == SOUND] == []
    assert any(fault.lane == SOUND for fault in report.faults)


def test_a_master_that_acknowledges_before_it_commits_is_found(tmp_path_factory: pytest.TempPathFactory) -> None:
    terms = replace(TERMS, minions=1, seconds=8, kinds=(F.KILL_MASTER,), bugs={"master": OF_MASTER})
    report = run(tmp_path_factory.mktemp("f"), terms)
    assert "unexplained loss" in sorts(report.findings), report.text()
