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

from .dataclass import dataclass
from .errors import TargetError
from .excerpt import point_at, shorten
from .names import MinionId, is_minion_id
from .node_names import NAMES_LIMIT, expand_names, fold_names
from .targets import And, Glob, GrainGlob, IdList, Not, Or, Regex, Target, TargetKind, has_wildcard, regex_matcher

#: Long enough for a person and a script; a longer one is a list, which has its own limit.
TEXT_LIMIT_CHARACTERS = 4096
#: A list may come out of a file: 10,000 ids of 100 characters.
LIST_LIMIT_CHARACTERS = 1024 * 1024
REGEX_LIMIT_CHARACTERS = 1024
#: Parentheses and ``not`` in one another; recursion must end in a message.
DEPTH_LIMIT = 32

_KEYWORDS = ("and", "or", "not")
_FOREIGN_IN_GLOB = re.compile(r"[^A-Za-z0-9._*?\[\]!-]")
# As fnmatch reads it: a "]" that comes first is one of the characters.
_CLASS = re.compile(r"\[!?+\]?+[^\]]*+\]")
_NUMBERS_IN_CLASS = re.compile(r"\[!?[0-9]{2,}-[0-9]{2,}\]")
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
            return _read_list(expand_names(text), text, 0)
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
            return " and ".join(_in_parentheses(part, (And, Or)) for part in parts)
        case Or(parts):
            return " or ".join(_in_parentheses(part, (Or,)) for part in parts)
        case Not(part):
            return f"not {_in_parentheses(part, (And, Or))}"


def _in_parentheses(part: Target, looser: tuple[type[And | Or], ...]) -> str:
    text = format_target(part)
    return f"({text})" if isinstance(part, looser) else text


def _quote_where_needed(text: str) -> str:
    return text if _BARE.fullmatch(text) else _quote(text)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _error(problem: str, text: str, position: int, hint: str = "") -> TargetError:
    return TargetError(f"{problem}, {point_at(text, position)}", hint)


def _read_glob(pattern: str, text: str, start: int) -> Glob:
    """Read a glob that stands at ``start`` of the whole ``text``; what can fit no id is a mistake."""
    foreign = _FOREIGN_IN_GLOB.search(pattern)
    if foreign:
        problem = f"{shorten(foreign[0])} cannot be part of a minion id"
        raise _error(problem, text, start + foreign.start(), _hint_for(foreign[0]))
    numbers = _NUMBERS_IN_CLASS.search(pattern)
    if numbers:
        problem = f"{numbers[0]} stands for one character in a glob, not for numbers"
        hint = "numbers are chosen by a list: -L 'web-[01-12]', in a compound L@web-[01-12]"
        raise _error(problem, text, start + numbers.start(), hint)
    outside = _CLASS.sub(lambda matched: "*" * len(matched[0]), pattern)
    lone = re.search(r"[\[\]]", outside)
    if lone:
        raise _error("a bracket without its partner", text, start + lone.start(), "a set of characters reads [1-3]")
    if not has_wildcard(pattern) and not is_minion_id(pattern):
        hint = "an id starts with a letter or digit, then letters, digits, '.', '_' and '-', 128 at most"
        raise _error(f"{shorten(pattern)} is no minion id", text, start, hint)
    return Glob(pattern)


def _hint_for(foreign: str) -> str:
    """Guess from a character what somebody meant who wrote it into a glob."""
    if foreign == ",":
        return "a list of ids is chosen by -L, in a compound by L@"
    if foreign in ":@":
        return "a grain is chosen by -G os:Debian, in a compound by G@os:Debian; a compound itself by -C"
    if foreign.isspace() or foreign in "()":
        return "and, or, not and parentheses need -C; a list of ids needs -L"
    if foreign in "^$+|\\{}":
        return "all but some characters reads [!a]; a regular expression is chosen by -E, in a compound by E@"
    return "ids consist of letters, digits, '.', '_' and '-'"


def _read_list(ids: tuple[MinionId, ...], text: str, start: int) -> IdList:
    if not ids:
        raise _error("the list names no minion", text, start, "a list reads web-1,web-2 or web-[01-12]")
    return IdList(frozenset(ids))


def _read_grain(expression: str, text: str, start: int) -> GrainGlob:
    key, colon, pattern = expression.partition(":")
    if not (key and colon and pattern):
        raise _error("a grain reads key:pattern", text, start, "such as os:Debian; os:* is whatever has an os")
    return GrainGlob(key, pattern)


def _tokenize(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif text[position] in "()":
            tokens.append(_Token(text[position], position, is_word=False))
            position += 1
        else:
            token, position = _read_word(text, position)
            tokens.append(token)
    return tokens


def _read_word(text: str, start: int) -> tuple[_Token, int]:
    """Read the word that starts at ``start``; returns it and the place behind it."""
    pieces: list[str] = []
    quoted = False
    is_regex = text.startswith("E@", start)
    depth, in_class = 0, False
    position = start
    while position < len(text):
        character = text[position]
        end = position + 1
        if character in "'\"":
            end = text.find(character, position + 1)
            if end < 0:
                raise _error("a quote that is not closed", text, position)
            pieces.append(text[position + 1 : end])
            quoted = True
            position = end + 1
            continue
        if is_regex and character == "\\":
            end = position + 2
        elif character.isspace() or (character in "()" and not is_regex):
            break
        elif is_regex and not in_class and character in "()":
            depth += 1 if character == "(" else -1
            if depth < 0:
                break
        elif character in "[]":
            in_class = character == "["
        pieces.append(text[position:end])
        position = end
    return _Token("".join(pieces), start, is_word=True, quoted=quoted), position


class _Parser:
    """Reads the tokens of one compound from left to right, by recursive descent."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._next = 0
        self._names_left = NAMES_LIMIT

    def parse(self) -> Target:
        target = self._read_any(0)
        if self._next < len(self._tokens):
            token = self._tokens[self._next]
            if token.is_mark(")"):
                raise _error("there is no parenthesis to close", self._text, token.start)
            hint = _QUOTES_HINT
            if token.text.lower() in _KEYWORDS:
                hint = "and, or and not are written in lower case; 'and not' excludes"
            raise _error(f"'and' or 'or' is missing before {shorten(token.text)}", self._text, token.start, hint)
        return target

    def _read_any(self, depth: int) -> Target:
        parts = [self._read_all(depth)]
        while self._take_keyword("or"):
            parts.append(self._read_all(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _read_all(self, depth: int) -> Target:
        parts = [self._read_one(depth)]
        while self._take_keyword("and"):
            parts.append(self._read_one(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _read_one(self, depth: int) -> Target:
        if self._next == len(self._tokens):
            last = self._tokens[-1].text
            raise _error(f"a target is missing after {shorten(last)}", self._text, len(self._text))
        token = self._tokens[self._next]
        if depth > DEPTH_LIMIT:
            raise _error(f"more than {DEPTH_LIMIT} levels", self._text, token.start)
        self._next += 1
        if token.is_keyword("not"):
            return Not(self._read_one(depth + 1))
        if token.is_mark("("):
            return self._read_group(token, depth + 1)
        if token.is_mark(")"):
            raise _error("a target is missing before ')'", self._text, token.start)
        if token.is_keyword("and") or token.is_keyword("or"):
            hint = f"an id of that name is written '{token.text}' in quotes"
            raise _error(f"a target is missing before {token.text!r}", self._text, token.start, hint)
        return self._read_leaf(token)

    def _read_group(self, opening: _Token, depth: int) -> Target:
        target = self._read_any(depth)
        if self._next == len(self._tokens):
            raise _error("a parenthesis that is not closed", self._text, opening.start, _QUOTES_HINT)
        # Anything else ends the recursion, and ``parse`` finds it left over.
        if self._tokens[self._next].is_mark(")"):
            self._next += 1
        return target

    def _read_leaf(self, token: _Token) -> Target:
        if not _PREFIX.match(token.text):
            return _read_glob(token.text, self._text, token.start)
        body = token.text[2:]
        match token.text[:2]:
            case "G@":
                return _read_grain(body, self._text, token.start)
            case "L@":
                return self._read_id_list(token, body)
            case "E@":
                return self._read_regex(token, body)
            case prefix:
                raise _error(f"the prefix {prefix} is not known", self._text, token.start, "there are G@, E@ and L@")

    def _read_id_list(self, token: _Token, body: str) -> IdList:
        try:
            ids = expand_names(body, self._names_left)
        except TargetError as problem:
            raise TargetError(f"in {shorten(token.text)}: {problem.message}", problem.hint) from problem
        self._names_left -= len(ids)
        return _read_list(ids, self._text, token.start)

    def _read_regex(self, token: _Token, body: str) -> Regex:
        if not body or len(body) > REGEX_LIMIT_CHARACTERS:
            problem = f"a regular expression has 1 to {REGEX_LIMIT_CHARACTERS} characters"
            raise _error(problem, self._text, token.start)
        try:
            regex_matcher(body)
        except TargetError as problem:
            raise _error(problem.message, self._text, token.start, problem.hint) from problem
        return Regex(body)

    def _take_keyword(self, keyword: str) -> bool:
        if self._next < len(self._tokens) and self._tokens[self._next].is_keyword(keyword):
            self._next += 1
            return True
        return False
