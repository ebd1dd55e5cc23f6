"""A job on one line: its arguments as they would be typed, and how many targets are in which state."""

from collections.abc import Mapping

from ..core.control_answers import JobSummary
from ..core.values import Value
from .documents import portable
from .output import json_line


def arguments_text(summary: JobSummary) -> str:
    """Write a job's arguments as they would be typed."""
    from shlex import quote

    words = [quote(word) for word in summary.words]
    words += [quote(_value_text(value)) for value in summary.values]
    words += [quote(f"{name}={_value_text(value)}") for name, value in summary.options.items()]
    return " ".join(words + (["--", *(quote(word) for word in summary.literals)] if summary.literals else []))


def counts_text(counts: Mapping[str, int]) -> str:
    """Write how many targets are in which state: ``1 failed 2 succeeded``."""
    return " ".join(f"{count} {state}" for state, count in sorted(counts.items()) if count) or "0"


def _value_text(value: Value) -> str:
    return value if isinstance(value, str) else json_line(portable(value)).rstrip("\n")
