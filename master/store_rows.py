"""Rows of the job cache as the objects that they stand for."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.codec import decode
from ..core.control import JobSummary, TargetResult
from ..core.errors import NotFoundError
from ..core.job_states import TERMINAL, JobState
from ..core.names import FunctionName, Jid, MinionId, jid_from_microseconds
from ..core.values import Value
from .store import NewJob, NewTarget, StoredJob
from .store_schema import FORCE_STOPPED, HAS_VALUE, KINDS, STATE_COLUMNS, STATES, VALUE_FROM

#: Everything that ``summary_from`` takes; the page of jobs and the single job add where and in which order.
SELECT_SUMMARY = f"""
SELECT jid_us, function, target, target_kind, user, created_us, expires_us, timeout_seconds, finished_us, cancel_asked,
    arguments, (SELECT text FROM texts WHERE id = signed_by), {", ".join(STATE_COLUMNS)}
FROM jobs
"""  # noqa: S608 - the names of our own columns
#: Everything that ``result_from`` takes, of one target.
SELECT_RESULT = """
SELECT state, flags, kind, retcode, value_from, pid, started_us, finished_us, duration_us, stdout_total, stderr_total,
    (SELECT data FROM blobs WHERE id = reason), (SELECT data FROM blobs WHERE id = value),
    (SELECT data FROM blobs WHERE id = stdout), (SELECT data FROM blobs WHERE id = stderr),
    (SELECT data FROM blobs WHERE id = traceback),
    (SELECT text FROM texts WHERE id = address), (SELECT text FROM texts WHERE id = account)
FROM job_targets WHERE jid_us = ? AND minion = ?
"""
_SELECT_JOB = """
SELECT request_id, function, target, target_kind, user, (SELECT text FROM texts WHERE id = signed_by), created_us,
    expires_us, timeout_seconds, output_limit_bytes, cancel_asked, arguments
FROM jobs WHERE jid_us = ?
"""
_SELECT_TARGETS = """
SELECT names.text, state, (SELECT text FROM texts WHERE id = address), (SELECT data FROM blobs WHERE id = reason)
FROM job_targets JOIN texts AS names ON names.id = minion WHERE jid_us = ? ORDER BY names.text
"""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a job, as they lie in ``jobs.arguments``."""

    words: tuple[str, ...]
    literals: tuple[str, ...]
    values: tuple[Value, ...]
    options: Mapping[str, Value]


def stored_job(connection: sqlite3.Connection, jid_us: int) -> StoredJob:
    """Read one job with the states of all its targets.

    Raises:
        NotFoundError: there is none.
    """
    row = connection.execute(_SELECT_JOB, (jid_us,)).fetchone()
    if row is None:
        raise NotFoundError(
            f"there is no job {jid_from_microseconds(jid_us)}", "`fleet jobs list` shows those there are"
        )
    (
        request_id,
        function,
        target,
        target_kind,
        user,
        signed_by,
        created_us,
        expires_us,
        timeout,
        limit,
        asked,
        packed,
    ) = row
    arguments = decode(Arguments, packed)
    targets = tuple(
        NewTarget(MinionId(minion), STATES[state], address or "", _text(reason))
        for minion, state, address, reason in connection.execute(_SELECT_TARGETS, (jid_us,))
    )
    job = NewJob(
        request_id=request_id,
        function=FunctionName(function),
        words=arguments.words,
        literals=arguments.literals,
        values=arguments.values,
        options=arguments.options,
        target=target,
        target_kind=target_kind,
        user=user,
        ttl_seconds=(expires_us - created_us) / 1_000_000,
        timeout_seconds=timeout,
        output_limit_bytes=limit,
        signed_by=signed_by,
        targets=targets,
    )
    states = {each.minion: each.state for each in targets}
    jid = jid_from_microseconds(jid_us)
    return StoredJob(jid, job, created_us, expires_us, is_new=False, targets=states, cancelled=bool(asked))


def summary_from(row: tuple[object, ...]) -> JobSummary:
    """Make a summary of a row of ``SELECT_SUMMARY``."""
    (
        jid_us,
        function,
        target,
        target_kind,
        user,
        created_us,
        expires_us,
        timeout,
        finished_us,
        asked,
        packed,
        signed_by,
        *counts,
    ) = row
    arguments = decode(Arguments, packed)
    ended = "cancelled" if asked else "finished"
    return JobSummary(
        jid=jid_from_microseconds(jid_us),
    )


def result_from(minion: MinionId, row: tuple[object, ...], notes: tuple[str, ...]) -> TargetResult:
    """Make a result of a row of ``SELECT_RESULT``."""


def _text(data: bytes | None) -> str:
    return data.decode() if data is not None else ""
