"""The grains of this minion as they are now: what was found out, and over it what the operator states."""

import os
from collections.abc import Mapping
from pathlib import Path

from ..core.errors import SettingsError
from ..core.from_minion import GrainsReport
from ..core.names import MinionId
from ..core.values import Value
from .grain_limits import GRAINS_LIMIT_BYTES, keep_what_travels
from .self_description import grains_report
from .static_grains import load_static_grains, write_static_grain

#: What no file can say otherwise.
_OWN = frozenset({"id", "pid"})


class OwnGrains:
    """Found grains, then those of the grains file, then those of ``minion.yaml``; the later win, but ``id`` is the minion's own.

    Args:
        minion_id: the grain ``id``; also an attribute.
        found: what was found out about the machine.
        configured: the setting ``grains``.
        file: the grains file, which ``grains.setval`` writes.
    """

    def __init__(
        self, minion_id: MinionId, found: Mapping[str, Value], configured: Mapping[str, Value], file: Path
    ) -> None:
        self.minion_id = minion_id
        self._found = found
        self._configured = configured
        self._file = file
        self.warnings: tuple[str, ...] = ()
        self.values: Mapping[str, Value] = {}
        self._load()

    def set(self, key: str, value: Value) -> None:
        """Write one grain into the grains file; ``None`` removes it.

        Raises:
            SettingsError: the file cannot be written, the key is no name, the value is too large, or what is set would not
                count: see ``check_settable``.
        """
        check_settable(key, self._configured)
        wanted = self._merge({**load_static_grains(self._file).values, key: value})
        if value is not None and key not in keep_what_travels(wanted)[0]:
            raise SettingsError(
                f"the grain {key!r} is too large: all grains together may take {GRAINS_LIMIT_BYTES} bytes",
                "grains are facts to choose minions by; put content into a file",
            )
        self._file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_static_grain(self._file, key, value)
        self._load()

    def report(self) -> GrainsReport:
        """All grains under their digest."""
        return grains_report(self.values)

    def _load(self) -> None:
        static = load_static_grains(self._file)
        self.values, too_large = keep_what_travels(self._merge(static.values))
        self.warnings = (*static.warnings, *too_large)

    def _merge(self, static: Mapping[str, Value]) -> dict[str, Value]:
        own: dict[str, Value] = {"id": self.minion_id, "pid": os.getpid()}
        return {**self._found, **static, **self._configured, **own}


def check_settable(key: str, configured: Mapping[str, Value]) -> None:
    """Check that what the grains file says of a grain counts.

    Args:
        key: the name of the grain.
        configured: the setting ``grains``, which wins over the file.

    Raises:
        SettingsError: it does not, so that to write it would look like a success and change nothing.
    """
    if key in configured:
        raise SettingsError(
            f"the grain {key!r} is set in minion.yaml, which wins over the grains file: nothing was changed",
            "change it under `grains` in minion.yaml and restart the minion",
        )
    if key in _OWN:
        raise SettingsError(f"the grain {key!r} is the minion's own: it cannot be set", "choose another name")
