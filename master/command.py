"""``fleet-master``: starts a master."""

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
from .config import MasterSettings

PREFIX = "FLEET_MASTER_"
_SUMMARY = "The master: minions dial in here, and `fleet` and `fleet-key` on this machine talk to it."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``fleet-master`` and return its exit code."""
    mend_standard_streams()
    try:
        return _run(read_daemon_options(sys.argv[1:] if arguments is None else arguments, os.environ))
    except FleetError as problem:
        return fail("fleet-master", problem)


def _run(options: DaemonOptions) -> int:
    if told_of_itself(options, "fleet-master", _SUMMARY, lambda: describe_settings(MasterSettings, PREFIX)):
        return 0
    if options.shows_unit:
        command = installed_command("fleet-master", sys.argv[0], sys.executable)
        shipped = Path(__file__).with_name("fleet-master.service").read_text(encoding="utf-8")
        print_or_fail(fitted_unit(shipped, "fleet-master", command, options.root, options.config))
        return 0
    paths = Paths(options.root)
    overrides = {"log_level": options.log_level} if options.log_level else {}
    loaded = load_with_sources(
        MasterSettings,
        options.config or paths.master_config,
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
        from ..keys.identity import load_master

        print_or_fail(fingerprint(load_master(paths.master_state).signing.public.raw) + "\n")
        return 0
    way_back = take_place(
        paths.run / "fleet-master.pid",
        Path(settings.log_file or paths.log / "master.log"),
        detaches=options.detaches,
        has_terminal=options.has_terminal,
    )
    log_to_stderr(settings.log_level)
    from .daemon import run_master

    try:
        run_master(paths, settings, way_back.ready)
    finally:
        way_back.ended()
    return 0
