"""The keys of a daemon, in its state folder, made at the first start.

=================  ====  ===================================================================================
``master.key``     0600  ``fleet-master-key``: the seed of the identity (Ed25519), the CURVE secret (X25519)
``master.pub``     0644  ``fleet-master-public``: both public keys
``minion.key``     0600  ``fleet-minion-key``: the CURVE secret
``minion.pub``     0644  ``fleet-minion-public``: its public key
=================  ====  ===================================================================================

The public file follows from the secret one and is written again whenever it differs; it is there so that
``--fingerprint`` and ``fleet-key`` read no secret. A secret file is never overwritten, least of all a damaged one: a new
key would cut a master off from all its minions, and that is for a person to decide.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from ..core.crypto import KEY_BYTES, CurveSecret, SigningKey
from ..core.dataclass import dataclass
from ..core.errors import StateError
from .record import RecordForm, read_hex, read_record, write_record
from .state_folder import PUBLIC_MODE, StateFolder

_MASTER_SECRET = RecordForm(
    "fleet-master-key",
    2,
    "restore it from a backup; or move it away, and the next start makes a new identity, "
    "which every minion refuses until its pin (master.pin) is removed",
)
_MINION_SECRET = RecordForm(
    "fleet-minion-key",
    1,
    "restore it from a backup; or move it away, and the next start makes a new key, to be accepted on the master "
    "after the old one was deleted (fleet-key -d)",
)
_MASTER_PUBLIC = RecordForm("fleet-master-public", 2, "remove it: the next start of fleet-master writes it again")
_MINION_PUBLIC = RecordForm("fleet-minion-public", 1, "remove it: the next start of fleet-minion writes it again")


@dataclass(frozen=True, slots=True)
class MasterIdentity:
    """The keys of a master.

    Attributes:
        signing: its identity, whose fingerprint minions pin.
        curve: what its ports and the boxes of enrolment use; signed by the identity.
    """

    signing: SigningKey
    curve: CurveSecret


@dataclass(frozen=True, slots=True)
class MinionIdentity:
    """The key of a minion."""

    curve: CurveSecret


@dataclass(frozen=True, slots=True)
class MasterPublic:
    """The public keys of a master, 32 bytes each, as read from its public file."""

    identity: bytes
    curve: bytes


def load_or_create_master(folder: Path) -> MasterIdentity:
    """Return the keys of the master whose state folder this is; make folder and keys at the first call.

    Processes that make them at the same time end with the same keys.

    Raises:
        StateError: the folder or a file is damaged, open to others, or of another account.
    """
    with StateFolder.open(folder) as state:
        seed, curve = _load_or_create(state, "master.key", _MASTER_SECRET)
        identity = MasterIdentity(SigningKey.from_seed(seed), CurveSecret.generate(curve))
        public = (identity.signing.public.raw, identity.curve.public.raw)
        _publish(state, "master.pub", _MASTER_PUBLIC, public)
    return identity


def load_or_create_minion(folder: Path) -> MinionIdentity:
    """Return the key of the minion whose state folder this is; make folder and key at the first call.

    Raises:
        StateError: the folder or a file is damaged, open to others, or of another account.
    """
    with StateFolder.open(folder) as state:
        (curve,) = _load_or_create(state, "minion.key", _MINION_SECRET)
        identity = MinionIdentity(CurveSecret.generate(curve))
        _publish(state, "minion.pub", _MINION_PUBLIC, (identity.curve.public.raw,))
    return identity


def load_master(folder: Path) -> MasterIdentity:
    """Return the keys of the master whose state folder this is; make nothing.

    Raises:
        StateError: there are none yet, or as ``load_or_create_master``.
    """
    _require(folder, "master.key", "fleet-master")
    return load_or_create_master(folder)


def load_minion(folder: Path) -> MinionIdentity:
    """Return the key of the minion whose state folder this is; make nothing.

    Raises:
        StateError: there is none yet, or as ``load_or_create_minion``.
    """
    _require(folder, "minion.key", "fleet-minion")
    return load_or_create_minion(folder)


def read_master_public(folder: Path) -> MasterPublic | None:
    """Return the master's public keys without reading a secret; None before its first start.

    Raises:
        StateError: the folder or the file is damaged, others could have changed it, or it is of another account.
    """
    keys = _read_public(folder, "master.pub", _MASTER_PUBLIC)
    return MasterPublic(*keys) if keys else None


def read_minion_public(folder: Path) -> bytes | None:
    """Return the minion's public key, 32 bytes, without reading a secret; None before its first start.

    Raises:
        StateError: the folder or the file is damaged, others could have changed it, or it is of another account.
    """
    keys = _read_public(folder, "minion.pub", _MINION_PUBLIC)
    return keys[0] if keys else None


def _require(folder: Path, name: str, daemon: str) -> None:
    state = StateFolder.open_existing(folder)
    if state is not None:
        with state:
            if state.read(name) is not None:
                return
    raise StateError(
        f"there is no key in {folder} yet, and so no fingerprint",
        f"the first start of {daemon} makes it; if it lies elsewhere, name the folder with --root",
    )


def _load_or_create(state: StateFolder, name: str, form: RecordForm) -> list[bytes]:
    content = state.read(name)
    if content is None:
        # Each secret is any 32 random bytes: both libraries derive from them what their curve needs.
        fresh = [os.urandom(KEY_BYTES).hex() for _ in range(form.field_count)]
        state.create(name, write_record(form, fresh))
        # Read back, for another process may have come first.
        content = state.read(name)
    if content is None:
        raise StateError(f"{state.path / name} was removed while it was made", "start again")
    return _parse(form, state.path / name, content)


def _publish(state: StateFolder, name: str, form: RecordForm, keys: Sequence[bytes]) -> None:
    content = write_record(form, [key.hex() for key in keys])
    if state.read(name, public=True) != content:
        state.replace(name, content, PUBLIC_MODE)


def _read_public(folder: Path, name: str, form: RecordForm) -> list[bytes] | None:
    state = StateFolder.open_existing(folder)
    if state is None:
        return None
    with state:
        content = state.read(name, public=True)
    return None if content is None else _parse(form, folder / name, content)


def _parse(form: RecordForm, path: Path, content: bytes) -> list[bytes]:
    return [read_hex(form, path, field, KEY_BYTES) for field in read_record(form, path, content)]
