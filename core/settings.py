"""Settings: a YAML file and the environment become a frozen dataclass, or an error that names file, key and reason.

::

    @dataclass(frozen=True, slots=True)
    class MasterSettings:
        interface: str = setting("0.0.0.0", help="Address to listen on.")
        publish_port: int = setting(4605, help="Port that jobs go out on.", minimum=1, maximum=65535)

    load_settings(MasterSettings, Path("master.yaml"), os.environ, "FLEET_MASTER_")

A field is a ``str``, ``int``, ``float``, ``bool``, ``tuple[str, ...]`` (one text will do), ``dict[str, Value]``, a
``Literal`` of texts, or one of them ``| None``. Nothing is guessed: text stays as written, ``yes`` is no boolean.
"""

from collections.abc import Iterable, Mapping
from copy import copy
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar

from .argument_kinds import UnfitError
from .dataclass import dataclass, field, replace
from .errors import SettingsError
from .excerpt import shorten
from .setting_fields import METADATA_KEY, Limits, SettingField, fields_of
from .values import Value
from .yaml_tree import Entries, Node, Word, plain_value, read_yaml

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: A configuration file is written by a person; a log or a disk image named by mistake must end in a message.
FILE_LIMIT_BYTES = 1024 * 1024

T = TypeVar("T")
SettingsClass = TypeVar("SettingsClass", bound="DataclassInstance")


_UNREADABLE: Mapping[type[OSError], str] = MappingProxyType(
    {
        PermissionError: "let the account that this runs as read it, or run this as the account that may",
        IsADirectoryError: "it is a folder: move it away, or name the file with -c",
    }
)
_FORM_HINT = "a line reads `name: value`; text with : # [ { or a blank at its ends stands in quotes"


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as its reference and ``--help`` show it.

    Attributes:
        name: the key in the file.
        type_text: what it takes, in words, with its range.
        default: as it would be written in the file.
        help: one sentence.
        environment: the variable that sets it.
    """

    name: str
    type_text: str
    default: str
    help: str
    environment: str


@dataclass(frozen=True, slots=True)
class LoadedSettings(Generic[SettingsClass]):
    """Settings that count.

    Attributes:
        settings: all of them.
        sources: where each comes from: ``default``, the file, the variable or ``command line``, by key in order.
    """

    settings: SettingsClass
    sources: Mapping[str, str]

    def as_yaml(self) -> str:
        """Write them as a file that says the same, each with its source in a comment."""
        import json

        from .visible import visible_line

        lines = {
            name: f"{name}: {json.dumps(getattr(self.settings, name), ensure_ascii=False)}" for name in self.sources
        }
        width = min(max(len(line) for line in lines.values()), 60)
        text = "".join(f"{lines[name]:{width}}  # {visible_line(source)}\n" for name, source in self.sources.items())
        return text.encode(errors="backslashreplace").decode()


def setting(
    default: T,
    *,
    help: str,  # noqa: A002 -- it reads as what it is
    minimum: float | None = None,
    maximum: float | None = None,
    pattern: str = "",
) -> T:
    """Declare a field of a settings class.

    Args:
        default: its value when nothing sets it.
        help: one sentence for the reference and ``--help``.
        minimum: the smallest number allowed.
        maximum: the largest number allowed.
        pattern: a regular expression that a text, or each text of several, must match as a whole.
    """
    metadata = {METADATA_KEY: Limits(help, minimum, maximum, pattern)}
    if isinstance(default, dict):
        return field(default_factory=partial(copy, default), metadata=metadata)
    return field(default=default, metadata=metadata)


def load_settings(
    cls: type[SettingsClass],
    file: Path | None,
    environment: Mapping[str, str],
    prefix: str,
    overrides: Mapping[str, Value] = MappingProxyType({}),
    *,
    must_exist: bool = False,
) -> SettingsClass:
    """Load settings: see ``load_with_sources``."""
    return load_with_sources(cls, file, environment, prefix, overrides, must_exist=must_exist).settings


def load_with_sources(
    cls: type[SettingsClass],
    file: Path | None,
    environment: Mapping[str, str],
    prefix: str,
    overrides: Mapping[str, Value] = MappingProxyType({}),
    *,
    must_exist: bool = False,
) -> LoadedSettings[SettingsClass]:
    """Load settings; of two sources the earlier wins: ``overrides``, ``environment``, ``file``, the defaults.

    Args:
        cls: a frozen dataclass of which each field is made with ``setting``.
        file: a YAML file of at most 1 MiB; none is read when it is None.
        environment: variables; ``prefix`` and the upper-case key are the name of one.
        prefix: such as ``FLEET_MASTER_``.
        overrides: typed values by key, such as command-line options.
        must_exist: a missing file is an error, because somebody named it.

    Raises:
        SettingsError: something is unknown, repeated, of a wrong type or out of range, or the file cannot be read. An
            unknown variable is an error only when it is nearly a known one: container platforms set foreign ones
            such as ``FLEET_MASTER_PORT_4606_TCP``.
    """
    known = fields_of(cls)
    values = _from_file(known, file, must_exist=must_exist) if file is not None else {}
    sources = dict.fromkeys(values, str(file))
    from_environment = _from_environment(known, environment, prefix)
    values.update(from_environment)
    sources.update({name: _variable(prefix, name) for name in from_environment})
    for name, value in overrides.items():
        if name not in known:
            raise _unknown(name, known)
        try:
            values[name] = known[name].check(value)
        except UnfitError as problem:
            raise _unfit(name, problem, value, known[name]) from problem
        sources[name] = "command line"
    return LoadedSettings(replace(cls(), **values), {name: sources.get(name, "default") for name in known})


def describe_settings(cls: "type[DataclassInstance]", prefix: str = "") -> tuple[SettingRow, ...]:
    """Describe the settings of a class, in order; ``prefix`` starts the names of the environment variables."""
    instance = cls()
    return tuple(
        SettingRow(
            name=name,
            type_text=each.type_text,
            default=_written(getattr(instance, name)),
            help=each.limits.help,
            environment=_variable(prefix, name),
        )
        for name, each in fields_of(cls).items()
    )


def _variable(prefix: str, name: str) -> str:
    return f"{prefix}{name.upper()}"


def _from_file(known: Mapping[str, SettingField], file: Path, *, must_exist: bool) -> dict[str, Value]:
    text = _read_file(file, must_exist=must_exist)
    if not text.strip():
        return {}
    try:
        tree = read_yaml(text)
    except SettingsError as problem:
        raise SettingsError(f"{file}: {problem.message}", problem.hint or _FORM_HINT) from problem
    if tree is None:
        return {}
    if not isinstance(tree, Entries):
        raise SettingsError(f"{file}: expected lines of the form 'key: value'", _names_hint(known))
    values: dict[str, Value] = {}
    for entry in tree.entries:
        if entry.key not in known:
            raise _unknown(entry.key, known, f"{file}: ", f" (line {entry.line})")
        try:
            values[entry.key] = known[entry.key].read_node(entry.value)
        except UnfitError as problem:
            name, line = f"{file}: {entry.key}", f" (line {entry.line})"
            raise _unfit(name, problem, _as_written(entry.value), known[entry.key], line) from problem
    return values


def _read_file(file: Path, *, must_exist: bool) -> str:
    try:
        # One that somebody named may be a pipe; one in the usual place would hold the daemon for ever.
        if not must_exist and file.is_fifo():
            raise SettingsError(
                f"{file}: is a pipe, where a plain file is expected", "look who made it, then remove it"
            )
        with file.open("rb") as opened:
            content = opened.read(FILE_LIMIT_BYTES + 1)
    except FileNotFoundError as problem:
        if must_exist:
            raise SettingsError(f"{file}: there is no such file", "create it, or leave out the option") from problem
        return ""
    except OSError as problem:
        raise SettingsError(
            f"{file}: cannot be read: {problem.strerror}", _UNREADABLE.get(type(problem), "")
        ) from problem
    if len(content) > FILE_LIMIT_BYTES:
        raise SettingsError(f"{file}: larger than {FILE_LIMIT_BYTES} bytes", "is it the right file?")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise SettingsError(f"{file}: line {line}: not UTF-8", "save it as UTF-8") from problem


def _from_environment(
    known: Mapping[str, SettingField], environment: Mapping[str, str], prefix: str
) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for variable, text in environment.items():
        if not variable.startswith(prefix):
            continue
        name = variable.removeprefix(prefix).lower()
        if name not in known or not variable.isupper():
            near = _nearest(name, known, similarity=0.8)
            if near:
                raise SettingsError(f"{variable}: there is no such variable; did you mean {_variable(prefix, near)}?")
            continue
        try:
            values[name] = known[name].read_text(text)
        except UnfitError as problem:
            raise _unfit(variable, problem, text, known[name]) from problem
        except SettingsError as problem:
            raise SettingsError(f"{variable}: {problem.message}", problem.hint) from problem
    return values


def _as_written(node: Node) -> Value:
    if isinstance(node, Word) and node.is_null:
        return None
    return node.text if isinstance(node, Word) else plain_value(node)


def _unfit(name: str, problem: UnfitError, got: Value, setting_field: SettingField, line: str = "") -> SettingsError:
    given = "nothing" if got is None else shorten(got)
    reason = f": {problem.reason}" if problem.reason else ""
    text = f"{name}: expected {problem.expected}, got {given}{reason}{line}"
    return SettingsError(text, f"{setting_field.parameter.name}: {setting_field.limits.help}")


def _unknown(name: str, known: Iterable[str], source: str = "", line: str = "") -> SettingsError:
    near = _nearest(name, known, similarity=0.6)
    guess = f"; did you mean {near}?" if near else ""
    return SettingsError(f"{source}there is no setting {shorten(name)}{guess}{line}", _names_hint(known))


def _names_hint(known: Iterable[str]) -> str:
    return f"the settings are {', '.join(sorted(known))}"


def _nearest(name: str, known: Iterable[str], similarity: float) -> str:
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, known, n=1, cutoff=similarity)), "")


def _written(value: object) -> str:
    """Write a default as it would stand in the file."""
    import json

    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
