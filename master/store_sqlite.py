"""The job cache in one SQLite file: ``jobs.sqlite`` in the master's state folder, mode 0600.

A commit is on the disk when it returns (WAL, ``synchronous=FULL``). One connection writes; others read what is committed, each in
its own thread, and hold up nobody: results are read a target at a time, so that no read lasts long or fills the memory.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from ..core.control_answers import JobSummary, TargetResult
from ..core.control_requests import ListJobs
from ..core.errors import NotFoundError
from ..core.function_spec import FunctionSpec
from ..core.job_states import TERMINAL, JobState
from ..core.names import Jid, MinionId
from ..core.outcome import OUTPUT_STREAMS
from ..core.values import Value
from .store import Change, DeleteJob, JobPage, Keep, MinionFacts, NewJob, Owed, Shrink, StoredJob
from .store_deleting import count_kept_open, find_ended, find_expendable, free_bytes, read_owed, shrink, used_bytes
from .store_facts import read_catalogues, read_grains, read_minions
from .store_file import NAME, open_for_reading, open_for_writing, store_errors
from .store_interned import storable_integer
from .store_jids import find_jid, key_of, page_end
from .store_pages import filter_of
from .store_parts import read_output
from .store_rows import read_results, read_summaries, stored_job
from .store_schema import STATE_CODES, STATES
from .store_stdin import read_stdin
from .store_writes import Batch, Known


class SqliteJobStore:
    """A job cache on disk; a context manager. An object is used by one thread at a time.

    Raises:
        StoreFullError: by any method: it cannot be used for now, and nothing was changed.
        StateError: by any method: it is damaged.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        """Use ``open``."""
        self._folder = folder
        self._path = folder / NAME
        self._connection = connection
        self._batch: Batch | None = None
        self._known = Known()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the store in a master's state folder whose lock the caller holds; make both if they are missing.

        Raises:
            StateError: it is damaged, of a newer release, something else, open to others, or cannot be written.
        """
        return cls(folder, open_for_writing(folder))

    def open_reader(self) -> Self:
        """Open it once more, to read in another thread while this one writes; the methods that write raise there."""
        return type(self)(self._folder, open_for_reading(self._folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store; what was committed stays."""
        with store_errors(self._path):
            self._connection.close()

    # Writing.

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything that is submitted and applied within the block durable at its end, or nothing of it.

        An error must leave the block: what came before it within the block is taken back with it.
        """
        with self._writing():
            yield

    def submit(self, job: NewJob, now_us: int, stdin: bytes = b"") -> StoredJob:
        """Store a job durably with its stdin, or give back the one of this request id."""
        with self._writing() as batch:
            return batch.submit(job, now_us, stdin)

    def apply(self, changes: Sequence[Change], now_us: int) -> None:
        """Commit all of these durably in one transaction, in order; what may not be is left out and kept as a note.

        A change of a job or a target that is not stored is left out without a note; there is nothing to keep it with.
        """
        with self._writing() as batch:
            batch.change_all(changes, now_us)
            if any(isinstance(change, DeleteJob | Shrink) for change in changes):
                batch.finish()
                shrink(self._connection)

    @contextmanager
    def _writing(self) -> Iterator[Batch]:
        """Join the transaction that is open, or make one."""
        if self._batch is not None:
            yield self._batch
            return
        with store_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            self._batch = batch = Batch(self._connection, self._known)
            try:
                yield batch
                batch.finish()
                self._connection.execute("COMMIT")
                batch.committed()
            except BaseException:
                # A full disk may have ended the transaction already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._batch = None

    # Reading.

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Let several statements see the same moment, also while another connection writes."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def incarnation(self) -> bytes:
        """16 random bytes made with the store, and anew when the file was replaced by a copy."""
        with store_errors(self._path):
            (incarnation,) = self._connection.execute("SELECT incarnation FROM meta").fetchone()
            return bytes(incarnation)

    def open_jobs(self) -> tuple[StoredJob, ...]:
        """Every job with a target that has not ended, oldest first."""
        with store_errors(self._path):
            rows = self._connection.execute("SELECT jid_us FROM jobs WHERE finished_us IS NULL ORDER BY jid_us")
            return tuple(stored_job(self._connection, jid_us) for (jid_us,) in rows.fetchall())

    def stdin(self, jid: Jid, offset: int, limit_bytes: int) -> bytes:
        """At most so many bytes of the stdin of a job; none beyond its end, nor when the job has ended or is not there."""
        with store_errors(self._path):
            return read_stdin(self._connection, key_of(jid), offset, limit_bytes)

    def is_ended(self, jid: Jid, minion: MinionId) -> JobState | None:
        """The terminal state of (jid, minion), or None when it is open or unknown."""
        with store_errors(self._path):
            row = self._connection.execute(
                "SELECT state FROM job_targets WHERE jid_us = ? AND minion = (SELECT id FROM texts WHERE text = ?)",
                (key_of(jid), minion),
            ).fetchone()
        state = None if row is None else STATES[row[0]]
        return state if state in TERMINAL else None

    def resolve_jid(self, text: str) -> Jid:
        """Find the job that a whole jid, an unambiguous end of one (3 digits or more), or ``last`` names.

        Ends are looked for among the newest 10,000 jobs.

        Raises:
            NotFoundError: none, or several; the hint lists them.
        """
        with store_errors(self._path):
            return find_jid(self._connection, text)

    def job(self, jid: Jid) -> JobSummary:
        """One job, without results.

        Raises:
            NotFoundError: there is none.
        """
        with store_errors(self._path):
            for summary in read_summaries(self._connection, "WHERE jid_us = ?", (key_of(jid),)):
                return summary
        raise NotFoundError(f"there is no job {jid}", "`fleet jobs list` shows those there are")

    def targets(self, jid: Jid) -> tuple[MinionId, ...]:
        """The targets of a job, sorted by minion id; none when there is no such job."""
        with store_errors(self._path):
            rows = self._connection.execute(
                "SELECT text FROM job_targets JOIN texts ON texts.id = minion WHERE jid_us = ? ORDER BY text",
                (key_of(jid),),
            )
            return tuple(MinionId(minion) for (minion,) in rows)

    def given_up(self, jid: Jid) -> tuple[MinionId, ...]:
        """The targets that ended as lost or abandoned by the master's word alone."""
        with store_errors(self._path):
            rows = self._connection.execute(
                "SELECT text FROM job_targets JOIN texts ON texts.id = minion"
                " WHERE jid_us = ? AND kind IS NULL AND state IN (?, ?) ORDER BY text",
                (key_of(jid), STATE_CODES[JobState.LOST], STATE_CODES[JobState.ABANDONED]),
            )
            return tuple(MinionId(minion) for (minion,) in rows)

    def results(self, jid: Jid) -> Iterator[TargetResult]:
        """The targets of a job, sorted by minion id, each with its output; read one by one as they are taken."""
        for minion in self.targets(jid):
            yield self.result(jid, minion)

    def results_of(
        self, jid: Jid, minions: Sequence[MinionId], limit_bytes: int, *, has_output: bool = True
    ) -> tuple[TargetResult, ...]:
        """The first of these targets of a job, as they were at one moment: no more than what reaches this limit of output."""
        with store_errors(self._path), self._reading():
            results: list[TargetResult] = []
            size_bytes = 0
            for result in read_results(self._connection, key_of(jid), minions, has_output=has_output):
                results.append(result)
                size_bytes += len(result.stdout) + len(result.stderr) + len(result.value)
                if size_bytes >= limit_bytes:
                    break
            return tuple(results)

    def result(self, jid: Jid, minion: MinionId, *, has_output: bool = True) -> TargetResult:
        """One target of a job, with its output or only the lengths of it.

        Raises:
            NotFoundError: there is none.
        """
        for result in self.results_of(jid, (minion,), 1, has_output=has_output):
            return result
        raise NotFoundError(f"there is no job {jid} of {minion}", f"`fleet jobs show {jid}` shows its targets")

    def output(self, jid: Jid, minion: MinionId, stream: str, offset: int, limit_bytes: int) -> bytes:
        """At most so many bytes of the stdout or stderr that a target has kept; none beyond its end.

        Raises:
            NotFoundError: there is no such target.
        """
        column = OUTPUT_STREAMS[OUTPUT_STREAMS.index(stream)]
        select = f"SELECT {column} FROM job_targets WHERE jid_us = ? AND minion = (SELECT id FROM texts WHERE text = ?)"  # noqa: S608
        with store_errors(self._path):
            row = self._connection.execute(select, (key_of(jid), minion)).fetchone()
            if row is not None:
                return b"" if row[0] is None else read_output(self._connection, row[0], offset, limit_bytes)
        raise NotFoundError(f"there is no job {jid} of {minion}", f"`fleet jobs show {jid}` shows its targets")

    def jobs(self, query: ListJobs) -> JobPage:
        """The newest jobs that fit.

        ``before`` is a whole jid, of which there need be no job any more, or what ``resolve_jid`` takes.

        Raises:
            NotFoundError: ``before`` names no job.
            ArgumentError: there is no such state.
        """
        condition, parameters = filter_of(query)
        limit = storable_integer(query.limit) if query.limit > 0 else -1
        with store_errors(self._path):
            if condition:
                counted = self._connection.execute(f"SELECT count(*) FROM jobs WHERE {condition}", parameters)  # noqa: S608
            else:
                counted = self._connection.execute("SELECT jobs_total FROM meta")
            (total,) = counted.fetchone()
            page = read_summaries(
                self._connection,
                f"WHERE {condition or 'true'} AND jid_us < ? ORDER BY jid_us DESC LIMIT ?",
                (*parameters, page_end(self._connection, query.before), limit),
            )
            return JobPage(tuple(page), total)

    def expendable(self, keep: Keep, now_us: int) -> tuple[Jid, ...]:
        """Some jobs that have ended and go beyond what is kept, the oldest first."""
        with store_errors(self._path):
            return find_expendable(self._connection, keep, now_us)

    def kept_open(self, keep: Keep, now_us: int) -> int:
        """How many jobs go beyond what is kept and stay, because they have not ended."""
        with store_errors(self._path):
            return count_kept_open(self._connection, keep, now_us)

    def ended_jobs(self) -> tuple[Jid, ...]:
        """Some jobs that have ended, the oldest first: as many as one transaction should remove."""
        with store_errors(self._path):
            return find_ended(self._connection)

    def size_bytes(self) -> int:
        """How much the file holds, room that is free again not counted."""
        with store_errors(self._path):
            return used_bytes(self._connection)

    def free_bytes(self) -> int:
        """How much room is free again, and not yet given back to the disk."""
        with store_errors(self._path):
            return free_bytes(self._connection)

    def owed(self) -> tuple[Owed, ...]:
        """What minions have not yet been heard to have forgotten."""
        with store_errors(self._path):
            return read_owed(self._connection)

    def minions(self) -> tuple[MinionFacts, ...]:
        """What is known of every minion, sorted by id."""
        with store_errors(self._path):
            return read_minions(self._connection)

    def grains(self) -> Mapping[bytes, Mapping[str, Value]]:
        """All grains by digest."""
        with store_errors(self._path):
            return read_grains(self._connection)

    def catalogues(self) -> Mapping[bytes, tuple[FunctionSpec, ...]]:
        """All catalogues by digest."""
        with store_errors(self._path):
            return read_catalogues(self._connection)
