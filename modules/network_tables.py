"""Pure parsers of the kernel's network tables and of what ``ping`` prints: text in, typed rows out.

No execution module: nothing in here is registered. The tables are described in proc(5) and in the kernel's
``net/ipv4/fib_trie.c``, ``net/ipv6/route.c`` and ``net/ipv4/arp.c``.
"""

import re
import sys

from ..core.dataclass import dataclass

_IS_UP = 0x1
_HAS_GATEWAY = 0x2
_REJECTS = 0x200
_IS_ANYCAST = 0x0010_0000
_IS_CACHED = 0x0100_0000
_IS_LOCAL = 0x8000_0000
_NEIGHBOUR_IS_COMPLETE = 0x2


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the routing table.

    Attributes:
        family: ``inet`` or ``inet6``.
        destination: a network such as ``10.0.0.0/8``; the default route is ``0.0.0.0/0`` or ``::/0``.
        gateway: empty where the network is reached directly.
        interface: through which.
        metric: of two routes to one network, the lower one is taken.
    """

    family: str
    destination: str
    gateway: str
    interface: str
    metric: int

    @property
    def is_default(self) -> bool:
        """Whether it is taken when no other route fits."""
        return self.destination in {"0.0.0.0/0", "::/0"}


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One machine in the same network, as the kernel has come to know it."""

    address: str
    hwaddr: str
    interface: str


@dataclass(frozen=True, slots=True)
class PingResult:
    """What ``ping`` counted; the times are ``None`` when nothing came back."""

    sent: int
    received: int
    loss_percent: float
    shortest_ms: float | None = None
    mean_ms: float | None = None
    longest_ms: float | None = None


def parse_routes(text: str) -> list[Route]:
    """Parse ``/proc/net/route``: the main table of IPv4, addresses as integers of the machine's own byte order."""
    routes = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8:
            continue
        flags = int(fields[3], 16)
        if not flags & _IS_UP or flags & _REJECTS:
            continue
        prefix = int(fields[7], 16).bit_count()
        gateway = _inet_from_native(fields[2]) if flags & _HAS_GATEWAY else ""
        routes.append(Route("inet", f"{_inet_from_native(fields[1])}/{prefix}", gateway, fields[0], int(fields[6])))
    return routes


def parse_ipv6_routes(text: str) -> list[Route]:
    """Parse ``/proc/net/ipv6_route``, leaving out this machine's own addresses, multicast and cached entries."""
    routes = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 10:
            continue
        flags = int(fields[8], 16)
        unwanted = flags & (_REJECTS | _IS_ANYCAST | _IS_CACHED | _IS_LOCAL)
        if not flags & _IS_UP or unwanted or fields[0].startswith("ff"):
            continue
        destination = f"{_inet6_from_hex(fields[0])}/{int(fields[1], 16)}"
        gateway = _inet6_from_hex(fields[4]) if flags & _HAS_GATEWAY else ""
        routes.append(Route("inet6", destination, gateway, fields[9], int(fields[5], 16)))
    return routes


def parse_neighbours(text: str) -> list[Neighbour]:
    """Parse ``/proc/net/arp``, leaving out those that have not answered."""
    neighbours = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 6 and int(fields[2], 16) & _NEIGHBOUR_IS_COMPLETE:
            neighbours.append(Neighbour(fields[0], fields[3], fields[5]))
    return neighbours


_PING_COUNTS = re.compile(r"(\d+) packets transmitted, (\d+) (?:packets )?received.*?([\d.]+)% packet loss", re.ASCII)
_PING_TIMES = re.compile(r"min/avg/max[^=]*= ([\d.]+)/([\d.]+)/([\d.]+)", re.ASCII)


def parse_ping(text: str) -> PingResult | None:
    """Parse the last lines of ``ping`` (iputils, inetutils and busybox); ``None`` when they are not there."""
    counts = _PING_COUNTS.search(text)
    if counts is None:
        return None
    sent, received, loss_percent = int(counts[1]), int(counts[2]), float(counts[3])
    times = _PING_TIMES.search(text)
    if times is None:
        return PingResult(sent, received, loss_percent)
    return PingResult(sent, received, loss_percent, float(times[1]), float(times[2]), float(times[3]))


def _inet_from_native(digits: str) -> str:
    return ".".join(map(str, int(digits, 16).to_bytes(4, sys.byteorder)))


def _inet6_from_hex(digits: str) -> str:
    from ipaddress import IPv6Address

    return str(IPv6Address(bytes.fromhex(digits)))
