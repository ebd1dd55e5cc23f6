"""Runs of the harness with a bug planted in a daemon: few daemons, one sort of fault, and how the bug shows from outside.

Each promise has a file of tests of its own, so that they run side by side: most of a run is waiting.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from faults.harness import RunTerms, run, sorts
from faults.orders import Mix
from faults.plan import FaultKind

#: A run takes some twenty seconds where nothing else runs, and far more beside a whole suite.
PLANTED_TIMEOUT_SECONDS = 300

F = FaultKind
#: Few daemons and one sort of fault: what finds a bug among all others has only to be there in ``make chaos``.
SHORT = RunTerms(
    seed=3,
    seconds=8,
    minions=1,
    jobs_per_second=5,
    submitters=1,
    settle_seconds=15,
    quiet_seconds=0.1,
    why_no_disks="none is filled",
    pause_seconds=(0.2, 0.6),
)
#: A fault has to meet a job at the right moment: on a machine that is busy with something else it may miss all of them.
SEEDS = (3, 4, 5)
TERMS = {
    "acknowledge-before-commit": replace(SHORT, kinds=(F.KILL_MASTER,), jobs_per_second=8),
    "no-journal": replace(SHORT, kinds=(F.KILL_MINION,)),
    "no-deduplication": replace(SHORT, kinds=(F.STOP_MINION,), seconds=10),
    "spool-dropped-at-restart": replace(SHORT, kinds=(F.KILL_MINION,)),
    "no-readoption": replace(SHORT, kinds=(F.KILL_MINION,), stretch={F.KILL_MINION: 0.3}, pause_seconds=(1.5, 3.0)),
    "expired-is-started": replace(SHORT, kinds=(F.STOP_MINION,), seconds=12, stretch={F.STOP_MINION: 2.5}),
    "cancel-overtakes": replace(
        SHORT, kinds=(F.DELAY,), minions=2, mix=Mix(cancelled_of_ten=9, all_of_ten=10), seconds=12
    ),
}
#: How each shows; it may show in other ways as well.
SHOWS = {
    "acknowledge-before-commit": "unexplained loss",
    "no-journal": "unexplained loss",
    "no-deduplication": "ran twice",
    "spool-dropped-at-restart": "unexplained loss",
    "no-readoption": "unexplained loss",
    "expired-is-started": "started too late",
    "cancel-overtakes": "ran although cancelled",
}


def check_that_it_is_found(bug: str, make_folder: Callable[[], Path]) -> None:
    """Run the harness with a bug until it shows, by a few seeds.

    Raises:
        AssertionError: it never showed.
    """
    reports = []
    for seed in SEEDS:
        report = run(make_folder(), replace(TERMS[bug], seed=seed, bugs={"*": bug}))
        if SHOWS[bug] in sorts(report.findings):
            return
        reports.append(report.text())
    raise AssertionError("\n".join(reports))
