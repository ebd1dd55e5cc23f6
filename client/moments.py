"""Moments and times as text: RFC 3339 in UTC for programs, the caller's own zone for people."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_utc(microseconds: int | None) -> str | None:
    """Write microseconds since 1970 as RFC 3339 in UTC: ``2026-11-20T22:10:12.000042Z``; None stays None."""
    moment = _moment(microseconds)
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def moment_here(microseconds: int | None, missing: str = "-") -> str:
    """Write microseconds since 1970 in the caller's zone: ``2026-11-20 23:10:12 CET``."""
    moment = _moment(microseconds)
    return missing if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"


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
