"""Help, made from the tables of options and verbs; every page starts with examples."""

import sys
from collections.abc import Sequence

from ..core.errors import UsageError
from ..core.names import is_function_name
from ..core.option_table import option_table, pair_table
from ..core.options import Option
from .exit_codes import EXIT_CODES
from .invocation import Invocation
from .verb_options import COMMON
from .verbs import RUN, VERBS, Verb

_TARGETS = """\
How to choose minions:
  fleet 'web-*' …                        glob over ids: * ? [1-3] [!a]
  fleet -L 'web-[01-12],db-1' …          list of ids, with ranges
  fleet -G 'os:Debian' …                 grain, glob over its value; entries of a dictionary with more ':'
  fleet -E 'web-(1|2)' …                 regular expression (RE2) for the whole id
  fleet -C 'G@os:Debian and not web-*' … and, or, not, ( ), with G@ grain, E@ regex, L@ list
  fleet --nodes FILE …                   the minions that a file names, - for stdin: an id a line, # begins a comment,
                                         or JSON lines: "ID", {"minion": "ID"}, such as fleet minions --out jsonl prints
--preview-target says which minions that selects now, and runs nothing.
"""
_COLUMNS = """\
What fleet minions can show (--columns NAME,…) and count by (--count-by NAME):
  minion state since last-seen address version os running waiting round-trip skew
                   these without --columns; round-trip is the minion's own measurement, skew its clock minus the master's
  host protocol jobs fingerprint conflict
                   its host name, the newest protocol that it speaks, its open jobs, its key, why it gets no jobs
  any grain        by its name; what is inside of one with ':', such as dns:search or ip4_interfaces:eth0:0
A minion counts once for each element of a list and each key of a dictionary.
"""
_OUTPUT = """\
How results are printed (--out FORM, or FLEET_OUT):
  fold     identical results together, failures first, a summary last; what a terminal gets
  nested   sorted by minion, indented; what a pipe gets
  txt      a line each: "minion: line"
  json     one document {minion: value}; minions without a value are named on stderr
  yaml     the same as YAML
  jsonl    a line per target as it settles, then a line with the summary
  raw      what the programs wrote, byte for byte, stderr to stderr; other values a line each
stdout carries results only. Control and unseen characters that minions sent are made visible, but for raw into a pipe or
a file.
Times are in your zone, but in UTC in json, jsonl and yaml.

Which of them:
  --only failed,silent   only these, in every form; any of failed, silent, refused, ok. Summary and exit code count all.
                         failed: ran and failed, timed out, was lost or cancelled
                         silent: has not ended, expired, was abandoned, or is no id of a minion
  --only non-empty       of those, only the ones that have something to show

In form fold, which --fold and --diff mean by themselves:
  --fold exact     together what is the same in state, exit code and every line
  --fold numbers   together also what differs in numbers alone; the lines of the first minion are shown
  --fold off       each minion for itself
  --diff           the largest group whole, others with its exit code as a unified diff against it
  --all            where nothing folds each minion has a line, 200 at the most; this shows all of them

Where to, instead of stdout (notes stay on stderr). Both are opened before a job is started:
  --out-file FILE  the document, in the form that a pipe gets unless --out names another, in UTF-8; whole or not at all;
                   mode 0600, or mode and group of the file that it replaces, which must be yours; in a folder where
                   other accounts may write always 0600
  --out-dir DIR    a file per minion with its id as name: stdout of a program byte for byte, else the value in the form;
                   stderr, if any, in ID~stderr. The folder is made, or must be empty, yours, and writable to you alone.
Neither writes through a symbolic link. When the disk is full no result is lost: fleet jobs show JID.
"""
_ENVIRONMENT = """\
Environment:
  FLEET_ROOT     the folder that the master was started with; --root counts more
  FLEET_SOCKET   the master's control socket; --socket and --root count more
  FLEET_OUT      how to print results when --out does not say it
  NO_COLOR       no colours; --color counts more
  FORCE_COLOR    colours also where stdout is no terminal, or TERM is dumb; NO_COLOR and --no-color count more
"""
_TOPICS = {
    "exit-codes": EXIT_CODES,
    "targets": _TARGETS,
    "output": _OUTPUT,
    "columns": _COLUMNS,
    "environment": _ENVIRONMENT,
}


def overview() -> str:
    """Write what ``fleet --help`` prints."""
    commands = [(f"fleet {verb.usage}", verb.summary) for verb in (RUN, *VERBS)]
    return "\n".join(
        (
            "Run functions, programs and scripts on many machines at once, and know what became of each.\n",
            _examples(RUN.examples),
            "Commands; a beginning that no other has is enough (fleet j l):\n" + pair_table(commands),
            "Options for running a function:\n" + option_table(RUN.options),
            "Options of every command; they may stand before, between or after the words:\n" + option_table(COMMON),
            f"More: fleet COMMAND --help, fleet help {'|'.join(_TOPICS)}\n",
            EXIT_CODES,
        )
    )


def verb_help(verb: Verb) -> str:
    """Write what ``fleet VERB --help`` prints."""
    return command_help(f"fleet {verb.usage}", verb.summary, verb.examples, verb.options, COMMON)


def group_help(word: str) -> str:
    """Write what ``fleet jobs --help`` prints: every command that begins with this word."""
    group = _group(word)
    commands = [(f"fleet {verb.usage}", verb.summary) for verb in group]
    return "\n".join(
        (
            f"The commands of fleet {word}.\n",
            _examples(tuple(verb.examples[0] for verb in group)),
            f"Commands; fleet {word} alone is the first of them:\n" + pair_table(commands),
            f"More: fleet {word} COMMAND --help\n",
        )
    )


def command_help(
    usage: str,
    summary: str,
    examples: Sequence[tuple[str, str]],
    options: Sequence[Option],
    common: Sequence[Option],
) -> str:
    """Write the help of one command."""
    own = ["Options:\n" + option_table(options)] if options else []
    return "\n".join(
        (
            f"{summary[0].upper()}{summary[1:]}.\n",
            _examples(examples),
            f"Usage: {usage}\n",
            *own,
            "Options of every command:\n" + option_table(common),
        )
    )


def help_command(call: Invocation) -> int:
    """Print a topic, the help of a command, or the documentation of a function.

    Raises:
        UsageError: there is no such topic or command.
    """
    words = call.words + call.literals
    if not words:
        sys.stdout.write(overview())
        return 0
    group = _group(words[0])
    if words[0] in _TOPICS:
        sys.stdout.write(_TOPICS[words[0]])
    elif words == ("run",):
        sys.stdout.write(verb_help(RUN))
    elif group:
        sys.stdout.write(_help_in(group, words))
    elif is_function_name(words[0]):
        from .doc_command import doc

        return doc(call)
    else:
        raise UsageError(f"there is no help on {words[0][:60]!r}", f"topics: {', '.join(_TOPICS)}; or any command")
    return 0


def _group(word: str) -> list[Verb]:
    return [verb for verb in VERBS if verb.words[0] == word]


def _help_in(group: Sequence[Verb], words: tuple[str, ...]) -> str:
    """Write the help of the command that the words name, or of all that begin with the one word."""
    named = next((verb for verb in group if verb.words == words), None)
    if named is not None:
        return verb_help(named)
    if len(words) == 1:
        return group_help(words[0])
    second = [verb.words[1] for verb in group if len(verb.words) > 1]
    known = f"there are: {', '.join(second)}" if second else f"fleet help {words[0]}"
    raise UsageError(f"{words[1][:60]!r} is no command of fleet {words[0]}", known)


def _examples(examples: Sequence[tuple[str, str]]) -> str:
    return "Examples:\n" + pair_table(examples)
