"""What a run prints."""

import json

from faults.history import Fault, Finding
from faults.plan import FaultKind
from faults.report import Report

FAULTS = [Fault(FaultKind.CUT, "m1", 1.0, 2.0, is_inside) for is_inside in (True, False, True)]
FINDINGS = [Finding("ran twice", "it did", "s0-00001", "2026", "m1")] * 7
REPORT = Report(7, 12.3, 2, 9, {"succeeded": 9}, {"accepted": 9}, FAULTS, FINDINGS, {FaultKind.FULL_STORE: "only root"})


def test_the_text_counts_the_faults_and_those_inside_of_a_job_and_names_the_findings() -> None:
    text = REPORT.text()
    assert "seed 7, 12 s, 2 minions, 9 jobs" in text
    assert "cut                      3             2" in text
    assert "full-store         skipped: only root" in text
    assert "findings: 7" in text
    assert text.count("ran twice: s0-00001 2026 on m1: it did") == 5
    assert text.endswith("2 more: ran twice")


def test_the_last_line_is_json() -> None:
    document = json.loads(REPORT.line())
    assert document["seed"] == 7
    assert document["faults"] == {"cut": {"inside": 2, "number": 3}}
    assert document["findings"] == {"ran twice": 7}
