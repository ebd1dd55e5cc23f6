"""The master's daemon: builds the parts, runs the poll loop, ends in order. Composition only; decisions are made elsewhere."""

import logging
import os
import selectors
import signal
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import zmq

from .. import __version__
from ..core.crypto import LABEL_JOB
from ..core.codec import encode
from ..core.messages import JobDocument
from ..core.paths import Paths
from ..keys.fingerprint import fingerprint
from ..keys.identity import load_or_create_master
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
