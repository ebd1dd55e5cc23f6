"""The master's daemon: builds the parts and ends them in order. Composition only; decisions are made elsewhere."""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import zmq

from .. import __version__
from ..core.account import user_name
from ..core.control_answers import QueueFigure
from ..core.crypto import LABEL_JOB
from ..core.dataclass import dataclass
from ..core.enrolment_master import Introduction
from ..core.enrolment_messages import KeyStanding
from ..core.errors import StoreFullError
from ..core.function_spec import FunctionSpec
from ..core.job_document import JobDocument
from ..core.names import MinionId
from ..core.packing import encode
from ..core.paths import Paths
from ..core.values import Value
from ..keys.fingerprint import fingerprint
from ..keys.identity import MasterIdentity, load_or_create_master
from ..keys.lock import lock_state_folder
from ..keys.minion_key import KeyState, MinionKey
from ..keys.store import KeyStore
from .admission import Admission
from .clock import MasterClock
from .conductor import Conductor
from .config import MasterSettings, check_ports
from .control_port import ControlPort
from .delete_requests import DeleteRequests
from .enrolment_bounds import PortLimits
from .enrolment_port import EnrolmentPort
from .epochs import Epochs
from .events import EventRing
from .facts import FleetFacts
from .fleet_requests import FleetRequests
from .forgetting import Forgetting
from .greeting import RECONNECT_SPREAD_SECONDS
from .job_requests import JobRequests
from .jobs import MasterJobs
from .key_changes import KeyChanges
from .live_output import LIVE_UNREAD_LIMIT_BYTES, LiveOutputs
from .loop import Loop
from .minion_messages import MinionMessages
from .minion_requests import MinionRequests
from .process_limits import fit_to_descriptors
from .purge import Purge, Purged
from .replies import Replies
from .requests import Requests
from .result_streams import ResultStreams
from .reunion import reunion_of
from .sessions import Sessions
from .status_requests import StatusRequests
from .stdin_service import StdinService
from .stdin_uploads import StdinUploads
from .store import JobStore, Keep, MinionFacts, Owed, StoredJob
from .store_sqlite import SqliteJobStore
from .store_thread import StoreThread
from .transport import FleetPorts, seed_libc_random
from .unproven import UnprovenConnections
from .watchers import Watchers

log = logging.getLogger(__name__)

PROVE_US = 10_000_000


def run_master(paths: Paths, settings: MasterSettings, on_ready: Callable[[], None]) -> None:
    """Run a master until it is told to stop by SIGTERM or SIGINT.

    Args:
        paths: where everything lives.
        settings: what ``master.yaml`` says.
        on_ready: called once when every socket is bound.

    Raises:
        StateError: the state folder is damaged, of another account or in use.
        TransportError: a port or the control socket cannot be opened.
    """
    log.info("fleet-master %s is starting as user %s, pid %d", __version__, user_name(), os.getpid())
    seed_libc_random()
    with ExitStack() as stack:
        loop = build_master(paths, settings, stack)
        on_ready()
        log.info("fleet-master is ready")
        loop.run()
        log.info("fleet-master stops")


@dataclass(frozen=True, slots=True)
class _Past:
    """What the store knows when the master starts."""

    incarnation: bytes
    minions: tuple[MinionFacts, ...]
    grains: Mapping[bytes, Mapping[str, Value]]
    catalogues: Mapping[bytes, tuple[FunctionSpec, ...]]
    open_jobs: tuple[StoredJob, ...]
    owed: tuple[Owed, ...]


def _read_past(store: JobStore) -> _Past:
    return _Past(
        store.incarnation(), store.minions(), store.grains(), store.catalogues(), store.open_jobs(), store.owed()
    )


@dataclass(frozen=True, slots=True)
class _Opened:
    """Everything of a master that must be closed again."""

    identity: MasterIdentity
    keys: KeyStore
    clock: MasterClock
    past: _Past
    store: StoreThread
    events: EventRing
    admission: Admission
    zap: "zmq.Socket[bytes]"
    ports: FleetPorts
    enrolment: EnrolmentPort
    control: ControlPort
    sockets: Mapping[str, str]
    unproven_limit: int


def _open(paths: Paths, settings: MasterSettings, stack: ExitStack) -> _Opened:
    """Open everything; the stack closes it in reverse order: the ZAP handler only after the ports that it guards."""
    check_ports(settings)
    folder = paths.master_state
    stack.enter_context(lock_state_folder(folder, "fleet-master"))
    identity = load_or_create_master(folder)
    log.info("the fingerprint of this master is %s", fingerprint(identity.signing.public.raw))
    keys = stack.enter_context(KeyStore.open(folder, settings.pending_limit))
    settings = fit_to_descriptors(settings, len(keys.by_state(KeyState.ACCEPTED)))
    clock = MasterClock()
    cache = SqliteJobStore.open(folder)
    past = _read_past(cache)
    events = EventRing(settings.events_limit, first=clock.started_us)

    def on_trouble(problem: StoreFullError | None) -> None:
        reason = "" if problem is None else problem.message
        events.publish("fleet/limit/store", {"name": "store", "reason": reason}, clock.now_us())

    store = stack.enter_context(StoreThread(cache, clock.now_us, on_trouble))
    admission, zap, ports = _open_fleet_ports(identity, keys, settings, stack)
    enrolment = _open_enrolment(identity, settings)
    stack.callback(enrolment.close)
    control = ControlPort(paths.control_socket, settings.control_connections_limit)
    stack.callback(control.close)
    return _Opened(
        identity,
        keys,
        clock,
        past,
        store,
        events,
        admission,
        zap,
        ports,
        enrolment,
        control,
        _say_where(paths, settings),
        settings.unproven_limit,
    )


def _open_fleet_ports(
    identity: MasterIdentity, keys: KeyStore, settings: MasterSettings, stack: ExitStack
) -> tuple[Admission, "zmq.Socket[bytes]", FleetPorts]:
    """Open the ports that minions reach, behind the handler that lets in accepted keys alone."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    stack.callback(context.destroy, 0)

    def minion_of(public_key: bytes) -> MinionId | None:
        key = keys.accepted_by_key(public_key)
        return key.minion_id if key else None

    admission = Admission(context, minion_of)
    zap = admission.open()
    stack.callback(admission.close)
    ports = FleetPorts(
        context,
        settings.interface,
        settings.request_port,
        settings.publish_port,
        identity.curve.reveal(),
        admission.admits,
    )
    ports.open()
    stack.callback(ports.close)
    return admission, zap, ports


def _say_where(paths: Paths, settings: MasterSettings) -> Mapping[str, str]:
    """Log where this master listens, and return it by name."""
    place = f"tcp://[{settings.interface}]" if ":" in settings.interface else f"tcp://{settings.interface}"
    sockets = {
        "publish": f"{place}:{settings.publish_port}",
        "request": f"{place}:{settings.request_port}",
        "enrol": f"{place}:{settings.enrol_port}",
        "control": str(paths.control_socket),
    }
    for name, where in sockets.items():
        log.info("starting the %s %s on %s", name, "socket" if name == "control" else "port", where)
    log.info("web console: not configured, skipped")
    return sockets


def _open_enrolment(identity: MasterIdentity, settings: MasterSettings) -> EnrolmentPort:
    return EnrolmentPort(
        settings.interface,
        settings.enrol_port,
        Introduction(identity.signing, identity.curve, settings.publish_port, settings.request_port, __version__),
        PortLimits(
            connections=settings.enrol_connections_limit,
            connections_per_source=settings.enrol_address_limit,
            accepts_per_second=settings.enrol_rate_per_second,
            accept_burst=2 * settings.enrol_rate_per_second,
        ),
    )


def _make_conductor(opened: _Opened, settings: MasterSettings) -> Conductor:
    """Put the knowing and the acting parts together."""
    clock, past, identity = opened.clock, opened.past, opened.identity
    sessions = Sessions(int(settings.heartbeat_seconds * 1_000_000))
    for fact in past.minions:
        sessions.remember(fact.minion, heard_us=fact.last_seen_us, address=fact.address, version=fact.version)

    def sign(stored: StoredJob) -> tuple[bytes, bytes]:
        document = encode(document_of(stored))
        return document, identity.signing.sign(LABEL_JOB, document)

    reunion = reunion_of(
        clock.started_us,
        (fact.last_seen_us for fact in past.minions),
        len(past.minions) * RECONNECT_SPREAD_SECONDS,
    )
    jobs = MasterJobs(lambda minion: sessions.presence(minion, clock.now_us()), sign, reunion)
    jobs.recover(past.open_jobs)
    log.info("job cache: %d jobs are open", len(past.open_jobs))
    lifetime_us = int(settings.epoch_seconds * 1_000_000)
    return Conductor(
        clock=clock,
        identity=identity,
        ports=opened.ports,
        sessions=sessions,
        epochs=Epochs(random_epoch(), os.urandom(32), lifetime_us, clock.now_us()),
        facts=FleetFacts(past.minions, past.grains, past.catalogues),
        jobs=jobs,
        store=opened.store,
        events=opened.events,
        watchers=Watchers(),
        control=opened.control,
        forgetting=Forgetting(past.owed),
        live=LiveOutputs(lambda connection: opened.control.pending_bytes(connection) > LIVE_UNREAD_LIMIT_BYTES),
    )


def _make_purge(conductor: Conductor, settings: MasterSettings) -> Purge:
    keep = Keep(settings.jobs_age_limit_seconds, settings.jobs_count_limit, settings.jobs_bytes_limit)

    def purged(result: Purged) -> None:
        conductor.publish_event("fleet/jobs/purged", jobs=result.jobs, user="")

    return Purge(conductor.store, conductor.clock.now_us, keep, purged)


def build_master(paths: Paths, settings: MasterSettings, stack: ExitStack) -> Loop:
    """Open everything and put it together.

    Args:
        paths: where everything lives.
        settings: what ``master.yaml`` says.
        stack: closes what was opened.
    """
    opened = _open(paths, settings, stack)
    conductor = _make_conductor(opened, settings)

    def decided(key: MinionKey) -> None:
        standing = KeyStanding(key.state.value)
        opened.enrolment.decided(key.minion_id, key.public_key, standing, opened.clock.now_us())

    def counters() -> Mapping[str, int]:
        return loop.counters()

    def queues() -> tuple[QueueFigure, ...]:
        return loop.queues()

    keys = KeyChanges(opened.keys, conductor, settings.auto_accept, decided)
    stdin = StdinService(conductor)
    messages = MinionMessages(settings, conductor, opened.admission, __version__, opened.past.incarnation, stdin)
    purge = _make_purge(conductor, settings)
    replies = Replies(opened.control)
    status = StatusRequests(
        conductor, opened.keys, replies, __version__, opened.sockets, paths.master_state, counters, queues
    )
    requests = _make_requests(opened, settings, keys, purge, status)

    def left(minion: MinionId) -> None:
        requests.deletes.left(minion)
        stdin.left(minion)

    conductor.on_forgotten, conductor.on_left = requests.deletes.confirmed, left
    conductor.is_streaming = requests.jobs.streams.is_under_way
    unproven = UnprovenConnections(opened.unproven_limit, settings.unproven_address_limit, PROVE_US)
    loop = Loop(
        settings=settings,
        zap=opened.zap,
        admission=opened.admission,
        ports=opened.ports,
        unproven=unproven,
        enrolment=opened.enrolment,
        control=opened.control,
        conductor=conductor,
        keys=keys,
        messages=messages,
        requests=requests,
        purge=purge,
        stdin=stdin,
    )
    messages.drain_monitors, messages.proven = loop.drain_monitors, unproven.proven
    messages.fleet_size = lambda: opened.keys.accepted_count
    conductor.publish_event("fleet/master/start", version=__version__, user=user_name())
    return loop


def _make_requests(
    opened: _Opened, settings: MasterSettings, keys: KeyChanges, purge: Purge, status: StatusRequests
) -> Requests:
    """Make what answers the control socket."""
    conductor, replies = keys.conductor, status.replies
    streams = ResultStreams(opened.store, opened.control, replies)
    return Requests(
        JobRequests(settings, conductor, opened.keys, replies, streams, StdinUploads(settings.stdin_limit_bytes)),
        MinionRequests(conductor, opened.keys, replies),
        FleetRequests(conductor, keys, replies),
        status,
        DeleteRequests(conductor, purge, replies),
        replies,
    )


def random_epoch() -> int:
    """The number of the first epoch: random, so that two lives of a master never share one; half of 32 bits leaves room."""
    return int.from_bytes(os.urandom(4), "big") >> 1


def document_of(stored: StoredJob) -> JobDocument:
    """The document of a stored job, as it is signed and sent."""
    job = stored.job
    return JobDocument(
        jid=stored.jid,
        function=job.function,
        words=job.words,
        literals=job.literals,
        values=job.values,
        options=job.options,
        user=job.user,
        created_us=stored.created_us,
        expires_us=stored.expires_us,
        timeout_seconds=job.timeout_seconds,
        output_limit_bytes=job.output_limit_bytes,
        stdin_bytes=job.stdin_bytes,
        stdin_digest=job.stdin_digest,
    )
