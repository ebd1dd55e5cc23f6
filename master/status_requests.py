"""``AskStatus``: how the master is. What the disk has to say is waited for only a moment: somebody asks because it may hang."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ..core.account import user_name
from ..core.control_answers import MasterStatus, QueueFigure
from ..core.control_requests import AskStatus, ListJobs
from ..core.dataclass import dataclass, field
from ..keys.fingerprint import fingerprint
from ..keys.minion_key import KeyState
from ..keys.store import KeyStore
from .conductor import Conductor
from .control_port import Caller
from .process_figures import load_average, machine_figures, process_figures
from .replies import Replies
from .store import JobStore
from .store_file import NAME

#: How long the job cache may take to say how large it is.
PATIENCE_US = 1_000_000


@dataclass(slots=True)
class StatusRequests:
    """Answers how the master is."""

    conductor: Conductor
    keys: KeyStore
    replies: Replies
    version: str
    sockets: Mapping[str, str]
    folder: Path
    counters: Callable[[], Mapping[str, int]]
    queues: Callable[[], tuple[QueueFigure, ...]]
    _waiting: dict[int, int] = field(default_factory=dict)

    def closed(self, connection: int) -> None:
        """A control connection has gone."""
        self._waiting.pop(connection, None)

    def ticked(self, now_us: int) -> None:
        """Answer without the job cache where that takes too long."""
        for connection in [each for each, deadline_us in self._waiting.items() if now_us >= deadline_us]:
            self._answer(connection, {})

    def ask(self, connection: int, _caller: Caller, _request: AskStatus) -> None:
        """How the master is."""
        self._waiting[connection] = self.conductor.clock.now_us() + PATIENCE_US
        path = self.folder / NAME

        def read(store: JobStore) -> Mapping[str, int]:
            # In the thread that reads the job cache, so that a disk that hangs stops nothing else.
            return {**file_figures(path), "used_bytes": store.size_bytes(), "jobs": store.jobs(ListJobs(1, "")).total}

        def done(figures: Mapping[str, int] | Exception) -> None:
            if connection in self._waiting:
                self._answer(connection, {} if isinstance(figures, Exception) else figures)

        self.conductor.store.read(read, done)

    def _answer(self, connection: int, cache: Mapping[str, int]) -> None:
        del self._waiting[connection]
        conductor = self.conductor
        now_us = conductor.clock.now_us()
        accepted = [key.minion_id for key in self.keys.by_state(KeyState.ACCEPTED)]
        status = MasterStatus(
            version=self.version,
            fingerprint=fingerprint(conductor.identity.signing.public.raw),
            pid=os.getpid(),
            started_us=conductor.clock.started_us,
            now_us=now_us,
            user=user_name(),
            sockets=self.sockets,
            minions=conductor.sessions.counts(accepted, now_us),
            keys={state.value: len(self.keys.by_state(state)) for state in KeyState},
            counters=self.counters(),
            newest_event=conductor.events.newest,
            queues=self.queues(),
            job_cache={**cache, "jobs_open": conductor.jobs.counts()["jobs_open"]},
            process=process_figures(),
            machine=machine_figures(),
            load=load_average(),
        )
        self.replies.answer(connection, status)


def file_figures(path: Path) -> Mapping[str, int]:
    """How large the file of the job cache is, its log of changes, and the room on its disk.

    Raises:
        OSError: the file cannot be read.
    """
    log = path.with_name(f"{path.name}-wal")
    disk = os.statvfs(path)
    return {
        "file_bytes": path.stat().st_size,
        "log_bytes": log.stat().st_size if log.exists() else 0,
        "free_disk_bytes": disk.f_bavail * disk.f_frsize,
    }
