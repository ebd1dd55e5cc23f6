"""Returns as rows of the job cache: found together, and ended together, because ten thousand of them may come at once."""

import sqlite3
from collections.abc import Collection, Iterable, Mapping

from .store import KeptOutput, StoredReturn
from .store_interned import Interned, storable_integer, storable_moment, storable_text
from .store_parts import Target, take_kept
from .store_schema import FORCE_STOPPED, HAS_VALUE, KIND_CODES, STATE_CODES, VALUE_FROM_CODES

TRACEBACK_LIMIT_CHARACTERS = 32_000

_FIND = """
SELECT minion, state, reason FROM job_targets
WHERE jid_us = ? AND minion IN (SELECT value FROM json_each(?))
"""
_END = """
UPDATE job_targets SET state = ?, flags = ?, kind = ?, retcode = ?, reason = ?, value_from = ?, value = ?, stdout = ?,
    stderr = ?, traceback = ?, stdout_total = ?, stderr_total = ?, account = ?, pid = ?, started_us = ?, finished_us = ?,
    duration_us = ?
WHERE jid_us = ? AND minion = ?
"""


def find_targets(
    connection: sqlite3.Connection, jid_us: int, minions: Collection[int]
) -> Mapping[int, tuple[int, int | None]]:
    """What is stored of these minions' part in one job: by minion, the numbers of its state and of its reason.

    One statement for all: it costs the same for one as for five, and each statement lets the other threads have the interpreter.
    """
    numbers = f"[{','.join(map(str, minions))}]"
    rows = connection.execute(_FIND, (jid_us, numbers))
    return {minion: (state, reason) for minion, state, reason in rows}


def end_targets(connection: sqlite3.Connection, rows: Iterable[tuple[object, ...]]) -> None:
    """Write the rows that ``row_of_end`` has made."""
    connection.executemany(_END, rows)


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
