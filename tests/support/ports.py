"""Free TCP ports for daemons that are told theirs."""

import os
import random
import socket
from pathlib import Path

_RANDOM = random.SystemRandom()
_LOWEST = 10_000
#: Handed out by this process: whoever was told a port may not have bound it yet, or be between two starts.
_GIVEN: set[int] = set()


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports that nobody listens on, on all addresses.

    They lie below the range from which the kernel takes the ports of outgoing connections: a minion that dials a master
    which is away would otherwise now and then take the master's own port, or even reach itself through it. Each worker of a test run
    has a part of them for itself, and no port is given twice.
    """
    lowest_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    # "gw0" is the first of pytest-xdist's workers.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    own = (max(lowest_outgoing, 12_000) - _LOWEST) // workers
    chosen: set[int] = set()
    while len(chosen) < count:
        port = _LOWEST + worker * own + _RANDOM.randrange(own)
        if port in _GIVEN:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            chosen.add(port)
            _GIVEN.add(port)
    return tuple(chosen)
