from collections.abc import Mapping

import pytest

from fleet.core.function_spec import FunctionSpec
from fleet.core.functions import Context, RunningJob
from fleet.core.names import FunctionName, MinionId
from fleet.core.values import Value
from fleet.modules.catalogue import function_specs

JOB = RunningJob("20261120221012000042", "cmd.run", ("sleep 60",), "root", "running", 4711, "2026-11-20T22:10:12Z")


class _RememberedContext:
    """A minion that is nothing but its grains, its functions and one running job."""

    def __init__(self) -> None:
        self.minion_id = MinionId("web-1")
        self.grains: dict[str, Value] = {
            "id": "web-1",
            "os": "Debian",
            "roles": ["web", "db"],
            "empty": "",
            "dns": {"search": ["example.net"], "port": 53},
            "a:b": "whole name",
        }
        self._jobs = [JOB]

    def functions(self) -> Mapping[FunctionName, FunctionSpec]:
        return function_specs()

    def running(self) -> tuple[RunningJob, ...]:
        return tuple(self._jobs)

    def cancel(self, jid: str) -> bool:
        before = len(self._jobs)
        self._jobs = [job for job in self._jobs if job.jid != jid]
        return len(self._jobs) < before

    def set_grain(self, key: str, value: Value) -> None:
        if value is None:
            self.grains.pop(key, None)
        else:
            self.grains[key] = value


@pytest.fixture
def context() -> Context:
    return _RememberedContext()
