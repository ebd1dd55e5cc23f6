"""The table of `docs/architecture.md`: who may import whom, and which libraries stand behind which file."""

import re
import subprocess
import sys
from fnmatch import fnmatch

import pytest

from support.source import ROOT, files_of, imports_of, packages

MAY_IMPORT = {
    "core": set[str](),
    "keys": {"core"},
    "modules": {"core"},
    "minion": {"core", "keys", "modules"},
    "master": {"core", "keys"},
    "client": {"core", "keys"},
}

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def fences() -> dict[str, list[str]]:
    """Read from the page which files may import which library, as patterns; nobody where there is none."""
    found = {}
    for row in PAGE.partition("| library |")[2].partition("\n\n")[0].splitlines()[2:]:
        _, libraries, files, _ = row.split("|")
        patterns = [f"{name}*" if name.endswith("/") else name for name in re.findall(r"`([^`]+)`", files)]
        found.update(dict.fromkeys(re.findall(r"`([^`]+)`", libraries), patterns))
    return found


#: core opens no socket, starts no thread and reads no clock: time and randomness come in as arguments.
NOT_IN_CORE = {
    "socket",
    "socketserver",
    "select",
    "selectors",
    "ssl",
    "threading",
    "subprocess",
    "time",
    "random",
    "secrets",
}


def test_the_table_has_every_package_and_no_other() -> None:
    assert set(MAY_IMPORT) == packages()


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_imports_only_what_stands_below_it(package: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {name[0]}"
        for file in files_of(package)
        for level, name in imports_of(file)
        if level == 2
        and name[0] not in MAY_IMPORT[package]
        # `from .. import __version__`: the root holds the version and nothing else.
        and name not in {("__version__",), ("__file__",)}
    ]
    assert wrong == []


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_product_code_imports_its_own_relatively_and_never_beyond_the_root(package: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)}: {'.' * level}{'.'.join(name)}"
        for file in files_of(package)
        for level, name in imports_of(file)
        if level > 2 or (level == 0 and name[0] in {"fleet", "tests", "support", *packages()})
    ]
    assert wrong == []


def test_the_page_names_the_fences() -> None:
    assert {"nacl", "msgpack", "yaml", "re2", "zmq", "sqlite3", "rich"} <= set(fences())
    assert fences()["nacl"] == ["core/crypto.py"]
    assert fences()["asyncio"] == []


@pytest.mark.parametrize("library", sorted(fences()))
def test_a_library_stays_behind_its_fence(library: str) -> None:
    users = {
        str(file.relative_to(ROOT))
        for package in packages()
        for file in files_of(package)
        if any(level == 0 and name[0] == library for level, name in imports_of(file))
    }
    assert {user for user in users if not any(fnmatch(user, fence) for fence in fences()[library])} == set()


def test_core_opens_no_socket_starts_no_thread_and_reads_no_clock() -> None:
    found = {
        f"{file.name} imports {name[0]}"
        for file in files_of("core")
        for level, name in imports_of(file)
        if level == 0 and name[0] in NOT_IN_CORE
    }
    # The log writes the time that a record already has.
    assert found - {"logs.py imports time"} == set()


def test_the_pages_of_the_architecture_name_every_file() -> None:
    missing = [
        str(file.relative_to(ROOT))
        for package in sorted(packages() - {"modules"})
        for file in files_of(package)
        if file.name != "__init__.py" and f"`{file.name}`" not in PAGE
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("module", "too_heavy"),
    [
        (
            "fleet.client.fleet_command",
            "zmq nacl yaml re2 psutil distro rich tornado asyncio argparse sqlite3 logging dataclasses inspect",
        ),
        (
            "fleet.client.run_command",
            "zmq nacl yaml re2 psutil distro rich tornado asyncio argparse dataclasses inspect fleet.core.messages",
        ),
        ("fleet.client.key_command", "zmq yaml re2 psutil distro rich tornado asyncio argparse"),
        ("fleet.minion.daemon", "asyncio tornado rich sqlite3 psutil distro argparse"),
        ("fleet.minion.supervisor", "zmq nacl asyncio tornado rich sqlite3 psutil distro yaml"),
        ("fleet.master.daemon", "asyncio tornado rich psutil distro fleet.modules fleet.client fleet.minion"),
    ],
)
def test_a_program_loads_nothing_that_it_does_not_need(module: str, too_heavy: str) -> None:
    """Start-up time and memory are features: a heavy library is imported where it is used, and not before."""
    program = f"import {module}, sys; print(*(set({too_heavy.split()!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
