"""What minions said about themselves, on disk: facts by minion, grains and catalogues once by digest."""

import sqlite3
from collections.abc import Mapping

from ..core.errors import ProtocolError
from ..core.function_spec import FunctionSpec
from ..core.job_document import Catalogue
from ..core.names import MinionId
from ..core.packing import decode, decode_value, encode, encode_value
from ..core.values import Value
from .store import KeepCatalogue, KeepGrains, LastSeen, MinionFacts
from .store_interned import NAME_LIMIT_CHARACTERS, storable_moment, storable_text

_KEEP = "INSERT OR REPLACE INTO minions VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_DROP_GRAINS = "DELETE FROM grains WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM minions WHERE grains_digest = ?1)"
_DROP_CATALOGUE = (
    "DELETE FROM catalogues WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM minions WHERE catalogue_digest = ?1)"
)


def keep_facts(connection: sqlite3.Connection, facts: MinionFacts) -> None:
    """Write what is known of a minion in place of what was."""
    before = _digests(connection, facts.minion)
    version, address, boot_id = (
        storable_text(text[:NAME_LIMIT_CHARACTERS]) for text in (facts.version, facts.address, facts.boot_id)
    )
    last_seen_us = storable_moment(facts.last_seen_us)
    digests = (facts.grains_digest, facts.catalogue_digest)
    connection.execute(_KEEP, (facts.minion, version, address, facts.journal_id, boot_id, last_seen_us, *digests))
    _drop_unused(connection, before)


def keep_last_seen(connection: sqlite3.Connection, change: LastSeen) -> None:
    """Write when minions were last heard of; what else is known of them stays."""
    connection.executemany(
        "UPDATE minions SET last_seen_us = ? WHERE minion = ?",
        ((storable_moment(heard_us), minion) for minion, heard_us in change.moments),
    )


def forget_minion(connection: sqlite3.Connection, minion: MinionId) -> None:
    """Remove what is known of a minion."""
    before = _digests(connection, minion)
    connection.execute("DELETE FROM minions WHERE minion = ?", (minion,))
    _drop_unused(connection, before)


def keep_grains(connection: sqlite3.Connection, change: KeepGrains) -> None:
    """Write grains under their digest."""
    connection.execute("INSERT OR REPLACE INTO grains VALUES (?, ?)", (change.digest, encode_value(change.grains)))


def keep_catalogue(connection: sqlite3.Connection, change: KeepCatalogue) -> None:
    """Write a catalogue under its digest."""
    document = encode(Catalogue(change.functions))
    connection.execute("INSERT OR REPLACE INTO catalogues VALUES (?, ?)", (change.digest, document))


def read_minions(connection: sqlite3.Connection) -> tuple[MinionFacts, ...]:
    """Everything that is known of minions, sorted by id."""
    return tuple(MinionFacts(*row) for row in connection.execute("SELECT * FROM minions ORDER BY minion"))


def read_grains(connection: sqlite3.Connection) -> Mapping[bytes, Mapping[str, Value]]:
    """All grains by digest.

    Raises:
        ProtocolError: what is stored are no grains.
    """
    found: dict[bytes, Mapping[str, Value]] = {}
    for name, document in connection.execute("SELECT digest, document FROM grains"):
        grains = decode_value(document)
        if not isinstance(grains, Mapping):
            raise ProtocolError("grains that are no map")
        found[name] = grains
    return found


def read_catalogues(connection: sqlite3.Connection) -> Mapping[bytes, tuple[FunctionSpec, ...]]:
    """All catalogues by digest.

    Raises:
        ProtocolError: what is stored is no catalogue.
    """
    return {
        name: decode(Catalogue, document).functions
        for name, document in connection.execute("SELECT digest, document FROM catalogues")
    }


def _digests(connection: sqlite3.Connection, minion: MinionId) -> tuple[bytes, bytes] | None:
    row: tuple[bytes, bytes] | None = connection.execute(
        "SELECT grains_digest, catalogue_digest FROM minions WHERE minion = ?", (minion,)
    ).fetchone()
    return row


def _drop_unused(connection: sqlite3.Connection, digests: tuple[bytes, bytes] | None) -> None:
    """Drop grains and a catalogue that no minion has any more: grains that change every hour would fill the disk."""
    if digests is not None:
        connection.execute(_DROP_GRAINS, (digests[0],))
        connection.execute(_DROP_CATALOGUE, (digests[1],))
