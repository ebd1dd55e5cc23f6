"""What functions may ask of the daemon that runs them in its own loop."""

from collections.abc import Callable, Iterable, Mapping

from ..core.function_spec import FunctionSpec
from ..core.functions import RunningJob
from ..core.job_document import JobDocument
from ..core.job_states import JobState
from ..core.names import FunctionName, MinionId
from ..core.values import Value
from .functions_here import FunctionsHere

OpenJob = tuple[JobDocument, JobState, int | None, int | None]


class DaemonContext:
    """The ``Context`` of instant functions.

    Args:
        minion_id: of this minion.
        functions: what there is.
        grains: gives the grains of this moment.
        open_jobs: gives the jobs that have not ended.
        cancel: stops a running job.
        set_grain: writes a static grain.
    """

    def __init__(
        self,
        minion_id: MinionId,
        functions: FunctionsHere,
        *,
        grains: Callable[[], Mapping[str, Value]],
        open_jobs: Callable[[], Iterable[OpenJob]],
        cancel: Callable[[str], bool],
        set_grain: Callable[[str, Value], None],
    ) -> None:
        self._minion_id = minion_id
        self._functions = functions
        self._grains = grains
        self._open_jobs = open_jobs
        self._cancel = cancel
        self._set_grain = set_grain

    @property
    def minion_id(self) -> MinionId:
        """The id of this minion."""
        return self._minion_id

    @property
    def grains(self) -> Mapping[str, Value]:
        """The grains of this minion."""
        return self._grains()

    def functions(self) -> Mapping[FunctionName, FunctionSpec]:
        """Every function of this minion."""
        return self._functions.all()

    def running(self) -> tuple[RunningJob, ...]:
        """The jobs that have not ended, oldest first."""
        return tuple(running_job(document, state, pid, started) for document, state, pid, started in self._open_jobs())

    def cancel(self, jid: str) -> bool:
        """Ask a running job to stop."""
        return self._cancel(jid)

    def set_grain(self, key: str, value: Value) -> None:
        """Write a static grain; ``None`` removes it."""
        self._set_grain(key, value)


def running_job(document: JobDocument, state: JobState, pid: int | None, started_us: int | None) -> RunningJob:
    """Describe an open job for those that ask."""
    from datetime import UTC, datetime

    started = "" if started_us is None else f"{datetime.fromtimestamp(started_us / 1e6, UTC):%Y-%m-%dT%H:%M:%SZ}"
    arguments = (*document.words, *document.literals, *document.values)
    return RunningJob(document.jid, document.function, arguments, document.user, state.value, pid, started)
