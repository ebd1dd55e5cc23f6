"""The source tree as data: which packages and files there are, and what each imports."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


def files_of(package: str) -> list[Path]:
    """List the files of a package."""
    files = sorted((ROOT / package).glob("*.py"))
    assert files, f"no file in {package}/"
    return files


@cache
def imports_of(file: Path) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """List (level, dotted name) of each import in a file, also of those inside functions; a file is parsed once."""
    return tuple(_imports_of(file))


def _imports_of(file: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield 0, tuple(name.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = tuple(node.module.split(".")) if node.module else ()
            if base:
                yield node.level, base
            else:
                for name in node.names:
                    yield node.level, (name.name,)


def packages() -> set[str]:
    """Name the sub-packages: the folders of the root with an ``__init__.py``; the link ``fleet`` is none."""
    return {file.parent.name for file in ROOT.glob("*/__init__.py") if not file.parent.is_symlink()}
