"""The options and words of ``fleet-key`` as data, and what they ask for."""

from collections.abc import Mapping
from types import MappingProxyType

from ..core.dataclass import dataclass
from ..core.errors import UsageError
from ..core.options import Option, Scanned, complete
from .verb_options import CONFIG, HELP, ROOT, SHOW_LIMIT, SOCKET, VERSION

LIST_ALL = Option(("-L", "--list-all"), "list all keys in their four states, with fingerprints")
LIST = Option(("-l", "--list"), "list the keys in a state: accepted, pending, rejected, denied, all", "text", "STATE")
ACCEPT = Option(("-a", "--accept"), "accept the pending keys that fit", "text", "GLOB", repeats=True)
ACCEPT_ALL = Option(("-A", "--accept-all"), "accept all pending keys; lists them and asks")
REJECT = Option(
    ("-r", "--reject"),
    "reject the pending keys that fit, or one minion's key; asks when it is a glob",
    "text",
    "GLOB",
    repeats=True,
)
REJECT_ALL = Option(("-R", "--reject-all"), "reject all pending keys; lists them and asks")
DELETE = Option(
    ("-d", "--delete"),
    "delete the keys that fit; their minions obey nothing any more; asks when it is a glob",
    "text",
    "GLOB",
    repeats=True,
)
DELETE_ALL = Option(("-D", "--delete-all"), "delete all keys; lists them and asks")
FINGER = Option(("-f", "--finger"), "show the fingerprints of the keys that fit", "text", "GLOB", repeats=True)
FINGER_ALL = Option(("-F", "--finger-all"), "show the fingerprints of all keys and of the master")
FINGERPRINT = Option(
    ("--fingerprint",), "only the key with this fingerprint or pairing code; a mismatch changes nothing", "text", "CODE"
)
STATE = Option(
    ("--state",),
    "list only keys in this state; with reject and delete: every key that fits and is in it",
    "text",
    "STATE",
)
ALL = Option(("--all",), "with the words accept, reject, delete: all keys, as -A -R -D")
YES = Option(("-y", "--yes"), "do not ask")
OUT = Option(("--out",), "how to print", "choice", "FORM", ("text", "json", "yaml"))
LOG_LEVEL = Option(
    ("--log-level",), "how much to say on stderr", "choice", "LEVEL", ("debug", "info", "warning", "error")
)
OWN_OPTIONS = (
    LIST_ALL,
    LIST,
    ACCEPT,
    ACCEPT_ALL,
    REJECT,
    REJECT_ALL,
    DELETE,
    DELETE_ALL,
    FINGER,
    FINGER_ALL,
    FINGERPRINT,
    STATE,
    ALL,
    YES,
    SHOW_LIMIT,
    OUT,
)
COMMON_OPTIONS = (ROOT, SOCKET, CONFIG, LOG_LEVEL, HELP, VERSION)

EXAMPLES = (
    ("fleet-key", "all keys (the same as -L, or: fleet-key list)"),
    ("fleet-key -a web-1", "accept one minion, after comparing its fingerprint or code on both sides"),
    ("fleet-key -a web-1 --fingerprint ozmg-3c4f-…", "let the command compare"),
    ("fleet-key -A", "accept all that wait; lists them and asks"),
    ("fleet-key delete web-1", "from that moment it obeys nothing"),
    ("fleet-key -L --out json", "for programs"),
)

#: The states, in the order in which they are shown.
STATES = ("accepted", "pending", "rejected", "denied")
#: What Salt calls pending.
_OTHER_NAMES: Mapping[str, str] = MappingProxyType({"pre": "pending", "un": "pending", "unaccepted": "pending"})

_VERBS: Mapping[str, tuple[Option, Option]] = MappingProxyType(
    {
        "accept": (ACCEPT, ACCEPT_ALL),
        "reject": (REJECT, REJECT_ALL),
        "delete": (DELETE, DELETE_ALL),
        "finger": (FINGER, FINGER_ALL),
    }
)


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a command line of ``fleet-key`` asks for.

    Attributes:
        action: ``list``, ``finger``, ``accept``, ``reject`` or ``delete``.
        patterns: ids or globs; none means all of them.
        states: which states to list, or whose keys to reject or delete; none when not said.
    """

    action: str
    patterns: tuple[str, ...] = ()
    states: tuple[str, ...] = ()


def read_wish(scanned: Scanned) -> KeyWish:
    """Read what is asked for, from options or from words; nothing at all asks for the list.

    Raises:
        UsageError: several things at once, or something is missing.
    """
    given = [
        option
        for option in (LIST_ALL, LIST, *(each for pair in _VERBS.values() for each in pair))
        if scanned.flag(option.name)
    ]
    words = scanned.words + scanned.literals
    if len(given) > 1:
        raise UsageError(
            f"one thing at a time, not {' '.join(option.names[0] for option in given)}", "fleet-key --help"
        )
    if given:
        return _from_option(scanned, given[0], words)
    if not words:
        return _list_wish(scanned)
    action = complete(words[0], ("list", *_VERBS))
    if not action:
        raise UsageError(f"{words[0][:60]!r} is no command of fleet-key", f"there are: list, {', '.join(_VERBS)}")
    if action == "list":
        if len(words) > 2:
            raise UsageError("one state at a time", f"fleet-key list [{'|'.join(STATES)}|all]")
        return _list_wish(scanned, *words[1:])
    return _wish(scanned, action, words[1:], is_all=scanned.flag(ALL.name) or (action == "finger" and len(words) == 1))


def _from_option(scanned: Scanned, option: Option, words: tuple[str, ...]) -> KeyWish:
    if option in {LIST_ALL, LIST}:
        if words:
            raise UsageError(f"{words[0][:60]!r} is one word too many", "fleet-key -l STATE, or fleet-key -f GLOB")
        return _list_wish(scanned, *scanned.texts(LIST.name))
    action = next(name for name, pair in _VERBS.items() if option in pair)
    is_all = option is _VERBS[action][1]
    return _wish(scanned, action, scanned.texts(option.name) * (not is_all) + words, is_all=is_all)


def _list_wish(scanned: Scanned, *states: str) -> KeyWish:
    """Read which states to list: one that is named in either way, or all."""
    named = states + scanned.texts(STATE.name)
    if len(named) > 1:
        raise UsageError("one state at a time", f"fleet-key list [{'|'.join(STATES)}|all]")
    return KeyWish("list", states=read_states(named[0] if named else "all"))


def _wish(scanned: Scanned, action: str, patterns: tuple[str, ...], *, is_all: bool) -> KeyWish:
    if is_all and patterns:
        raise UsageError(f"all keys, or {patterns[0][:60]!r}: not both", "fleet-key --help")
    if not is_all and not patterns:
        raise UsageError(f"which keys to {action}?", f"fleet-key {action} GLOB…, or fleet-key {action} --all")
    if scanned.flag(FINGERPRINT.name) and len(patterns) != 1:
        raise UsageError("a fingerprint picks one key of one minion", f"fleet-key {action} MINION --fingerprint CODE")
    if not scanned.flag(STATE.name):
        return KeyWish(action, patterns)
    if action not in {"reject", "delete"}:
        raise UsageError(f"--state does not go with {action}", STATE.help)
    return KeyWish(action, patterns, read_states(scanned.text(STATE.name)))


def read_states(text: str) -> tuple[str, ...]:
    """Read the name of a state, or its beginning; ``all`` means each.

    Raises:
        UsageError: it is none.
    """
    state = _OTHER_NAMES.get(text) or complete(text, (*STATES, "all"))
    if not state:
        raise UsageError(f"{text[:40]!r} is no state of a key", f"one of: {', '.join(STATES)}, all")
    return STATES if state == "all" else (state,)
