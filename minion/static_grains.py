"""The operator's own grains: a YAML file of names and values, such as ``roles: [web, db]``, beside ``minion.yaml``."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..core.errors import SettingsError
from ..core.values import Value, plain
from .grains import GRAINS_LIMIT_BYTES, Grains

_FILE_MODE = 0o600
_FILE_LIMIT_BYTES = 4 * GRAINS_LIMIT_BYTES
_HEADING = "# Grains of this minion. `grains.setval` and `grains.delval` write this file anew: comments do not stay.\n"


def load_static_grains(path: Path) -> Grains:
    """Read the grains file. One that is missing has no grains; one that cannot be used is a warning, never an error.

    A grain whose value cannot travel (a date without quotes) is left out with a warning, the others stay.
    """
    try:
        entries = _read(path)
    except SettingsError as problem:
        return Grains({}, (f"{problem.message}; {problem.hint}",))
    values: dict[str, Value] = {}
    warnings: list[str] = []
    for name, value in entries.items():
        try:
            values[check_name(name)] = plain(value)
        except (TypeError, ValueError) as problem:
            warnings.append(f"{path}: the grain {name!r} is left out: {problem}; quote what is meant as text")
    return Grains(values, tuple(warnings))


def write_static_grain(path: Path, key: str, value: Value) -> None:
    """Set one grain in the grains file, or remove it when the value is ``None``; every other entry stays.

    The file is replaced in one step, with mode 0600; a missing one is made. One process at a time may do this: the
    daemon, or ``fleet-call`` where none runs.

    Raises:
        SettingsError: the file is damaged or cannot be written, the key is no name, or the value cannot be kept.
            Nothing was changed then.
    """
    import yaml

    entries = dict(_read(path))
    try:
        checked = plain(value)
        check_name(key)
    except (TypeError, ValueError) as problem:
        raise SettingsError(f"the grain {key[:140]!r} cannot be kept: {problem}") from problem
    if checked is None:
        if key not in entries:
            return
        del entries[key]
    else:
        entries[key] = checked
    content = _HEADING + yaml.safe_dump(entries, allow_unicode=True, sort_keys=True)
    if len(content.encode()) > _FILE_LIMIT_BYTES:
        raise SettingsError(
            f"the grain {key[:140]!r} cannot be kept: {path} would grow beyond {_FILE_LIMIT_BYTES} bytes",
            "grains are short facts to choose targets by: keep large data elsewhere",
        )
    try:
        _replace(path.resolve(), content.encode())
    except OSError as problem:
        raise SettingsError(
            f"cannot write {path}: {problem.strerror}", "it is written by the account that the minion runs as"
        ) from problem


def check_name(name: object) -> str:
    """Return the name of a grain.

    Raises:
        TypeError: it is no text.
        ValueError: it is empty, or holds what separates names in a target: ':' or white space.
    """
    if not isinstance(name, str):
        raise TypeError("its name is no text: put it in quotes")
    if not name or ":" in name or not name.isprintable() or name.split() != [name]:
        raise ValueError("a name has no ':', no white space, and is not empty")
    return name


def _read(path: Path) -> Mapping[str, Value]:
    """Read the entries of a grains file, names and values as YAML gives them.

    Raises:
        SettingsError: it is unreadable, no YAML, too long, or no mapping.
    """
    import yaml

    try:
        with path.open("rb") as file:
            content = file.read(_FILE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as problem:
        raise SettingsError(f"cannot read {path}: {problem.strerror}", "let the minion's account read it") from problem
    if len(content) > _FILE_LIMIT_BYTES:
        raise SettingsError(f"{path} is longer than {_FILE_LIMIT_BYTES} bytes", "keep large data elsewhere")
    try:
        entries = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as problem:  # ValueError: 2026-13-45, or bytes that are no text
        raise SettingsError(f"{path} is no YAML: {' '.join(str(problem).split())}", "repair it") from problem
    if entries is None:
        return {}
    if not isinstance(entries, dict):
        raise SettingsError(
            f"{path} must map names to values, and it is a {type(entries).__name__}", "write lines such as `role: web`"
        )
    return entries


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a kill at any moment, finds the old content or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):  # of a process of the same pid that was killed in here
        temporary.unlink()
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
