"""What a minion reports of itself: its grains and its catalogue, how large they may be and how often they may come.

Each is kept under its digest, which is computed here: a minion that named another's would else put its own in place of theirs.
"""

import zlib
from collections.abc import Mapping

from ..core.crypto import digest
from ..core.dataclass import dataclass, field
from ..core.errors import ProtocolError
from ..core.from_minion import CatalogueReport, GrainsReport
from ..core.job_document import Catalogue
from ..core.messages import FROM_MINION
from ..core.msgpack_lengths import check_items
from ..core.names import MinionId
from ..core.packing import decode, encode_value
from ..core.token_bucket import TokenBucket
from .store import KeepCatalogue, KeepGrains

GRAINS_LIMIT_BYTES = 256 * 1024
CATALOGUE_LIMIT_BYTES = 2 * 1024 * 1024
#: Two thousand functions of ten parameters are 200,000; ours are 120 functions in 5,000.
CATALOGUE_LIMIT_ITEMS = 100_000
#: Grains of a minion, in a second and at once: each is digested and stored. A catalogue counts for ten: it inflates to 2 MiB.
REPORTS_PER_SECOND = 2.0
REPORTS_BURST = 20.0
CATALOGUE_COST = 10.0
_COST_OF: Mapping[type, float] = {GrainsReport: 1.0, CatalogueReport: CATALOGUE_COST}
#: By the kind of the frame, so that a report is refused before it is decoded.
REPORT_COSTS: Mapping[int, float] = {kind: _COST_OF[cls] for kind, cls in FROM_MINION.items() if cls in _COST_OF}


@dataclass(slots=True)
class ReportRates:
    """How much each minion has reported lately: by minion, not by connection, since a new connection costs it nothing."""

    _buckets: dict[MinionId, TokenBucket] = field(default_factory=dict)

    def may_report(self, minion: MinionId, cost: float, now_us: int) -> bool:
        """Whether a report of this cost may come now; the cost is taken when it may."""
        bucket = self._buckets.get(minion)
        if bucket is None:
            bucket = self._buckets[minion] = TokenBucket(REPORTS_PER_SECOND, REPORTS_BURST)
        return bucket.take(now_us, cost)


def read_grains(report: GrainsReport) -> KeepGrains:
    """The grains of a report, to be kept.

    Raises:
        ProtocolError: they are longer than ``GRAINS_LIMIT_BYTES``.
    """
    encoded = encode_value(report.grains)
    if len(encoded) > GRAINS_LIMIT_BYTES:
        raise ProtocolError(f"grains of {len(encoded)} bytes")
    return KeepGrains(digest(encoded), report.grains)


def read_catalogue(report: CatalogueReport) -> KeepCatalogue:
    """The functions of a report, to be kept; no more of it is inflated than it may be long.

    Raises:
        ProtocolError: it does not inflate, is cut off, is longer than ``CATALOGUE_LIMIT_BYTES``, has too many parts or is no catalogue.
    """
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(report.deflated, CATALOGUE_LIMIT_BYTES)
    except zlib.error as problem:
        raise ProtocolError("a catalogue that does not inflate") from problem
    if inflate.unconsumed_tail or not inflate.eof:
        raise ProtocolError("a catalogue that is cut off or too long")
    check_items(raw, CATALOGUE_LIMIT_ITEMS)
    return KeepCatalogue(digest(raw), decode(Catalogue, raw).functions)
