"""The Python client, and the commands ``fleet`` and ``fleet-key``.

``from fleet.client import Client`` is the public way in; it is loaded when it is asked for, so that ``fleet --help`` stays light.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import Client
    from .job_stream import JobStream
    from .results import JobRecord, MinionResult, RunResult

__all__ = ["Client", "JobRecord", "JobStream", "MinionResult", "RunResult"]


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for (PEP 562)."""
    from importlib import import_module

    modules = {"Client": "client", "JobStream": "job_stream"}
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{modules.get(name, 'results')}", __name__), name)
