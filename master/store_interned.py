"""What the job cache writes once, however often it is said: names, addresses and accounts, outputs and reasons.

Texts and numbers that minions send are cut to size here, whatever was checked before: a row that SQLite refuses would be sent
again for ever.
"""

import sqlite3
from collections.abc import Callable

from ..core.crypto import digest
from ..core.messages import REASON_LIMIT_CHARACTERS

NAME_LIMIT_CHARACTERS = 256

#: The last microsecond of the year 9999: a moment beyond it has no date.
_TIME_LIMIT_US = 253_402_300_799_999_999
_INTEGER_LIMIT = 2**63 - 1


class Interned:
    """Gives each text and each output its number, and writes it down when it is new."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def text(self, text: str) -> int:
        """The number of a text, of any length."""
        text = storable_text(text)
        row = self._connection.execute("SELECT id FROM texts WHERE text = ?", (text,)).fetchone()
        if row is not None:
            return int(row[0])
        return int(self._connection.execute("INSERT INTO texts (text) VALUES (?)", (text,)).lastrowid or 0)

    def name(self, text: str) -> int | None:
        """The number of a short text, such as an address or an account; None of an empty one."""
        return self.text(text[:NAME_LIMIT_CHARACTERS]) if text else None

    def reason(self, text: str) -> int | None:
        """The number of a reason; None of an empty one."""
        return self.blob(storable_text(text[:REASON_LIMIT_CHARACTERS]).encode())

    def blob(self, data: bytes) -> int | None:
        """The number of some bytes, by a digest that is computed here; None of no bytes."""
        if not data:
            return None
        name = digest(data)
        row = self._connection.execute("SELECT id FROM blobs WHERE digest = ?", (name,)).fetchone()
        if row is not None:
            return int(row[0])
        return self._connection.execute("INSERT INTO blobs (digest, data) VALUES (?, ?)", (name, data)).lastrowid


def storable_text(text: str) -> str:
    """The text without lone surrogates, which SQLite does not take."""
    return text.encode("utf-8", "replace").decode()


def storable_integer(number: int) -> int:
    """The number within 64 bits: msgpack brings up to 2**64 - 1."""
    return max(-_INTEGER_LIMIT, min(number, _INTEGER_LIMIT))


def storable_moment(time_us: int) -> int:
    """The moment within the years that have a date."""
    return max(0, min(time_us, _TIME_LIMIT_US))


def optional(limit: Callable[[int], int], number: int | None) -> int | None:
    """Apply one of the limits to a number that may be missing."""
    return None if number is None else limit(number)
