"""Rows of the job cache as the objects that they stand for."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.control_answers import JobSummary, TargetResult
from ..core.dataclass import dataclass, field
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
# What is not written into a row is looked up by the numbers that are: a few outputs and reasons are those of thousands of targets.
_SELECT_RESULTS = """
SELECT names.text, names.id, state, flags, kind, retcode, value_from, pid, started_us, finished_us, duration_us,
    stdout_total, stderr_total, (SELECT text FROM texts WHERE id = host), (SELECT text FROM texts WHERE id = address),
    account, reason, value, stdout, stderr, traceback
FROM texts AS names JOIN job_targets ON job_targets.jid_us = ? AND job_targets.minion = names.id
WHERE names.text IN (%s)
"""
_SELECT_LENGTH = f"SELECT {LENGTH_OF % '?'}"
_SELECT_NOTES = "SELECT minion, text FROM notes WHERE jid_us = ? AND minion IN (%s) ORDER BY minion, number"
#: Rows of one statement: SQLite takes some 30,000 parameters, others fewer.
_ROWS_AT_ONCE = 500
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


def read_results(
    connection: sqlite3.Connection, jid_us: int, minions: Sequence[MinionId], *, has_output: bool = True
) -> Iterator[TargetResult]:
    """Read these targets of a job in this order, each with all of its output or none of it; what is no target is left out."""
    for first in range(0, len(minions), _ROWS_AT_ONCE):
        yield from _read_rows(connection, jid_us, minions[first : first + _ROWS_AT_ONCE], has_output=has_output)


def _read_rows(
    connection: sqlite3.Connection, jid_us: int, minions: Sequence[MinionId], *, has_output: bool
) -> Iterator[TargetResult]:
    select = _SELECT_RESULTS % _places(minions)
    rows = {row[0]: row[1:] for row in connection.execute(select, (jid_us, *minions))}
    notes: dict[int, list[str]] = {}
    keys = [row[0] for row in rows.values()]
    for key, text in connection.execute(_SELECT_NOTES % _places(keys), (jid_us, *keys)):
        notes.setdefault(key, []).append(text)
    shared = _Shared(connection, has_output=has_output)
    for minion in minions:
        if minion in rows:
            yield _result(minion, rows[minion], shared, notes, has_output=has_output)


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


class _Shared:
    """What targets refer to by number; of targets that are read together, what the one before referred to is not read again."""

    def __init__(self, connection: sqlite3.Connection, *, has_output: bool) -> None:
        self._connection = connection
        self._has_output = has_output
        self._accounts: dict[int | None, str] = {None: ""}
        self._lengths: dict[int | None, int] = {None: 0}
        self._numbers: Sequence[int | None] = ()
        self._said = _Said()

    def account(self, number: int | None) -> str:
        """The account that a program ran as."""
        found = self._accounts.get(number)
        if found is None:
            (found,) = self._connection.execute("SELECT text FROM texts WHERE id = ?", (number,)).fetchone()
            self._accounts[number] = found
        return str(found)

    def said(self, numbers: Sequence[int | None]) -> "_Said":
        """What reason, value, stdout, stderr and traceback refer to. That of one target is held, and not that of all."""
        if numbers != self._numbers:
            reason, *outputs = numbers
            value, stdout, stderr, traceback = map(self._blob, outputs) if self._has_output else (b"",) * 4
            # What lies in parts is no part of an answer: a blob is never empty otherwise.
            streams = zip(OUTPUT_STREAMS, (stdout, stderr), outputs[1:3], strict=True) if self._has_output else ()
            long = {name: self.length(number) for name, blob, number in streams if number is not None and not blob}
            self._said = _Said(self._blob(reason).decode(), value, stdout, stderr, traceback.decode(), long)
            self._numbers = numbers
        return self._said

    def length(self, number: int | None) -> int:
        """How long an output is, in parts or not."""
        found = self._lengths.get(number)
        if found is None:
            (found,) = self._connection.execute(_SELECT_LENGTH, (number,)).fetchone()
            self._lengths[number] = found
        return int(found)

    def _blob(self, number: int | None) -> bytes:
        if number is None:
            return b""
        (data,) = self._connection.execute("SELECT data FROM blobs WHERE id = ?", (number,)).fetchone()
        return bytes(data)


@dataclass(frozen=True, slots=True)
class _Said:
    """What a target has to say, and how long that is which is not in here."""

    reason: str = ""
    value: bytes = b""
    stdout: bytes = b""
    stderr: bytes = b""
    traceback: str = ""
    long: Mapping[str, int] = field(default_factory=dict)


def _result(
    minion: MinionId, row: Sequence[Any], shared: _Shared, notes: Mapping[int, list[str]], *, has_output: bool
) -> TargetResult:
    key, code, flags, kind, retcode, value_from, pid, started_us, finished_us, duration_us = row[:10]
    stdout_total, stderr_total, host, address, account = row[10:15]
    said = shared.said(row[15:])
    state = STATES[code]
    return TargetResult(
        minion=minion,
        state=state,
        reason=said.reason,
        kind=KINDS[kind].value if kind is not None else state.value if state in TERMINAL else "",
        retcode=retcode,
        has_value=bool(flags & HAS_VALUE) and has_output,
        value=said.value,
        value_from=VALUE_FROM[value_from],
        stdout=said.stdout,
        stderr=said.stderr,
        stdout_total_bytes=shared.length(row[17]) if stdout_total is None else stdout_total,
        stderr_total_bytes=shared.length(row[18]) if stderr_total is None else stderr_total,
        traceback=said.traceback,
        pid=pid,
        account=shared.account(account),
        address=address or "",
        started_us=started_us,
        finished_us=finished_us,
        duration_us=duration_us,
        force_stopped=bool(flags & FORCE_STOPPED),
        notes=tuple(notes.get(key, ())),
        host=host or "",
        long=said.long,
    )


def _text(data: bytes | None) -> str:
    return data.decode() if data is not None else ""
