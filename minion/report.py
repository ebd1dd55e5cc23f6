"""What the process of a job says to its supervisor, a line of JSON each, the last of which counts."""

import os

from ..core.dataclass import dataclass
from ..core.errors import StateError
from ..core.outcome import Outcome
from .job_records import StartedProgram, program_from_json, program_to_json
from .json_form import Fields, outcome_from_json, outcome_to_json, write_json

#: More than a traceback and the longest message; what comes beyond is dropped.
REPORT_LIMIT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Report:
    """How a function ended, or that the process now becomes a program.

    Attributes:
        outcome: how it ended, without its value; None when the process becomes a program, whose exit code tells.
        account: which account the program runs as; empty for the minion's own.
        timeout_seconds: the program's own limit, from now on; 0 for none.
        success_retcodes: its exit codes that are a success.
        answer: which value it returns: see ``Program``.
        program: what it becomes, in the very last report before it does.
    """

    outcome: Outcome | None
    account: str = ""
    timeout_seconds: float = 0.0
    success_retcodes: tuple[int, ...] = (0,)
    answer: str = "text"
    program: StartedProgram | None = None


def send_report(descriptor: int, report: Report) -> None:
    """Write a report as its line."""
    line = (
        write_json(
            {
                "outcome": None if report.outcome is None else outcome_to_json(report.outcome),
                "account": report.account,
                "timeout_seconds": report.timeout_seconds,
                "success_retcodes": report.success_retcodes,
                "answer": report.answer,
                "program": None if report.program is None else program_to_json(report.program),
            }
        )
        + b"\n"
    )
    view = memoryview(line)
    while view:
        view = view[os.write(descriptor, view) :]


def read_last_report(lines: bytes) -> Report | None:
    """Read the last whole line; None when there is none, or it is no report."""
    line = lines.rpartition(b"\n")[0].rpartition(b"\n")[2]
    if not line:
        return None
    try:
        fields = Fields(line, "a report")
        outcome = fields.optional_nested("outcome")
        program = fields.optional_nested("program")
        return Report(
            outcome=None if outcome is None else outcome_from_json(outcome),
            account=fields.text("account"),
            timeout_seconds=fields.real("timeout_seconds"),
            success_retcodes=fields.integers("success_retcodes"),
            answer=fields.text("answer"),
            program=None if program is None else program_from_json(program),
        )
    except StateError:
        return None  # A function that writes to descriptors it did not open spoils its own report, no more.
