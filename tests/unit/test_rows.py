"""The table of acceptance rows names tests that exist, and no row twice."""

import ast
from collections import Counter
from functools import cache

from rows import read_rows
from support.source import ROOT


@cache
def names_of_tests(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_row_is_there_once_with_its_text() -> None:
    rows = read_rows()
    assert [name for name, count in Counter(row.id for row in rows).items() if count > 1] == []
    assert [row.id for row in rows if not (row.text and row.accept)] == []


def test_every_row_names_tests_that_exist_or_the_reason_why_there_is_none() -> None:
    missing = [
        f"{row.id}: {test}"
        for row in read_rows()
        for test in row.tests
        if test.partition("::")[2] not in names_of_tests(test.partition("::")[0])
    ]
    assert missing == []
    assert [row.id for row in read_rows() if not row.tests and not row.reason] == []
