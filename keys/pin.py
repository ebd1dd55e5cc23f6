"""What a minion keeps of its master: the identity that it pinned, and the signed document with keys and ports.

``master.pin`` in the minion's state folder, mode 0600. With the document an accepted minion reconnects without the
enrolment port; whoever reads it checks its signature against the pinned identity, since here it is opaque bytes.
"""

from pathlib import Path

from ..core.crypto import KEY_BYTES
from ..core.dataclass import dataclass
from ..core.errors import StateError
from .record import RecordForm, read_hex, read_record, write_record
from .state_folder import StateFolder

_NAME = "master.pin"
_FORM = RecordForm(
    "fleet-master-pin",
    3,
    "restore it from a backup; or remove it, and the minion pins the next master that answers: "
    "then set master_fingerprint, or compare the pairing code on both sides",
)
_PROVISIONAL, _CONFIRMED = "provisional", "confirmed"
# Hexadecimal and in one line, it must stay below state_folder.FILE_LIMIT_BYTES.
_DOCUMENT_LIMIT_BYTES = 16 * 1024
# A field is never empty.
_NO_DOCUMENT = "-"


@dataclass(frozen=True, slots=True)
class MasterPin:
    """The master that this minion belongs to.

    Attributes:
        identity: its Ed25519 public key, 32 bytes.
        provisional: taken at first contact and not accepted by that master yet, so another one may still take its
            place. Never so when the configuration names the fingerprint.
        document: the signed master document as it came; empty when none is kept. At most 16 KiB.
    """

    identity: bytes
    provisional: bool
    document: bytes = b""


def load_pin(folder: Path) -> MasterPin | None:
    """Return the pin, or None when this minion never met a master.

    Raises:
        StateError: folder or file is damaged, open to others, or of another account.
    """
    state = StateFolder.open_existing(folder)
    if state is None:
        return None
    with state:
        return _read(state)


def save_pin(folder: Path, pin: MasterPin) -> None:
    """Keep the pin durably.

    Raises:
        StateError: a confirmed pin of another identity is kept, which only a person may remove; or this would make a
            confirmed pin provisional; or it cannot be written.
    """
    if len(pin.identity) != KEY_BYTES or len(pin.document) > _DOCUMENT_LIMIT_BYTES:
        raise StateError(
            f"a pin has an identity of {KEY_BYTES} bytes and a document of {_DOCUMENT_LIMIT_BYTES} at most, "
            f"not {len(pin.identity)} and {len(pin.document)}"
        )
    with StateFolder.open(folder) as state:
        kept = _read(state)
        if kept is not None and not kept.provisional:
            _check_replacement(state.path / _NAME, kept, pin)
        if kept != pin:
            state.replace(_NAME, _write(pin))


def _check_replacement(path: Path, kept: MasterPin, pin: MasterPin) -> None:
    if pin.identity != kept.identity:
        raise StateError(
            f"{path} names another master than the one that answers",
            "if the master was set up anew, compare its fingerprint (fleet-master --fingerprint), then remove that file",
        )
    if pin.provisional:
        raise StateError(f"{path} is confirmed and does not become provisional again")


def _read(state: StateFolder) -> MasterPin | None:
    content = state.read(_NAME)
    if content is None:
        return None
    path = state.path / _NAME
    identity, standing, document = read_record(_FORM, path, content)
    if standing not in {_PROVISIONAL, _CONFIRMED}:
        raise StateError(f"{path} is damaged: neither provisional nor confirmed", _FORM.hint)
    return MasterPin(
        identity=read_hex(_FORM, path, identity, KEY_BYTES),
        provisional=standing == _PROVISIONAL,
        document=b"" if document == _NO_DOCUMENT else read_hex(_FORM, path, document),
    )


def _write(pin: MasterPin) -> bytes:
    standing = _PROVISIONAL if pin.provisional else _CONFIRMED
    return write_record(_FORM, (pin.identity.hex(), standing, pin.document.hex() or _NO_DOCUMENT))
