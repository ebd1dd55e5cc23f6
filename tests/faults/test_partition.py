"""A real partition: two machines and a cable that is pulled while jobs run; audited like every other run."""

import subprocess
import sys

import pytest

from faults.harness import RunTerms, run
from faults.namespaces import Cable, why_no_namespaces
from faults.plan import FaultKind

#: Nobody listens, so who is reached refuses.
KNOCK = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), 1)
except ConnectionRefusedError:
    sys.exit(0)
sys.exit(1)
"""

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _is_possible() -> None:
    reason = why_no_namespaces()
    if reason:
        pytest.skip(reason)


def test_jobs_that_run_while_the_cable_is_pulled_end_as_promised(tmp_path_factory: pytest.TempPathFactory) -> None:
    terms = RunTerms(
        seed=5, seconds=25, minions=3, jobs_per_second=3, kinds=(FaultKind.PARTITION,), why_no_disks="none is filled"
    )
    with Cable() as cable:
        report = run(tmp_path_factory.mktemp("n"), terms, cable=cable)
    number, inside = report.counts()[FaultKind.PARTITION]
    assert report.findings == [], report.text()
    assert number >= inside >= 2
    assert report.states["succeeded"] > 10


def test_a_cable_that_is_pulled_carries_nothing_until_it_is_plugged_in() -> None:
    with Cable() as cable:
        knock = cable.of_minions(sys.executable, "-c", KNOCK, cable.address)

        def is_heard() -> bool:
            return subprocess.run(knock, capture_output=True, check=False).returncode == 0

        assert is_heard()
        cable.pull()
        assert not is_heard()
        cable.plug_in()
        assert is_heard()
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert "fleet-chaos" not in listed
