"""The text form of a small state file: one line that says what it is and whether it is whole.

::

    fleet-minion-key 1 77076d0a…1db92c2a 5a8f0c1e9b7d3344
    what it is       |      |            checksum: 8 bytes of BLAKE2b over all before the blank in front of it
                  version   fields, each without blanks

The checksum tells a damaged file from a wrong one; it keeps nobody from writing another.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ..core.dataclass import dataclass
from ..core.errors import StateError

_VERSION = 1
_CHECKSUM_BYTES = 8


@dataclass(frozen=True, slots=True)
class RecordForm:
    """One kind of state file.

    Attributes:
        label: its first word, ``fleet-…``.
        field_count: how many fields it has.
        hint: what a person does when the file is damaged.
    """

    label: str
    field_count: int
    hint: str


def write_record(form: RecordForm, fields: Sequence[str]) -> bytes:
    """Write the fields (ASCII, none empty, none with blanks) as the line of this form."""
    body = " ".join((form.label, str(_VERSION), *fields)).encode("ascii")
    return body + b" " + _checksum(body) + b"\n"


def read_record(form: RecordForm, path: Path, content: bytes) -> list[str]:
    """Read the fields of a file that must be of this form; ``path`` is for the message.

    Raises:
        StateError: it is damaged, of another kind, or of a newer release.
    """
    body, _, end = content.rpartition(b" ")
    if not content.startswith(b"fleet-"):
        raise StateError(f"{path} is no file of fleet", form.hint)
    if end != _checksum(body) + b"\n":
        raise StateError(f"{path} is damaged: its checksum does not fit", form.hint)
    label, version, *fields = body.decode("ascii", "replace").split(" ")
    if label != form.label:
        raise StateError(f"{path} is a {label} file, not a {form.label} file", "put the right file in its place")
    if version != str(_VERSION):
        raise StateError(f"{path} has format {version}, this release reads {_VERSION}", "upgrade fleet on this machine")
    if len(fields) != form.field_count:
        raise StateError(f"{path} is damaged: {len(fields)} fields in place of {form.field_count}", form.hint)
    return fields


def read_hex(form: RecordForm, path: Path, field: str, length: int | None = None) -> bytes:
    """Read a field of hexadecimal digits; ``length`` in bytes, None for any.

    Raises:
        StateError: it is none, or of another length.
    """
    try:
        raw = bytes.fromhex(field)
    except ValueError as problem:
        raise StateError(f"{path} is damaged: a field is not hexadecimal", form.hint) from problem
    if length is not None and len(raw) != length:
        raise StateError(f"{path} is damaged: a field has {len(raw)} bytes in place of {length}", form.hint)
    return raw


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECKSUM_BYTES).hexdigest().encode("ascii")
