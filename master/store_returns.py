"""Returns as rows of the job cache: found together, and ended together, because ten thousand of them may come at once.

SQLite works without the interpreter's lock, and each step of a statement gives it away and takes it back. While returns come in, the
loop wants it all the time: a step for each row made the two threads change places thousands of times a second, which took a third of
what a return costs. So there are few steps here, each for many rows.
"""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence

from .store import KeptOutput, StoredReturn
from .store_interned import Interned, storable_integer, storable_moment, storable_text
from .store_parts import Target, take_kept
from .store_schema import FORCE_STOPPED, HAS_VALUE, KIND_CODES, STATE_CODES, VALUE_FROM_CODES

TRACEBACK_LIMIT_CHARACTERS = 32_000
#: Rows of one statement: SQLite takes 32,766 parameters, and beyond a hundred rows nothing becomes faster.
_ROWS = 100
_ENDS = (
    *("state", "flags", "kind", "retcode", "reason", "value_from", "value", "stdout", "stderr", "traceback"),
    *("stdout_total", "stderr_total", "account", "pid", "started_us", "finished_us", "duration_us"),
)
_FIND = """
SELECT json_group_array(json_array(minion, state, reason)) FROM job_targets
WHERE jid_us = ? AND minion IN (SELECT value FROM json_each(?))
"""


def _end_of(rows: int) -> str:
    """SQL that ends so many targets. All of them are there: as an insertion that conflicts it takes no look at each before."""
    names = (*_ENDS, "jid_us", "minion")
    values = ", ".join([f"({', '.join('?' * len(names))})"] * rows)
    changes = ", ".join(f"{name} = excluded.{name}" for name in _ENDS)
    return (
        f"INSERT INTO job_targets ({', '.join(names)}) VALUES {values}"  # noqa: S608 - the names of our own columns
        f" ON CONFLICT (jid_us, minion) DO UPDATE SET {changes}"
    )


_ENDS_BY_ROWS = {rows: _end_of(rows) for rows in (_ROWS, 10, 1)}


def find_targets(
    connection: sqlite3.Connection, jid_us: int, minions: Collection[int]
) -> Mapping[int, tuple[int, int | None]]:
    """What is stored of these minions' part in one job: by minion, the numbers of its state and of its reason."""
    (found,) = connection.execute(_FIND, (jid_us, json.dumps(list(minions)))).fetchone()
    return {minion: (state, reason) for minion, state, reason in json.loads(found)}


def end_targets(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Write the rows that ``row_of_end`` has made, each of a target that is there and of no other row."""
    start = 0
    for size, statement in _ENDS_BY_ROWS.items():
        while len(rows) - start >= size:
            connection.execute(statement, [value for row in rows[start : start + size] for value in row])
            start += size


def row_of_end(
    connection: sqlite3.Connection, interned: Interned, target: Target, stored: StoredReturn
) -> tuple[object, ...]:
    """The end of a target as it is stored; its texts and outputs are interned."""
    answer = stored.answer
    stdout, stderr = answer.stdout, answer.stderr
    outputs = [
        interned.blob(output) if isinstance(output, bytes) else _kept(connection, interned, target, name, output)
        for name, output in (("stdout", stored.stdout), ("stderr", stored.stderr))
    ]
    return (
        STATE_CODES[stored.state],
        HAS_VALUE * answer.has_value | FORCE_STOPPED * answer.force_stopped,
        KIND_CODES[answer.kind],
        storable_integer(answer.retcode),
        interned.reason(answer.message),
        # What is no stream derives nothing: the value is then what was sent as such.
        VALUE_FROM_CODES.get(answer.value_from, 0),
        interned.blob(stored.value),
        *outputs,
        interned.blob(storable_text(answer.traceback[:TRACEBACK_LIMIT_CHARACTERS]).encode()),
        None if stdout.total_bytes == stdout.length_bytes else storable_integer(stdout.total_bytes),
        None if stderr.total_bytes == stderr.length_bytes else storable_integer(stderr.total_bytes),
        interned.name(answer.account),
        storable_integer(answer.pid),
        storable_moment(answer.started_us),
        storable_moment(answer.finished_us),
        storable_integer(answer.duration_us),
        *target,
    )


def _kept(
    connection: sqlite3.Connection, interned: Interned, target: Target, stream: str, output: KeptOutput
) -> int | None:
    number = take_kept(connection, target, stream, output)
    interned.use(number)
    return number
