"""Opening the enrolment port: one socket for IPv4 or for both families, and a plain reason when it cannot be had."""

import errno
import socket

from ..core.errors import TransportError

#: The kernel's queue: what 200 accepts a second empty in little more than a second.
BACKLOG = 256
#: The kernel, too, keeps little for a stranger; it doubles this.
_RECEIVE_BUFFER_BYTES = 4096


def open_listener(interface: str, port: int) -> socket.socket:
    """Listen on the enrolment port, without blocking.

    Args:
        interface: an address of this machine; ``::`` takes IPv6 and IPv4.
        port: 0 for any.

    Raises:
        TransportError: it cannot be opened; the message says why, and the hint what to do.
    """
    try:
        found = socket.getaddrinfo(interface, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as problem:
        raise TransportError(
            f"the enrolment port cannot listen on {interface!r}: {problem.strerror}",
            "`interface` in master.yaml is an address of this machine, 0.0.0.0 or ::",
        ) from problem
    family, kind, protocol, _, name = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Inherited by every connection: the kernel, too, keeps little for a stranger.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        listener.bind(name)
        listener.listen(BACKLOG)
    except OSError as problem:
        listener.close()
        raise _refusal(interface, port, problem) from problem
    return listener


def _refusal(interface: str, port: int, problem: OSError) -> TransportError:
    if problem.errno == errno.EADDRINUSE:
        return TransportError(
            f"the enrolment port {port} on {interface} is in use by another process",
            f"another master may be running: `ss -ltnp 'sport = :{port}'` shows which process it is; "
            "or set `enrol_port` in master.yaml, and give it to the minions as `master: HOST:PORT`",
        )
    if problem.errno == errno.EACCES:
        return TransportError(
            f"this account may not open the enrolment port {port}",
            "ports below 1024 are for root: set `enrol_port` in master.yaml to a higher one",
        )
    if problem.errno == errno.EADDRNOTAVAIL:
        return TransportError(
            f"the enrolment port {port} cannot listen on {interface}: this machine has no such address",
            "`ip address` shows those that it has; `interface` in master.yaml is one of them, 0.0.0.0 or ::",
        )
    return TransportError(f"the enrolment port {port} on {interface} cannot be opened: {problem.strerror}")


def source_of(address: str) -> str:
    """Return what connections are counted by: the IPv4 address, or the first 64 bits of the IPv6 address in hexadecimal.

    One machine can have every address below its 64 bits.
    """
    if ":" not in address:
        return address
    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0])[:8].hex()
