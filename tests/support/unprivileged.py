"""Commands run by an account without privileges: nobody, who may run the system's Python and read the installed package."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import pytest

from support.processes import Completed, run_command

NOBODY = 65_534


def run_as_nobody(command: Path, *words: str, environment: Mapping[str, str], seconds: float = 30) -> Completed:
    """Run one of our commands as nobody, whose Python may be another one than the tests'; skip the test where none will do."""
    python = _python_of_nobody()
    if python is None:
        pytest.skip("nobody can run no Python of this version, or this is not root")
    packages = {"PYTHONPATH": sysconfig.get_path("purelib")}
    return run_command([*_become(), python, "-P", str(command), *words], dict(environment) | packages, seconds=seconds)


def _become() -> list[str]:
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


@lru_cache
def _python_of_nobody() -> str | None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return None
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/python{version}"):
        probe = [*_become(), python, "-P", "-c", "import sys, fleet.client; print('%d.%d' % sys.version_info[:2])"]
        environment = {"PYTHONPATH": sysconfig.get_path("purelib"), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(probe, env=environment, cwd="/", capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return python
    return None
