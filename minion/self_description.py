"""What a minion says of itself, found out in a child process.

The libraries that takes (psutil, distro, every module) stay out of the daemon, which is 4 MiB smaller for it.
"""

import os
from collections.abc import Callable, Mapping

from ..core.crypto import digest
from ..core.dataclass import dataclass
from ..core.errors import FleetError, ProtocolError, StateError
from ..core.from_minion import CatalogueReport, GrainsReport
from ..core.names import MinionId
from ..core.packing import decode_value, encode_value
from ..core.values import Value

_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class SelfDescription:
    """Grains without the static ones, the catalogue, and what is to be logged."""

    grains: Mapping[str, Value]
    catalogue: CatalogueReport
    warnings: tuple[str, ...]


def describe_self(minion_id: MinionId, version: str) -> SelfDescription:
    """Find out in a child; to be called before the process has a zmq context or a thread, because it forks.

    Raises:
        StateError: the child failed; its traceback is on stderr.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _describe_and_exit(minion_id, version, writer)
    os.close(writer)
    parts: list[bytes] = []
    while part := os.read(reader, _READ_BYTES):
        parts.append(part)
    os.close(reader)
    os.waitpid(pid, 0)
    try:
        found = decode_value(b"".join(parts))
    except ProtocolError as problem:
        raise StateError(
            "this minion could not find out its grains and functions", "the traceback above says why; please report it"
        ) from problem
    match found:
        case [Mapping() as grains, bytes(catalogue_digest), bytes(deflated), [*warnings]]:
            report = CatalogueReport(catalogue_digest, deflated)
            return SelfDescription(grains, report, tuple(str(warning) for warning in warnings))
    raise StateError("this minion could not find out its grains and functions")


def grains_report(grains: Mapping[str, Value]) -> GrainsReport:
    """All grains under their digest."""
    return GrainsReport(digest(encode_value(grains)), grains)


def _describe_and_exit(minion_id: MinionId, version: str, writer: int) -> None:
    """In the child: find out, write, and leave without the parent's clean-up."""
    import traceback

    code = 1
    try:
        from .functions_here import FunctionsHere
        from .grains import collect_grains

        warnings: list[str] = []
        note: Callable[[FleetError], None] = lambda problem: warnings.append(problem.message)  # noqa: E731
        grains = collect_grains(minion_id, {}, version)
        catalogue = FunctionsHere(note).report()
        warnings += grains.warnings
        data = encode_value([dict(grains.values), catalogue.digest, catalogue.deflated, warnings])
        while data:
            data = data[os.write(writer, data) :]
        code = 0
    except BrokenPipeError:
        code = 0  # The daemon was killed meanwhile: nobody is left to be told.
    except BaseException:  # noqa: BLE001 - whatever it is, the child must end here and say so
        traceback.print_exc()
    finally:
        os._exit(code)
