"""The names that cross every border: minion ids, jids and function names, each checked by one rule.

A name that came from outside is a plain ``str`` until one of the ``check_*`` functions has returned it as its own type.
"""

import re
from datetime import UTC, datetime
from typing import NewType

from .errors import ArgumentError

MinionId = NewType("MinionId", str)
Jid = NewType("Jid", str)
FunctionName = NewType("FunctionName", str)

MINION_ID_LIMIT_CHARACTERS = 128
_MINION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_JID = re.compile(r"[0-9]{20}", re.ASCII)
# Slices rather than strptime, which imports 4 ms of locale tables into every command.
_JID_PARTS = ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))
_FUNCTION = re.compile(r"[a-z][a-z0-9_]{0,63}\.[a-z][a-z0-9_]{0,63}", re.ASCII)


def is_minion_id(text: str) -> bool:
    """Tell whether ``text`` may be the id of a minion: ``[A-Za-z0-9][A-Za-z0-9._-]{0,127}``."""
    return _MINION_ID.fullmatch(text) is not None


def check_minion_id(text: str) -> MinionId:
    """Return ``text`` as a minion id.

    Raises:
        ArgumentError: it is not one. Eight published attacks on another system came through ids such as ``../x``.
    """
    if not is_minion_id(text):
        raise ArgumentError(
            f"{text[:140]!r} is no minion id",
            "an id starts with a letter or digit, then letters, digits, '.', '_' and '-', 128 at most",
        )
    return MinionId(text)


def is_jid(text: str) -> bool:
    """Tell whether ``text`` has the form of a jid: 20 digits, ``YYYYMMDDhhmmss`` and six of microseconds, UTC."""
    return _JID.fullmatch(text) is not None


def check_jid(text: str) -> Jid:
    """Return ``text`` as a jid.

    Raises:
        ArgumentError: it is not one.
    """
    if not is_jid(text):
        raise ArgumentError(f"{text[:40]!r} is no jid", "a jid has 20 digits, such as 20261120221012000042")
    return Jid(text)


def is_function_name(text: str) -> bool:
    """Tell whether ``text`` has the form ``module.function``."""
    return _FUNCTION.fullmatch(text) is not None


def check_function_name(text: str) -> FunctionName:
    """Return ``text`` as a function name.

    Raises:
        ArgumentError: it has not the form ``module.function``.
    """
    if not is_function_name(text):
        raise ArgumentError(f"{text[:140]!r} is no function", "a function reads module.function, such as cmd.run")
    return FunctionName(text)


def jid_from_microseconds(microseconds: int) -> Jid:
    """Write a moment (microseconds since 1970, UTC) as the jid that stands for it."""
    moment = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    return Jid(f"{moment:%Y%m%d%H%M%S}{microseconds % 1_000_000:06d}")


def microseconds_from_jid(jid: Jid) -> int:
    """Read the moment (microseconds since 1970, UTC) that a jid stands for.

    Raises:
        ArgumentError: the digits are no date.
    """
    year, month, day, hour, minute, second = (int(jid[start:end]) for start, end in _JID_PARTS)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as problem:
        raise ArgumentError(f"{jid!r} is no jid: {problem}") from problem
    return int(moment.timestamp()) * 1_000_000 + int(jid[14:])
