"""What `make rows` runs: the tests behind the acceptance rows of `rows.tsv`, and a line for each row with its result."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Row:
    """One acceptance row.

    Attributes:
        id: such as ``SALT-40``.
        text: what the described system says or does.
        accept: how ours shows that it has it.
        tests: the node ids, relative to the repository, that show it; empty when none does yet.
        reason: why none does yet.
    """

    id: str
    text: str
    accept: str
    tests: tuple[str, ...]
    reason: str


def read_rows(file: Path = HERE / "rows.tsv") -> tuple[Row, ...]:
    """Read the table: id, text, accept, and node ids (or ``-`` and a reason), between tabs."""
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines()[1:]:
        name, text, accept, tests = line.split("\t")
        reason = tests.removeprefix("-").strip() if tests.startswith("-") else ""
        rows.append(Row(name, text, accept, () if reason else tuple(tests.split()), reason))
    return tuple(rows)


@dataclass(eq=False)  # pytest keeps its plugins in sets.
class Outcomes:
    """A pytest plugin that keeps the worst outcome of each test.

    Attributes:
        by_test: ``passed``, ``failed`` or ``skipped``, by node id without parameters.
    """

    by_test: dict[str, str] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what became of one phase of one test."""
        name = report.nodeid.partition("[")[0]
        ranks = ("passed", "skipped", "failed")
        known = self.by_test.get(name, "passed")
        self.by_test[name] = max(known, report.outcome, key=ranks.index)

    def of(self, tests: Sequence[str]) -> str:
        """Sum up the outcome of a row."""
        outcomes = {self.by_test.get(test, "not run") for test in tests}
        return next((outcome for outcome in ("failed", "not run", "skipped") if outcome in outcomes), "passed")


def main(words: list[str]) -> int:
    """Run the tests of the rows (of those whose ids are given, or of all) and print the table."""
    chosen = {word for word in words if not word.startswith("-")}
    rows = [row for row in read_rows() if not chosen or row.id in chosen]
    tests = sorted({test for row in rows for test in row.tests})
    outcomes = Outcomes()
    arguments = ["-p", "no:cacheprovider", *(word for word in words if word.startswith("-")), *tests]
    code = int(pytest.main(arguments, plugins=[outcomes])) if tests else 0
    width = max(len(row.id) for row in rows)
    print()
    for row in rows:
        if row.reason:
            print(f"{row.id:{width}}  not yet  {row.reason}")
        for number, test in enumerate(row.tests):
            print(f"{row.id if number == 0 else '':{width}}  {outcomes.of([test]):7}  {test}")
    shown = sum(1 for row in rows if row.tests and outcomes.of(row.tests) == "passed")
    print(f"\n{shown} of {len(rows)} rows are shown, {sum(1 for row in rows if row.reason)} not yet")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
