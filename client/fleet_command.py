"""``fleet``: which command the words mean, and its options; the work is in one file a verb."""

import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

from .. import __version__
from ..core.errors import UsageError
from ..core.names import is_function_name
from ..core.options import Scanned, complete, nearest, scan
from .exit_codes import CANCEL_USAGE
from .invocation import Invocation
from .report import Report, guarded
from .verb_options import NODES, PREVIEW
from .verbs import ALL_OPTIONS, RUN, VERBS, Verb

#: Commands whose own words are function names, or ids that look like one: ``fleet doc cmd.run`` explains, it runs nothing on a minion
#: named doc, and ``fleet ping web.example`` pings.
_TAKE_FUNCTIONS = frozenset({"doc", "help", "minions", "ping"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``fleet`` with these arguments (those of the process when None) and return its exit code."""
    arguments = tuple(sys.argv[1:] if argv is None else argv)
    report = Report()
    return guarded(report, lambda: _run(arguments, report))


def _run(arguments: Sequence[str], report: Report) -> int:
    try:
        return _dispatch(arguments, report)
    except UsageError as problem:
        # Its exit code 2 means that there is no such job.
        if _means_cancel(arguments):
            report.error(problem)
            return CANCEL_USAGE
        raise


def _means_cancel(arguments: Sequence[str]) -> bool:
    """Tell whether ``jobs cancel``, or beginnings of it, stand among arguments that could not be read."""
    return any(
        _begins(first, [verb.words[0] for verb in VERBS], "jobs")
        and _begins(second, [verb.words[1] for verb in VERBS if verb.words[0] == "jobs"], "cancel")
        for first, second in pairwise(arguments)
    )


def _begins(word: str, names: Sequence[str], wanted: str) -> bool:
    try:
        return complete(word, sorted(set(names))) == wanted
    except UsageError:
        return False


def _dispatch(arguments: Sequence[str], report: Report) -> int:
    scanned = _scan(arguments)
    set_level(report, scanned)
    if scanned.flag("--version"):
        print(f"fleet {__version__}")
        return 0
    verb, words, literals = choose(scanned)
    if scanned.flag("--help"):
        from .help_text import group_help, overview, verb_help

        is_group = len(scanned.words) < len(verb.words)
        asked = group_help(verb.words[0]) if is_group else verb_help(verb)
        sys.stdout.write(asked if scanned.words else overview())
        return 0
    _check_options(verb, scanned)
    if 0 <= verb.most_words < len(words) + len(literals):
        surplus = (words + literals)[verb.most_words]
        raise UsageError(f"{surplus[:60]!r} is one word too many", f"usage: fleet {verb.usage}")
    from .config import find_defaults

    return _VERBS[verb.words](Invocation(words, literals, scanned, report, find_defaults(scanned)))


def _scan(arguments: Sequence[str]) -> Scanned:
    try:
        # With the options of the verb last, so that a hint is its own: several verbs have a --limit, each means another.
        return scan(arguments, (*ALL_OPTIONS, *_likely_verb(arguments).options))
    except UsageError as problem:
        # ``fleet '*' cmd.run ls -la``: what was meant for the function was taken for an option of ours.
        is_about_option = problem.message.startswith(("-", "'-"))
        if is_about_option and any(is_function_name(argument) for argument in arguments):
            hint = "what begins with '-' and is meant for the function goes after '--': fleet '*' cmd.exec -- ls -la"
            raise UsageError(problem.message, f"{problem.hint}; {hint}" if problem.hint else hint) from problem
        raise


def _likely_verb(arguments: Sequence[str]) -> Verb:
    """Guess which command is meant from arguments that are not read yet: for hints alone."""
    words = [argument for argument in arguments if not argument.startswith("-")]
    if any(is_function_name(word) for word in words[1:2]):
        return RUN
    group = [verb for verb in VERBS if words and _begins(words[0], [each.words[0] for each in VERBS], verb.words[0])]
    seconds = [verb.words[1] for verb in group if len(verb.words) > 1]
    named = [verb for verb in group if len(verb.words) > 1 and words[1:] and _begins(words[1], seconds, verb.words[1])]
    return next(iter(named or group), RUN)


def set_level(report: Report, scanned: Scanned) -> None:
    """Let the report say as much as the options ask for."""
    report.level = scanned.text("--log-level") or ("info" if scanned.flag("--verbose") else report.level)


def choose(scanned: Scanned) -> tuple[Verb, tuple[str, ...], tuple[str, ...]]:
    """Decide which command the words mean: the verb, the words that follow its own, and the literal words.

    If the second word has the form ``module.function`` the first is a target, and ``fleet -- TARGET …`` always reads so. A node file
    takes the place of a target.

    Raises:
        UsageError: the words mean none, or several.
    """
    words, literals = scanned.words, scanned.literals
    every = words + literals
    if scanned.flag(PREVIEW.name) or (scanned.is_separated and not words):
        return RUN, words, literals
    if scanned.flag(NODES.name) and not (words and words[0] in {verb.words[0] for verb in VERBS}):
        return RUN, words, literals
    if len(every) > 1 and is_function_name(every[1]) and every[0] not in _TAKE_FUNCTIONS:
        return RUN, words, literals
    if not every:
        if scanned.flag("--help"):
            return RUN, (), ()
        raise UsageError("nothing to do: no target and no command", "fleet --help starts with examples")
    first = complete(words[0], sorted({verb.words[0] for verb in VERBS if verb.words}))
    if not first:
        raise _no_command(every)
    group = [verb for verb in VERBS if verb.words[0] == first]
    if len(group) == 1:
        return group[0], words[1:], literals
    if len(words) == 1:
        return group[0], (), literals
    alone = next((verb for verb in group if len(verb.words) == 1), None)
    if alone is not None:
        # Its own words may be anything, so that the second word of the others is written in full.
        verb = next((verb for verb in group if verb.words == (first, words[1])), alone)
        return verb, words[len(verb.words) :], literals
    second = complete(words[1], [verb.words[1] for verb in group])
    for verb in group:
        if verb.words[1] == second:
            return verb, words[2:], literals
    known = ", ".join(verb.words[1] for verb in group)
    raise UsageError(f"{words[1][:60]!r} is no command of fleet {first}", f"there are: {known}")


def _no_command(every: Sequence[str]) -> UsageError:
    if is_function_name(every[0]):
        import shlex

        rest = [word for word in every[1:] if word != "*"]
        line = " ".join(("fleet '*'", every[0], *(shlex.quote(word[:40]) for word in rest[:3])))
        return UsageError(
            f"the target is missing: {every[0][:60]} is a function", f"which minions? {line} asks every one"
        )
    near = nearest(every[0], [verb.words[0] for verb in VERBS])
    hint = f"did you mean fleet {near}? " if near else ""
    if len(every) == 1:
        return UsageError(
            f"{every[0][:60]!r} is no command, and as a target it needs a function",
            f"{hint}fleet TARGET FUNCTION, such as: fleet '*' cmd.run uptime",
        )
    return UsageError(
        f"{every[1][:60]!r} is no function, so {every[0][:60]!r} is no target",
        f"{hint}a function reads module.function, such as: fleet '*' cmd.run uptime",
    )


def _check_options(verb: Verb, scanned: Scanned) -> None:
    own = {option.name for option in verb.all_options}
    for name in scanned.found:
        if name not in own:
            command = " ".join(("fleet", *verb.words)) if verb.words else "running a function"
            raise UsageError(f"{name} is no option of {command}", f"see: {' '.join(('fleet', *verb.words))} --help")


def _run_function(call: Invocation) -> int:
    from .run_command import run

    return run(call)


def _jobs_list(call: Invocation) -> int:
    from .job_list_command import list_jobs

    return list_jobs(call)


def _jobs_show(call: Invocation) -> int:
    from .jobs_command import show_job

    return show_job(call)


def _jobs_follow(call: Invocation) -> int:
    from .run_command import follow

    return follow(call)


def _jobs_cancel(call: Invocation) -> int:
    from .cancel_command import cancel_job

    return cancel_job(call)


def _jobs_wait(call: Invocation) -> int:
    from .job_wait_command import wait_for_job

    return wait_for_job(call)


def _jobs_delete(call: Invocation) -> int:
    from .job_delete_command import delete_jobs

    return delete_jobs(call)


def _jobs_purge(call: Invocation) -> int:
    from .job_delete_command import purge_jobs

    return purge_jobs(call)


def _retry(call: Invocation) -> int:
    from .retry_command import retry

    return retry(call)


def _minions(call: Invocation) -> int:
    from .minions_command import minions

    return minions(call)


def _minions_show(call: Invocation) -> int:
    from .minion_command import show_minion

    return show_minion(call)


def _ping(call: Invocation) -> int:
    from .ping_command import ping

    return ping(call)


def _events(call: Invocation) -> int:
    from .events_command import events

    return events(call)


def _status(call: Invocation) -> int:
    from .status_command import status

    return status(call)


def _doc(call: Invocation) -> int:
    from .doc_command import doc

    return doc(call)


def _version(call: Invocation) -> int:
    from .status_command import versions

    return versions(call)


def _help(call: Invocation) -> int:
    from .help_text import help_command

    return help_command(call)


_VERBS: Mapping[tuple[str, ...], Callable[[Invocation], int]] = MappingProxyType(
    {
        (): _run_function,
        ("jobs", "list"): _jobs_list,
        ("jobs", "show"): _jobs_show,
        ("jobs", "follow"): _jobs_follow,
        ("jobs", "cancel"): _jobs_cancel,
        ("jobs", "wait"): _jobs_wait,
        ("jobs", "delete"): _jobs_delete,
        ("jobs", "purge"): _jobs_purge,
        ("retry",): _retry,
        ("minions",): _minions,
        ("minions", "show"): _minions_show,
        ("ping",): _ping,
        ("events",): _events,
        ("status",): _status,
        ("doc",): _doc,
        ("version",): _version,
        ("help",): _help,
    }
)
