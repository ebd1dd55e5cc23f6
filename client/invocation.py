"""One call of a command, as its verb sees it: words, options, where the master is, how to print."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.dataclass import dataclass
from ..core.errors import UsageError
from ..core.options import Scanned, nearest
from .report import Report

if TYPE_CHECKING:
    from pathlib import Path

    from .client import Client
    from .config import ClientDefaults


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a command.

    Attributes:
        words: what follows the words of the verb.
        literals: what stood after ``--``.
        options: which options were given.
        report: where to say things.
        defaults: what counts when the options do not say it.
    """

    words: tuple[str, ...]
    literals: tuple[str, ...]
    options: Scanned
    report: Report
    defaults: "ClientDefaults"

    def client(self) -> "Client":
        """Make a client for the master that the options mean; nothing is connected yet."""
        from .client import Client

        socket = self.options.text("--socket") or self.defaults.socket
        client = Client(self.options.text("--root") or None, socket or None)
        if self.report.is_verbose:
            self.report.detail(f"master: {client.socket_path}, as user {user_name()}")
        return client

    def form(self, allowed: Sequence[str], default: str) -> str:
        """Choose how to print: what ``--out`` says, else ``default``.

        Raises:
            UsageError: ``--out`` names a form that this verb has not.
        """
        form = self.options.text("--out")
        if not form:
            return default
        if form not in allowed:
            near = nearest(form, list(allowed))
            raise UsageError(
                f"--out {form[:40]!r} is not possible here",
                f"{f'did you mean {near}? ' if near else ''}one of: {', '.join(allowed)}",
            )
        return form

    def default_form(self, *, is_terminal: bool) -> str:
        """Choose how to print the results of a run without ``--out``: FLEET_OUT, ``client.yaml``, else what fits the place."""
        return self.defaults.form or ("fold" if is_terminal else "nested")

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at stdout."""
        return sys.stdout.isatty()

    def has_color(self, *, is_terminal: bool) -> bool:
        """Whether results get colours: ``--color`` and ``--no-color`` decide, then NO_COLOR, FORCE_COLOR and the terminal."""
        if self.options.flag("--no-color"):
            return False
        if self.options.flag("--color"):
            return True
        if os.environ.get("NO_COLOR"):
            return False
        return bool(os.environ.get("FORCE_COLOR")) or (is_terminal and os.environ.get("TERM") != "dumb")


def user_name() -> str:
    """Name the account that runs this command, as the master will see it."""
    import pwd

    uid = os.geteuid()
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def state_folder(root: str) -> "Path":
    """The master's state folder below the root that the options and FLEET_ROOT mean."""
    from pathlib import Path

    from ..core.paths import Paths

    return Paths(Path(root or os.environ.get("FLEET_ROOT") or "/")).master_state
