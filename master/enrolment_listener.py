"""Opening the enrolment port: one socket for IPv4 or for both families, and a plain reason when it cannot be had."""

import socket

from ..core.errors import TransportError
from .refused_port import refused_port

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
        raise refused_port("enrol", interface, port, problem.errno or 0) from problem
    return listener


def source_of(address: str) -> str:
    """Return what connections are counted by: the IPv4 address, or the first 64 bits of the IPv6 address in hexadecimal.

    One machine can have every address below its 64 bits.
    """
    if ":" not in address:
        return address
    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0])[:8].hex()
