"""The master's daemon: builds the parts, runs the poll loop, ends in order. Composition only; decisions are made elsewhere."""

import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

import zmq

from .. import __version__
from ..core.codec import encode
from ..core.crypto import LABEL_JOB
from ..core.messages import JobDocument
from ..core.paths import Paths
from ..keys.fingerprint import fingerprint
from ..keys.identity import MasterIdentity, load_or_create_master
from ..keys.lock import lock_state_folder
from ..keys.minion_key import KeyState, MinionKey
from ..keys.store import KeyStore
from .admission import Admission
from .clock import MasterClock
from .conductor import Conductor
from .config import MasterSettings
from .control_port import ControlPort
from .enrolment_port import EnrolmentPort
from .epochs import Epochs
from .events import EventRing
from .facts import FleetFacts
from .fleet_requests import FleetRequests
from .job_requests import JobRequests
from .jobs import MasterJobs
from .key_changes import KeyChanges
from .minion_messages import MinionMessages
from .replies import Replies
from .requests import Requests
from .sessions import Sessions
from .store import StoredJob
from .store_thread import StoreThread
from .transport import Accepted, FleetPorts, peer_address, seed_libc_random, shut_down
from .unproven import UnprovenConnections
from .watchers import Watchers

log = logging.getLogger(__name__)

#: Frames read from the request port before the loop looks at everything else.
BATCH = 500
#: How often deadlines are looked at while there is something to wait for.
TICK_MS = 100
IDLE_TICK_MS = 500
PROVE_US = 10_000_000
PROBE_PAUSE_US = 100_000
PROBE_PAUSE_LARGE_US = 1_000_000
LARGE_FLEET = 1_000
SWEEP_US = 30_000_000


def run_master(paths: Paths, settings: MasterSettings, on_ready: Callable[[], None]) -> None:
    """Run a master until it is told to stop.

    Args:
        paths: where everything lives.
        settings: what ``master.yaml`` says.
        on_ready: called once when every socket is bound.

    Raises:
        StateError: the state folder is damaged, of another account or in use.
        TransportError: a port or the control socket cannot be opened.
    """
    log.info("fleet-master %s is starting as user %s, pid %d", __version__, user_name(), os.getpid())
    check_descriptors(settings)
    seed_libc_random()
    with ExitStack() as stack:
        master = Master(paths, settings, stack)
        master.announce()
        on_ready()
        log.info("fleet-master is ready")
        master.run()
        log.info("fleet-master stops")


class Master:
    """All parts of one master, and its loop.

    Args:
        stack: closes what was opened, in reverse order: the ZAP handler after the ports it guards.
    """

    def __init__(self, paths: Paths, settings: MasterSettings, stack: ExitStack) -> None:
        self._paths = paths
        self._settings = settings
        self._is_stopping = False
        self._clock = MasterClock()
        folder = paths.master_state
        stack.enter_context(lock_state_folder(folder, "fleet-master"))
        self._identity = load_or_create_master(folder)
        self._keys = stack.enter_context(KeyStore.open(folder, settings.pending_limit))
        self._store = StoreThread(folder)
        stack.callback(self._store.close)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(self._context.destroy, 0)
        self._admission = Admission(self._context, self._minion_of)
        zap = self._admission.open()
        stack.callback(self._admission.close)
        self._ports = FleetPorts(
            self._context,
            settings.interface,
            settings.request_port,
            settings.publish_port,
            self._identity.curve.reveal(),
        )
        self._ports.open()
        stack.callback(self._ports.close)
        self._unproven = UnprovenConnections(settings.unproven_limit, settings.unproven_address_limit, PROVE_US)
        self._enrolment = self._open_enrolment()
        stack.callback(self._enrolment.close)
        self._control = ControlPort(paths.control_socket, settings.control_connections_limit)
        stack.callback(self._control.close)
        self._compose()
        self._poller = zmq.Poller()
        for socket in (zap, *self._ports.sockets):
            self._poller.register(socket, zmq.POLLIN)
        self._zap = zap
        self._registered: dict[int, int] = {}
        self._probed_us = 0
        self._swept_us = 0
