"""Results and facts as plain documents for programs: the names and shapes that scripts rely on, see ``docs/reference.md``."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

from ..core.control_answers import EventNote, JobSummary, KeyRow, MasterStatus, MinionRow
from ..core.function_spec import FunctionSpec
from ..core.values import Value, plain
from .moments import milliseconds, moment_utc
from .results import JobRecord, MinionResult, RunResult

Document = dict[str, object]


def portable(value: Value) -> object:
    """Turn a value into what JSON can say: bytes become text or ``{"base64": …}``, infinities and NaN null."""
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {key: portable(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [portable(item) for item in value]
    return value


def values_document(results: Mapping[str, MinionResult]) -> Document:
    """Make the document ``{minion: value}`` of those that have a value, sorted."""
    return {minion: portable(results[minion].value) for minion in sorted(results) if results[minion].has_value}


def result_record(result: MinionResult) -> Document:
    """Make the record of one target, as ``--out jsonl`` prints it."""
    record: Document = {
        "jid": result.jid,
        "minion": result.minion,
        "state": result.state.value,
        "result": result.result.value,
        "reason": result.reason,
        "retcode": result.retcode,
        "has_value": result.has_value,
        "value": portable(result.value),
        **_stream("stdout", result.stdout, result.stdout_total_bytes),
        **_stream("stderr", result.stderr, result.stderr_total_bytes),
        "duration_ms": result.duration_ms,
    }
    if result.traceback:
        record["traceback"] = result.traceback
    return record


def _stream(name: str, content: bytes, total_bytes: int) -> Document:
    document: Document = {}
    try:
        document[name] = content.decode()
    except UnicodeDecodeError:
        document[name] = None
        document[f"{name}_base64"] = b64encode(content).decode()
    if total_bytes > len(content):
        document[f"{name}_total_bytes"] = total_bytes
    return document


def count_states(results: Iterable[MinionResult]) -> dict[str, int]:
    """Count the targets in each state."""
    counts: dict[str, int] = {}
    for result in results:
        counts[result.state.value] = counts.get(result.state.value, 0) + 1
    return dict(sorted(counts.items()))


def run_summary(outcome: RunResult) -> Document:
    """Make the last line of ``--out jsonl``."""
    return {
        "summary": {
            "jid": outcome.jid,
            "function": outcome.function,
            "targeted": len(outcome),
            "counts": count_states(outcome.values()),
            "silent": dict(outcome.silent),
            "unknown": list(outcome.unknown),
            **({"more_unknown": outcome.more_unknown} if outcome.more_unknown else {}),
            "exit_code": outcome.exit_code,
            "duration_ms": round(outcome.duration_seconds * 1000, 3),
        }
    }


def job_document(summary: JobSummary) -> Document:
    """Make the document of a job without its results."""
    return {
        "jid": summary.jid,
        "function": summary.function,
        "arguments": [*summary.words, *summary.literals, *(portable(value) for value in summary.values)],
        "options": portable(summary.options),
        "target": summary.target,
        "target_kind": summary.target_kind,
        "user": summary.user,
        "created": moment_utc(summary.created_us),
        "expires": moment_utc(summary.expires_us),
        "finished": moment_utc(summary.finished_us),
        "timeout_seconds": summary.timeout_seconds,
        "stdin_bytes": summary.stdin_bytes,
        "retry_of": summary.retry_of,
        "state": summary.state,
        "counts": dict(summary.counts),
        "signed_by": summary.signed_by,
    }


def record_document(record: JobRecord) -> Document:
    """Make the document of a job with its results, as ``fleet jobs show --out json`` prints it."""
    returns: Document = {}
    for minion, result in record.results.items():
        returns[minion] = {
            **{key: value for key, value in result_record(result).items() if key not in {"jid", "minion"}},
            "started": moment_utc(result.started_us),
            "finished": moment_utc(result.finished_us),
            "kind": result.kind,
            "pid": result.pid,
            "account": result.account,
            "address": result.address,
            "host": result.host,
            "force_stopped": result.force_stopped,
            "notes": list(result.notes),
        }
    return {**job_document(record.summary), "returns": returns}


def minion_document(row: MinionRow) -> Document:
    """Make the document of one minion."""
    return {
        "state": row.state,
        "since": moment_utc(row.since_us),
        "last_seen": moment_utc(row.last_seen_us),
        "address": row.address,
        "version": row.version,
        "os": row.os,
        "fingerprint": row.fingerprint,
        "round_trip_ms": milliseconds(row.round_trip_us),
        "skew_ms": milliseconds(row.skew_us),
        "running": row.running,
        "waiting": row.waiting,
        "conflict": row.conflict,
        "host": row.host,
        "protocol": row.protocol,
        "jobs": [{"jid": job.jid, "function": job.function, "state": job.state.value} for job in row.jobs],
    }


def minion_record(minion: str, document: Document) -> Document:
    """Make the record of one minion, as ``fleet minions --out jsonl`` prints it."""
    return {"minion": minion, **document}


def event_document(note: EventNote) -> Document:
    """Make the document of one event."""
    return {
        "number": note.number,
        "tag": note.tag,
        "time": moment_utc(note.time_us),
        "data": portable(note.payload),
        "missed": note.missed,
    }


def status_document(status: MasterStatus) -> Document:
    """Make the document of the master."""
    return {
        "version": status.version,
        "fingerprint": status.fingerprint,
        "pid": status.pid,
        "user": status.user,
        "started": moment_utc(status.started_us),
        "now": moment_utc(status.now_us),
        "sockets": dict(status.sockets),
        "minions": dict(status.minions),
        "keys": dict(status.keys),
        "newest_event": status.newest_event,
        "queues": {queue.name: {"now": queue.now, "limit": queue.limit} for queue in status.queues},
        "job_cache": dict(status.job_cache),
        "process": dict(status.process),
        "machine": dict(status.machine),
        "load": list(status.load),
        "counters": dict(status.counters),
    }


def function_document(spec: FunctionSpec) -> Document:
    """Make the document of one function."""
    document = plain(spec)
    return dict(document) if isinstance(document, Mapping) else {}


def keys_document(rows: Iterable[KeyRow], states: Sequence[str]) -> Document:
    """Make the document of keys: accepted ones ``{id: fingerprint}``, others ``{id: [fingerprint, …]}``."""
    document: dict[str, dict[str, object]] = {state: {} for state in states}
    several: dict[tuple[str, str], list[str]] = {}
    for row in sorted(rows, key=lambda row: (row.minion, row.fingerprint)):
        if row.state == "accepted":
            document.setdefault(row.state, {})[row.minion] = row.fingerprint
        else:
            prints = several.setdefault((row.state, row.minion), [])
            prints.append(row.fingerprint)
            document.setdefault(row.state, {})[row.minion] = prints
    return dict(document)
