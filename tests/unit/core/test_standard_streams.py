"""Standard streams that are closed or full: nothing else gets their numbers, and what cannot be printed is said."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from fleet.core.errors import FleetError
from fleet.core.standard_streams import mend_standard_streams, print_or_fail
had_output = mend_standard_streams()
number = os.open("/dev/null", os.O_RDONLY)
try:
    print_or_fail("text")
    said = "printed"
except FleetError as problem:
    said = problem.hint
print(had_output, number > 2, said, file=open(sys.argv[1], "w"))
"""


@pytest.mark.parametrize(
    ("redirection", "expected"),
    [
        ("", "True True printed"),
        (">&-", "False True printed"),
        ("<&- >&- 2>&-", "False True printed"),
        ("2>&-", "True True printed"),
        (">/dev/full", "True True the disk that the output goes to is full: free some space"),
    ],
)
def test_streams_are_mended(tmp_path_factory: pytest.TempPathFactory, redirection: str, expected: str) -> None:
    answer = tmp_path_factory.mktemp("streams") / "answer"
    subprocess.run(
        ["sh", "-c", f'"$0" -P -c "$1" "$2" {redirection}', sys.executable, PROGRAM, answer],
        check=True,
        stdout=subprocess.PIPE,
    )
    assert answer.read_text().strip() == expected
