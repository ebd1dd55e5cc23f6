"""The command line of a daemon: the same options for master and minion, examples first."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .dataclass import dataclass
from .errors import FleetError
from .logs import LEVELS
from .settings import SettingRow


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
    """

    root: Path
    config: Path | None
    log_level: str | None
    shows_fingerprint: bool
    shows_settings: bool
    shows_unit: bool
    detaches: bool
    has_terminal: bool


def read_daemon_options(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    name: str,
    summary: str,
    version: str,
    rows: Sequence[SettingRow],
) -> DaemonOptions:
    """Read the command line of ``fleet-master`` or ``fleet-minion``; ``--help`` and ``--version`` end the process."""
    examples = f"""examples:
  {name}                          in the foreground, logging to stderr
  {name} -l debug                 the same, telling more
  {name} -d                       in the background; returns when it is ready
  {name} --root /tmp/one          everything below /tmp/one, no privileges needed
  {name} --fingerprint            what two people compare before a key is accepted
  {name} --show-settings          every setting that counts, and where it comes from
  {name} --show-unit              the systemd unit for this installation
"""
    settings = "\n".join(f"  {row.name:28} {row.help} (default {row.default})" for row in rows)
    parser = argparse.ArgumentParser(
        prog=name,
        usage=f"{name} [options]\n\n{examples}\n{summary}",
        epilog=f"settings, in the configuration file or as environment variables ({rows[0].environment} …):\n{settings}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--root", metavar="DIR", help="below which etc, var and run lie (FLEET_ROOT; default /)")
    parser.add_argument("-c", "--config", metavar="FILE", help="another configuration file")
    parser.add_argument("-l", "--log-level", choices=LEVELS, help="what is logged")
    parser.add_argument("-d", "--detach", action="store_true", help="go into the background, with log and pid file")
    parser.add_argument("--no-tty", action="store_true", help="in the foreground, but log into the file, as with -d")
    parser.add_argument("--show-settings", action="store_true", help="print the settings that count as YAML and end")
    parser.add_argument(
        "--show-unit", action="store_true", help="print the systemd unit that starts this command, and end"
    )
    parser.add_argument(
        "--fingerprint", action="store_true", help="print the fingerprint of this key, if there is one, and end"
    )
    parser.add_argument("--version", action="version", version=f"{name} {version}")
    given = parser.parse_args(arguments)
    return DaemonOptions(
        root=_absolute(parser, given.root or environment.get("FLEET_ROOT") or "/"),
        config=Path(given.config) if given.config else None,
        log_level=given.log_level,
        shows_fingerprint=given.fingerprint,
        shows_settings=given.show_settings,
        shows_unit=given.show_unit,
        detaches=given.detach,
        has_terminal=not given.no_tty,
    )


def _absolute(parser: argparse.ArgumentParser, root: str) -> Path:
    try:
        return Path(root).absolute()
    except OSError:
        parser.error(f"--root {root} is relative, and the current folder is gone: name it from / on")


def fail(name: str, problem: FleetError) -> int:
    """Say on stderr why a daemon does not start; return its exit code."""
    hint = f"\nhint: {problem.hint}" if problem.hint else ""
    sys.stderr.write(f"{name}: error: {problem.message}{hint}\n")
    return problem.exit_code
