"""Makes the return of a job: from what its supervisor left, from an instant result, or from a verdict without a run."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from ..core.crypto import digest, new_digest
from ..core.messages import (
    CHUNK_LIMIT_BYTES,
    INLINE_LIMIT_BYTES,
    REASON_LIMIT_CHARACTERS,
    WINDOW_BYTES,
    OutputChunk,
    Return,
    StreamSummary,
)
from ..core.names import Jid
from ..core.outcome import OutcomeKind
from .instant import Finished

EMPTY = StreamSummary(0, 0, digest(b""), b"")


def summary_of_bytes(data: bytes) -> StreamSummary:
    """Summarise a stream that lies in memory."""
    inline = data if len(data) <= INLINE_LIMIT_BYTES else None
    return StreamSummary(len(data), len(data), digest(data), inline)
