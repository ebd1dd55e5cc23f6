"""Every bug that can be planted is tried by a test of its own."""

import re
from pathlib import Path

from faults.patched_daemon import PLANTED
from faults.planted import SHOWS, TERMS


def test_every_bug_that_can_be_planted_is_tried() -> None:
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_planted_*.py"))
    assert set(TERMS) == set(SHOWS) == set(PLANTED)
    assert set(re.findall(r'"([a-z]+-[a-z-]+)"', tests)) == set(PLANTED)
