"""The part of ``Client`` that is about the jobs of the job cache."""

import time
from collections.abc import Callable, Iterator, Sequence

from ..core.control_answers import Done, JobCancelled, JobCreated, JobList, JobsPurged, JobSummary, TargetResult
from ..core.control_requests import CancelJob, DeleteJobs, ListJobs, PurgeJobs, ShowJob, Watch
from ..core.errors import ArgumentError, ProtocolError
from ..core.names import Jid, MinionId, check_minion_id
from .asking import Asking
from .connection import Connection
from .deletion import Deletion, delete
from .long_output import read_parts, with_long_output
from .results import JobRecord, MinionResult, read_result


class StoredJobs(Asking):
    """Finds jobs, waits for them, stops and removes them; see ``Client``."""

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
    ) -> JobList:
        """The newest jobs that fit.

        Args:
            limit: how many at the most; 0 for all.
            before: only those older than this jid; the last of a page gives the next one.
            user: only those of this user; this and the following: empty, or 0, for any.
            function: glob over the function.
            target: glob over the target as it was written.
            minion: only those that were for this minion.
            state: ``running``, ``finished``, ``cancelled``, or the state of a target; of several with commas between, any.
            since_us: only those made at this moment or later, microseconds since 1970.
            until_us: only those made before it.

        Raises:
            ArgumentError: there is no such state.
            NotFoundError: ``before`` names no job.
        """
        query = ListJobs(limit, before, user, function, target, minion, state, since_us, until_us)
        return self.list_jobs(query)

    def list_jobs(self, query: ListJobs) -> JobList:
        """Send a ready question for jobs; ``jobs`` is made of this."""
        return self._ask(query, JobList)

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
        summary: JobSummary | None = None
        results: dict[MinionId, MinionResult] = {}
        with Connection(self.socket_path) as connection:
            for answer in connection.stream(ShowJob(jid, chosen, has_output)):
                if isinstance(answer, JobSummary):
                    summary = answer
                elif isinstance(answer, TargetResult) and summary is not None:
                    results[answer.minion] = read_result(
                        summary.jid, with_long_output(self.socket_path, summary.jid, answer)
                    )
        if summary is None:
            raise ProtocolError("the master sent a job without its summary")
        return JobRecord(summary, {minion: results[minion] for minion in sorted(results)})

    def output(self, jid: str, minion: str, stream: str = "stdout", offset: int = 0) -> Iterator[bytes]:
        """Iterate over what is kept of an output of a job that has ended on a minion, in parts, however long it is.

        Args:
            jid: the job, whole.
            minion: one of its targets.
            stream: ``stdout`` or ``stderr``.
            offset: how many bytes of it to leave out.

        Raises:
            NotFoundError: there is no such job, or the minion is no target of it.
        """
        return read_parts(self.socket_path, Jid(jid), check_minion_id(minion), stream, offset)

    def wait(
        self, jid: str, timeout_seconds: float | None = None, on_found: Callable[[Jid], None] | None = None
    ) -> JobSummary:
        """Wait until a job has ended on every target, also on those that are silent; give back how it stands.

        Args:
            jid: as for ``job``.
            timeout_seconds: how long to wait; None for as long as it takes. The job itself goes on.
            on_found: told which job it is, before it is waited for.

        Raises:
            NotFoundError: there is no such job.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        name = jid
        with Connection(self.socket_path) as connection:
            connection.send(Watch(jid, has_output=False))
            while True:
                left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
                answer = connection.receive(left)
                if answer is None or isinstance(answer, Done):
                    break
                if isinstance(answer, JobCreated):
                    name = answer.jid
                    if on_found is not None:
                        on_found(answer.jid)
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
            return delete(connection, DeleteJobs(jids, is_forced), timeout_seconds)

    def delete_all_jobs(self, *, is_forced: bool = False, timeout_seconds: float = 30.0) -> Deletion:
        """Remove every job that has ended, or with ``is_forced`` every job; otherwise as ``delete_jobs``."""
        with Connection(self.socket_path) as connection:
            return delete(connection, DeleteJobs((), is_forced), timeout_seconds)

    def purge_jobs(self, *, age_seconds: float = 0.0, count: int = 0, size_bytes: int = 0) -> JobsPurged:
        """Remove the oldest jobs that have ended, until these limits are kept; 0 is no limit.

        Raises:
            ArgumentError: no limit is given.
        """
        return self._ask(PurgeJobs(age_seconds, count, size_bytes), JobsPurged, None)

    def cancel(self, jid: str, minions: Sequence[str] = ()) -> JobCancelled:
        """Ask for a job to be stopped on some or (empty) all of its minions: TERM, then KILL.

        Raises:
            NotFoundError: there is no such job.
        """
        chosen = tuple(check_minion_id(minion) for minion in minions)
        return self._ask(CancelJob(jid, chosen), JobCancelled)
