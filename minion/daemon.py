"""The minion's daemon: builds the parts, runs the poll loop, ends in order. Composition only; decisions are made elsewhere."""

import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import zmq

from .. import __version__
from ..core.codec import decode
from ..core.crypto import VerifyKey
from ..core.daemon_options import user_name
from ..core.endpoint import HostPort, parse_endpoint
from ..core.errors import StateError
from ..core.messages import Hello, InventoryItem, JobDocument, PROTOCOL_MINIMUM, PROTOCOL_VERSION
from ..core.names import MinionId, check_minion_id
from ..core.paths import Paths
from ..core.session import LinkSession
from ..core.values import Value
from ..keys.fingerprint import fingerprint
from ..keys.identity import MinionIdentity, load_or_create_minion
from ..keys.lock import lock_state_folder
from .clock import boottime_us, wall_us
from .config import MinionSettings
from .context import DaemonContext
from .executor import Executor
from .functions_here import FunctionsHere
from .job_folder import JobFolder
from .job_steps import Limits
from .jobs import MinionJobs
from .journal import Journal
from .self_description import describe_self, grains_report
from .standing import Standing
from .static_grains import load_static_grains, write_static_grain
from .worker import Worker

log = logging.getLogger(__name__)

ENROL_PORT = 4607


def run_minion(paths: Paths, settings: MinionSettings, on_ready: Callable[[], None]) -> None:
    """Run a minion until it is told to stop by SIGTERM or SIGINT; nothing that a master does or says ends it.

    Args:
        paths: where everything lives.
        settings: what ``minion.yaml`` says.
        on_ready: called once when it has begun to look for its master.

    Raises:
        StateError: the state folder is damaged, of another account or in use.
    """
    minion_id = identify_minion(settings)
    log.info('setting up the minion "%s", fleet %s', minion_id, __version__)
    log.info("fleet-minion is starting as user %s, pid %d", user_name(), os.getpid())
    with ExitStack() as stack:
        folder = paths.minion_state
        lock = stack.enter_context(lock_state_folder(folder, "fleet-minion"))
        identity = load_or_create_minion(folder)
        log.info("the fingerprint of this minion is %s", fingerprint(identity.curve.public.raw))


def identify_minion(settings: MinionSettings) -> MinionId:
    """The id of this minion: the configured one, else the host's name.

    Raises:
        ArgumentError: it is no id.
    """
    if settings.id:
        return check_minion_id(settings.id)
    name = check_minion_id(socket.gethostname())
    log.info("no id is configured: this minion is called %s, as the host is", name)
    return name
