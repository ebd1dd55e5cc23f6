"""A network of the harness's own: the master in one network namespace, the minions in another, and a cable between them."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

_PREFIX = "fleet-chaos"
#: Of a network that is for documentation (RFC 5737), so that it is nobody's.
_MASTER, _MINIONS = "192.0.2.1", "192.0.2.2"


def why_no_namespaces() -> str:
    """Say why there can be no network namespaces here; empty when there can. Tried, because root in a container often may not."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if shutil.which("ip") is None:
        return "there is no ip command (iproute2)"
    probe = f"{_PREFIX}-probe-{os.getpid()}"
    done = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        _ip("netns", "delete", probe)
    return "" if done.returncode == 0 else f"ip says: {done.stderr.strip()}"


class Cable:
    """Two machines with one cable; ``with`` ends both.

    Attributes:
        address: of the master.
    """

    address = _MASTER

    def __init__(self) -> None:
        """Clear away what runs left that were killed, and make a network."""
        for name in _ours():
            if not Path(f"/proc/{name.rpartition('-')[2]}").exists():
                _ip("netns", "delete", name)
        number = os.getpid()
        self._master, self._minions = f"{_PREFIX}-master-{number}", f"{_PREFIX}-minions-{number}"
        try:
            for name in (self._master, self._minions):
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", self._master, "link", "add", "cable", "type", "veth", "peer", "cable", "netns", self._minions)
            for name, address in ((self._master, _MASTER), (self._minions, _MINIONS)):
                _ip("-n", name, "address", "add", f"{address}/30", "dev", "cable")
                _ip("-n", name, "link", "set", "cable", "up")
        except BaseException:
            self.close()
            raise

    def of_master(self, *words: str) -> tuple[str, ...]:
        """The words that start a program on the machine of the master."""
        return ("ip", "netns", "exec", self._master, *words)

    def of_minions(self, *words: str) -> tuple[str, ...]:
        """The words that start a program on the machine of the minions."""
        return ("ip", "netns", "exec", self._minions, *words)

    def pull(self) -> None:
        """Pull the cable: both sides see a link that is down, and no connection is told anything."""
        _ip("-n", self._master, "link", "set", "cable", "down")

    def plug_in(self) -> None:
        """Plug it in again."""
        _ip("-n", self._master, "link", "set", "cable", "up")

    def close(self) -> None:
        """Remove both namespaces, and with them the cable."""
        for name in (self._master, self._minions):
            if name in _ours():
                _ip("netns", "delete", name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ours() -> list[str]:
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return [name for line in done.stdout.splitlines() if (name := line.split()[0]).startswith(_PREFIX)]


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()}"
