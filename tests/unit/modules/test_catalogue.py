import json
import subprocess
import sys
from pathlib import Path

import pytest

import fleet.modules
from fleet.core.errors import FleetError
from fleet.core.functions import functions_of
from fleet.core.names import FunctionName
from fleet.modules import catalogue
from fleet.modules.catalogue import (
    MODULE_FILES,
    BrokenModuleError,
    ModuleConflictError,
    UnknownFunctionError,
    function_specs,
    load_function,
)

MODULES_FOLDER = Path(catalogue.__file__).parent

#: They run in the minion's own loop: nothing in them may wait for a disk, a network, a program or a name server.
#: Whoever adds one here says that it does not.
INSTANT = {
    "fleetutil.kill_job",
    "grains.delval",
    "grains.setval",
    "fleetutil.find_job",
    "fleetutil.running",
    "grains.get",
    "grains.has_value",
    "grains.item",
    "grains.items",
    "grains.ls",
    "network.get_hostname",
    "status.loadavg",
    "status.nproc",
    "status.time",
    "sys.argspec",
    "sys.doc",
    "sys.list_functions",
    "sys.list_modules",
    "test.arg",
    "test.echo",
    "test.false",
    "test.kwarg",
    "test.ping",
    "test.true",
    "test.version",
}
#: They change something, so a minion runs them at most once.
CHANGING = {
    "cmd.exec",
    "cmd.retcode",
    "cmd.run",
    "cmd.run_all",
    "cmd.run_stderr",
    "cmd.run_stdout",
    "cmd.shell",
    "fleetutil.kill_job",
    "grains.delval",
    "grains.setval",
}


def run_fresh(code: str) -> str:
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python finds packages in; ``install`` puts some there."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(folder: Path, distribution: str, entry_point: str, source: str) -> None:
    package = entry_point.partition("=")[2]
    (folder / f"{package}.py").write_text(source)
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[fleet.modules]\n{entry_point}\n")


GREETER = '''
from fleet.core.functions import function

@function(reads=True)
def greet(name: str) -> str:
    """Greet somebody.

    Args:
        name: whom.
    """
    return f"hello {name}"
'''


def test_every_built_in_function_can_be_described_and_says_what_each_parameter_is() -> None:
    specs = function_specs()
    assert list(specs) == sorted(specs)
    for name, spec in specs.items():
        assert spec.name == name
        assert spec.summary.endswith("."), name
        assert len(spec.summary) <= 120, name
        for parameter in spec.parameters:
            assert parameter.help.endswith("."), (name, parameter.name)


def test_every_file_with_functions_is_in_the_list_and_every_entry_has_functions() -> None:
    with_functions = []
    for file in sorted(MODULES_FOLDER.glob("*.py")):
        if file.stem not in {"__init__", "catalogue"}:
            module = __import__(f"{fleet.modules.__name__}.{file.stem}", fromlist=["*"])
            if functions_of(module):
                with_functions.append(file.stem)
    assert tuple(with_functions) == MODULE_FILES


def test_instant_functions_are_exactly_these() -> None:
    assert {name for name, spec in function_specs().items() if spec.instant} == INSTANT


def test_functions_that_change_something_are_exactly_these() -> None:
    assert {name for name, spec in function_specs().items() if not spec.reads} == CHANGING
    assert {name for name, spec in function_specs().items() if spec.disruptive} == {"fleetutil.kill_job"}


def test_every_described_function_can_be_loaded_by_its_name() -> None:
    for name in function_specs():
        assert callable(load_function(name))


def test_a_function_is_loaded_without_the_modules_of_the_others() -> None:
    code = (
        "import sys, json\n"
        "from fleet.modules.catalogue import load_function\n"
        "assert load_function('test.ping')() is True\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = set(json.loads(run_fresh(code)))
    too_much = {"asyncio", "distro", "importlib.metadata", "nacl", "psutil", "socket", "subprocess", "yaml", "zmq"}
    assert "fleet.modules.test_" in loaded
    assert not loaded & too_much
    assert not loaded & {f"fleet.modules.{file}" for file in MODULE_FILES if file != "test_"}


def test_describing_every_function_loads_no_library() -> None:
    code = (
        "import sys, json\n"
        "from fleet.modules.catalogue import function_specs\n"
        "function_specs()\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = set(json.loads(run_fresh(code)))
    assert not loaded & {"asyncio", "distro", "importlib.metadata", "nacl", "psutil", "subprocess", "yaml", "zmq"}


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("cmd.rum", "cmd.run"),
        ("tset.ping", "test.ping"),
        ("test.pong", "test.ping"),
        ("network.ip_adrs", "network.ip_addrs"),
    ],
)
def test_an_unknown_function_is_refused_and_the_nearest_named(name: str, nearest: str) -> None:
    with pytest.raises(UnknownFunctionError, match=name) as refused:
        load_function(FunctionName(name))
    assert nearest in refused.value.hint


def test_a_function_like_no_other_is_refused_with_the_way_to_the_list() -> None:
    with pytest.raises(UnknownFunctionError) as refused:
        load_function(FunctionName("zzzz.qqqqqqqq"))
    assert refused.value.hint == "`fleet doc` lists every function"


@pytest.mark.parametrize(
    "name", ["os.system", "catalogue.load_function", "network_tables.parse_routes", "cmd_.run", "test.function"]
)
def test_only_registered_functions_of_listed_modules_can_be_reached(name: str) -> None:
    with pytest.raises(UnknownFunctionError):
        load_function(FunctionName(name))


def test_a_module_of_another_package_is_found_under_the_name_of_its_entry_point(installed: Path) -> None:
    install(installed, "acme-fleet", "acme=acme_greeter_one", GREETER)
    name = FunctionName("acme.greet")
    assert load_function(name)("you") == "hello you"
    assert function_specs()[name].reads


def test_of_two_packages_with_one_module_name_neither_is_taken(installed: Path) -> None:
    install(installed, "acme-fleet", "acme=acme_greeter_two", GREETER)
    install(installed, "other-fleet", "acme=acme_greeter_three", GREETER)
    with pytest.raises(ModuleConflictError, match=r"(acme|other)-fleet and from (acme|other)-fleet"):
        function_specs()
    with pytest.raises(ModuleConflictError):
        load_function(FunctionName("acme.greet"))
    problems: list[FleetError] = []
    assert "acme.greet" not in function_specs(problems.append)
    assert [type(problem) for problem in problems] == [ModuleConflictError]
    with pytest.raises(UnknownFunctionError):
        load_function(FunctionName("nothing.there"))


def test_a_package_cannot_take_the_place_of_a_built_in_module(installed: Path) -> None:
    install(installed, "evil-fleet", "cmd=evil_module", GREETER)
    with pytest.raises(ModuleConflictError, match="from fleet itself and from evil-fleet") as refused:
        function_specs()
    assert refused.value.hint.startswith("remove evil-fleet")
    assert load_function(FunctionName("cmd.run")).__module__ == "fleet.modules.cmd_"
    problems: list[FleetError] = []
    specs = function_specs(problems.append)
    assert "cmd.greet" not in specs
    assert "cmd.run" in specs
    assert [type(problem) for problem in problems] == [ModuleConflictError]


@pytest.mark.parametrize(
    ("entry_point", "source", "reason"),
    [
        ("broken=broken_module_one", "raise RuntimeError('not today')", "not today"),
        ("broken=broken_module_two", GREETER.replace("name: whom.", "nobody: whom."), "docstring"),
        ("Broken=broken_module_three", GREETER, "cannot name a module"),
    ],
)
def test_a_broken_package_is_named_and_can_be_left_out(
    installed: Path, entry_point: str, source: str, reason: str
) -> None:
    install(installed, "broken-fleet", entry_point, source)
    with pytest.raises(BrokenModuleError, match=reason):
        function_specs()
    problems: list[FleetError] = []
    specs = function_specs(problems.append)
    assert "test.ping" in specs
    assert not any(name.startswith("broken") for name in specs)
    assert [type(problem) for problem in problems] == [BrokenModuleError]
