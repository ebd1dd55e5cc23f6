"""``fleet-call``: runs one function on this machine, without a master and without a daemon."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import __version__
from ..core.dataclass import dataclass
from ..core.errors import FleetError, UsageError
from ..core.function_spec import FunctionSpec
from ..core.functions import CommandFailedError, Program, RunningJob, wants_context
from ..core.job_document import JobDocument
from ..core.names import FunctionName, Jid, MinionId, check_function_name
from ..core.nested import nested_lines
from ..core.options import Option, Scanned, scan
from ..core.outcome import Outcome, OutcomeKind
from ..core.packing import decode_value
from ..core.paths import Paths
from ..core.settings import load_settings
from ..core.standard_streams import mend_standard_streams, print_or_fail
from ..core.values import Value
from ..core.visible import visible
from ..modules.catalogue import UnknownFunctionError
from .config import MinionSettings
from .functions_here import FunctionsHere
from .instant import Finished, finish
from .own_id import identify_minion

FAILED = 11
NO_FUNCTION = 2

HELP = """\
Run a function on this machine, without a master.

  fleet-call test.ping                        does it work here?
  fleet-call cmd.run 'uptime; id'             a shell command
  fleet-call cmd.exec -- ls --color /         after -- every word is a word
  fleet-call network.ip_addrs --out json      for programs
  fleet-call grains.items                     what this machine would report
  fleet-call sys.doc cmd                      which functions there are, and how they are called

Usage: fleet-call [OPTIONS] FUNCTION [WORDS…]

  --out nested|json    how to print the value; nested is for people (default)
  --root DIR           where etc/fleet lies (FLEET_ROOT; default /)
  --help, --version

Exit codes: 0 the function succeeded, 11 it failed, 2 it does not exist or its arguments do not fit, 1 anything else.
"""

OPTIONS = (
    Option(("--out",), "how to print the value", kind="choice", value_name="FORM", choices=("nested", "json")),
    Option(("--root",), "where etc/fleet lies", kind="text", value_name="DIR"),
    Option(("-h", "--help"), "this text"),
    Option(("--version",), "which release this is"),
)


@dataclass(frozen=True, slots=True)
class _Context:
    """The ``Context`` of a machine on which no daemon is asked: nothing runs, static grains can be set."""

    paths: Paths
    minion_id: MinionId
    functions_here: FunctionsHere

    @property
    def grains(self) -> Mapping[str, Value]:
        """The grains of this machine, found out now."""
        from .own_grains import OwnGrains
        from .self_description import describe_self

        settings = _settings(self.paths)
        found = describe_self(self.minion_id, __version__)
        return OwnGrains(self.minion_id, found.grains, settings.grains, self.paths.config / "grains").values

    def functions(self) -> Mapping[FunctionName, FunctionSpec]:
        """Every function of this machine."""
        return self.functions_here.all()

    def running(self) -> tuple[RunningJob, ...]:
        """Nothing: jobs are the daemon's."""
        return ()

    def cancel(self, jid: str) -> bool:
        """Jobs are the daemon's."""
        raise CommandFailedError(f"job {jid} can only be stopped through the master: fleet jobs cancel {jid}")

    def set_grain(self, key: str, value: Value) -> None:
        """Write a static grain; a running daemon reports it after its next start."""
        from .own_grains import check_settable
        from .static_grains import write_static_grain

        check_settable(key, _settings(self.paths).grains)
        self.paths.config.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_static_grain(self.paths.config / "grains", key, value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``fleet-call`` and return its exit code."""
    has_output = mend_standard_streams()
    try:
        if not has_output:
            raise FleetError("stdout is closed, so there is nowhere to print: nothing was done", ">/dev/null drops it")
        return _run(scan(sys.argv[1:] if arguments is None else arguments, OPTIONS))
    except FleetError as problem:
        hint = f"\nhint: {visible(problem.hint)}" if problem.hint else ""
        sys.stderr.write(f"error: {visible(problem.message)}{hint}\n")
        return NO_FUNCTION if isinstance(problem, UnknownFunctionError) else problem.exit_code


def _run(scanned: Scanned) -> int:
    if scanned.flag("--help"):
        print_or_fail(HELP)
        return 0
    if scanned.flag("--version"):
        print_or_fail(f"fleet-call {__version__}\n")
        return 0
    words = (*scanned.words, *scanned.literals)
    if not words:
        raise UsageError("which function?", "fleet-call test.ping; fleet-call --help has examples")
    name = check_function_name(words[0])
    in_words = scanned.words[1:] if scanned.words else ()
    literals = scanned.literals if scanned.words else scanned.literals[1:]
    paths = Paths(Path(scanned.text("--root") or os.environ.get("FLEET_ROOT") or "/").absolute())
    finished = call_here(name, in_words, literals, paths)
    _show(finished, scanned.text("--out", "nested"))
    return 0 if finished.outcome.kind is OutcomeKind.OK else FAILED


def call_here(name: FunctionName, words: Sequence[str], literals: Sequence[str], paths: Paths) -> Finished:
    """Call a function in this process and wait for its end.

    Raises:
        UnknownFunctionError: there is no such function.
        ArgumentError: the words do not fit it.
    """
    functions = FunctionsHere(_warn)
    document = JobDocument(Jid("0" * 20), name, tuple(words), tuple(literals), (), {}, "", 0, 0, 0.0, 0)
    bound = functions.bind(document)
    from ..modules.catalogue import load_function

    target = load_function(name)
    settings = _settings(paths)
    context = (_Context(paths, identify_minion(settings), functions),) if wants_context(target) else ()
    caught: list[Program] = []

    def call() -> object:
        result = target(*context, *bound.positional, **bound.keyword)
        if isinstance(result, Program):
            caught.append(result)
            return None
        return result

    finished = finish(call)
    return _run_program(caught[0]) if caught else finished


def _run_program(program: Program) -> Finished:
    from ..core.packing import encode_value
    from .program import run_program

    ended = run_program(program)
    outcome = ended.outcome
    if outcome.value_from:
        text = {"stdout": ended.stdout, "stderr": ended.stderr}.get(outcome.value_from, ended.stdout + ended.stderr)
        value: Value = text.decode("utf-8", "replace").removesuffix("\n")
        outcome = Outcome(outcome.kind, outcome.message, has_value=True, value=value, retcode=outcome.retcode)
    return Finished(outcome, encode_value(outcome.value) if outcome.has_value else b"")


def _show(finished: Finished, form: str) -> None:
    """Print the value on stdout, and why it failed on stderr."""
    outcome = finished.outcome
    if outcome.has_value:
        value = decode_value(finished.value)
        if form == "json":
            print_or_fail(json.dumps(value, ensure_ascii=False, indent=2, default=_as_text) + "\n")
        else:
            print_or_fail("".join(f"{line}\n" for line in nested_lines(value)))
    if outcome.kind is not OutcomeKind.OK:
        sys.stderr.write(f"error: {outcome.kind.value}: {visible(outcome.message)}\n")
        sys.stderr.write(visible(outcome.traceback))


def _warn(problem: FleetError) -> None:
    sys.stderr.write(f"warning: {visible(problem.message)}\n")


def _as_text(item: object) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)


def _settings(paths: Paths) -> MinionSettings:
    from .command import PREFIX

    return load_settings(MinionSettings, paths.minion_config, os.environ, PREFIX)
