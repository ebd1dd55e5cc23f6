"""What counts when the command line does not say how to print and where the master is: environment, then ``client.yaml``."""

import os
from collections.abc import Mapping
from pathlib import Path

from ..core.dataclass import dataclass
from ..core.errors import NotPermittedError, SettingsError, UsageError
from ..core.options import Scanned
from ..core.paths import Paths
from .verb_options import RUN_FORMS


@dataclass(frozen=True, slots=True)
class ClientDefaults:
    """How to print and where the master is, when the command line does not say it.

    Attributes:
        form: one of ``RUN_FORMS``, or empty.
        socket: the master's control socket, or empty for the one below the root.
    """

    form: str = ""
    socket: str = ""


def find_defaults(options: Scanned, environment: Mapping[str, str] = os.environ) -> ClientDefaults:
    """Find the defaults: FLEET_OUT and FLEET_SOCKET, then ``client.yaml`` where there is one.

    The file that ``-c`` names counts more than FLEET_SOCKET, for it was typed just now.

    Raises:
        SettingsError: the file is wrong, or ``-c`` names none.
        UsageError: FLEET_OUT is no form.
    """
    form = environment.get("FLEET_OUT", "")
    if form and form not in RUN_FORMS:
        raise UsageError(f"FLEET_OUT is {form[:40]!r}", f"one of: {', '.join(RUN_FORMS)}")
    named = options.text("--config")
    root = options.text("--root")
    file = Path(named) if named else Paths(Path(root or environment.get("FLEET_ROOT") or "/")).client_config
    # Nearly nobody has the file: without it neither YAML nor the settings are loaded.
    if not named and not _is_there(file):
        return ClientDefaults(form)
    from .settings import read_client_settings

    settings = read_client_settings(file, is_named=bool(named))
    hidden_by_environment = bool(environment.get("FLEET_SOCKET")) and not named and not root
    return ClientDefaults(form or settings.out, "" if hidden_by_environment else settings.socket)


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except PermissionError as problem:
        raise NotPermittedError(
            f"{file}: cannot be read: {problem.strerror}",
            "run the command as root or as the account of the master, or name another root with --root",
        ) from problem
    except OSError as problem:
        raise SettingsError(
            f"{file}: cannot be read: {problem.strerror}", "choose another root with --root"
        ) from problem
