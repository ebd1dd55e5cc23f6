"""Where a daemon listens: a host and a port, read from the words that people write.

::

    salt.example.org         a name, or an IPv4 address, on the default port
    salt.example.org:4700    with a port
    2001:db8::7              a bare IPv6 address, on the default port
    [2001:db8::7]:4700       an IPv6 address with a port; without one the brackets may stay
    fe80::1%eth0             a link-local address names its interface
"""

import re

from .dataclass import dataclass
from .errors import SettingsError

PORT_MAXIMUM = 65_535
_NAME_LIMIT_CHARACTERS = 253
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_HINT = "write HOST, HOST:PORT, an IPv6 address, or [IPV6]:PORT"


@dataclass(frozen=True, slots=True)
class HostPort:
    """One place to reach a daemon at.

    Attributes:
        host: a name or an address, IPv6 without its brackets.
        port: 1 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """Write it so that ``parse_endpoint`` reads the same back."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str, default_port: int) -> HostPort:
    """Read ``HOST``, ``HOST:PORT``, ``IPV6`` or ``[IPV6]:PORT``.

    Raises:
        SettingsError: it is none of these; the message says which part is wrong.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _refusal(text, "the bracket is not closed, or is followed by something other than ':PORT'")
        return HostPort(_check_ipv6(text, host), _read_port(text, rest[1:]) if rest else default_port)
    if text.count(":") > 1:
        return HostPort(_check_ipv6(text, text), default_port)
    host, colon, port = text.partition(":")
    return HostPort(_check_name(text, host), _read_port(text, port) if colon else default_port)


def is_address(host: str) -> bool:
    """Tell whether ``host`` is an IPv4 or IPv6 address, so that no name server need be asked."""
    return _is_ipv4(host) or _is_ipv6(host)


def _read_port(text: str, port: str) -> int:
    if _PORT.fullmatch(port) is None or not 1 <= int(port) <= PORT_MAXIMUM:
        raise _refusal(text, f"a port is a number from 1 to {PORT_MAXIMUM}")
    return int(port)


def _check_ipv6(text: str, host: str) -> str:
    if not _is_ipv6(host):
        raise _refusal(text, f"{host[:60]!r} is no IPv6 address")
    return host


def _check_name(text: str, host: str) -> str:
    """Check a name or an IPv4 address.

    What ends in a number must be a whole IPv4 address: the C library would read ``10.1`` as ``10.0.0.1``.
    """
    labels = host.removesuffix(".").split(".")
    if len(host) > _NAME_LIMIT_CHARACTERS or any(_LABEL.fullmatch(label) is None for label in labels):
        raise _refusal(text, f"{host[:60]!r} is no host name")
    if labels[-1].isdecimal() and not _is_ipv4(host):
        raise _refusal(text, f"{host[:60]!r} is no IPv4 address")
    return host


def _is_ipv4(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _is_ipv6(host: str) -> bool:
    import ipaddress

    address, percent, zone = host.partition("%")
    if percent and _ZONE.fullmatch(zone) is None:
        return False
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return True


def _refusal(text: str, reason: str) -> SettingsError:
    return SettingsError(f"{text[:80]!r} is no address of a daemon: {reason}", _HINT)
