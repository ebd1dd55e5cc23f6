"""The table of `docs/architecture.md`: who may import whom, and which libraries stand behind which file."""

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

#: The files that may import a library, as `docs/architecture.md` says under the table.
FENCES = {
    "nacl": ("core/crypto.py",),
    "msgpack": ("core/codec.py",),
    "yaml": ("core/yaml_tree.py", "minion/static_grains.py", "client/documents.py"),
    "re2": ("core/targets.py",),
    "zmq": ("minion/transport.py", "master/transport.py", "master/admission.py", "master/daemon.py"),
    "sqlite3": ("keys/store.py", "master/store*.py"),
    "rich": ("client/fold.py",),
    "asyncio": (),
}

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
        and name != ("__version__",)
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


@pytest.mark.parametrize("library", sorted(FENCES))
def test_a_library_stays_behind_its_fence(library: str) -> None:
    users = {
        str(file.relative_to(ROOT))
        for package in packages()
        for file in files_of(package)
        if any(level == 0 and name[0] == library for level, name in imports_of(file))
    }
    assert {user for user in users if not any(fnmatch(user, fence) for fence in FENCES[library])} == set()


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
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    missing = [
        str(file.relative_to(ROOT))
        for package in sorted(packages() - {"modules"})
        for file in files_of(package)
        if file.name != "__init__.py" and f"`{file.name}`" not in page
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("module", "too_heavy"),
    [
        ("fleet.client.fleet_command", "zmq nacl yaml re2 psutil distro rich tornado asyncio argparse sqlite3 logging"),
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
