"""The command line of a daemon: the same options for master and minion, examples first."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .. import __version__
from .dataclass import dataclass
from .errors import FleetError, UsageError
from .logs import LEVELS
from .option_table import option_table, pair_table
from .options import Option, scan
from .settings import SettingRow
from .standard_streams import print_or_fail

_ROOT = Option(
    ("--root",), "the folder below which etc, var and run lie (FLEET_ROOT; / without it)", "text", value_name="DIR"
)
_CONFIG = Option(("-c", "--config"), "another configuration file", "text", value_name="FILE")
_LOG_LEVEL = Option(("-l", "--log-level"), "what is logged", "choice", value_name="LEVEL", choices=LEVELS)
_DETACH = Option(("-d", "--detach"), "go into the background, with log and pid file")
_NO_TTY = Option(("--no-tty",), "in the foreground, but log into the file, as with -d")
_SHOW_SETTINGS = Option(("--show-settings",), "print the settings that count as YAML, and end")
_SHOW_UNIT = Option(("--show-unit",), "print the systemd unit that starts this command, and end")
_FINGERPRINT = Option(("--fingerprint",), "print the fingerprint of this key, if there is one, and end")
_HELP = Option(("-h", "--help"), "show this help")
_VERSION = Option(("--version",), "show the version of this command")
DAEMON_OPTIONS = (
    *(_ROOT, _CONFIG, _LOG_LEVEL, _DETACH, _NO_TTY),
    *(_SHOW_SETTINGS, _SHOW_UNIT, _FINGERPRINT, _HELP, _VERSION),
)


@dataclass(frozen=True, slots=True)
class DaemonOptions:
    """What was asked of a daemon.

    Attributes:
        root: below which everything lives.
        config: the configuration file that was named; None for the usual one.
        log_level: None to leave it to the configuration.
        shows_fingerprint: print the fingerprint and end.
        shows_settings: print the settings that count and end.
        shows_unit: print the systemd unit and end.
        detaches: go into the background.
        has_terminal: False to log into the file, as if there were no terminal.
        shows_help: print the help and end; this and the next come before everything else.
        shows_version: print the version and end.
    """

    root: Path
    config: Path | None
    log_level: str | None
    shows_fingerprint: bool
    shows_settings: bool
    shows_unit: bool
    detaches: bool
    has_terminal: bool
    shows_help: bool
    shows_version: bool


def read_daemon_options(arguments: Sequence[str], environment: Mapping[str, str]) -> DaemonOptions:
    """Read the command line of ``fleet-master`` or ``fleet-minion``.

    Raises:
        UsageError: an unknown option, a wrong value, a word, or a relative root from a folder that is gone.
    """
    given = scan(arguments, DAEMON_OPTIONS)
    words = given.words + given.literals
    if words:
        raise UsageError(f"{words[0][:60]!r} is a word too many", "a daemon takes options only; --help lists them")
    config = given.text(_CONFIG.name)
    return DaemonOptions(
        root=_absolute(given.text(_ROOT.name) or environment.get("FLEET_ROOT") or "/"),
        config=Path(config) if config else None,
        log_level=given.text(_LOG_LEVEL.name) or None,
        shows_fingerprint=given.flag(_FINGERPRINT.name),
        shows_settings=given.flag(_SHOW_SETTINGS.name),
        shows_unit=given.flag(_SHOW_UNIT.name),
        detaches=given.flag(_DETACH.name),
        has_terminal=not given.flag(_NO_TTY.name),
        shows_help=given.flag(_HELP.name),
        shows_version=given.flag(_VERSION.name),
    )


def told_of_itself(options: DaemonOptions, name: str, summary: str, rows: Callable[[], Sequence[SettingRow]]) -> bool:
    """Print the help or the version of a daemon, if that was asked for; tell whether it was. Its settings are for the help alone."""
    if options.shows_help:
        print_or_fail(daemon_help(name, summary, rows()))
    elif options.shows_version:
        print_or_fail(f"{name} {__version__}\n")
    return options.shows_help or options.shows_version


def daemon_help(name: str, summary: str, rows: Sequence[SettingRow]) -> str:
    """Write what ``--help`` of a daemon prints."""
    examples = (
        (name, "in the foreground, logging to stderr"),
        (f"{name} -l debug", "the same, telling more"),
        (f"{name} -d", "in the background; returns when it is ready"),
        (f"{name} --root /tmp/one", "everything below /tmp/one, no privileges needed"),
        (f"{name} --fingerprint", "what two people compare before a key is accepted"),
        (f"{name} --show-settings", "every setting that counts, and where it comes from"),
        (f"{name} --show-unit", "the systemd unit for this installation"),
    )
    settings = [(row.name, f"{row.help} (default {row.default})") for row in rows]
    return "\n".join(
        (
            f"{summary}\n",
            f"Examples:\n{pair_table(examples)}",
            f"Usage: {name} [OPTION…]\n",
            f"Options:\n{option_table(DAEMON_OPTIONS)}",
            f"Settings, in the configuration file or as environment variables ({rows[0].environment} …):",
            pair_table(settings),
        )
    )


def fail(name: str, problem: FleetError) -> int:
    """Say on stderr why a daemon does not start; return its exit code."""
    hint = f"\nhint: {problem.hint}" if problem.hint else ""
    sys.stderr.write(f"{name}: error: {problem.message}{hint}\n")
    return problem.exit_code


def _absolute(root: str) -> Path:
    try:
        return Path(root).absolute()
    except OSError as problem:
        raise UsageError(f"--root {root} is relative, and the current folder is gone", "name it from / on") from problem
