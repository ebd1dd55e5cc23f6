"""Results as watchers see them, made from what has just been committed."""

from ..core.control_answers import TargetResult
from ..core.dataclass import replace
from ..core.outcome import OUTPUT_STREAMS
from .open_jobs import OpenTarget
from .store import KeptOutput, StateChange, StoredReturn


def result_of_return(stored: StoredReturn, address: str, host: str) -> TargetResult:
    """The result of a return that is durable; ``address`` and ``host`` are of the minion when it was given the job."""
    answer = stored.answer
    return TargetResult(
        minion=stored.minion,
        state=stored.state,
        reason=answer.message,
        kind=answer.kind,
        retcode=answer.retcode,
        has_value=answer.has_value,
        value=stored.value,
        value_from=answer.value_from,
        stdout=b"" if isinstance(stored.stdout, KeptOutput) else stored.stdout,
        stderr=b"" if isinstance(stored.stderr, KeptOutput) else stored.stderr,
        stdout_total_bytes=answer.stdout.total_bytes,
        stderr_total_bytes=answer.stderr.total_bytes,
        traceback=answer.traceback,
        pid=answer.pid,
        account=answer.account,
        address=address,
        started_us=answer.started_us,
        finished_us=answer.finished_us,
        duration_us=answer.duration_us,
        force_stopped=answer.force_stopped,
        host=host,
        long={
            name: output.length_bytes
            for name, output in zip(OUTPUT_STREAMS, (stored.stdout, stored.stderr), strict=True)
            if isinstance(output, KeptOutput)
        },
    )


def result_of_change(change: StateChange, target: OpenTarget) -> TargetResult:
    """The result of an end that the master decided, of a target that was open until now."""
    return TargetResult(
        minion=change.minion,
        state=change.state,
        reason=change.reason,
        kind=change.state,
        retcode=None,
        has_value=False,
        value=b"",
        value_from="",
        stdout=b"",
        stderr=b"",
        stdout_total_bytes=0,
        stderr_total_bytes=0,
        traceback="",
        pid=target.pid,
        account=target.account,
        address=target.address,
        started_us=target.started_us,
        finished_us=change.finished_us,
        duration_us=None,
        force_stopped=False,
        host=target.host,
    )


def without_output(result: TargetResult) -> TargetResult:
    """The same result, of which only the lengths of its outputs are told."""
    return replace(result, has_value=False, value=b"", stdout=b"", stderr=b"", traceback="", long={})
