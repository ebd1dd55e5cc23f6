"""A job on one line: its arguments as they would be typed, and how many targets are in which state."""

from collections.abc import Mapping

from ..core.control_answers import JobSummary
from ..core.names import Jid
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


def how_to_go_on(jid: Jid, verb: str = "follow", *, is_kept: bool = True) -> str:
    """Say how a job can be waited for again with ``fleet jobs VERB``, and stopped; if it was to be deleted at its end, also that."""
    end = jid[-6:]
    text = f"the job goes on: fleet jobs {verb} {end} · stop it: fleet jobs cancel {end}"
    return text if is_kept else f"{text}; it is kept, delete it later: fleet jobs delete {end}"


def _value_text(value: Value) -> str:
    return value if isinstance(value, str) else json_line(portable(value)).rstrip("\n")
