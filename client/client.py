"""The Python client: what the commands and the console use, and what you may use.

::

    from fleet.client import Client

    with Client() as fleet:
        answers = fleet.run("web-*", "cmd.run", "uptime")
        for minion, answer in answers.items():
            print(minion, answer.state, answer.value)
        for minion, reason in answers.silent.items():
            print(minion, "has not answered:", reason)

It talks to the master of this machine over its Unix socket, as the account that runs it; no key and no password is involved.
Each request has its own connection, so one client may be used by several threads.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from ..core.control_answers import (
    EventNote,
    FunctionsShown,
    GrainsShown,
    JobCreated,
    KeyList,
    MasterStatus,
    MinionPinged,
    MinionRow,
    OutputPart,
    TargetPreview,
)
from ..core.control_requests import (
    AskStatus,
    ChangeKeys,
    KeyChoice,
    ListKeys,
    ListMinions,
    PingMinion,
    PreviewTarget,
    ShowFunctions,
    ShowGrains,
    Submit,
    Watch,
)
from ..core.errors import ProtocolError, UnreachableError
from ..core.function_spec import FunctionSpec
from ..core.names import Jid, MinionId, check_minion_id
from ..core.values import Value
from .calls import TTL_SECONDS, JobTerms, call_request
from .connection import ANSWER_TIMEOUT_SECONDS, Connection
from .event_stream import EventStream
from .job_stream import JobStream
from .results import MinionResult, RunResult
from .stdin_upload import upload_stdin
from .stored_jobs import StoredJobs


class Client(StoredJobs):
    """A client of the master of this machine.

    Args:
        root: the folder that the master was started with (``--root``); see ``find_socket`` for what counts without it.
        socket: the master's control socket, when it lies elsewhere.

    Every method may raise a class of ``core/errors.py``: ``UnreachableError`` when no master answers, ``NotPermittedError``
    when this account may not do that, and what the method names.
    """

    def __init__(self, root: str | Path | None = None, socket: str | Path | None = None) -> None:
        super().__init__(root, socket)
        self._streams: list[JobStream] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening to the jobs that are still streamed; they live on."""
        while self._streams:
            self._streams.pop().close()

    def run(
        self,
        target: str,
        function: str,
        *arguments: Value,
        kind: str = "glob",
        timeout_seconds: float | None = None,
        ttl_seconds: float = TTL_SECONDS,
        job_timeout_seconds: float = 0.0,
        job_stdin: bytes | None = None,
        **options: Value,
    ) -> RunResult:
        """Run a function on minions and wait for what becomes of it.

        Args:
            target: which minions.
            function: ``module.function``.
            arguments: its arguments by position, of the types that it declares.
            kind: how the target is written: ``glob``, ``list``, ``grain``, ``regex`` or ``compound``.
            timeout_seconds: how long to wait; None for as long as it takes. The job itself goes on.
            ttl_seconds: how long the job waits for a minion that is not there; 0 for what the settings of the master say.
            job_timeout_seconds: the job's own limit, after which it is killed; 0 for none.
            job_stdin: what the command reads, byte for byte; nothing when None. Not the ``stdin`` of ``cmd.run``, which is one of its
                own arguments, a text within the request.
            options: its arguments by name.

        Returns:
            What became of it, by minion id; those that did not answer are in ``silent``.

        Raises:
            NoMatchError: the target selects no minion.
            TargetError: the target cannot be read.
            ArgumentError: the arguments do not fit the function, or it can read no stdin, or that is too long.
        """
        terms = JobTerms(target, kind, ttl_seconds, job_timeout_seconds, stdin=job_stdin or b"")
        with self.watch(call_request(terms, function, arguments, options), timeout_seconds, terms.stdin) as stream:
            for _ in stream:
                pass
            return stream.finish()

    def stream(
        self,
        target: str,
        function: str,
        *arguments: Value,
        kind: str = "glob",
        timeout_seconds: float | None = None,
        ttl_seconds: float = TTL_SECONDS,
        job_timeout_seconds: float = 0.0,
        job_stdin: bytes | None = None,
        **options: Value,
    ) -> JobStream:
        """Run a function on minions and iterate over the results as they settle; arguments and errors as ``run``."""
        terms = JobTerms(target, kind, ttl_seconds, job_timeout_seconds, stdin=job_stdin or b"")
        return self.watch(call_request(terms, function, arguments, options), timeout_seconds, terms.stdin)

    def submit(
        self,
        target: str,
        function: str,
        *arguments: Value,
        kind: str = "glob",
        ttl_seconds: float = TTL_SECONDS,
        job_timeout_seconds: float = 0.0,
        job_stdin: bytes | None = None,
        **options: Value,
    ) -> Jid:
        """Start a function on minions and return the jid at once; arguments and errors as ``run``."""
        terms = JobTerms(target, kind, ttl_seconds, job_timeout_seconds, is_watched=False, stdin=job_stdin or b"")
        return self.create(call_request(terms, function, arguments, options), terms.stdin).jid

    def watch(
        self,
        request: Submit | Watch,
        timeout_seconds: float | None = None,
        stdin: bytes = b"",
        on_output: Callable[[OutputPart], None] = lambda _part: None,
        *,
        leaves_long: bool = False,
    ) -> JobStream:
        """Send a ready request, with the stdin that it speaks of, and stream what becomes of its job.

        ``stream`` and ``follow`` are made of this. With ``leaves_long`` outputs of more than 1 MiB are not in the results; ``output``
        reads them.
        """
        connection = Connection(self.socket_path)
        try:
            upload_stdin(connection, stdin)
            stream = JobStream(
                connection, request, timeout_seconds, self._results_now, on_output, leaves_long=leaves_long
            )
        except BaseException:
            connection.close()
            raise
        self._streams = [each for each in self._streams if not each.is_closed]
        self._streams.append(stream)
        return stream

    def create(self, request: Submit, stdin: bytes = b"") -> JobCreated:
        """Send a ready request that is not watched, with the stdin that it speaks of; ``submit`` is made of this."""
        return self._ask(request, JobCreated, stdin=stdin)

    def follow(
        self,
        jid: str,
        timeout_seconds: float | None = None,
        on_output: Callable[[OutputPart], None] | None = None,
    ) -> JobStream:
        """Iterate over the results of a job that was started before; those that are there come first.

        Args:
            jid: the job.
            timeout_seconds: how long to wait; None for as long as it takes.
            on_output: given what the job writes, in order for each minion and stream, while it is iterated. What had been written
                when a minion's job ended is in its result, which holds all of it.

        Raises:
            NotFoundError: there is no such job.
        """
        if on_output is None:
            return self.watch(Watch(jid), timeout_seconds)
        return self.watch(Watch(jid, is_live=True), timeout_seconds, on_output=on_output)

    def preview(self, target: str, kind: str = "glob") -> TargetPreview:
        """Which minions a target selects now.

        Raises:
            TargetError: the target cannot be read.
            NoMatchError: it selects none; the hint says what was probably meant.
        """
        return self._ask(PreviewTarget(target, kind), TargetPreview)

    def minions(self, target: str = "", kind: str = "glob", grains: Sequence[str] = ()) -> tuple[MinionRow, ...]:
        """The minions with an accepted key that a target selects, sorted by id; all without one.

        Args:
            target: which minions.
            kind: how that is written, as in ``run``.
            grains: names of grains that each row is to hold; what is inside of one with ``:``.

        Raises:
            NoMatchError: the target selects no minion.
            TargetError: the target cannot be read.
            ArgumentError: no minion has such a grain.
        """
        request = ListMinions(target, kind, tuple(grains))
        with Connection(self.socket_path) as connection:
            rows = [row for row in connection.stream(request) if isinstance(row, MinionRow)]
        return tuple(sorted(rows, key=lambda row: row.minion))

    def minion(self, minion: str) -> MinionRow:
        """One minion.

        Raises:
            NoMatchError: no accepted key has this id.
        """
        rows = self.minions(check_minion_id(minion), "list")
        if len(rows) != 1:
            raise ProtocolError(f"the master named {len(rows)} minions when asked for one")
        return rows[0]

    def ping(self, minion: str, timeout_seconds: float = 0.0) -> MinionPinged:
        """Measure the way from the master to a minion's loop and back.

        Args:
            minion: its id.
            timeout_seconds: how long to wait for its answer, a minute at the most; 0 for 1 s, or four times its last round trip.

        Returns:
            The round trip; None with the reason when no answer came, or none can come.

        Raises:
            NoMatchError: no accepted key has this id.
        """
        request = PingMinion(check_minion_id(minion), timeout_seconds)
        return self._ask(request, MinionPinged, ANSWER_TIMEOUT_SECONDS + timeout_seconds)

    def grains(self, minion: str) -> Mapping[str, Value]:
        """The grains of one minion as the master knows them.

        Raises:
            NotFoundError: there is no such minion.
        """
        return self._ask(ShowGrains(check_minion_id(minion)), GrainsShown).grains

    def events(
        self,
        pattern: str = "*",
        after: int = -1,
        on_lost: Callable[[UnreachableError], None] | None = None,
        on_back: Callable[[], None] | None = None,
    ) -> Iterator[EventNote]:
        """Iterate over events as they happen, without end.

        Args:
            pattern: glob over tags.
            after: continue after the event with this number; 0: everything since the master's start; -1: only what comes now.
            on_lost: told why the master cannot be reached any more; then it is waited for, and the events go on after the last one.
                The ``missed`` of the next one tells what could not be had. Without, the error is raised.
            on_back: told when it can be reached again.

        Raises:
            UnreachableError: the master is not there, or went away.
        """
        if after < 0 and on_lost is not None:
            # Known from the beginning on, or a master that goes away before the first event would leave nothing to go on after.
            after = self.status().newest_event or after
        return iter(EventStream(self.socket_path, pattern, after, on_lost, on_back))

    def status(self) -> MasterStatus:
        """How the master is."""
        return self._ask(AskStatus(), MasterStatus)

    def functions(self, *patterns: str) -> tuple[FunctionSpec, ...]:
        """The functions that minions have and whose name fits one of the globs; all without any."""
        return self._ask(ShowFunctions(patterns), FunctionsShown).functions

    def keys(self) -> KeyList:
        """All minion keys, sorted by id."""
        return self._ask(ListKeys(), KeyList)

    def change_keys(self, action: str, keys: Sequence[KeyChoice]) -> KeyList:
        """``accept``, ``reject`` or ``delete`` exactly these keys, all or none; gives back what changed."""
        return self._ask(ChangeKeys(action, tuple(keys)), KeyList)

    def _results_now(self, jid: Jid) -> Mapping[MinionId, MinionResult]:
        return self.job(jid).results
