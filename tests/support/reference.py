"""Writes `docs/reference.md` and `docs/functions.md` from the code itself; `make docs` runs it, a test finds stale pages."""

import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from fleet.core.arguments import usage_line
from fleet.core.errors import FleetError
from fleet.core.function_spec import FunctionSpec
from fleet.core.job_states import JobState, result_of
from fleet.core.outcome import OutcomeKind
from fleet.core.settings import describe_settings
from fleet.modules.catalogue import function_specs
from support.source import ROOT, files_of, packages

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

COMMANDS = {
    "fleet": "client.fleet_command",
    "fleet-key": "client.key_command",
    "fleet-master": "master.command",
    "fleet-minion": "minion.command",
    "fleet-call": "minion.call_command",
}

STATES = {
    JobState.QUEUED: "its minion is known, nothing was handed over yet; it is delivered when the minion comes, until the TTL passes",
    JobState.SENT: "handed over to the minion's connection",
    JobState.ACKED: "the minion has written it down; it may wait there for its turn",
    JobState.RUNNING: "started; its process is known",
    JobState.SUCCEEDED: "ran to its end, well",
    JobState.FAILED: "ran to its end, badly; the outcome says how, and programs have an exit code",
    JobState.REFUSED: "master or minion declined; the reason says why; nothing was run",
    JobState.CANCELLED: "stopped on request; nothing of it runs any more",
    JobState.TIMED_OUT: "stopped at its own limit (`--job-timeout`, or the function's)",
    JobState.LOST: "its process is gone without an exit status, or it may or may not have started; it is not run again by itself",
    JobState.EXPIRED: "its TTL passed before it was started",
    JobState.ABANDONED: "the key was removed, the minion was installed anew, or an operator gave it up",
}

OUTCOMES = {
    OutcomeKind.OK: "all went well",
    OutcomeKind.FAILED: "the function or program says that it failed",
    OutcomeKind.CRASHED: "a bug in the function; the traceback is kept",
    OutcomeKind.UNAVAILABLE: "the machine lacks what the function needs",
    OutcomeKind.UNKNOWN_FUNCTION: "the minion has no such function",
    OutcomeKind.BAD_ARGUMENT: "the arguments do not fit the function's signature",
    OutcomeKind.NOT_ALLOWED: "not allowed on this minion or to this caller",
    OutcomeKind.SPOOL_FULL: "too much unanswered output or too many jobs lie on the minion",
    OutcomeKind.TIMED_OUT: "its own limit was over",
    OutcomeKind.CANCELLED: "somebody stopped it",
    OutcomeKind.LOST: "nobody knows how it ended",
    OutcomeKind.EXPIRED: "it came too late to be started",
    OutcomeKind.ABANDONED: "nobody waits for its end any more",
}

COUNTERS = {
    "turns": "rounds of the master's loop",
    "handshakes_admitted": "connections that proved an accepted key (each minion has two)",
    "handshakes_refused": "connections that proved a key which is not accepted",
    "handshakes_throttled": "connections of an accepted key that tries too often, or that is barred for a while",
    "connections_unproven": "connections to the fleet's ports that have not proved a key, now",
    "connections_excess": "such connections that were shut down, too many or too slow",
    "epoch_renewals": "fresh broadcast keys",
    "frames_multipart": "messages of several frames, which no minion of ours sends",
    "frames_unsendable": "messages that a connection could not take any more",
    "frames_unread": "those of connections that are open and not read",
    "events": "events since the start",
    "events_missed": "events that were forgotten before one who followed them had read them, for each of those",
    "keys_dropped": "keys that were dropped, too many waiting for a decision",
    "orders_put_off": "jobs that waited because a minion had not answered those before them",
    "pings_refused": "pings that were refused, too many being under way",
    "jobs_purged": "jobs that purges have removed, by the settings or because somebody asked",
    "descriptors": "open files and sockets of the master, now",
    "messages_received": "messages from minions",
    "messages_malformed": "those that are none of ours",
    "messages_without_session": "those that came before a session was opened, or after it had ended",
    "messages_throttled": "those beyond the rate of one minion",
    "messages_spool_full": "refusals of jobs by minions whose spool or disk is full",
    "messages_hellos": "sessions that minions opened",
    "messages_conflicts": "two machines that spoke with one key",
    "messages_faults": "messages that a bug of the master kept it from handling; its log has the traceback",
    "messages_greedy": "connections that were shut down because they subscribed to more than broadcasts",
    "sent_broadcasts": "jobs that went to the whole fleet at once",
    "sent_probes": "probes that tell new connections that they hear broadcasts",
    "sent_orders": "jobs that went over a minion's own connection",
    "sent_returns_stored": "returns that were stored",
    "sent_returns_discarded": "returns that were not wanted, each with its reason to the minion",
    "sent_commits_failed": "times that the job cache could not be written",
    "enrolment_accepted": "connections to the enrolment port",
    "enrolment_refused": "those closed at once, for want of room",
    "enrolment_displaced": "those that made room for a newer one before they proved anything",
    "enrolment_throttled": "times that they were left to wait, more having come than are served",
    "enrolment_exhausted": "those closed because the process has no descriptors left",
    "enrolment_malformed": "those ended because of what they sent",
    "enrolment_overdue": "those ended because their time was over",
    "enrolment_other_version": "those ended because they speak no version of ours",
    "enrolment_gone": "those ended by the other side before they were answered",
    "enrolment_offers": "keys that were proved",
    "enrolment_sent_off": "pending minions that made room while they waited; they come again",
    "control_connections": "connections to the control socket",
    "control_requests": "requests that came over them",
    "control_not_permitted": "those of accounts that may not speak to this master",
    "control_refused": "those turned away, too many being connected or no descriptor left",
    "control_malformed": "those ended because of what they sent",
    "control_slow_readers": "those ended because they left too much unread",
    "jobs_open": "jobs that have not ended, now",
    "targets_open": "targets of jobs that have not ended, now",
    "returns_waiting": "returns that wait for memory, now",
    "returns_put_off": "returns for which there was not even room to wait; their minions repeat them",
    "store_commits": "times that the job cache was written",
    "store_changes": "changes that were written with them",
    "store_refused": "changes refused because too much waits to be written",
    "store_failures": "changes that could not be written",
    "store_reads": "times that the job cache was read",
    "store_waiting": "changes that wait to be written, now",
    "store_waiting_bytes": "their size, now",
}

QUEUES = {
    "store_changes": "changes that wait to be written to the job cache",
    "store_memory_bytes": "their size; beyond it returns are refused, and minions keep them",
    "orders_unanswered_bytes": "of jobs that were handed to one minion and not answered, the most",
    "returns_pulled_bytes": "output of returns that is being fetched from minions",
    "returns_waiting_bytes": "returns that wait until there is room for their output",
    "stdin_sent_bytes": "stdin of jobs that minions are being sent and have not answered",
    "stdin_uploads_bytes": "stdin that commands upload for the jobs that they are about to submit",
    "events": "events kept for those who follow",
    "events_memory_bytes": "about how much memory they hold",
    "control_connections": "commands and consoles that are connected",
    "control_unread_bytes": "answers that the slowest of them has not read; one that goes beyond is ended",
    "pings": "pings that wait for their answer",
    "pending_keys": "keys that wait for a decision",
    "unproven_connections": "connections to the fleet's ports that have not proved a key",
    "enrol_connections": "connections to the enrolment port",
}

JOB_CACHE = {
    "file_bytes": "the file of the job cache",
    "used_bytes": "how much jobs, results and facts take; what is free in the file is used again before it grows",
    "log_bytes": "changes that are durable and not yet moved into the file",
    "free_disk_bytes": "room on its disk",
    "jobs": "jobs in it",
    "jobs_open": "those that have not ended",
}

PROCESS = {
    "rss_bytes": "memory of the master that is in RAM",
    "pss_bytes": "the same, with what it shares with others counted by its share",
    "threads": "its threads",
    "descriptors": "its open files and sockets",
    "descriptors_limit": "how many it may have",
    "cpu_user_ms": "processor time that it has used",
    "cpu_system_ms": "processor time that the kernel has used for it",
}

MACHINE = {
    "cpus": "processors of the machine",
    "memory_bytes": "its memory",
    "memory_available_bytes": "what of it new programs could have",
}

STATUS = {
    "version": "the release of the master",
    "fingerprint": "of its identity",
    "pid": "its process",
    "user": "the account it runs as",
    "started": "when it was started",
    "now": "its time, when it answered",
    "sockets": "where it listens: `publish`, `request`, `enrol`, `control`",
    "minions": "how many minions are `up`, `silent` and `down`",
    "keys": "how many keys are in each state",
    "newest_event": "the number of the newest event: `fleet events --after` it shows what comes next",
    "queues": "how full each bounded queue is: `now` and `limit`",
    "job_cache": "the job cache and its disk",
    "process": "the master's process, as the kernel counts it",
    "machine": "the machine it runs on",
    "load": "its load average of 1, 5 and 15 minutes; empty where the kernel does not tell",
    "counters": "what was counted since the start, see below",
}

_NOTE = "<!-- Made by `make docs` from the code; a test compares. Change the code, not this page. -->\n"


def reference() -> str:
    """Write the page of everything that scripts and administrators may rely on."""
    return "\n".join(
        [
            "# Reference\n",
            _NOTE,
            "Commands, settings, states, errors, events; the functions are in [functions.md](functions.md).\n",
            "## Commands\n",
            *(page for command in COMMANDS for page in _command_pages(command)),
            "## Settings\n",
            *_settings_pages(),
            "## States of a job on a minion\n",
            _table(
                ("state", "result", "meaning"), ((f"`{state}`", result_of(state), STATES[state]) for state in JobState)
            ),
            "## Outcomes\n",
            "Why a call ended as it did.\n",
            _table(
                ("outcome", "state", "meaning"),
                ((f"`{kind}`", f"`{_outcome_state(kind)}`", OUTCOMES[kind]) for kind in OutcomeKind),
            ),
            "## Errors\n",
            "Every error says what happened and why, and what to do next. The exit code is that of the command which ends with it.\n",
            _table(("error", "exit code", "meaning"), _error_rows()),
            *_event_pages(),
            *_status_pages(),
            *_counter_pages(),
        ]
    )


def functions() -> str:
    """Write the page of the built-in functions."""
    specs = function_specs()
    modules: dict[str, list[FunctionSpec]] = {}
    for name, spec in specs.items():
        modules.setdefault(name.partition(".")[0], []).append(spec)
    parts = [
        "# Functions\n",
        _NOTE,
        "What a minion can do out of the box; `fleet doc cmd.run` shows the same at a prompt.\n",
    ]
    for module, its_specs in modules.items():
        parts.append(f"## {module}\n")
        parts.extend(_function_page(spec) for spec in its_specs)
    return "\n".join(parts)


def help_of(command: str, *words: str) -> str:
    """Return what a command prints with these words and ``--help``."""
    main: Callable[[Sequence[str]], int] = import_module(f"fleet.{COMMANDS[command]}").main
    shown = io.StringIO()
    # argparse breaks lines by the width of the terminal, and the page has one form only.
    with patch.dict(os.environ, {"COLUMNS": "110"}), redirect_stdout(shown):
        try:
            main([*words, "--help"])
        except SystemExit as end:
            if end.code:
                raise
    return shown.getvalue()


def errors() -> dict[str, type[FleetError]]:
    """Find every class of error in the tree, after importing every module of it."""
    for package in sorted(packages()):
        for file in files_of(package):
            if file.stem != "__init__":
                import_module(f"fleet.{package}.{file.stem}")
    return {found.__name__: found for found in sorted(_subclasses(FleetError), key=lambda found: found.__name__)}


def _subclasses(error: type[FleetError]) -> Iterator[type[FleetError]]:
    if error.__module__.startswith("fleet."):
        yield error
    for child in error.__subclasses__():
        yield from _subclasses(child)


def _command_pages(command: str) -> Iterator[str]:
    yield f"### {command}\n\n```text\n{help_of(command).rstrip()}\n```\n"
    if command == "fleet":
        from fleet.client.verbs import VERBS

        for verb in VERBS:
            name = " ".join(("fleet", *verb.words))
            yield f"### {name}\n\n```text\n{help_of(command, *verb.words).rstrip()}\n```\n"


def _settings_pages() -> Iterator[str]:
    from fleet.client.settings import ClientSettings
    from fleet.master.config import MasterSettings
    from fleet.minion.config import MinionSettings

    yield (
        "A later place counts more: the default, the file, the environment, the command line. "
        "An unknown key, a wrong type and a value out of range are errors. "
        "`fleet-master --show-settings` and `fleet-minion --show-settings` print what counts, each with the place it comes from.\n"
    )
    pages: tuple[tuple[str, type[DataclassInstance], str], ...] = (
        ("master.yaml", MasterSettings, "FLEET_MASTER_"),
        ("minion.yaml", MinionSettings, "FLEET_MINION_"),
        ("client.yaml", ClientSettings, "FLEET_"),
    )
    for name, settings, prefix in pages:
        rows = describe_settings(settings, prefix)
        yield f"### {name}\n"
        yield _table(
            ("key", "takes", "default", "meaning", "variable"),
            (
                (
                    f"`{row.name}`",
                    row.type_text,
                    f"`{row.default}`",
                    row.help,
                    f"`{row.environment}`",
                )
                for row in rows
            ),
        )


def _error_rows() -> Iterator[tuple[str, str, str]]:
    for name, error in errors().items():
        yield f"`{name}`", str(error.exit_code), (error.__doc__ or "").strip().splitlines()[0]


def _event_pages() -> Iterator[str]:
    from fleet.master.events import TAGS

    yield "## Events\n"
    yield (
        "What `fleet events` follows; every event has its tag, a number, its time and a payload. Numbers count up by one; those "
        "of a master that was restarted are higher than all before, so that a number means the same event for ever. `missed` is "
        "how many events before this one were asked for and are no longer kept; -1 when the master was restarted since and nobody "
        "can tell.\n"
    )
    rows = ((f"`{tag.pattern}`", ", ".join(f"`{field}`" for field in tag.fields), tag.meaning) for tag in TAGS)
    yield _table(("tag", "payload", "when"), rows)


def _status_pages() -> Iterator[str]:
    yield "## Status\n"
    yield (
        "What `fleet status --out json` says of the master. "
        "What of its process, machine and job cache the kernel or a disk that hangs does not tell is left out.\n"
    )
    for group, names in (
        ("status", STATUS),
        ("queues", QUEUES),
        ("job_cache", JOB_CACHE),
        ("process", PROCESS),
        ("machine", MACHINE),
    ):
        yield _table((group, "is"), ((f"`{name}`", meaning) for name, meaning in names.items()))


def _counter_pages() -> Iterator[str]:
    yield "## Counters\n"
    yield "What `fleet status` counts since the master started.\n"
    yield _table(("counter", "counts"), ((f"`{name}`", meaning) for name, meaning in COUNTERS.items()))


def _outcome_state(kind: OutcomeKind) -> JobState:
    from fleet.core.outcome import Outcome

    return Outcome(kind).state


def _function_page(spec: FunctionSpec) -> str:
    traits = [name for name, has in (("instant", spec.instant), ("disruptive", spec.disruptive)) if has]
    traits += ["reads"] if spec.reads and not spec.instant else []
    parts = [
        f"### {spec.name}\n",
        f"    {usage_line(spec)}\n",
        spec.summary + (f" *({', '.join(traits)})*" if traits else "") + "\n",
    ]
    if spec.doc:
        parts.append(spec.doc + "\n")
    parts.extend(f"- `{parameter.name}`: {parameter.help}" for parameter in spec.parameters)
    return "\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(re.sub(r'(?<!`)[|]', '∣', cell) for cell in line)} |" for line in lines) + "\n"


def pages() -> dict[Path, str]:
    """Return what each generated page should hold."""
    return {ROOT / "docs/reference.md": reference(), ROOT / "docs/functions.md": functions()}


def main() -> None:
    """Write the pages."""
    for file, text in pages().items():
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
