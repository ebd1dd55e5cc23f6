"""Where everything lives: one root is one machine, with at most one master and one minion.

``--root DIR`` (or ``FLEET_ROOT``) moves the whole tree below DIR, unprivileged; without it these are the system's paths.
"""

from pathlib import Path

from .dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Paths:
    """The files and folders of one machine; nothing is created here.

    Attributes:
        root: ``/``, or the folder given with ``--root``.
    """

    root: Path

    @property
    def config(self) -> Path:
        """Configuration: ``etc/fleet``."""
        return self.root / "etc/fleet"

    @property
    def master_config(self) -> Path:
        """The master's configuration file."""
        return self.config / "master.yaml"

    @property
    def minion_config(self) -> Path:
        """The minion's configuration file."""
        return self.config / "minion.yaml"

    @property
    def client_config(self) -> Path:
        """The defaults of ``fleet`` and ``fleet-key``; it need not be there."""
        return self.config / "client.yaml"

    @property
    def master_state(self) -> Path:
        """The master's state folder, mode 0700."""
        return self.root / "var/lib/fleet/master"

    @property
    def minion_state(self) -> Path:
        """The minion's state folder, mode 0700."""
        return self.root / "var/lib/fleet/minion"

    @property
    def log(self) -> Path:
        """Log files of detached daemons."""
        return self.root / "var/log/fleet"

    @property
    def run(self) -> Path:
        """Sockets and pid files."""
        return self.root / "run/fleet"

    @property
    def control_socket(self) -> Path:
        """The master's control socket."""
        return self.run / "master.sock"
