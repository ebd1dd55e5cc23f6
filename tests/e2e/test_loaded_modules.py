"""What whole commands import, and which libraries a minion at rest holds: start-up time and memory are features.

``tests/unit/test_imports.py`` looks at single modules; here the installed programs say it themselves while they do their work.
"""

import os
import re
from pathlib import Path

import pytest

from support.fleet import BIN, Fleet
from support.processes import run_command

_HEAVY = """
_ssl argparse ast asyncio bz2 cffi concurrent configparser ctypes dataclasses difflib dis distro email ftplib gettext glob hmac html
http importlib.metadata importlib.resources inspect json locale logging lzma mimetypes multiprocessing nacl numpy optparse pickle
pkgutil platform psutil queue random re2 rich secrets shutil smtplib sqlite3 ssl subprocess tempfile textwrap threading tokenize
tornado traceback unittest uuid xml yaml zipfile zmq
"""
_OTHERS = "fleet.master fleet.minion fleet.modules fleet.core.crypto fleet.core.messages fleet.core.settings"
_MINION_LIBRARIES = """
_asyncio _bz2 _ctypes _curses _decimal _elementtree _lzma _multiprocessing _psutil _queue _re2 _sqlite3 _ssl libffi libsqlite libssl
pyexpat readline
"""
#: What no command needs for what it does here; most of these take milliseconds, some of them tens.
HEAVY = frozenset(_HEAVY.split())
#: Of the product what other processes are for.
OTHERS = frozenset(_OTHERS.split())
#: What a minion that runs nothing has no use for, by a part of the name of the file.
MINION_LIBRARIES = frozenset(_MINION_LIBRARIES.split())

#: By what is run: how many modules of the product, and how many others beside those of a Python that does nothing. A dozen others more
#: than there are leave room for another release of Python, not for another library.
COMMANDS = {
    ("fleet", "--help"): (20, 40),
    ("fleet", "*", "test.ping"): (60, 75),
    ("fleet-key", "-L"): (53, 77),
}


def imported(words: tuple[str, ...], environment: dict[str, str]) -> set[str]:
    """Run a command and return every module that it imported."""
    command, *rest = words
    done = run_command((str(BIN / command), *rest), environment | {"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.code == 0, done
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", done.stderr, re.MULTILINE))


def is_one_of(module: str, names: frozenset[str]) -> bool:
    """Tell whether a module is one of these or lies in one of them."""
    parts = module.split(".")
    return any(".".join(parts[:count]) in names for count in range(1, len(parts) + 1))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_imports_nothing_that_it_does_not_need(words: tuple[str, ...], one_master: Fleet) -> None:
    one_master.grow("a")
    nothing = imported(("python", "-c", "pass"), one_master.environment())
    found = imported(words, one_master.environment()) - nothing

    own = {module for module in found if is_one_of(module, frozenset({"fleet"}))}
    assert own >= {"fleet.core.names", "fleet.core.options"}
    assert sorted(module for module in found if is_one_of(module, HEAVY | OTHERS)) == []
    own_limit, others_limit = COMMANDS[words]
    assert len(own) <= own_limit, sorted(own)
    assert len(found - own) <= others_limit, sorted(found - own)


def test_help_asks_nobody_and_loads_nothing_to_ask_with(one_master: Fleet) -> None:
    found = imported(("fleet", "--help"), one_master.environment())

    assert "fleet.client.verbs" in found
    asks = frozenset(
        {"socket", "select", "selectors", "msgpack", "pathlib", "fleet.client.client", "fleet.client.connection"}
    )
    assert sorted(module for module in found if is_one_of(module, asks)) == []


def test_a_minion_at_rest_holds_no_library_that_it_does_not_need(one_master: Fleet) -> None:
    one_master.grow("a")
    assert one_master.client().run("a", "cmd.run", "true").exit_code == 0
    pid = one_master.minions["a"].pid
    maps = Path(f"/proc/{pid}/maps").read_text()
    libraries = {os.path.basename(line.split()[5]) for line in maps.splitlines() if ".so" in line}

    assert any("zmq" in library for library in libraries)
    assert sorted(each for each in libraries if any(part in each for part in MINION_LIBRARIES)) == []
    assert len(libraries) <= 42, sorted(libraries)


def test_a_minion_at_rest_has_no_thread_but_its_own_and_those_of_the_transport(one_master: Fleet) -> None:
    one_master.grow("a")
    pid = one_master.minions["a"].pid
    names = sorted(
        Path(f"/proc/{pid}/task/{task}/comm").read_text().strip() for task in os.listdir(f"/proc/{pid}/task")
    )

    assert [name for name in names if not name.startswith("ZMQbg/")] == ["fleet-minion"]
    assert len(names) == 3
