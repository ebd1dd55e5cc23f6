"""A minion's return, as it may be believed. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from ..core.crypto import digest
from ..core.dataclass import replace
from ..core.errors import ProtocolError
from ..core.from_minion import NO_STREAM, Return, StreamSummary
from ..core.messages import INLINE_LIMIT_BYTES, REASON_LIMIT_CHARACTERS
from ..core.msgpack_lengths import has_more_items
from ..core.outcome import OUTPUT_LIMIT_MOST_BYTES, OUTPUT_STREAMS, VALUE_LIMIT_BYTES, OutcomeKind

STREAMS = ("value", *OUTPUT_STREAMS)
VALUES_FROM = ("", "text", "stdout", "stderr")
#: A stream may be this long at the most, whatever a minion claims. A value is held in memory whole by whoever reads it.
STREAM_LIMITS_BYTES: Mapping[str, int] = MappingProxyType(
    {"value": VALUE_LIMIT_BYTES, "stdout": OUTPUT_LIMIT_MOST_BYTES, "stderr": OUTPUT_LIMIT_MOST_BYTES}
)
#: 9999-12-31: what a minion's clock says beyond is nobody's date, and no program could show it.
MOMENT_LIMIT_US = 253_402_300_799_999_999
TEXT_LIMIT_CHARACTERS = 32_000
#: How many parts the value of a function may have.
VALUE_LIMIT_ITEMS = 200_000
ACCOUNT_LIMIT_CHARACTERS = 256


def summary_of(answer: Return, stream: str) -> StreamSummary:
    """The summary of one stream of a return."""
    return {"value": answer.value, "stdout": answer.stdout, "stderr": answer.stderr}[stream]


def tamed(answer: Return) -> Return:
    """A return as it may be believed: texts cut to their limits, moments that a calendar has.

    Raises:
        ProtocolError: it claims more than a minion may.
    """
    if answer.value_from not in VALUES_FROM or answer.kind is OutcomeKind.ABANDONED:
        raise ProtocolError("a return that no minion makes")
    _check_summary("value", answer.value)
    _check_summary("stdout", answer.stdout)
    _check_summary("stderr", answer.stderr)
    if _is_tame(answer):
        return answer  # Nearly every one: to make another takes as long as all of the above.
    return replace(
        answer,
        message=answer.message[:REASON_LIMIT_CHARACTERS],
        traceback=answer.traceback[-TEXT_LIMIT_CHARACTERS:],
        account=answer.account[:ACCOUNT_LIMIT_CHARACTERS],
        started_us=None if answer.started_us is None else _moment(answer.started_us),
        finished_us=_moment(answer.finished_us),
        duration_us=max(0, answer.duration_us),
    )


def _check_summary(stream: str, summary: StreamSummary) -> None:
    if summary is NO_STREAM:
        return  # Two of the three of nearly every return.
    if not 0 <= summary.length_bytes <= min(STREAM_LIMITS_BYTES[stream], max(summary.total_bytes, 0)):
        raise ProtocolError(f"a {stream} of {summary.length_bytes} bytes")
    if summary.inline is not None and len(summary.inline) > INLINE_LIMIT_BYTES:
        raise ProtocolError(f"an inline {stream} of {len(summary.inline)} bytes")
    if summary.inline is not None:
        check_stream(stream, summary, len(summary.inline), digest(summary.inline))


def _is_tame(answer: Return) -> bool:
    return (
        len(answer.message) <= REASON_LIMIT_CHARACTERS
        and len(answer.traceback) <= TEXT_LIMIT_CHARACTERS
        and len(answer.account) <= ACCOUNT_LIMIT_CHARACTERS
        and (answer.started_us is None or 0 <= answer.started_us <= MOMENT_LIMIT_US)
        and 0 <= answer.finished_us <= MOMENT_LIMIT_US
        and answer.duration_us >= 0
    )


def check_output(answer: Return, limit_bytes: int) -> None:
    """See that no stream of a return is longer than its job allowed.

    Raises:
        ProtocolError: one is.
    """
    if max(answer.value.length_bytes, answer.stdout.length_bytes, answer.stderr.length_bytes) <= limit_bytes:
        return
    for stream in STREAMS:
        summary = summary_of(answer, stream)
        if summary.length_bytes > limit_bytes:
            raise ProtocolError(f"a {stream} of {summary.length_bytes} bytes of a job that allowed {limit_bytes}")


def check_stream(stream: str, summary: StreamSummary, length_bytes: int, found: bytes) -> None:
    """See that a stream is what its summary says, by its length and its digest.

    Raises:
        ProtocolError: it is not.
    """
    if length_bytes != summary.length_bytes or found != summary.digest:
        raise ProtocolError(f"the {stream} is not what its digest says")


def with_a_value_to_show(answer: Return, value: bytes) -> tuple[Return, bytes]:
    """Leave out a value of millions of parts, and say so: 30 MiB of empty lists cost whoever looked at them a minute and 5 GiB."""
    try:
        has_too_many = answer.has_value and has_more_items(value, VALUE_LIMIT_ITEMS)
    except ProtocolError:
        has_too_many = False  # Whoever reads it is told that it cannot be read.
    if has_too_many:
        why = f"its value has more than {VALUE_LIMIT_ITEMS:,} parts and is not kept"
        message = f"{why}; {answer.message}" if answer.message else why
        return replace(answer, has_value=False, message=message[:REASON_LIMIT_CHARACTERS]), b""
    return answer, value


def _moment(microseconds: int) -> int:
    return min(max(0, microseconds), MOMENT_LIMIT_US)
