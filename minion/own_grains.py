"""The grains of this minion as they are now: what was found out, and over it what the operator states."""

import os
from collections.abc import Mapping
from pathlib import Path

from ..core.messages import GrainsReport
from ..core.names import MinionId
from ..core.values import Value
from .self_description import grains_report
from .static_grains import load_static_grains, write_static_grain


class OwnGrains:
    """Found grains, then those of the grains file, then those of ``minion.yaml``; the later win, but ``id`` is the minion's own.

    Args:
        minion_id: the grain ``id``.
        found: what was found out about the machine.
        configured: the setting ``grains``.
        file: the grains file, which ``grains.setval`` writes.
    """

    def __init__(
        self, minion_id: MinionId, found: Mapping[str, Value], configured: Mapping[str, Value], file: Path
    ) -> None:
        self._minion_id = minion_id
        self._found = found
        self._configured = configured
        self._file = file
        self.warnings: tuple[str, ...] = ()
        self.values: Mapping[str, Value] = {}
        self._load()

    def set(self, key: str, value: Value) -> None:
        """Write one grain into the grains file; ``None`` removes it.

        Raises:
            SettingsError: the file cannot be written, or the key is no name.
        """
        self._file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_static_grain(self._file, key, value)
        self._load()

    def report(self) -> GrainsReport:
        """All grains under their digest."""
        return grains_report(self.values)

    def _load(self) -> None:
        static = load_static_grains(self._file)
        self.warnings = static.warnings
        own: dict[str, Value] = {"id": self._minion_id, "pid": os.getpid()}
        self.values = {**self._found, **static.values, **self._configured, **own}
