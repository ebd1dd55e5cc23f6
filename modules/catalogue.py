"""Which execution modules there are, and how a function is found by its name.

The built-in modules are a list that one can read, never a directory scan. Other packages add theirs through the entry
point group ``fleet.modules``: the entry point's name is the module's name, its value the Python module that holds it.

A module is imported when one of its functions is asked for and not before: start-up time and memory are features.
"""

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from ..core.errors import ArgumentError, FleetError, NotFoundError
from ..core.function_spec import FunctionSpec
from ..core.functions import describe, functions_of
from ..core.names import FunctionName, check_function_name

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: The files of the built-in modules, sorted. A trailing underscore is no part of the module's name: it keeps the file
#: apart from the module of that name in Python's own library.
MODULE_FILES = ("cmd_", "fleetutil", "grains", "network", "status", "sys_", "test_")

ENTRY_POINT_GROUP = "fleet.modules"

_NEAREST_NAMES = 3


class UnknownFunctionError(NotFoundError):
    """There is no such function on this machine; the hint names the nearest ones."""


class ModuleConflictError(FleetError):
    """Two installed packages bring a module of the same name, or one brings a built-in's; remove one of them."""


class BrokenModuleError(FleetError):
    """A module of another package cannot be imported, or a function in it cannot be described."""


def load_function(name: FunctionName) -> Callable[..., object]:
    """Return the function of that name, importing the module that holds it and nothing else.

    Raises:
        UnknownFunctionError: no module has it.
        ModuleConflictError: two installed packages bring that module.
        BrokenModuleError: the module comes from another package and cannot be imported.
    """
    module_name = name.partition(".")[0]
    file = _builtin_file(module_name)
    if file:
        functions = functions_of(_import_builtin(file))
    else:
        found = _entry_points().get(module_name, [])
        functions = _functions_behind(_the_only(found)) if found else {}
    if name not in functions:
        raise UnknownFunctionError(f"there is no function {name!r}", _hint_for(name))
    return functions[name]


def function_specs(on_problem: Callable[[FleetError], None] | None = None) -> Mapping[FunctionName, FunctionSpec]:
    """Describe every function that this machine has, sorted by name. Imports every module.

    Args:
        on_problem: takes what is wrong with a module of another package, which is then left out, so that a bad package
            keeps no minion from starting. Without it the first such problem is raised.

    Raises:
        ModuleConflictError: two packages bring the same module.
        BrokenModuleError: a module of another package cannot be imported or described.
    """
    specs: dict[FunctionName, FunctionSpec] = {}
    for file in MODULE_FILES:
        functions = functions_of(_import_builtin(file))
        specs.update({name: describe(name, target) for name, target in functions.items()})
    for found in _entry_points().values():
        try:
            specs.update(_describe_all_behind(_the_only(found)))
        except (ModuleConflictError, BrokenModuleError) as problem:
            if on_problem is None:
                raise
            on_problem(problem)
    return dict(sorted(specs.items()))


def _builtin_file(module_name: str) -> str:
    """Return the file of the built-in module of that name, or ``""``."""
    return next((file for file in MODULE_FILES if file.rstrip("_") == module_name), "")


def _import_builtin(file: str) -> ModuleType:
    return import_module(f".{file}", __package__)


def _entry_points() -> "dict[str, list[EntryPoint]]":
    """Find the modules of other packages, by module name; there should be one of each."""
    found: dict[str, list[EntryPoint]] = {}
    if _another_package_may_have_modules():
        from importlib.metadata import entry_points

        for entry_point in entry_points(group=ENTRY_POINT_GROUP):
            found.setdefault(entry_point.name, []).append(entry_point)
    return found


def _the_only(found: "list[EntryPoint]") -> "EntryPoint":
    """Return the entry point of a module. Of several none is taken: which came first is an accident of ``sys.path``."""
    owners = [entry_point.dist.name if entry_point.dist else entry_point.value for entry_point in found]
    if _builtin_file(found[0].name):
        owners.insert(0, "fleet itself")
    if len(owners) > 1:
        raise ModuleConflictError(
            f"the module {found[0].name!r} comes from {' and from '.join(owners)}",
            f"remove {' or '.join(owners[1:])}, or have it choose another name",
        )
    return found[0]


def _another_package_may_have_modules() -> bool:
    """Look for the group's heading in the files of the installed packages; a zip file in ``sys.path`` may have any.

    ``importlib.metadata`` alone costs 40 ms and 3.8 MB (email, zipfile and csv come with it): too much in every minion
    for the few that have such a package.
    """
    heading = f"[{ENTRY_POINT_GROUP}]".encode()
    return any(os.path.isfile(entry) or _declares(entry or ".", heading) for entry in sys.path)


def _declares(folder: str, heading: bytes) -> bool:
    """Tell whether a package that is installed in this folder of ``sys.path`` declares entry points of the group."""
    try:
        infos = [name for name in os.listdir(folder) if name.lower().endswith("-info")]
    except OSError:
        return False
    for info in infos:
        try:
            with open(os.path.join(folder, info, "entry_points.txt"), "rb") as file:
                if heading in file.read():
                    return True
        except OSError:  # most packages have no such file
            continue
    return False


def _functions_behind(entry_point: "EntryPoint") -> dict[FunctionName, Callable[..., object]]:
    """Import a module of another package and name its functions after the entry point."""
    try:
        found = functions_of(entry_point.load())
    except Exception as problem:  # code of others may raise anything
        raise BrokenModuleError(
            f"the module {entry_point.name!r} ({entry_point.value}) cannot be imported: {problem!r}",
            "repair or remove the package that brings it",
        ) from problem
    try:
        return {
            check_function_name(f"{entry_point.name}.{name.partition('.')[2]}"): target
            for name, target in found.items()
        }
    except ArgumentError as problem:
        raise BrokenModuleError(
            f"the entry point {entry_point.name!r} ({entry_point.value}) cannot name a module: {problem.message}",
            "its package must choose small letters, digits and '_'",
        ) from problem


def _describe_all_behind(entry_point: "EntryPoint") -> dict[FunctionName, FunctionSpec]:
    functions = _functions_behind(entry_point)
    try:
        return {name: describe(name, target) for name, target in functions.items()}
    except TypeError as problem:
        raise BrokenModuleError(
            f"the module {entry_point.name!r} ({entry_point.value}) has a function that cannot be described: {problem}",
            "repair or remove the package that brings it",
        ) from problem


def _hint_for(name: FunctionName) -> str:
    from difflib import get_close_matches

    nearest = get_close_matches(name, list(function_specs(_ignore)), _NEAREST_NAMES)
    if nearest:
        return f"did you mean {' or '.join(nearest)}?"
    return "`fleet doc` lists every function"


def _ignore(problem: FleetError) -> None:
    """Leave a broken module out: it is told where the module itself is asked for."""
