"""``fleet-minion``: starts a minion."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..core.daemon_options import DaemonOptions, fail, read_daemon_options, told_of_itself
from ..core.detach import take_place
from ..core.errors import FleetError
from ..core.logs import log_to_stderr
from ..core.paths import Paths
from ..core.settings import describe_settings, load_with_sources
from ..core.standard_streams import mend_standard_streams, print_or_fail
from ..core.unit_file import fitted_unit, installed_command
from .config import MinionSettings

PREFIX = "FLEET_MINION_"
_SUMMARY = "The minion: dials out to its master and runs what it is asked to."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``fleet-minion`` and return its exit code."""
    mend_standard_streams()
    try:
        return _run(read_daemon_options(sys.argv[1:] if arguments is None else arguments, os.environ))
    except FleetError as problem:
        return fail("fleet-minion", problem)


def _run(options: DaemonOptions) -> int:
    if told_of_itself(options, "fleet-minion", _SUMMARY, lambda: describe_settings(MinionSettings, PREFIX)):
        return 0
    if options.shows_unit:
        command = installed_command("fleet-minion", sys.argv[0], sys.executable)
        shipped = Path(__file__).with_name("fleet-minion.service").read_text(encoding="utf-8")
        print_or_fail(fitted_unit(shipped, "fleet-minion", command, options.root, options.config))
        return 0
    paths = Paths(options.root)
    overrides = {"log_level": options.log_level} if options.log_level else {}
    loaded = load_with_sources(
        MinionSettings,
        options.config or paths.minion_config,
        os.environ,
        PREFIX,
        overrides,
        must_exist=options.config is not None,
    )
    settings = loaded.settings
    if options.shows_settings:
        print_or_fail(loaded.as_yaml())
        return 0
    if options.shows_fingerprint:
        from ..keys.fingerprint import fingerprint
        from ..keys.identity import load_minion

        print_or_fail(fingerprint(load_minion(paths.minion_state).curve.public.raw) + "\n")
        return 0
    way_back = take_place(
        paths.run / "fleet-minion.pid",
        Path(settings.log_file or paths.log / "minion.log"),
        detaches=options.detaches,
        has_terminal=options.has_terminal,
    )
    log_to_stderr(settings.log_level)
    from .daemon import run_minion

    try:
        run_minion(paths, settings, way_back.ready)
    finally:
        way_back.ended()
    return 0
