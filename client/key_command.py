"""``fleet-key``: which minions may join. It asks the running master; with the master down it works on the store itself."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import __version__
from ..core.options import scan
from .invocation import Invocation
from .key_options import COMMON_OPTIONS, EXAMPLES, OWN_OPTIONS, read_wish
from .report import Report, guarded

if TYPE_CHECKING:
    from .key_authority import KeyAuthority


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``fleet-key`` with these arguments (those of the process when None) and return its exit code.

    0 done · 1 it could not be done, or somebody said no · 2 usage · 4 not permitted.
    """
    arguments = tuple(sys.argv[1:] if argv is None else argv)
    report = Report()
    return guarded(report, lambda: _run(arguments, report))


def _run(arguments: Sequence[str], report: Report) -> int:
    scanned = scan(arguments, (*OWN_OPTIONS, *COMMON_OPTIONS))
    report.level = scanned.text("--log-level") or report.level
    if scanned.flag("--version"):
        print(f"fleet-key {__version__}")
        return 0
    if scanned.flag("--help"):
        from .help_text import command_help

        summary = "decide which minions may join, and see their keys"
        sys.stdout.write(command_help("fleet-key [OPTION…]", summary, EXAMPLES, OWN_OPTIONS, COMMON_OPTIONS))
        return 0
    wish = read_wish(scanned)
    from .config import find_defaults

    call = Invocation(scanned.words, scanned.literals, scanned, report, find_defaults(scanned))
    from .key_actions import change_keys, show_keys

    authority = _authority(call)
    return show_keys(call, authority, wish) if wish.action in {"list", "finger"} else change_keys(call, authority, wish)


def _authority(call: Invocation) -> "KeyAuthority":
    from .invocation import state_folder
    from .key_authority import find_authority

    return find_authority(call.client(), state_folder(call.options.text("--root")))
