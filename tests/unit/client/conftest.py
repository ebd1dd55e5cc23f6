from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.fake_master import FakeMaster, Start


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a fake master that the commands and the client find by FLEET_ROOT."""
    monkeypatch.setenv("FLEET_ROOT", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(FakeMaster(tmp_path / "run/fleet/master.sock", script))
