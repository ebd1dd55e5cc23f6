"""One transaction of the job cache: new jobs and changes, in order, and the counts that go with them.

The transition tables of ``core/job_states.py`` decide what a change may do; an end is final.
"""

import sqlite3
from collections.abc import Iterable
from itertools import groupby
from typing import assert_never, cast

from ..core.job_states import TERMINAL, JobState, may_follow
from ..core.messages import REASON_LIMIT_CHARACTERS
from ..core.names import Jid, MinionId, jid_from_microseconds
from ..core.packing import encode
from .store import (
    Cancelled,
    Change,
    DeleteJob,
    ForgetMinion,
    Forgot,
    KeepCatalogue,
    KeepGrains,
    KeepPart,
    LastSeen,
    MinionFacts,
    NewJob,
    Note,
    Shrink,
    StateChange,
    StoredJob,
    StoredReturn,
)
from .store_deleting import delete_job, forget_owed
from .store_facts import forget_minion, keep_catalogue, keep_facts, keep_grains, keep_last_seen
from .store_interned import Interned, storable_integer, storable_moment, storable_text
from .store_jids import key_of
from .store_parts import Target, drop_kept, keep_part
from .store_returns import end_targets, find_targets, row_of_end
from .store_rows import Arguments, stored_job
from .store_schema import OPEN_COLUMNS, STATE_CODES, STATE_COLUMNS, STATES
from .store_stdin import drop_stdin_of_ended, keep_stdin

#: A minion that repeats itself with ever another end fills no disk.
NOTES_LIMIT = 16
#: Numbers of texts that are remembered, in some 20 MB at the most: ten thousand minions have less than a tenth of these.
TEXTS_LIMIT = 100_000

_OPEN_CODES = tuple(code for state, code in STATE_CODES.items() if state not in TERMINAL)
_END_CODES = tuple(code for state, code in STATE_CODES.items() if state in TERMINAL)

_INSERT_JOB = f"""
INSERT INTO jobs (jid_us, request_id, function, target, target_kind, user, signed_by, created_us, expires_us,
    timeout_seconds, output_limit_bytes, cancel_asked, finished_us, arguments, {", ".join(STATE_COLUMNS)})
VALUES ({", ".join("?" * (14 + len(STATE_COLUMNS)))})
"""  # noqa: S608 - the names of our own columns
_INSERT_TARGET = """
INSERT INTO job_targets (jid_us, minion, state, address, host, reason, finished_us) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_CHANGE_TARGET = """
UPDATE job_targets SET state = ?, reason = ?, finished_us = ?, pid = coalesce(?, pid), started_us = coalesce(?, started_us),
    account = coalesce(?, account), address = coalesce(?, address)
WHERE jid_us = ? AND minion = ?
"""
_FIND_TARGET = "SELECT state, reason FROM job_targets WHERE jid_us = ? AND minion = ?"
_COUNT = f"UPDATE jobs SET {', '.join(f'{column} = {column} + ?' for column in STATE_COLUMNS)} WHERE jid_us = ?"  # noqa: S608
# A minion says when it ended; the job ended neither before it was made nor after this moment.
_FINISH = f"""
UPDATE jobs SET finished_us = max(created_us, min(?1, ifnull(
    (SELECT max(finished_us) FROM job_targets WHERE job_targets.jid_us = jobs.jid_us), ?1)))
WHERE jid_us = ?2 AND finished_us IS NULL AND {" + ".join(OPEN_COLUMNS)} = 0
"""  # noqa: S608


class Known:
    """What a store that writes remembers from one transaction to the next, so that a return costs few statements.

    Attributes:
        texts: numbers of texts: minion ids, addresses, accounts.
        kept: targets that may have kept parts of an output; when a store is opened there are none (``drop_unfinished``).
    """

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}
        self.kept: set[Target] = set()


class Batch:
    """What is written in one transaction; the caller begins and commits it, and calls ``finish`` before and ``committed`` behind.

    Args:
        known: what was learned in earlier transactions; ``committed`` adds what was learned in this one.
    """

    def __init__(self, connection: sqlite3.Connection, known: Known) -> None:
        self._connection = connection
        self._known = known
        self._interned = Interned(connection, known.texts)
        self._dropped: list[Target] = []
        self._counts: dict[int, list[int]] = {}
        self._now_us = 0

    def submit(self, job: NewJob, now_us: int, stdin: bytes = b"") -> StoredJob:
        """Store a new job with its stdin, or find the one of this request id."""
        self._now_us = max(self._now_us, now_us)
        known = self._connection.execute("SELECT jid_us FROM jobs WHERE request_id = ?", (job.request_id,)).fetchone()
        if known is not None:
            return stored_job(self._connection, known[0])
        (last_us,) = self._connection.execute("SELECT last_jid_us FROM meta").fetchone()
        jid_us = max(now_us, last_us + 1)
        expires_us = now_us + round(job.ttl_seconds * 1_000_000)
        self._connection.execute("UPDATE meta SET last_jid_us = ?, jobs_total = jobs_total + 1", (jid_us,))
        self._insert(job, jid_us, now_us, expires_us)
        states = {target.minion: target.state for target in job.targets}
        if any(state not in TERMINAL for state in states.values()):
            keep_stdin(self._connection, jid_us, stdin)
        return StoredJob(jid_from_microseconds(jid_us), job, now_us, expires_us, is_new=True, targets=states)

    def change_all(self, changes: Iterable[Change], now_us: int) -> None:
        """Make changes, in order."""
        for is_return, each in groupby(changes, _is_return):
            if is_return:
                self._now_us = max(self._now_us, now_us)
                self._end_all(cast("Iterable[StoredReturn]", each))
            else:
                for change in each:
                    self.change(change, now_us)

    def change(self, change: Change, now_us: int) -> None:
        """Make one change, or leave it out where it may not be made."""
        self._now_us = max(self._now_us, now_us)
        match change:
            case StateChange():
                self._change_state(change)
            case KeepPart():
                self._keep_part(change)
            case StoredReturn():
                self._end_all((change,))
            case Note():
                self._keep_note(change)
            case Cancelled():
                self._cancel(change)
            case DeleteJob():
                self.finish()  # Whether the job has ended must not depend on what else is in this transaction.
                delete_job(self._connection, self._interned, change)
            case Shrink():
                pass  # Not before everything else is written (``store_sqlite.py``).
            case Forgot():
                forget_owed(self._connection, change)
            case MinionFacts():
                keep_facts(self._connection, change)
            case LastSeen():
                keep_last_seen(self._connection, change)
            case KeepGrains():
                keep_grains(self._connection, change)
            case KeepCatalogue():
                keep_catalogue(self._connection, change)
            case ForgetMinion():
                forget_minion(self._connection, change.minion)
            case _:
                assert_never(change)

    def finish(self) -> None:
        """Bring the counts of the jobs that were touched up to date, and end those that have no open target."""
        for jid_us, counts in self._counts.items():
            self._connection.execute(_COUNT, (*counts, jid_us))
            if any(counts[code] > 0 for code in _END_CODES):
                self._connection.execute(_FINISH, (self._now_us, jid_us))
                drop_stdin_of_ended(self._connection, jid_us)
        self._counts.clear()
        self._interned.finish()

    def committed(self) -> None:
        """It is durable: what was learned in it is so."""
        if len(self._known.texts) > TEXTS_LIMIT:
            self._known.texts.clear()
        self._known.texts.update(self._interned.found)
        self._known.kept.difference_update(self._dropped)

    # Jobs and their targets.

    def _insert(self, job: NewJob, jid_us: int, now_us: int, expires_us: int) -> None:
        counts = [0] * len(STATE_COLUMNS)
        for target in job.targets:
            counts[STATE_CODES[target.state]] += 1
        rest = (job.stdin_bytes, job.stdin_digest, job.retry_of)
        arguments = encode(Arguments(job.words, job.literals, job.values, job.options, *rest))
        finished_us = None if any(counts[code] for code in _OPEN_CODES) else now_us
        head = (
            jid_us,
            job.request_id,
            job.function,
            storable_text(job.target),
            job.target_kind,
            storable_text(job.user),
        )
        numbers = (now_us, expires_us, job.timeout_seconds, storable_integer(job.output_limit_bytes), 0, finished_us)
        row = (*head, self._interned.text(job.signed_by), *numbers, arguments, *counts)
        self._connection.execute(_INSERT_JOB, row)
        for target in job.targets:
            ended_us = now_us if target.state in TERMINAL else None
            names = (self._interned.name(target.address), self._interned.name(target.host))
            references = (*names, self._interned.reason(target.reason))
            self._connection.execute(
                _INSERT_TARGET,
                (jid_us, self._interned.text(target.minion), STATE_CODES[target.state], *references, ended_us),
            )

    def _change_state(self, change: StateChange) -> None:
        after = change.state
        found = self._find(change.jid, change.minion)
        if found is None:
            return
        jid_us, minion, before, reason_before = found
        if before is after:
            return
        if not (may_follow(before, after, by_minion=True) or may_follow(before, after, by_minion=False)):
            reason = f"; {change.reason}" if change.reason else ""
            self._note(jid_us, minion, self._now_us, f"{after} came after {before}{reason}")
            return
        ended_us = None
        if after in TERMINAL:
            ended_us = storable_moment(self._now_us if change.finished_us is None else change.finished_us)
        self._connection.execute(
            _CHANGE_TARGET,
            (
                STATE_CODES[after],
                self._interned.reason(change.reason),
                ended_us,
                storable_integer(change.pid),
                storable_moment(change.started_us),
                self._interned.name(change.account),
                self._interned.name(change.address),
                jid_us,
                minion,
            ),
        )
        self._interned.release((reason_before,))
        self._move(jid_us, before, after)
        if after in TERMINAL:
            self._drop_kept((jid_us, minion))

    def _keep_part(self, part: KeepPart) -> None:
        found = self._find(part.jid, part.minion)
        if found is not None and found[2] not in TERMINAL:
            self._known.kept.add(found[:2])
            keep_part(self._connection, found[:2], part.stream, part.start, part.data)

    def _drop_kept(self, target: Target) -> None:
        if target in self._known.kept:
            drop_kept(self._connection, target)
            self._dropped.append(target)

    def _end_all(self, returns: Iterable[StoredReturn]) -> None:
        """End the targets of returns that came one behind the other: by their jobs, each found and written in one go."""
        by_job: dict[Jid, list[StoredReturn]] = {}
        for stored in returns:
            by_job.setdefault(stored.answer.jid, []).append(stored)
        rows = [row for jid, some in by_job.items() for row in self._ends_of_job(key_of(jid), some)]
        end_targets(self._connection, rows)

    def _ends_of_job(self, jid_us: int, returns: list[StoredReturn]) -> list[tuple[object, ...]]:
        minions = [self._interned.find_text(stored.minion) for stored in returns]
        found = find_targets(self._connection, jid_us, {minion for minion in minions if minion is not None})
        rows: list[tuple[object, ...]] = []
        ended: dict[int, JobState] = {}
        for stored, minion in zip(returns, minions, strict=True):
            known = None if minion is None else found.get(minion)
            if minion is None or known is None:
                continue
            state, after = ended.get(minion, STATES[known[0]]), stored.state
            if state is after:
                continue
            if after not in TERMINAL or not may_follow(state, after, by_minion=True):
                message = f"; {stored.answer.message}" if stored.answer.message else ""
                self._note(jid_us, minion, self._now_us, f"a return ({after}) came after {state}{message}")
                continue
            rows.append(row_of_end(self._connection, self._interned, (jid_us, minion), stored))
            ended[minion] = after
            self._interned.release((known[1],))
            self._move(jid_us, state, after)
            self._drop_kept((jid_us, minion))
        return rows

    def _cancel(self, change: Cancelled) -> None:
        jid_us = key_of(change.jid)
        self.finish()  # Whether the job has ended must not depend on what else is in this transaction.
        self._connection.execute(
            "UPDATE jobs SET cancel_asked = 1 WHERE jid_us = ? AND finished_us IS NULL AND cancel_asked = 0", (jid_us,)
        )

    def _keep_note(self, change: Note) -> None:
        found = self._find(change.jid, change.minion)
        if found is not None:
            self._note(found[0], found[1], change.time_us, change.text)

    def _note(self, jid_us: int, minion: int, time_us: int, text: str) -> None:
        """Keep a note, unless there are too many or one says the same."""
        text = storable_text(text[:REASON_LIMIT_CHARACTERS])
        rows = self._connection.execute(
            "SELECT number, text FROM notes WHERE jid_us = ? AND minion = ?", (jid_us, minion)
        ).fetchall()
        if len(rows) >= NOTES_LIMIT or any(known == text for _, known in rows):
            return
        self._connection.execute(
            "INSERT INTO notes VALUES (?, ?, ?, ?, ?)", (jid_us, minion, len(rows), storable_moment(time_us), text)
        )

    def _find(self, jid: Jid, minion: MinionId) -> tuple[int, int, JobState, int | None] | None:
        """Find a target as (job, minion, state, reason); None when there is none."""
        jid_us, number = key_of(jid), self._interned.find_text(minion)
        row = self._connection.execute(_FIND_TARGET, (jid_us, number)).fetchone()
        return None if row is None or number is None else (jid_us, number, STATES[row[0]], row[1])

    def _move(self, jid_us: int, before: JobState, after: JobState) -> None:
        counts = self._counts.setdefault(jid_us, [0] * len(STATE_COLUMNS))
        counts[STATE_CODES[before]] -= 1
        counts[STATE_CODES[after]] += 1


def _is_return(change: Change) -> bool:
    return isinstance(change, StoredReturn)
