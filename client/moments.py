"""Moments and times as text: RFC 3339 in UTC for programs, the caller's own zone for people."""

import re
from datetime import UTC, datetime, timedelta

from ..core.errors import UsageError
from ..core.options import read_seconds

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A moment as the master writes it into a reason: ``down since 2026-11-18T09:12:44Z``.
_MOMENT_IN_TEXT = re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z\b", re.ASCII)


def moment_utc(microseconds: int | None) -> str | None:
    """Write microseconds since 1970 as RFC 3339 in UTC: ``2026-11-20T22:10:12.000042Z``; None stays None."""
    moment = _moment(microseconds)
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def moment_here(microseconds: int | None, missing: str = "-") -> str:
    """Write microseconds since 1970 in the caller's zone: ``2026-11-20 23:10:12 CET``."""
    moment = _moment(microseconds)
    return missing if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def moments_here(text: str) -> str:
    """Write every moment in a reason, which the master gives in UTC, in the caller's zone; all else stays as it is."""
    return _MOMENT_IN_TEXT.sub(_here, text) if "T" in text else text


def _here(found: re.Match[str]) -> str:
    try:
        moment = datetime.fromisoformat(found[0])
        return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    except (ValueError, OverflowError):
        # The form of a moment, and none: a minion may say anything.
        return found[0]


def _moment(microseconds: int | None) -> datetime | None:
    """Some of these numbers come from minions: one that is no moment of 1970 to 9998 is none."""
    if microseconds is None or not 0 <= microseconds < 253_370_764_800_000_000:
        return None
    return _EPOCH + timedelta(microseconds=microseconds)


def milliseconds(microseconds: int | None) -> float | None:
    """Turn microseconds into milliseconds; None stays None."""
    return None if microseconds is None else microseconds / 1000


def span(seconds: float) -> str:
    """Write a length of time for people: ``12 ms``, ``0.3 s``, ``45 s``, ``12 min``, ``5 h``, ``3 d``."""
    if seconds < 0.095:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"


def read_moment(text: str, now_us: int) -> int:
    """Read a moment as microseconds since 1970: ``2h`` (so long ago), ``2026-11-20``, ``2026-11-20T22:10``, with a zone or in the caller's.

    At least 1, also of a moment before: in a request 0 stands for none.

    Args:
        text: as it was typed.
        now_us: what a length of time is counted back from.

    Raises:
        UsageError: it is none of these.
    """
    if text[-1:] in {"s", "m", "h", "d"}:
        return max(now_us - round(read_seconds(text, "a time") * 1_000_000), 1)
    try:
        moment = datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as problem:
        hint = "such as 2h or 7d (so long ago), 2026-11-20, or 2026-11-20T22:10"
        raise UsageError(f"{text[:40]!r} is no moment", hint) from problem
    return max((moment - _EPOCH) // timedelta(microseconds=1), 1)
