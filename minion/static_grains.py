"""The operator's own grains: a YAML file of names and values, such as ``roles: [web, db]``, beside ``minion.yaml``.

It is read like every file of ours, without YAML's guessing: ``1.10``, ``no`` and ``2026-11-20`` stay the texts they are.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..core.errors import SettingsError
from ..core.values import Value, plain
from ..core.yaml_tree import Entries, plain_value, read_yaml
from .grain_limits import GRAINS_LIMIT_BYTES
from .grains import Grains

_FILE_MODE = 0o600
#: What is reported is bounded by GRAINS_LIMIT_BYTES; this leaves room for comments.
_FILE_LIMIT_BYTES = 4 * GRAINS_LIMIT_BYTES
_HEADING = "# Grains of this minion. `grains.setval` and `grains.delval` write this file anew: comments do not stay.\n"
_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}", re.ASCII)


def load_static_grains(path: Path) -> Grains:
    """Read the grains file. One that is missing has no grains; one that cannot be used is a warning, never an error.

    An entry that cannot be a grain is left out with a warning, the others stay.
    """
    try:
        entries = _read(path)
    except SettingsError as problem:
        return Grains({}, (f"{problem.message}; {problem.hint}",))
    values: dict[str, Value] = {}
    warnings: list[str] = []
    for name, value in entries.items():
        try:
            values[check_grain_name(name)] = value
        except ValueError as problem:
            warnings.append(f"{path}: the grain {name[:140]!r} is left out: {problem}")
    return Grains(values, tuple(warnings))


def write_static_grain(path: Path, key: str, value: Value) -> None:
    """Set one grain in the grains file, or remove it when the value is ``None``; every other entry stays.

    The file is replaced in one step, with mode 0600; a missing one is made. One process at a time may do this: the
    daemon, or ``fleet-call`` where none runs.

    Raises:
        SettingsError: the file is damaged or cannot be written, the key is no name, or the value is one that a file
            cannot hold (bytes, infinity, a number of more than 63 bits). Nothing was changed then.
    """
    entries = dict(_read(path))
    if value is None and key not in entries:
        return
    try:
        entries[check_grain_name(key)] = plain(value)
        if value is None:
            del entries[key]
        content = _write(entries)
    except (TypeError, ValueError, SettingsError) as problem:
        raise SettingsError(f"the grain {key[:140]!r} cannot be kept in {path}: {problem}") from problem
    try:
        _replace(path.resolve(), content)
    except OSError as problem:
        raise SettingsError(
            f"cannot write {path}: {problem.strerror}", "it is written by the account that the minion runs as"
        ) from problem


def check_grain_name(name: str) -> str:
    """Return the name of a grain.

    Raises:
        ValueError: it is empty, or holds what separates names in a target: ':' or white space.
    """
    if not name or ":" in name or not name.isprintable() or name.split() != [name]:
        raise ValueError("a name has no ':', no white space, and is not empty")
    return name


def _read(path: Path) -> Mapping[str, Value]:
    """Read the entries of a grains file.

    Raises:
        SettingsError: it is unreadable, no YAML, too long, or no mapping.
    """
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
        return _parse(content)
    except SettingsError as problem:
        hint = problem.hint or "repair it; nothing in it counts until then"
        raise SettingsError(f"{path}: {problem.message}", hint) from problem


def _parse(content: bytes) -> dict[str, Value]:
    try:
        tree = read_yaml(content.decode())
    except UnicodeDecodeError as problem:
        raise SettingsError(f"no UTF-8: {problem.reason} at byte {problem.start}") from problem
    if tree is None:
        return {}
    if not isinstance(tree, Entries):
        raise SettingsError(
            f"line {tree.line}: this is no mapping of names to values", "write lines such as `role: web`"
        )
    return {entry.key: plain_value(entry.value) for entry in tree.entries}


def _write(entries: Mapping[str, Value]) -> bytes:
    """Write entries so that ``_parse`` finds the same: a line an entry, its value in JSON, which is YAML too.

    Raises:
        TypeError: a value is one that JSON does not know, such as bytes.
        ValueError: a value would not be read back as it is, or all together is too much.
    """
    import json

    lines = [_HEADING]
    for name in sorted(entries):
        shown_name = name if _NEEDS_NO_QUOTES.fullmatch(name) else json.dumps(name, ensure_ascii=False)
        text = json.dumps(entries[name], ensure_ascii=False, allow_nan=False)
        # YAML refuses raw control characters that JSON lets pass, and reads JSON's pairs of surrogates as two.
        lines.append("".join(_escaped(character) for character in f"{shown_name}: {text}") + "\n")
    content = "".join(lines).encode()
    if len(content) > _FILE_LIMIT_BYTES:
        raise ValueError(f"more than {_FILE_LIMIT_BYTES} bytes; grains are short facts to choose targets by")
    if _parse(content) != entries:
        raise ValueError("it would not be read back as it is")
    return content


def _escaped(character: str) -> str:
    return character if character.isprintable() else f"\\U{ord(character):08x}"


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
