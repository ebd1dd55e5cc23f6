"""How many grains fit: a report travels in one message."""

from collections.abc import Mapping

from ..core.packing import encode_value
from ..core.values import Value, plain

#: Half of what a minion may send in one frame. A usual machine has 3 KiB; one with thousands of addresses (a load
#: balancer that holds them all on one interface) must still be able to report the rest.
GRAINS_LIMIT_BYTES = 64 * 1024


def keep_what_travels(found: Mapping[str, Value]) -> tuple[dict[str, Value], list[str]]:
    """Leave out what has no plain form, then the largest until the rest fits one message."""
    values: dict[str, Value] = {}
    sizes: dict[str, int] = {}
    warnings: list[str] = []
    for name in sorted(found):
        try:
            value = plain(found[name])
            sizes[name] = len(encode_value({name: value}))
        except (TypeError, ValueError, OverflowError) as problem:  # a lone surrogate is a ValueError
            warnings.append(f"the grain {name!r} is left out: {problem}")
        else:
            values[name] = value
    while sum(sizes.values()) > GRAINS_LIMIT_BYTES:
        largest = max((name for name in sizes if name != "id"), key=lambda name: sizes[name])
        warnings.append(f"the grain {largest!r} is left out: {sizes.pop(largest)} bytes are too many")
        del values[largest]
    return values, warnings
