"""The network interfaces of the machine and their addresses: what the grains and ``network.*`` are made from.

Read from the kernel through psutil; no name is looked up. No execution module: nothing in here is registered.
"""

from collections.abc import Mapping
from typing import Literal

from ..core.dataclass import dataclass
from ..core.functions import CommandFailedError

Family = Literal["inet", "inet6"]


@dataclass(frozen=True, slots=True)
class InetAddress:
    """One IPv4 address of an interface; ``broadcast`` is empty where there is none."""

    address: str
    netmask: str
    broadcast: str


@dataclass(frozen=True, slots=True)
class Inet6Address:
    """One IPv6 address of an interface, without its zone; ``scope`` is ``global``, ``link`` or ``host``."""

    address: str
    prefixlen: int
    scope: str


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface; ``hwaddr`` is empty where it has none."""

    up: bool
    hwaddr: str
    inet: tuple[InetAddress, ...]
    inet6: tuple[Inet6Address, ...]

    def addresses(self, family: Family) -> tuple[str, ...]:
        """Return the addresses of one family, in the kernel's order."""
        return tuple(found.address for found in (self.inet if family == "inet" else self.inet6))


def read_interfaces() -> dict[str, Interface]:
    """Read every interface from the kernel, by name, in the kernel's order.

    Raises:
        OSError: the kernel refuses, as in some sandboxes.
    """
    import socket

    import psutil

    states = psutil.net_if_stats()
    interfaces = {}
    for name, addresses in psutil.net_if_addrs().items():
        state = states.get(name)
        interfaces[name] = Interface(
            up=state is not None and state.isup,
            hwaddr=next((found.address for found in addresses if found.family == psutil.AF_LINK), ""),
            inet=tuple(
                InetAddress(found.address, found.netmask or "", found.broadcast or "")
                for found in addresses
                if found.family == socket.AF_INET
            ),
            inet6=tuple(
                inet6_address(found.address, found.netmask or "")
                for found in addresses
                if found.family == socket.AF_INET6
            ),
        )
    return interfaces


def inet6_address(address: str, netmask: str) -> Inet6Address:
    """Build an IPv6 address from the kernel's text, such as ``fe80::1%eth0`` and ``ffff:ffff:ffff:ffff::``."""
    from ipaddress import IPv6Address

    parsed = IPv6Address(address.partition("%")[0])
    scope = "link" if parsed.is_link_local else "host" if parsed.is_loopback else "global"
    prefixlen = int(IPv6Address(netmask)).bit_count() if netmask else 128
    return Inet6Address(str(parsed), prefixlen, scope)


def select_addresses(
    interfaces: Mapping[str, Interface], family: Family, *, interface: str, include_loopback: bool, cidr: str
) -> list[str]:
    """Choose addresses and sort them by number, each once.

    Args:
        interfaces: as ``read_interfaces`` returns them.
        family: which kind.
        interface: only those of this one; of all when empty.
        include_loopback: also 127.0.0.0/8 or ::1.
        cidr: only those in this network, such as ``10.0.0.0/8``; of every network when empty.

    Raises:
        CommandFailedError: there is no such interface, or ``cidr`` is no network of this family.
    """
    from ipaddress import IPv4Network, IPv6Network, ip_address

    chosen = interfaces.values() if not interface else (find_interface(interfaces, interface),)
    network = None
    if cidr:
        try:
            network = (IPv4Network if family == "inet" else IPv6Network)(cidr, strict=False)
        except ValueError as problem:
            raise CommandFailedError(f"{cidr[:140]!r} is no network: {problem}") from problem
    found = {ip_address(text) for one in chosen for text in one.addresses(family)}
    return [
        str(address)
        for address in sorted(found, key=int)
        if (include_loopback or not address.is_loopback) and (network is None or address in network)
    ]


def find_interface(interfaces: Mapping[str, Interface], name: str) -> Interface:
    """Return the interface of that name.

    Raises:
        CommandFailedError: there is none; the message lists those that there are.
    """
    if name not in interfaces:
        raise CommandFailedError(f"there is no interface {name[:140]!r}; there are {', '.join(sorted(interfaces))}")
    return interfaces[name]
