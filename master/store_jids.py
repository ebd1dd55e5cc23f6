"""Which job a person means: a whole jid, an unambiguous end of one, or ``last``."""

import sqlite3
from functools import lru_cache

from ..core.errors import ArgumentError, NotFoundError
from ..core.names import Jid, is_jid, jid_from_microseconds, microseconds_from_jid

#: Ends of jids are looked for among this many of the newest jobs: what a person remembers is not older.
NEWEST_LIMIT = 10_000
#: Two digits are as soon typed by mistake as meant.
END_LEAST_DIGITS = 3
_NAMED_LIMIT = 5
_LIST = "`fleet jobs list` shows those there are"

# The last three digits of a jid are those of its microseconds, so SQL leaves a thousandth of the jobs to look at.
_SELECT_ENDS = """
SELECT jid_us FROM (SELECT jid_us FROM jobs ORDER BY jid_us DESC LIMIT ?) WHERE jid_us % 1000 = ?
"""


@lru_cache(4_096)
def key_of(jid: Jid) -> int:
    """The number under which a job is stored; one that no job has when the digits are no date."""
    try:
        return microseconds_from_jid(jid)
    except ArgumentError:
        return -1


def find_jid(connection: sqlite3.Connection, text: str) -> Jid:
    """Find the job that the text names.

    Raises:
        NotFoundError: none, or several; the hint lists them.
    """
    if text == "last":
        return _last(connection)
    if is_jid(text):
        return _whole(connection, Jid(text))
    if not (text.isascii() and text.isdigit() and END_LEAST_DIGITS <= len(text) < 20):
        raise NotFoundError(
            f"{text[:40]!r} names no job",
            f"a jid, the last digits of one ({END_LEAST_DIGITS} or more), or `last`; {_LIST}",
        )
    rows = connection.execute(_SELECT_ENDS, (NEWEST_LIMIT, int(text[-3:])))
    found = [jid for (jid_us,) in rows if (jid := jid_from_microseconds(jid_us)).endswith(text)]
    if not found:
        raise NotFoundError(f"there is no job whose jid ends in {text}", _LIST)
    if len(found) > 1:
        named = ", ".join(found[:_NAMED_LIMIT])
        more = f" and {len(found) - _NAMED_LIMIT} more" if len(found) > _NAMED_LIMIT else ""
        raise NotFoundError(f"the jids of {len(found)} jobs end in {text}", f"write more digits: {named}{more}")
    return found[0]


def page_end(connection: sqlite3.Connection, before: str) -> int:
    """The key below which a page of jobs begins; ``before`` is a whole jid, what ``find_jid`` takes, or empty.

    Raises:
        NotFoundError: it names no job.
    """
    if not before:
        return 2**63 - 1
    return key_of(Jid(before)) if is_jid(before) else key_of(find_jid(connection, before))


def _last(connection: sqlite3.Connection) -> Jid:
    (newest_us,) = connection.execute("SELECT max(jid_us) FROM jobs").fetchone()
    if newest_us is None:
        raise NotFoundError("there is no job yet", "fleet '*' test.ping makes one")
    return jid_from_microseconds(newest_us)


def _whole(connection: sqlite3.Connection, jid: Jid) -> Jid:
    if connection.execute("SELECT 1 FROM jobs WHERE jid_us = ?", (key_of(jid),)).fetchone() is None:
        raise NotFoundError(f"there is no job {jid}", _LIST)
    return jid
