"""What a person sees of one result: a few words on how it stands, and lines; shared by the forms nested, fold and txt."""

import re
from collections.abc import Iterable, Iterator

from ..core.job_states import JobState
from ..core.nested import nested_lines, text_lines
from .moments import moments_here
from .results import MinionResult

_WORDS = {
    JobState.SUCCEEDED: "",
    JobState.TIMED_OUT: "timed out",
}
_BY_SIGNAL = re.compile(r"ended by signal \d+( \(\w+\))?")


def standing(result: MinionResult) -> str:
    """Say in a few words how a result stands: ``failed, exit 127``; empty when it succeeded with exit code 0 or none."""
    words = [_WORDS.get(result.state, result.state.value)]
    if result.is_silent:
        words = ["silent"]
    if result.retcode:
        words.append(f"exit {result.retcode}" if result.retcode > 0 else f"killed by signal {-result.retcode}")
    return ", ".join(word for word in words if word)


def own_reason(result: MinionResult) -> str:
    """Say why it stands so, moments in the reader's zone; empty where that is what ``standing`` has said."""
    told = {result.state.value, f"exit code {result.retcode}"}
    return "" if result.reason in told or _BY_SIGNAL.fullmatch(result.reason) else moments_here(result.reason)


def reason_line(result: MinionResult) -> str:
    """Say how a result without a value stands, and why, on one line."""
    return ": ".join(part for part in (standing(result) or "succeeded", own_reason(result)) if part)


def body(result: MinionResult) -> list[str]:
    """Write what a result holds as lines: of a command stdout and then, apart, stderr; else the value."""
    if shows_streams(result):
        lines = text_lines(result.stdout.decode("utf-8", "replace"))
        if result.stderr:
            lines += ["stderr:", *(f"  {line}" for line in text_lines(result.stderr.decode("utf-8", "replace")))]
    else:
        lines = nested_lines(result.value)
    lines += cut_marks(result)
    if result.traceback:
        lines += text_lines(result.traceback)
    return lines


def nested_value(result: MinionResult) -> list[str]:
    """Write the value of a result as lines."""
    return nested_lines(result.value)


def indented(lines: Iterable[str]) -> Iterator[str]:
    """Set lines in by four columns and end each; what a program wrote at the end of a line stays, empty lines stay empty."""
    return (f"    {line}\n" if line else "\n" for line in lines)


def cut_marks(result: MinionResult) -> list[str]:
    """Say which stream was cut by its cap, as lines among others."""
    return [f"[{cut}]" for cut in cuts(result)]


def cuts(result: MinionResult) -> list[str]:
    """Say which stream was cut by its cap: ``stdout was cut: 16,777,216 of 17,000,000 bytes are kept``."""
    streams = (
        ("stdout", result.long.get("stdout", len(result.stdout)), result.stdout_total_bytes),
        ("stderr", result.long.get("stderr", len(result.stderr)), result.stderr_total_bytes),
    )
    return [f"{name} was cut: {kept:,} of {total:,} bytes are kept" for name, kept, total in streams if total > kept]


def shows_streams(result: MinionResult) -> bool:
    """Tell whether it is shown by its streams: ``cmd.run_stdout`` asks for one alone; of a failure everything is shown."""
    if not result.has_value:
        return True
    return result.value_from == "text" or (bool(result.value_from) and not result.has_succeeded)
