"""``client.yaml``: what a person or a machine wants of ``fleet`` and ``fleet-key`` when nothing else is said."""

from pathlib import Path

from ..core.dataclass import dataclass
from ..core.settings import load_settings, setting
from .verb_options import RUN_FORMS


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What ``client.yaml`` may say."""

    out: str = setting("", help="How fleet prints results (--out).", pattern="|".join(("", *RUN_FORMS)))
    socket: str = setting("", help="The master's control socket, when it does not lie below the root.")


def read_client_settings(file: Path, *, is_named: bool) -> ClientSettings:
    """Read the file; it must be there when ``-c`` has named it.

    Raises:
        SettingsError: it is missing or wrong; the message names file, key and reason.
    """
    return load_settings(ClientSettings, file, {}, "", must_exist=is_named)
