"""How daemons log: one line a thing, UTC, to stderr."""

import logging
import time

LEVELS = ("debug", "info", "warning", "error")


def log_to_stderr(level: str) -> None:
    """Log to stderr from this level on: ``2026-11-20T22:10:12Z info fleet.master.daemon: text``."""
    formatter = logging.Formatter("{asctime}Z {levelname} {name}: {message}", "%Y-%m-%dT%H:%M:%S", style="{")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    for number, name in ((10, "debug"), (20, "info"), (30, "warning"), (40, "error"), (50, "critical")):
        logging.addLevelName(number, name)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS.index(level) * 10 + 10)
