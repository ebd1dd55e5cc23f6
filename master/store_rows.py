"""Rows of the job cache as the objects that they stand for."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from ..core.control_answers import JobSummary, TargetResult
from ..core.dataclass import dataclass
from ..core.errors import NotFoundError
from ..core.job_states import TERMINAL
from ..core.names import FunctionName, MinionId, jid_from_microseconds
from ..core.outcome import OUTPUT_STREAMS
from ..core.packing import decode
from ..core.values import Value
from .store import NewJob, NewTarget, StoredJob
from .store_parts import LENGTH_OF
from .store_schema import FORCE_STOPPED, HAS_VALUE, KINDS, STATE_COLUMNS, STATES, VALUE_FROM

_SELECT_SUMMARY = f"""
SELECT jid_us, function, target, target_kind, user, created_us, expires_us, timeout_seconds, finished_us, cancel_asked,
    arguments, (SELECT text FROM texts WHERE id = signed_by), {", ".join(STATE_COLUMNS)}
FROM jobs
"""  # noqa: S608 - the names of our own columns
_SELECT_RESULT = f"""
SELECT state, flags, kind, retcode, value_from, pid, started_us, finished_us, duration_us,
    ifnull(stdout_total, {LENGTH_OF % "stdout"}), ifnull(stderr_total, {LENGTH_OF % "stderr"}),
    (SELECT data FROM blobs WHERE id = reason),
    (SELECT text FROM texts WHERE id = address), (SELECT text FROM texts WHERE id = account),
    (SELECT text FROM texts WHERE id = host)
FROM job_targets WHERE jid_us = ? AND minion = ?
"""  # noqa: S608 - our own expressions
_SELECT_LENGTHS = (
    f"SELECT {LENGTH_OF % 'stdout'}, {LENGTH_OF % 'stderr'} FROM job_targets WHERE jid_us = ? AND minion = ?"  # noqa: S608
)
_SELECT_OUTPUT = """
SELECT (SELECT data FROM blobs WHERE id = value), (SELECT data FROM blobs WHERE id = stdout),
    (SELECT data FROM blobs WHERE id = stderr), (SELECT data FROM blobs WHERE id = traceback)
FROM job_targets WHERE jid_us = ? AND minion = ?
"""
_SELECT_NOTES = "SELECT text FROM notes WHERE jid_us = ? AND minion = ? ORDER BY number"
_SELECT_JOB = """
SELECT request_id, function, target, target_kind, user, (SELECT text FROM texts WHERE id = signed_by), created_us,
    expires_us, timeout_seconds, output_limit_bytes, cancel_asked, arguments
FROM jobs WHERE jid_us = ?
"""
_SELECT_TARGETS = """
SELECT names.text, state, (SELECT text FROM texts WHERE id = address), (SELECT data FROM blobs WHERE id = reason),
    (SELECT text FROM texts WHERE id = host)
FROM job_targets JOIN texts AS names ON names.id = minion WHERE jid_us = ? ORDER BY names.text
"""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a job, as they lie in ``jobs.arguments``; what is to be known of its stdin, which lies apart; what it repeats."""

    words: tuple[str, ...]
    literals: tuple[str, ...]
    values: tuple[Value, ...]
    options: Mapping[str, Value]
    stdin_bytes: int = 0
    stdin_digest: bytes = b""
    retry_of: str = ""


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
        NewTarget(MinionId(minion), STATES[state], address or "", _text(reason), host or "")
        for minion, state, address, reason, host in connection.execute(_SELECT_TARGETS, (jid_us,))
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
        stdin_bytes=arguments.stdin_bytes,
        stdin_digest=arguments.stdin_digest,
        retry_of=arguments.retry_of,
    )
    states = {each.minion: each.state for each in targets}
    jid = jid_from_microseconds(jid_us)
    return StoredJob(jid, job, created_us, expires_us, is_new=False, targets=states, cancelled=bool(asked))


def read_summaries(connection: sqlite3.Connection, rest: str, parameters: Sequence[int | str]) -> Iterator[JobSummary]:
    """Read jobs without their targets; ``rest`` is the SQL after the table, which says which jobs in which order."""
    for row in connection.execute(_SELECT_SUMMARY + rest, parameters):
        jid_us, function, target, target_kind, user, created_us, expires_us, timeout, finished_us = row[:9]
        asked, packed, signed_by = row[9:12]
        arguments = decode(Arguments, packed)
        ended = "cancelled" if asked else "finished"
        yield JobSummary(
            jid=jid_from_microseconds(jid_us),
            function=function,
            words=arguments.words,
            literals=arguments.literals,
            values=arguments.values,
            options=arguments.options,
            target=target,
            target_kind=target_kind,
            user=user,
            created_us=created_us,
            expires_us=expires_us,
            timeout_seconds=timeout,
            finished_us=finished_us,
            state="running" if finished_us is None else ended,
            counts={name: count for name, count in zip(STATE_COLUMNS, row[12:], strict=True) if count},
            signed_by=signed_by,
            stdin_bytes=arguments.stdin_bytes,
            retry_of=arguments.retry_of,
        )


def read_result(
    connection: sqlite3.Connection, jid_us: int, key: int, minion: MinionId, *, has_output: bool = True
) -> TargetResult | None:
    """Read one target, whose minion id has this key, with all of its output or none of it; None when there is no such target."""
    row = connection.execute(_SELECT_RESULT, (jid_us, key)).fetchone()
    if row is None:
        return None
    code, flags, kind, retcode, value_from, pid, started_us, finished_us, duration_us = row[:9]
    stdout_total, stderr_total, reason, address, account, host = row[9:]
    output = connection.execute(_SELECT_OUTPUT, (jid_us, key)).fetchone() if has_output else (None,) * 4
    value, stdout, stderr, traceback = output
    # What lies in parts is no part of an answer: a blob is never empty otherwise.
    is_long = any(output is not None and not output for output in (stdout, stderr))
    lengths = connection.execute(_SELECT_LENGTHS, (jid_us, key)).fetchone() if is_long else ()
    long = {
        name: length
        for name, length, output in zip(OUTPUT_STREAMS, lengths, (stdout, stderr), strict=False)
        if output == b""
    }
    state = STATES[code]
    return TargetResult(
        minion=minion,
        state=state,
        reason=_text(reason),
        kind=KINDS[kind].value if kind is not None else state.value if state in TERMINAL else "",
        retcode=retcode,
        has_value=bool(flags & HAS_VALUE) and has_output,
        value=value or b"",
        value_from=VALUE_FROM[value_from],
        stdout=stdout or b"",
        stderr=stderr or b"",
        stdout_total_bytes=stdout_total or 0,
        stderr_total_bytes=stderr_total or 0,
        traceback=_text(traceback),
        pid=pid,
        account=account or "",
        address=address or "",
        started_us=started_us,
        finished_us=finished_us,
        duration_us=duration_us,
        force_stopped=bool(flags & FORCE_STOPPED),
        notes=tuple(text for (text,) in connection.execute(_SELECT_NOTES, (jid_us, key))),
        host=host or "",
        long=long,
    )


def _text(data: bytes | None) -> str:
    return data.decode() if data is not None else ""
