"""What this minion is called."""

import logging
import socket

from ..core.errors import ArgumentError
from ..core.names import MinionId, check_minion_id
from .config import MinionSettings

log = logging.getLogger(__name__)


def identify_minion(settings: MinionSettings) -> MinionId:
    """The id of this minion: the configured one, else the host's name.

    Raises:
        ArgumentError: it is no id, or is `localhost`.
    """
    name = check_minion_id(settings.id or socket.gethostname())
    if name == "localhost":
        raise ArgumentError(
            "'localhost' is the name of every machine, so it is no minion id", "set `id` in minion.yaml"
        )
    if not settings.id:
        log.info("no id is configured: this minion is called %s, as the host is", name)
    return name
