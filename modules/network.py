"""The network as the machine sees it: interfaces, addresses, routes, connections, and whether another host answers."""

from pathlib import Path
from typing import Literal

from ..core.dataclass import dataclass
from ..core.functions import CommandFailedError, UnavailableError, function
from .network_interfaces import Interface, find_interface, read_interfaces, select_addresses
from .network_tables import (
    Neighbour,
    PingResult,
    Route,
    parse_ipv6_routes,
    parse_neighbours,
    parse_ping,
    parse_routes,
)

_KERNEL_TABLES = Path("/proc/net")
_TIMEOUT_LIMIT_SECONDS = 3600.0
_PING_COUNT_LIMIT = 100
_PING_SPARE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that was opened as a trial, and closed again.

    Attributes:
        address: which of the host's addresses answered.
        port: as asked.
        duration_ms: how long it took, the name look-up included.
    """

    address: str
    port: int
    duration_ms: float


@dataclass(frozen=True, slots=True)
class SocketRow:
    """One socket of the machine.

    Attributes:
        protocol: ``tcp``, ``tcp6``, ``udp`` or ``udp6``.
        local_address: its own address.
        local_port: its own port.
        remote_address: empty while nobody is connected.
        remote_port: 0 while nobody is connected.
        state: as the kernel calls it, such as ``LISTEN`` or ``ESTABLISHED``; ``NONE`` for UDP.
        pid: of a process that has it; none when the minion may not see that.
        program: the name of that process, or empty.
    """

    protocol: str
    local_address: str
    local_port: int
    remote_address: str
    remote_port: int
    state: str
    pid: int | None
    program: str


@function(reads=True)
def ip_addrs(interface: str = "", include_loopback: bool = False, cidr: str = "") -> list[str]:
    """List the IPv4 addresses of this machine, sorted, loopback left out.

    Args:
        interface: only those of this interface.
        include_loopback: also 127.0.0.0/8.
        cidr: only those in this network, such as 10.0.0.0/8.
    """
    return select_addresses(
        read_interfaces(), "inet", interface=interface, include_loopback=include_loopback, cidr=cidr
    )


@function(reads=True)
def ip_addrs6(interface: str = "", include_loopback: bool = False, cidr: str = "") -> list[str]:
    """List the IPv6 addresses of this machine, sorted, loopback left out.

    Args:
        interface: only those of this interface.
        include_loopback: also ::1.
        cidr: only those in this network, such as 2001:db8::/32.
    """
    return select_addresses(
        read_interfaces(), "inet6", interface=interface, include_loopback=include_loopback, cidr=cidr
    )


@function(reads=True)
def interfaces() -> dict[str, Interface]:
    """Return each network interface: whether it is up, its hardware address and its addresses."""
    return read_interfaces()


@function(reads=True)
def hw_addr(interface: str) -> str:
    """Return the hardware (MAC) address of an interface.

    Args:
        interface: its name, such as eth0.
    """
    hwaddr = find_interface(read_interfaces(), interface).hwaddr
    if not hwaddr:
        raise CommandFailedError(f"the interface {interface!r} has no hardware address")
    return hwaddr


@function(instant=True)
def get_hostname() -> str:
    """Return the name of this machine as its kernel has it; no name is looked up."""
    import os

    return os.uname().nodename


@function(reads=True)
def default_route(family: Literal["inet", "inet6", "all"] = "all") -> list[Route]:
    """List the routes to everywhere, those that are taken first in front.

    Args:
        family: inet for IPv4, inet6 for IPv6, all for both.
    """
    return sorted((route for route in routes(family) if route.is_default), key=lambda route: route.metric)


@function(reads=True)
def routes(family: Literal["inet", "inet6", "all"] = "all") -> list[Route]:
    """List the routes of the kernel's main table.

    Args:
        family: inet for IPv4, inet6 for IPv6, all for both.
    """
    found = []
    if family in {"inet", "all"}:
        found += parse_routes(_kernel_table("route"))
    if family in {"inet6", "all"}:
        found += parse_ipv6_routes(_kernel_table("ipv6_route"))
    return found


@function(reads=True)
def arp() -> list[Neighbour]:
    """List the machines in the same IPv4 networks that the kernel knows by their hardware address."""
    return parse_neighbours(_kernel_table("arp"))


@function(reads=True)
def netstat() -> list[SocketRow]:
    """List the TCP and UDP sockets of this machine; without root, those of other accounts show no process."""
    import socket

    import psutil

    rows = []
    names: dict[int | None, str] = {}
    for found in psutil.net_connections("inet"):
        if found.pid not in names:
            names[found.pid] = _program_name(found.pid)
        rows.append(
            SocketRow(
                protocol=("tcp" if found.type == socket.SOCK_STREAM else "udp")
                + ("6" if found.family == socket.AF_INET6 else ""),
                local_address=found.laddr.ip if found.laddr else "",
                local_port=found.laddr.port if found.laddr else 0,
                remote_address=found.raddr.ip if found.raddr else "",
                remote_port=found.raddr.port if found.raddr else 0,
                state=found.status,
                pid=found.pid,
                program=names[found.pid],
            )
        )
    return sorted(rows, key=lambda row: (row.protocol, row.local_port, row.local_address, row.remote_port))


@function(reads=True)
def active_tcp() -> list[SocketRow]:
    """List the TCP connections of this machine that are established."""
    return [row for row in netstat() if row.protocol.startswith("tcp") and row.state == "ESTABLISHED"]


@function(reads=True)
def connect(host: str, port: int, timeout: float = 5.0) -> Connection:
    """Open a TCP connection and close it again, to see whether a port can be reached from here.

    Args:
        host: a name or an address.
        port: 1 to 65535.
        timeout: how many seconds to wait for each address of the host.
    """
    import socket
    import time

    if not 1 <= port <= 65535:
        raise CommandFailedError(f"{port} is no port: those go from 1 to 65535")
    _check_timeout(timeout)
    started = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout) as connection:
            address = str(connection.getpeername()[0])
    except (OSError, UnicodeError) as problem:  # UnicodeError: a name that no look-up can ask for
        raise CommandFailedError(f"cannot connect to {host[:253]} port {port}: {problem}") from problem
    return Connection(address, port, round((time.monotonic() - started) * 1000, 3))


@function(reads=True)
def ping(host: str, timeout: float = 5.0, count: int = 3) -> PingResult:
    """Ask another host for echoes (ICMP) and return what came back; nothing at all is a failure.

    Args:
        host: a name or an address.
        timeout: how many seconds to wait for each echo; rounded up to whole ones.
        count: how many to ask for, one a second, 100 at most.
    """
    import math
    import os
    import subprocess
    from shutil import which

    _check_timeout(timeout)
    if not 1 <= count <= _PING_COUNT_LIMIT:
        raise CommandFailedError(f"{count} echoes are out of range: 1 to {_PING_COUNT_LIMIT}")
    if not host or host.startswith("-") or "\0" in host:  # ping would take it for an option
        raise CommandFailedError(f"{host[:253]!r} is no host")
    program = which("ping")
    if program is None:
        raise UnavailableError("this machine has no program 'ping' (Debian: the package iputils-ping)")
    wait_seconds = math.ceil(timeout)
    try:
        ended = subprocess.run(
            [program, "-n", "-c", str(count), "-W", str(wait_seconds), host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
            timeout=count * (1 + wait_seconds) + _PING_SPARE_SECONDS,
        )
    except subprocess.TimeoutExpired as problem:
        raise CommandFailedError(f"ping did not end within {problem.timeout:.0f} seconds") from problem
    result = parse_ping(ended.stdout.decode("utf-8", "replace"))
    if result is None:
        reason = ended.stderr.decode("utf-8", "replace").strip() or f"ping ended with exit code {ended.returncode}"
        raise CommandFailedError(f"cannot ping {host[:253]}: {reason[:500]}", retcode=ended.returncode)
    if not result.received:
        raise CommandFailedError(
            f"no echo from {host[:253]}: {result.sent} sent, none came back",
            value={"sent": result.sent, "received": 0, "loss_percent": result.loss_percent},
            retcode=ended.returncode,
        )
    return result


def _check_timeout(seconds: float) -> None:
    if not 0.0 < seconds <= _TIMEOUT_LIMIT_SECONDS:
        raise CommandFailedError(f"a timeout of {seconds} seconds makes no sense: more than 0, an hour at most")


def _kernel_table(name: str) -> str:
    """Read a table of the kernel; one that is not there (IPv6 switched off) is empty."""
    try:
        return (_KERNEL_TABLES / name).read_text("ascii", "replace")
    except FileNotFoundError:
        return ""


def _program_name(pid: int | None) -> str:
    import psutil

    try:
        return "" if pid is None else psutil.Process(pid).name()
    except psutil.Error:  # gone, or not ours to see
        return ""
