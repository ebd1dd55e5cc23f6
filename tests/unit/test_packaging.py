"""What is installed is what is in the tree: all of it, once, under one name."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

import fleet
from support.source import ROOT, files_of, imports_of, packages

BIN = Path(sys.executable).parent
INSTALLED = Path(sysconfig.get_paths()["purelib"]) / "fleet"
COMMANDS = ("fleet", "fleet-key", "fleet-master", "fleet-minion", "fleet-call")


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_the_tests_import_the_package_that_the_commands_run() -> None:
    program = "import fleet; print(fleet.__file__)"
    of_the_commands = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, cwd="/"
    ).stdout.strip()
    assert (str(INSTALLED / "__init__.py"), str(INSTALLED / "__init__.py")) == (fleet.__file__, of_the_commands)


def test_the_package_is_loaded_once() -> None:
    files = [
        os.path.realpath(file)
        for module in list(sys.modules.values())
        if isinstance(file := getattr(module, "__file__", None), str) and file.endswith(".py")
    ]
    from_the_tree = [file for file in files if Path(file).parent.parent == ROOT and "tests" not in Path(file).parts]
    assert from_the_tree == []


def test_what_is_installed_is_what_is_in_the_tree() -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        files = [folder / "__init__.py", *folder.glob("*/*.py"), *folder.glob("*/*.service")]
        tree = [file for file in files if file.parent.name not in {"fleet", "tests"} or file.parent == folder]
        return {str(file.relative_to(folder)): file.read_bytes() for file in tree}

    assert contents(INSTALLED).keys() == contents(ROOT).keys()
    assert contents(INSTALLED) == contents(ROOT)


def test_every_folder_with_code_is_listed_as_a_package() -> None:
    """A forgotten one is missing only from the wheel, where nobody looks."""
    listed = set(setup_cfg()["options"]["packages"].split())
    assert listed == {"fleet", *(f"fleet.{folder}" for folder in packages())}


def test_nothing_in_the_root_shadows_the_package() -> None:
    shadows = [entry.name for entry in ROOT.glob("fleet*") if entry.suffix != ".egg-info" and not entry.is_symlink()]
    assert shadows == []


def test_every_library_that_the_product_imports_is_a_dependency_that_it_declares() -> None:
    names = {"zmq": "pyzmq", "nacl": "pynacl", "yaml": "pyyaml", "re2": "google-re2"}
    declared = set(re.findall(r"^([a-z0-9-]+) >= ", setup_cfg()["options"]["install_requires"], re.MULTILINE))
    imported = {
        names.get(name[0], name[0])
        for package in packages()
        for file in files_of(package)
        for level, name in imports_of(file)
        if level == 0 and name[0] not in {*sys.stdlib_module_names, "_typeshed"}
    }
    assert imported - declared == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_version_and_a_help_that_starts_with_examples(command: str) -> None:
    version = subprocess.run([BIN / command, "--version"], capture_output=True, text=True, check=True, cwd="/")
    assert (version.stdout, version.stderr) == (f"{command} {fleet.__version__}\n", "")
    shown = subprocess.run([BIN / command, "--help"], capture_output=True, text=True, check=True, cwd="/").stdout
    first_command = next(line for line in shown.splitlines() if re.match(rf"\s*(\$ )?{command} ", line))
    first_option = next(line for line in shown.splitlines() if re.match(r"\s+-", line))
    assert shown.index(first_command) < shown.index(first_option)


def test_the_version_stands_in_one_place() -> None:
    assert fleet.__version__ == metadata.version("fleetmq")
    assert setup_cfg()["metadata"]["version"] == "attr: fleet.__version__"


@pytest.mark.parametrize("missing", ["python3", "git"])
def test_make_says_what_is_missing(missing: str, tmp_path: Path) -> None:
    for name in {"sh", "python3", "git", "sed"} - {missing}:
        (tmp_path / name).symlink_to(sys.executable if name == "python3" else shutil.which(name) or name)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(
        [shutil.which("make") or "make", "demo"],
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"{missing} is missing; on Debian: apt-get install {missing}" in done.stdout
    assert not (tmp_path / ".venv").exists()
