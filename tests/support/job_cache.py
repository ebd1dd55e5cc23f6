"""Jobs, changes and returns to be stored, with every field that a test does not care about filled in."""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from fleet.core.crypto import digest
from fleet.core.from_minion import Return, StreamSummary
from fleet.core.job_states import JobState
from fleet.core.names import FunctionName, Jid, MinionId, jid_from_microseconds
from fleet.core.outcome import OutcomeKind, state_for
from fleet.master.store import NewJob, NewTarget, StoredReturn
from fleet.master.store_schema import BLOB_COLUMNS

#: 2026-11-20 22:12:00 UTC.
NOW_US = 1_795_212_720_000_000

_numbers = count(1)


def minion(name: str) -> MinionId:
    """A name as a minion id."""
    return MinionId(name)


def new_job(*targets: str, state: JobState = JobState.SENT, request_id: bytes = b"", ttl_seconds: float = 30) -> NewJob:
    """A job on these minions, all in one state; its request id is new unless given."""
    return NewJob(
        request_id=request_id or next(_numbers).to_bytes(16, "big"),
        function=FunctionName("cmd.run"),
        words=("uptime", "a=b"),
        literals=("--all",),
        values=(1, None, ["x", {"y": b"\xff"}]),
        options={"timeout": 5},
        target="web-*",
        target_kind="glob",
        user="root",
        ttl_seconds=ttl_seconds,
        timeout_seconds=60.0,
        output_limit_bytes=1 << 24,
        signed_by="SHA256:" + "x" * 43,
        targets=tuple(NewTarget(MinionId(name), state, f"10.0.0.{index}") for index, name in enumerate(targets)),
    )


def stream(data: bytes, total_bytes: int | None = None) -> StreamSummary:
    """The summary of a stream."""
    return StreamSummary(len(data), len(data) if total_bytes is None else total_bytes, digest(data), data)


def new_return(
    jid: Jid,
    name: str,
    stdout: bytes = b"",
    kind: OutcomeKind = OutcomeKind.OK,
    stderr: bytes = b"",
    value: bytes = b"",
) -> StoredReturn:
    """A return of a program that ran for two seconds."""
    answer = Return(
        jid=jid,
        kind=kind,
        message="" if kind is OutcomeKind.OK else f"it is {kind.value}",
        has_value=True,
        value_from="" if value else "stdout",
        retcode=0 if kind is OutcomeKind.OK else 1,
        traceback="",
        value=stream(value),
        stdout=stream(stdout),
        stderr=stream(stderr),
        pid=4242,
        account="root",
        started_us=NOW_US + 1_000_000,
        finished_us=NOW_US + 3_000_000,
        duration_us=2_000_000,
        force_stopped=False,
    )
    return StoredReturn(MinionId(name), answer, state_for(kind), stdout, stderr, value)


def with_answer(stored: StoredReturn, **fields: object) -> StoredReturn:
    """The same return with other fields in its answer."""
    changed: Return = replace(stored.answer, **fields)  # type: ignore[arg-type]
    return replace(stored, answer=changed)


@dataclass(frozen=True)
class Uses:
    """What a job cache says of its outputs, and what is so.

    Attributes:
        counted: how often each is referred to, by the cache's own count.
        recounted: by the targets.
        kept: the outputs that there are.
        jobs: the jobs that a target, a note or a row of their own speaks of.
    """

    counted: Mapping[int, int]
    recounted: Mapping[int, int]
    kept: set[int]
    jobs: set[Jid]


def uses_of_outputs(file: Path) -> Uses:
    """Count the uses of outputs in the file of a job cache."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute(f"SELECT {', '.join(BLOB_COLUMNS)} FROM job_targets")
        recounted = Counter(blob for row in rows for blob in row if blob is not None)
        counted = dict(connection.execute("SELECT blob, uses FROM blob_uses"))
        kept = {blob for (blob,) in connection.execute("SELECT id FROM blobs")}
        jobs = connection.execute(
            "SELECT jid_us FROM jobs UNION SELECT jid_us FROM job_targets UNION SELECT jid_us FROM notes"
        )
        return Uses(counted, recounted, kept, {jid_from_microseconds(jid_us) for (jid_us,) in jobs})
