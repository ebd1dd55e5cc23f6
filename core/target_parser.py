"""From the text of a target to its tree, and back. Written by hand: nothing that a person types is ever evaluated.

The compound language::

    any    = all *("or" all)
    all    = one *("and" one)
    one    = "not" one | "(" any ")" | word
    word   = glob | "G@" key ":" pattern | "E@" regex | "L@" id *("," id)

``not`` binds tighter than ``and``, ``and`` tighter than ``or``. Spaces round parentheses may be left out. Text in single or
double quotes is taken as it stands, so a word may hold spaces, parentheses or be an id such as ``'and'``:
``G@os:'Red Hat*'``. In a regular expression parentheses that are in balance need no quotes: ``E@web-(1|2)``.
"""

import re
from dataclasses import dataclass, field

from .errors import TargetError
from .excerpt import point_at, shorten
from .names import MINION_ID_LIMIT_CHARACTERS, MinionId
from .node_names import NAMES_LIMIT, expand_names, fold_names
from .targets import And, Glob, GrainGlob, IdList, Not, Or, Regex, Target, TargetKind, regex_matcher

#: Long enough for a person and a script; a longer one is a list, which has its own limit.
TEXT_LIMIT_CHARACTERS = 4096
#: A list may come out of a file: 10,000 ids of 100 characters.
LIST_LIMIT_CHARACTERS = 1024 * 1024
REGEX_LIMIT_CHARACTERS = 1024
#: Parentheses and ``not`` in one another; recursion must end in a message.
DEPTH_LIMIT = 32

_KEYWORDS = ("and", "or", "not")
_FOREIGN_IN_GLOB = re.compile(r"[^A-Za-z0-9._*?\[\]!-]")
_CLASS = re.compile(r"\[!?\]?[^\]]*\]")
_PREFIX = re.compile(r"[A-Za-z]@")
_BARE = re.compile(r"[A-Za-z0-9._*?\[\]!:,@+/=%^$|{}-]+")
_QUOTES_HINT = "quote a pattern that holds spaces or parentheses, such as G@os:'Red Hat*'"


@dataclass(frozen=True, slots=True)
class _Token:
    """One word or parenthesis. ``start`` is its place in the text; a quoted word is never a keyword."""

    text: str
    start: int
    is_word: bool
    quoted: bool = False

    def is_keyword(self, keyword: str) -> bool:
        return self.is_word and not self.quoted and self.text == keyword

    def is_mark(self, mark: str) -> bool:
        return not self.is_word and self.text == mark


def parse_target(text: str, kind: TargetKind) -> Target:
    """Read a target.

    Raises:
        TargetError: it is empty, longer than 4,096 characters (a list: 1 MiB; a regular expression: 1,024), deeper than
            32 levels, names more than 100,000 ids, or cannot be read; the message points at the place.
    """
    limit = {TargetKind.LIST: LIST_LIMIT_CHARACTERS, TargetKind.REGEX: REGEX_LIMIT_CHARACTERS}.get(
        kind, TEXT_LIMIT_CHARACTERS
    )
    if not text.strip():
        raise TargetError("the target is empty", "'*' selects every minion")
    if len(text) > limit:
        raise TargetError(
            f"the target has {len(text)} characters, the limit is {limit}", "name many minions with -L, or by a grain"
        )
    match kind:
        case TargetKind.GLOB:
            return _read_glob(text, text, 0)
        case TargetKind.LIST:
            return _read_list(expand_names(text))
        case TargetKind.GRAIN:
            return _read_grain(text, text, 0)
        case TargetKind.REGEX:
            regex_matcher(text)
            return Regex(text)
        case TargetKind.COMPOUND:
            return _Parser(text, _tokenize(text)).parse()


def format_target(target: Target) -> str:
    """Write a target as a compound that ``parse_target`` reads back to the same tree."""
    match target:
        case Glob(pattern):
            return _quote(pattern) if pattern in _KEYWORDS else pattern
        case IdList(ids):
            return f"L@{fold_names(ids)}"
        case GrainGlob(key, pattern):
            return f"G@{_quote_where_needed(f'{key}:{pattern}')}"
        case Regex(pattern):
            return f"E@{_quote_where_needed(pattern)}"
        case And(parts):
            return " and ".join(_in_parentheses(part, And | Or) for part in parts)
        case Or(parts):
            return " or ".join(_in_parentheses(part, Or) for part in parts)
        case Not(part):
            return f"not {_in_parentheses(part, And | Or)}"


def _in_parentheses(part: Target, kinds: object) -> str:
    text = format_target(part)
    return f"({text})" if isinstance(part, kinds) else text  # type: ignore[arg-type]


def _quote_where_needed(text: str) -> str:
    return text if _BARE.fullmatch(text) else _quote(text)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"
