"""Which minions a run is for: what its target says, or those that a node file names."""

import sys

from ..core.dataclass import dataclass
from ..core.errors import NoMatchError, UsageError
from ..core.names import is_function_name
from .invocation import Invocation
from .verb_options import KIND_OPTIONS, NODES, STDIN


@dataclass(frozen=True, slots=True)
class JobTarget:
    """A target as the master is asked for it.

    Attributes:
        text: which minions.
        kind: how that is written, a value of ``core.targets.TargetKind``.
        more_unknown: how many ids that are not in ``text``, because no accepted key has them, were named as well.
    """

    text: str
    kind: str
    more_unknown: int = 0


def target_kind(call: Invocation) -> str:
    """Read how the target is written from ``-G -E -L -C``; a glob without them.

    Raises:
        UsageError: more than one of them is given.
    """
    given = [(option.names[0], kind) for option, kind in KIND_OPTIONS if call.options.flag(option.name)]
    if len(given) > 1:
        raise UsageError(
            f"a target is written in one way, not in {len(given)}: {' '.join(name for name, _ in given)}",
            "-C combines: fleet -C 'G@os:Debian and web-*' …",
        )
    return given[0][1] if given else "glob"


def check_nodes(call: Invocation) -> bool:
    """Tell whether a node file says which minions are meant, and see that nothing else does.

    Raises:
        UsageError: something else does; or its stdin would be read twice.
    """
    if not call.options.flag(NODES.name):
        return False
    given = [option.names[0] for option, _ in KIND_OPTIONS if call.options.flag(option.name)]
    if given:
        raise UsageError(
            f"{NODES.name} names the minions, and {given[0]} says how a target is written",
            "leave one of them away: with a node file there is no target",
        )
    words = call.words + call.literals
    if words and not is_function_name(words[0]):
        raise UsageError(
            f"with {NODES.name} the first word is the function, and {words[0][:60]!r} is none",
            f"leave a target away: fleet {NODES.name} FILE FUNCTION [ARGUMENT…], such as: … cmd.run uptime",
        )
    if call.options.text(NODES.name) == call.options.text(STDIN.name) == "-":
        raise UsageError(
            f"{NODES.name} - and {STDIN.name} - would both read this command's own stdin",
            "name a file for one of them",
        )
    return True


def read_target(call: Invocation, word: str) -> JobTarget:
    """Read which minions are meant: ``word``, or where there is a node file the minions of that, and warn of what nobody has.

    Raises:
        UsageError: the file cannot be read, is no node file, or names nobody.
        NoMatchError: no minion that it names has an accepted key.
    """
    if not call.options.flag(NODES.name):
        return JobTarget(word, target_kind(call))
    from ..core.node_names import fold_names
    from .node_file import OWN_STDIN, choose_nodes, open_nodes, source_name

    path = call.options.text(NODES.name)
    source = source_name(path)
    if path == OWN_STDIN and sys.stdin is not None and sys.stdin.isatty():
        call.report.say("reading minion ids from this terminal, one a line; Ctrl-D ends it")
    with open_nodes(path) as names:
        choice = choose_nodes(names, call.client().preview("*").minions)
    if not choice.named:
        raise UsageError(f"{source} names no minion", "a node file holds a minion id a line; nothing was run")
    if not choice.minions:
        raise NoMatchError(
            f"none of the {choice.named:,} names in {source} has an accepted key: {choice.told_names}",
            "fleet minions lists those that there are; fleet-key -L lists the keys that wait",
        )
    if choice.unknown:
        have = "has" if choice.unknown == 1 else "have"
        call.report.warn(
            f"{choice.unknown:,} of {choice.named:,} names in {source} {have} no accepted key: {choice.told_names}"
        )
    return JobTarget(fold_names(choice.minions), "list", choice.unknown)
