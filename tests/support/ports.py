"""Free TCP ports for daemons that are told theirs."""

import random
import socket
from pathlib import Path

_RANDOM = random.SystemRandom()


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports that nobody listens on, on all addresses.

    They lie below the range from which the kernel takes the ports of outgoing connections: a minion that dials a master
    which is away would otherwise now and then take the master's own port, or even reach itself through it.
    """
    lowest_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    chosen: set[int] = set()
    while len(chosen) < count:
        port = _RANDOM.randrange(10_000, max(lowest_outgoing, 12_000))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            chosen.add(port)
    return tuple(chosen)
