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

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from ..core import control
from ..core.errors import ArgumentError, ProtocolError, UnreachableError
from ..core.function_spec import FunctionSpec
from ..core.names import Jid, MinionId, check_minion_id
from ..core.values import Value
from .calls import TTL_SECONDS, JobTerms, call_request
from .connection import ANSWER_TIMEOUT_SECONDS, Connection, find_socket
from .deletion import Deletion, delete
from .event_stream import EventStream
from .job_stream import JobStream
from .results import JobRecord, MinionResult, RunResult, read_result

_Answer = TypeVar("_Answer", bound=control.Answer)


class Client:
    """A client of the master of this machine.

    Args:
        root: the folder that the master was started with (``--root``); see ``find_socket`` for what counts without it.
        socket: the master's control socket, when it lies elsewhere.

    Every method may raise a class of ``core/errors.py``: ``UnreachableError`` when no master answers, ``NotPermittedError``
    when this account may not do that, and what the method names.
    """

    def __init__(self, root: str | Path | None = None, socket: str | Path | None = None) -> None:
        self.socket_path = find_socket(root, socket)
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
        **options: Value,
    ) -> RunResult:
        """Run a function on minions and wait for what becomes of it.

        Args:
            target: which minions.
            function: ``module.function``.
            arguments: its arguments by position, of the types that it declares.
            kind: how the target is written: ``glob``, ``list``, ``grain``, ``regex`` or ``compound``.
            timeout_seconds: how long to wait; None for as long as it takes. The job itself goes on.
            ttl_seconds: how long the job waits for a minion that is not there.
            job_timeout_seconds: the job's own limit, after which it is killed; 0 for none.
            options: its arguments by name.

        Returns:
            What became of it, by minion id; those that did not answer are in ``silent``.

        Raises:
            NoMatchError: the target selects no minion.
            TargetError: the target cannot be read.
            ArgumentError: the arguments do not fit the function.
        """
        request = call_request(JobTerms(target, kind, ttl_seconds, job_timeout_seconds), function, arguments, options)
        with self.watch(request, timeout_seconds) as stream:
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
        **options: Value,
    ) -> JobStream:
        """Run a function on minions and iterate over the results as they settle; arguments and errors as ``run``."""
        request = call_request(JobTerms(target, kind, ttl_seconds, job_timeout_seconds), function, arguments, options)
        return self.watch(request, timeout_seconds)

    def submit(
        self,
        target: str,
        function: str,
        *arguments: Value,
        kind: str = "glob",
        ttl_seconds: float = TTL_SECONDS,
        job_timeout_seconds: float = 0.0,
        **options: Value,
    ) -> Jid:
        """Start a function on minions and return the jid at once; arguments and errors as ``run``."""
        request = call_request(
            JobTerms(target, kind, ttl_seconds, job_timeout_seconds, is_watched=False), function, arguments, options
        )
        return self.create(request).jid

    def watch(self, request: control.Submit | control.Watch, timeout_seconds: float | None = None) -> JobStream:
        """Send a ready request and stream what becomes of its job; ``stream`` and ``follow`` are made of this."""
        connection = Connection(self.socket_path)
        try:
            stream = JobStream(connection, request, timeout_seconds, self._results_now)
        except BaseException:
            connection.close()
            raise
        self._streams = [each for each in self._streams if not each.is_closed]
        self._streams.append(stream)
        return stream

    def create(self, request: control.Submit) -> control.JobCreated:
        """Send a ready request that is not watched; ``submit`` is made of this."""
        return self._ask(request, control.JobCreated)

    def follow(self, jid: str, timeout_seconds: float | None = None) -> JobStream:
        """Iterate over the results of a job that was started before; those that are there come first.

        Raises:
            NotFoundError: there is no such job.
        """
        return self.watch(control.Watch(jid), timeout_seconds)

    def preview(self, target: str, kind: str = "glob") -> control.TargetPreview:
        """Which minions a target selects now.

        Raises:
            TargetError: the target cannot be read.
            NoMatchError: it selects none; the hint says what was probably meant.
        """
        return self._ask(control.PreviewTarget(target, kind), control.TargetPreview)

    def jobs(
        self,
        limit: int = 20,
        before: str = "",
        *,
        user: str = "",
        function: str = "",
        target: str = "",
        minion: str = "",
        state: str = "",
        since_us: int = 0,
        until_us: int = 0,
    ) -> control.JobList:
        """The newest jobs that fit.

        Args:
            limit: how many at the most; 0 for all.
            before: only those older than this jid; the last of a page gives the next one.
            user: only those of this user; this and the following: empty, or 0, for any.
            function: glob over the function.
            target: glob over the target as it was written.
            minion: only those that were for this minion.
            state: ``running``, ``finished``, ``cancelled``, or the state of a target.
            since_us: only those made at this moment or later, microseconds since 1970.
            until_us: only those made before it.

        Raises:
            ArgumentError: there is no such state.
            NotFoundError: ``before`` names no job.
        """
        query = control.ListJobs(limit, before, user, function, target, minion, state, since_us, until_us)
        return self.list_jobs(query)

    def list_jobs(self, query: control.ListJobs) -> control.JobList:
        """Send a ready question for jobs; ``jobs`` is made of this."""
        return self._ask(query, control.JobList)

    def job(self, jid: str, minions: Sequence[str] = (), *, has_output: bool = True) -> JobRecord:
        """One job with its results.

        Args:
            jid: a whole jid, an unambiguous end of one, or ``last``.
            minions: only what became of it on these; all when empty.
            has_output: with stdout, stderr, values and tracebacks; without, it costs little also for ten thousand targets.

        Raises:
            NotFoundError: there is no such job, or there are several.
        """
        chosen = tuple(check_minion_id(minion) for minion in minions)
        summary: control.JobSummary | None = None
        results: dict[MinionId, MinionResult] = {}
        with Connection(self.socket_path) as connection:
            for answer in connection.stream(control.ShowJob(jid, chosen, has_output)):
                if isinstance(answer, control.JobSummary):
                    summary = answer
                elif isinstance(answer, control.TargetResult) and summary is not None:
                    results[answer.minion] = read_result(summary.jid, answer)
        if summary is None:
            raise ProtocolError("the master sent a job without its summary")
        return JobRecord(summary, {minion: results[minion] for minion in sorted(results)})

    def wait(self, jid: str, timeout_seconds: float | None = None) -> control.JobSummary:
        """Wait until a job has ended on every target, also on those that are silent; give back how it stands.

        Args:
            jid: as for ``job``.
            timeout_seconds: how long to wait; None for as long as it takes. The job itself goes on.

        Raises:
            NotFoundError: there is no such job.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        name = jid
        with Connection(self.socket_path) as connection:
            connection.send(control.Watch(jid))
            while True:
                left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
                answer = connection.receive(left)
                if answer is None or isinstance(answer, control.Done):
                    break
                if isinstance(answer, control.JobCreated):
                    name = answer.jid
        return self.job(name, has_output=False).summary

    def delete_jobs(self, *jids: str, is_forced: bool = False, timeout_seconds: float = 30.0) -> Deletion:
        """Remove jobs and their results, here and on the minions; all or none.

        Args:
            jids: one or more, as for ``job``.
            is_forced: also what runs; it is stopped. A minion that is away forgets it when it comes back.
            timeout_seconds: how long to wait for the minions that are there to confirm.

        Raises:
            NotFoundError: there is no such job.
            StateError: one has not ended everywhere, and ``is_forced`` is not set.
            ArgumentError: no job is named.
        """
        if not jids:
            raise ArgumentError("no job is named", "delete_all_jobs() deletes every job that has ended")
        with Connection(self.socket_path) as connection:
            return delete(connection, control.DeleteJobs(jids, is_forced), timeout_seconds)

    def delete_all_jobs(self, *, is_forced: bool = False, timeout_seconds: float = 30.0) -> Deletion:
        """Remove every job that has ended, or with ``is_forced`` every job; otherwise as ``delete_jobs``."""
        with Connection(self.socket_path) as connection:
            return delete(connection, control.DeleteJobs((), is_forced), timeout_seconds)

    def purge_jobs(self, *, age_seconds: float = 0.0, count: int = 0, size_bytes: int = 0) -> control.JobsPurged:
        """Remove the oldest jobs that have ended, until these limits are kept; 0 is no limit.

        Raises:
            ArgumentError: no limit is given.
        """
        return self._ask(control.PurgeJobs(age_seconds, count, size_bytes), control.JobsPurged, None)

    def cancel(self, jid: str, minions: Sequence[str] = ()) -> control.JobCancelled:
        """Ask for a job to be stopped on some or (empty) all of its minions: TERM, then KILL.

        Raises:
            NotFoundError: there is no such job.
        """
        chosen = tuple(check_minion_id(minion) for minion in minions)
        return self._ask(control.CancelJob(jid, chosen), control.JobCancelled)

    def minions(
        self, target: str = "", kind: str = "glob", grains: Sequence[str] = ()
    ) -> tuple[control.MinionRow, ...]:
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
        request = control.ListMinions(target, kind, tuple(grains))
        with Connection(self.socket_path) as connection:
            rows = [row for row in connection.stream(request) if isinstance(row, control.MinionRow)]
        return tuple(sorted(rows, key=lambda row: row.minion))

    def minion(self, minion: str) -> control.MinionRow:
        """One minion.

        Raises:
            NoMatchError: no accepted key has this id.
        """
        rows = self.minions(check_minion_id(minion), "list")
        if len(rows) != 1:
            raise ProtocolError(f"the master named {len(rows)} minions when asked for one")
        return rows[0]

    def ping(self, minion: str, timeout_seconds: float = 0.0) -> control.MinionPinged:
        """Measure the way from the master to a minion's loop and back.

        Args:
            minion: its id.
            timeout_seconds: how long to wait for its answer, a minute at the most; 0 for 1 s, or four times its last round trip.

        Returns:
            The round trip; None with the reason when no answer came, or none can come.

        Raises:
            NoMatchError: no accepted key has this id.
        """
        request = control.PingMinion(check_minion_id(minion), timeout_seconds)
        return self._ask(request, control.MinionPinged, ANSWER_TIMEOUT_SECONDS + timeout_seconds)

    def grains(self, minion: str) -> Mapping[str, Value]:
        """The grains of one minion as the master knows them.

        Raises:
            NotFoundError: there is no such minion.
        """
        return self._ask(control.ShowGrains(check_minion_id(minion)), control.GrainsShown).grains

    def events(
        self,
        pattern: str = "*",
        after: int = -1,
        on_lost: Callable[[UnreachableError], None] | None = None,
        on_back: Callable[[], None] | None = None,
    ) -> Iterator[control.EventNote]:
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

    def status(self) -> control.MasterStatus:
        """How the master is."""
        return self._ask(control.AskStatus(), control.MasterStatus)

    def functions(self, *patterns: str) -> tuple[FunctionSpec, ...]:
        """The functions that minions have and whose name fits one of the globs; all without any."""
        return self._ask(control.ShowFunctions(patterns), control.FunctionsShown).functions

    def keys(self) -> control.KeyList:
        """All minion keys, sorted by id."""
        return self._ask(control.ListKeys(), control.KeyList)

    def change_keys(self, action: str, keys: Sequence[control.KeyChoice]) -> control.KeyList:
        """``accept``, ``reject`` or ``delete`` exactly these keys, all or none; gives back what changed."""
        return self._ask(control.ChangeKeys(action, tuple(keys)), control.KeyList)

    def _ask(
        self,
        request: control.Request,
        expected: type[_Answer],
        timeout_seconds: float | None = ANSWER_TIMEOUT_SECONDS,
    ) -> _Answer:
        with Connection(self.socket_path) as connection:
            answer = connection.request(request, timeout_seconds)
        if not isinstance(answer, expected):
            raise ProtocolError(
                f"the master answered {type(request).__name__} with {type(answer).__name__}",
                "restart the master after an upgrade, so that both are of one release",
            )
        return answer

    def _results_now(self, jid: Jid) -> Mapping[MinionId, MinionResult]:
        return self.job(jid).results
