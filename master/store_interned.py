"""What the job cache writes once, however often it is said: names, addresses and accounts, outputs and reasons.

Texts and numbers that minions send are cut to size here, whatever was checked before: a row that SQLite refuses would be sent
again for ever.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import overload

from ..core.crypto import digest
from ..core.messages import REASON_LIMIT_CHARACTERS

NAME_LIMIT_CHARACTERS = 256

#: The last microsecond of the year 9999: a moment beyond it has no date.
_TIME_LIMIT_US = 253_402_300_799_999_999
_INTEGER_LIMIT = 2**63 - 1

_COUNT_USES = "INSERT INTO blob_uses VALUES (?1, ?2) ON CONFLICT (blob) DO UPDATE SET uses = uses + ?2"
# One that was written and released within one transaction was never counted.
_DROP_BLOB = "DELETE FROM blobs WHERE id = ?1 AND ifnull((SELECT uses FROM blob_uses WHERE blob = ?1), 0) <= 0"
_DROP_PARTS = "DELETE FROM blob_parts WHERE blob = ?1 AND NOT EXISTS (SELECT 1 FROM blobs WHERE id = ?1)"
_DROP_COUNT = "DELETE FROM blob_uses WHERE blob = ?1 AND uses <= 0"


class Interned:
    """Gives each text and each output its number, and writes it down when it is new; an output that nobody refers to goes.

    What is counted is written by ``finish``, within the same transaction.

    Args:
        known: the numbers of texts that are committed, which never change; those that are found here are in ``found``.
    """

    def __init__(self, connection: sqlite3.Connection, known: Mapping[str, int]) -> None:
        self._connection = connection
        self._known = known
        self.found: dict[str, int] = {}
        self._blobs: dict[bytes, int] = {}
        self._uses: Counter[int] = Counter()

    def text(self, text: str) -> int:
        """The number of a text, of any length."""
        number = self.find_text(text)
        if number is None:
            text = storable_text(text)
            inserted = self._connection.execute("INSERT INTO texts (text) VALUES (?)", (text,))
            number = self.found[text] = int(inserted.lastrowid or 0)
        return number

    def find_text(self, text: str) -> int | None:
        """The number of a text, if it has one."""
        number = self._known.get(text) or self.found.get(text)
        if number is None:
            text = storable_text(text)
            row = self._connection.execute("SELECT id FROM texts WHERE text = ?", (text,)).fetchone()
            if row is None:
                return None
            number = self.found[text] = int(row[0])
        return number

    def name(self, text: str) -> int | None:
        """The number of a short text, such as an address or an account; None of an empty one."""
        return self.text(text[:NAME_LIMIT_CHARACTERS]) if text else None

    def reason(self, text: str) -> int | None:
        """The number of a reason; None of an empty one."""
        return self.blob(storable_text(text[:REASON_LIMIT_CHARACTERS]).encode()) if text else None

    def blob(self, data: bytes) -> int | None:
        """The number of some bytes, by a digest that is computed here, and one more use of them; None of no bytes."""
        if not data:
            return None
        number = self._blobs.get(data)
        if number is None:
            name = digest(data)
            row = self._connection.execute("SELECT id FROM blobs WHERE digest = ?", (name,)).fetchone()
            if row is None:
                inserted = self._connection.execute("INSERT INTO blobs (digest, data) VALUES (?, ?)", (name, data))
                row = (inserted.lastrowid or 0,)
            number = self._blobs[data] = int(row[0])
        self.use(number)
        return number

    def use(self, number: int) -> None:
        """One more refers to these bytes."""
        self._uses[number] += 1

    def release(self, blobs: Iterable[int | None]) -> None:
        """Whoever referred to these bytes does so no more."""
        for number in blobs:
            if number is not None:
                self._uses[number] -= 1

    def finish(self) -> None:
        """Write how often each is referred to, and remove what nobody refers to."""
        changes = [(number, change) for number, change in self._uses.items() if change]
        self._connection.executemany(_COUNT_USES, changes)
        fewer = [(number,) for number, change in self._uses.items() if change <= 0]
        self._connection.executemany(_DROP_BLOB, fewer)
        self._connection.executemany(_DROP_PARTS, fewer)
        self._connection.executemany(_DROP_COUNT, fewer)
        self._uses.clear()
        self._blobs.clear()


def storable_text(text: str) -> str:
    """The text without lone surrogates, which SQLite does not take."""
    return text.encode("utf-8", "replace").decode()


@overload
def storable_integer(number: int) -> int: ...
@overload
def storable_integer(number: int | None) -> int | None: ...
def storable_integer(number: int | None) -> int | None:
    """The number within 64 bits: msgpack brings up to 2**64 - 1."""
    if number is None or -_INTEGER_LIMIT <= number <= _INTEGER_LIMIT:
        return number
    return _INTEGER_LIMIT if number > 0 else -_INTEGER_LIMIT


@overload
def storable_moment(time_us: int) -> int: ...
@overload
def storable_moment(time_us: int | None) -> int | None: ...
def storable_moment(time_us: int | None) -> int | None:
    """The moment within the years that have a date."""
    if time_us is None or 0 <= time_us <= _TIME_LIMIT_US:
        return time_us
    return 0 if time_us < 0 else _TIME_LIMIT_US
