"""How the results of a run are printed: one printer a form."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, TextIO

from ..core.job_states import Result
from ..core.names import MinionId
from ..core.nested import scalar_text
from ..core.visible import visible, visible_line
from .blocks import body, cuts, indented, reason_line, standing
from .documents import portable, result_record, run_summary, values_document
from .output import json_document, json_line, yaml_document
from .ranks import Only
from .report import Report
from .results import MinionResult, RunResult
from .shown import Shown

if TYPE_CHECKING:
    from .result_folder import ResultFolder


class Printer(Protocol):
    """Prints the results of one job on stdout."""

    def settled(self, result: MinionResult) -> None:
        """Take a result as it comes."""

    def finished(self, outcome: RunResult) -> None:
        """Take all of it, when the wait is over."""


def printer_for(shown: Shown, report: Report, folder: "ResultFolder | None" = None) -> Printer:
    """Make the printer of what is shown; with a folder, the one that writes into it."""
    if folder is not None:
        return _FolderPrinter(folder, shown, report)
    match shown.form:
        case "jsonl":
            return _LinePrinter(shown)
        case "fold":
            return _FoldPrinter(shown)
        case _:
            return _SortedPrinter(shown, report)


class _LinePrinter:
    """A line as each target settles; who is silent may still answer, so that line comes at the end."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._printed: set[MinionId] = set()

    def settled(self, result: MinionResult) -> None:
        if result.has_ended and self._shown.only.shows(result):
            self._printed.add(result.minion)
            sys.stdout.write(json_line(result_record(result)))
            sys.stdout.flush()

    def finished(self, outcome: RunResult) -> None:
        # Some may have ended between the last line and the end of the wait.
        for minion, result in outcome.items():
            if minion not in self._printed and self._shown.only.shows(result):
                sys.stdout.write(json_line(result_record(result)))
        sys.stdout.write(json_line(run_summary(outcome)))


class _FoldPrinter:
    """All of it at the end, folded."""

    def __init__(self, shown: Shown) -> None:
        from .fold import print_fold, styled_writer

        self._print = print_fold
        self._shown = shown
        # rich takes its time to load while the minions work.
        self._write = styled_writer(color=shown.color)

    def settled(self, result: MinionResult) -> None:
        """Nothing is printed before all of it is known."""

    def finished(self, outcome: RunResult) -> None:
        self._print(outcome, self._shown, self._write)


class _SortedPrinter:
    """All of it at the end, sorted by minion id; who has no value or failed is named on stderr."""

    def __init__(self, shown: Shown, report: Report) -> None:
        self._shown = shown
        self._report = report

    def settled(self, result: MinionResult) -> None:
        """Nothing is printed before all of it is known, so that the order is always the same."""

    def finished(self, outcome: RunResult) -> None:
        form, only = self._shown.form, self._shown.only
        print_results(filter(only.shows, outcome.values()), form)
        if form != "nested":
            name_cuts(filter(only.shows, outcome.values()), self._report)
        name_others(outcome, self._report, only, with_failed=form != "nested")


class _FolderPrinter:
    """All of it at the end, a file a minion; who has no value or failed is named on stderr."""

    def __init__(self, folder: "ResultFolder", shown: Shown, report: Report) -> None:
        self._folder = folder
        self._shown = shown
        self._report = report

    def settled(self, result: MinionResult) -> None:
        """Nothing is written before all of it is known: a result may still take the place of a silence."""

    def finished(self, outcome: RunResult) -> None:
        only = self._shown.only
        written = self._folder.write(filter(only.shows, outcome.values()), self._shown.form)
        name_cuts(filter(only.shows, outcome.values()), self._report)
        name_others(outcome, self._report, only, with_failed=True)
        self._report.say(written)


def print_results(results: Iterable[MinionResult], form: str) -> None:
    """Print results sorted by minion id in the form ``json``, ``yaml``, ``txt``, ``raw`` or ``nested``."""
    ordered = sorted(results, key=lambda result: result.minion)
    match form:
        case "json":
            sys.stdout.write(json_document(values_document({result.minion: result for result in ordered})))
        case "yaml":
            sys.stdout.write(yaml_document(values_document({result.minion: result for result in ordered})))
        case "raw":
            for result in ordered:
                _print_raw(result)
        case "txt":
            for result in ordered:
                sys.stdout.writelines(f"{result.minion}:{' ' * bool(line)}{line}\n" for line in _txt_lines(result))
        case _:
            for result in ordered:
                _print_nested(result)


def name_others(outcome: RunResult, report: Report, only: Only, *, with_failed: bool) -> None:
    """Name on stderr every target that is shown and has no value, those with the same reason together, and every unknown id.

    ``with_failed`` names also those that failed and have a value: for forms that do not tell them apart.
    """
    from ..core.node_names import fold_names

    reasons: dict[str, list[str]] = {}
    for minion, result in outcome.items():
        if not only.shows(result):
            continue
        if not result.has_value:
            reasons.setdefault(reason_line(result), []).append(minion)
        elif with_failed and result.result is Result.FAILURE:
            reasons.setdefault(standing(result), []).append(minion)
    for reason, minions in reasons.items():
        report.say(f"{fold_names(minions)}: {visible_line(reason)}")
    for name in outcome.unknown if only.shows_unknown else ():
        report.say(f"{visible_line(name)}: unknown: no accepted key has this id")


def name_cuts(results: Iterable[MinionResult], report: Report) -> None:
    """Say on stderr whose output was cut by its cap, those that were cut alike together: for forms that have no mark for it."""
    cut: dict[str, list[str]] = {}
    for result in results:
        for words in cuts(result):
            cut.setdefault(words, []).append(result.minion)
    if cut:
        from ..core.node_names import fold_names

        for words, minions in cut.items():
            report.say(f"{fold_names(minions)}: {words}")


def _txt_lines(result: MinionResult) -> list[str]:
    if not _has_content(result):
        return []
    if isinstance(result.value, list | dict):
        return [json_line(portable(result.value)).rstrip("\n")]
    return visible(scalar_text(result.value) if result.has_value else "\n".join(body(result))).split("\n")


def _print_nested(result: MinionResult) -> None:
    if _has_content(result):
        words = standing(result)
        sys.stdout.write(f"{result.minion}:{f'  {words}' if words else ''}\n")
        sys.stdout.writelines(indented(body(result)))


def _has_content(result: MinionResult) -> bool:
    """A program that was killed has no value, but what it wrote until then is shown all the same."""
    return result.has_value or bool(result.stdout or result.stderr)


def _print_raw(result: MinionResult) -> None:
    """Write what a program wrote, byte for byte; but on a terminal control characters are made visible."""
    if result.value_from or not result.has_value:
        _write_bytes(sys.stdout, result.stdout)
        _write_bytes(sys.stderr, result.stderr)
        return
    value = portable(result.value)
    text = value if isinstance(value, str) else json_line(value).rstrip("\n")
    _write_bytes(sys.stdout, f"{text}\n".encode("utf-8", "replace"))


def _write_bytes(stream: TextIO, content: bytes) -> None:
    if stream.isatty():
        stream.write(visible(content.decode("utf-8", "replace")))
        return
    stream.flush()
    stream.buffer.write(content)
    stream.buffer.flush()
