"""The minion's daemon: builds the parts, runs the poll loop, ends in order. Composition only; decisions are made elsewhere."""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import SystemRandom

from .. import __version__
from ..core.account import user_name
from ..core.endpoint import HostPort, parse_endpoint
from ..core.enrolment_minion import Applicant
from ..core.errors import SettingsError
from ..core.from_minion import Hello, InventoryItem
from ..core.job_document import JobDocument
from ..core.messages import PROTOCOL_MINIMUM, PROTOCOL_VERSION
from ..core.names import Jid, MinionId, is_jid
from ..core.packing import decode
from ..core.paths import Paths
from ..core.session import LinkSession
from ..core.values import Value
from ..keys.fingerprint import fingerprint, is_fingerprint
from ..keys.identity import load_or_create_minion
from ..keys.lock import lock_state_folder
from .clock import wall_us
from .config import MinionSettings
from .context import DaemonContext
from .disk_room import DiskRoom
from .enroller import Enroller
from .executor import Executor
from .functions_here import FunctionsHere
from .job_steps import Limits
from .jobs import MinionJobs
from .journal import Journal
from .loop import Loop
from .name_lookup import NameLookups
from .own_grains import OwnGrains
from .own_id import identify_minion
from .process import read_boot_id
from .self_description import describe_self
from .standing import Standing
from .stdin_files import StdinFiles
from .stdin_intake import StdinIntake
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
        SettingsError: the master cannot be an address.
    """
    minion_id = identify_minion(settings)
    masters = find_masters(settings)
    log.info('setting up the minion "%s", fleet %s', minion_id, __version__)
    log.info("fleet-minion is starting as user %s, pid %d", user_name(), os.getpid())
    with ExitStack() as stack:
        stack.enter_context(lock_state_folder(paths.minion_state, "fleet-minion"))
        loop = build_minion(paths, settings, minion_id, masters, stack)
        on_ready()
        loop.run()
        log.info("fleet-minion stops")


def build_minion(
    paths: Paths, settings: MinionSettings, minion_id: MinionId, masters: Sequence[HostPort], stack: ExitStack
) -> Loop:
    """Open everything and put it together.

    Args:
        paths: where everything lives.
        settings: what ``minion.yaml`` says.
        minion_id: of this minion.
        masters: their enrolment ports.
        stack: closes what was opened, in reverse order.
    """
    folder = paths.minion_state
    # First of all, for it forks: before there is a thread or a zmq context.
    description = describe_self(minion_id, __version__)
    identity = load_or_create_minion(folder)
    log.info("the fingerprint of this minion is %s", fingerprint(identity.curve.public.raw))
    grains = OwnGrains(minion_id, description.grains, settings.grains, paths.config / "grains")
    for warning in (*description.warnings, *grains.warnings):
        log.warning("%s", warning)

    def set_grain(key: str, value: Value) -> None:
        grains.set(key, value)
        loop.report_grains()

    worker = _make_worker(folder, settings, grains, set_grain, stack)
    standing = Standing(folder, settings.master_fingerprint)
    lookups = NameLookups()
    enroller = Enroller(masters, Applicant(minion_id, identity.curve, __version__), standing, lookups)
    journal_id = worker.journal.journal_id
    greeting = _Greeting(minion_id, journal_id, lambda: grains.report().digest, description.catalogue.digest)
    session = LinkSession(
        has_document=standing.document() is not None,
        hello=greeting.hello,
        inventory=worker.jobs.inventory,
        load=worker.jobs.load,
        wall_clock_us=wall_us,
        jitter=SystemRandom().random,
    )
    loop = Loop(
        session,
        worker,
        standing,
        enroller,
        masters=masters,
        lookups=lookups,
        identity=identity,
        grains=grains.report,
        catalogue=description.catalogue,
    )
    worker.send, worker.ask_time, worker.stdin.send = loop.send, loop.ask_time, loop.send
    worker.recover()
    return loop


def _make_worker(
    folder: Path,
    settings: MinionSettings,
    grains: OwnGrains,
    set_grain: Callable[[str, Value], None],
    stack: ExitStack,
) -> Worker:
    """Open journal and spool, and make what runs jobs."""
    functions = FunctionsHere(lambda problem: log.warning("%s", problem.message))
    jobs_folder = folder / "jobs"
    jobs_folder.mkdir(mode=0o700, exist_ok=True)
    jobs = MinionJobs(
        Limits(settings.jobs_running_limit, settings.spool_jobs_limit, settings.spool_bytes_limit),
        refuse=functions.refuse,
        is_instant=functions.is_instant,
        decode=partial(decode, JobDocument),
        no_room=DiskRoom(jobs_folder).problem,
    )
    executor = Executor(jobs_folder)
    stack.callback(executor.close)

    def cancel(jid: str) -> bool:
        return is_jid(jid) and executor.cancel(Jid(jid), "stopped by fleetutil.kill_job")

    context = DaemonContext(
        grains.minion_id,
        functions,
        grains=lambda: grains.values,
        open_jobs=jobs.open_jobs,
        cancel=cancel,
        set_grain=set_grain,
    )
    journal = _open_journal(folder, stack)
    stdin = StdinIntake(StdinFiles(str(jobs_folder)))
    return Worker(settings, context, functions, jobs, journal, executor, stdin, str(jobs_folder), user_name())


def _open_journal(folder: Path, stack: ExitStack) -> Journal:
    journal = Journal.open(folder / "journal", os.urandom(16))
    stack.callback(journal.close)
    if journal.cut_off_bytes:
        log.warning(
            "the journal ended in the middle of an entry: %d bytes that nothing was built on are cut off",
            journal.cut_off_bytes,
        )
    return journal


class _Greeting:
    """The hellos of this process."""

    def __init__(
        self, minion_id: MinionId, journal_id: bytes, grains_digest: Callable[[], bytes], catalogue_digest: bytes
    ) -> None:
        self._minion_id = minion_id
        self._journal_id = journal_id
        self._grains_digest = grains_digest
        self._catalogue_digest = catalogue_digest
        self._boot_id = read_boot_id()
        self._is_first = True

    def hello(self, inventory: Sequence[InventoryItem]) -> Hello:
        """The next one, with the jobs that have no final answer."""
        is_first, self._is_first = self._is_first, False
        return Hello(
            minion_id=self._minion_id,
            protocol_minimum=PROTOCOL_MINIMUM,
            protocol_maximum=PROTOCOL_VERSION,
            fleet_version=__version__,
            journal_id=self._journal_id,
            boot_id=self._boot_id,
            grains_digest=self._grains_digest(),
            catalogue_digest=self._catalogue_digest,
            inventory=tuple(inventory),
            is_first=is_first,
            wall_clock_us=wall_us(),
        )


def find_masters(settings: MinionSettings) -> tuple[HostPort, ...]:
    """The enrolment ports of the masters that are configured.

    Raises:
        SettingsError: none is, or the fingerprint that they should have is none, which no master could show.
        ArgumentError: one is no address.
    """
    if not settings.master:
        raise SettingsError("no master is named", "set `master: NAME` in minion.yaml")
    if settings.master_fingerprint and not is_fingerprint(settings.master_fingerprint):
        raise SettingsError(
            f"master_fingerprint: {settings.master_fingerprint[:60]!r} is no fingerprint",
            "`fleet-master --fingerprint` prints it on the master; copy it whole",
        )
    return tuple(parse_endpoint(text, ENROL_PORT) for text in settings.master)
