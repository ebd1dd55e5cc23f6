"""Why one of the master's ports cannot be had, and what to do about it: the same words for all three."""

import errno
import os

from ..core.errors import TransportError
from ..core.excerpt import shorten


def refused_port(name: str, interface: str, port: int, number: int) -> TransportError:
    """Make the error for a port that cannot be opened.

    Args:
        name: ``publish``, ``request`` or ``enrol``; with ``_port`` it is the setting.
        interface: as configured.
        port: likewise.
        number: what the system says, as in ``errno``.
    """
    title = "enrolment" if name == "enrol" else name
    if number == errno.EADDRINUSE:
        also = (
            ", and give it to the minions as `master: HOST:PORT`"
            if name == "enrol"
            else "; minions learn it by themselves"
        )
        return TransportError(
            f"the {title} port {port} on {interface} is in use by another process",
            f"another master may be running: `ss -ltnp 'sport = :{port}'` shows which process it is; "
            f"or set `{name}_port` in master.yaml{also}",
        )
    if number == errno.EACCES:
        return TransportError(
            f"this account may not open the {title} port {port}",
            f"ports below 1024 are for root: set `{name}_port` in master.yaml to a higher one",
        )
    if number in {errno.EADDRNOTAVAIL, errno.ENODEV, errno.EINVAL}:
        return TransportError(
            f"the {title} port {port} cannot listen on {shorten(interface)}: this machine has no such address",
            "`ip address` shows those that it has; `interface` in master.yaml is one of them (without port and brackets), "
            "0.0.0.0 or ::",
        )
    if number in {errno.EMFILE, errno.ENFILE}:
        return TransportError(
            f"there is no descriptor left for the {title} port {port}", "raise LimitNOFILE of the unit, or ulimit -n"
        )
    return TransportError(
        f"the {title} port {port} on {interface} cannot be opened: {os.strerror(number)}",
        f"see `interface` and `{name}_port` in master.yaml",
    )
