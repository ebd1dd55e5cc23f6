"""Fixtures of all tests: real fleets in throw-away folders, and a guard that nothing is left behind."""

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from support.fleet import Fleet
from support.leaks import no_leaks

HERE = Path(__file__).parent

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("fleet", deadline=None)
hypothesis.settings.load_profile("fleet")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage once, at the end, among what is made here: nearly all of it stays, and is not gone through again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()  # What was left open in a cycle is to be complained of.
        gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what alters the machine, unless it is asked for."""
    if os.environ.get("FLEET_TEST_SYSTEM") != "1":
        for item in items:
            if "system" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="alters the machine; FLEET_TEST_SYSTEM=1 runs it"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep a failure readable that shows lone surrogates: a worker cannot send such text, and would end the whole run."""
    report = yield
    text = str(report.longrepr)
    if report.failed and not text.isascii():
        report.longrepr = text.encode("utf-8", "backslashreplace").decode()
    return report


@pytest.fixture(autouse=True)
def _no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Guard each test that starts no fleet."""
    if {HERE / "e2e", HERE / "attack", HERE / "scale"} & set(request.path.parents):
        yield
        return
    with no_leaks():
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> Iterator[None]:
    """Keep the caller's settings out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("FLEET_") and not name.startswith("FLEET_TEST_")]:
            patch.delenv(name)
        yield


@pytest.fixture
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet of the test's own; nothing is started. Its path is short, because a Unix socket's has 107 bytes."""
    with Fleet(tmp_path_factory.mktemp("f")) as own:
        yield own


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three minions, web-1, web-2 and db-1, for tests that change nothing of them."""
    with Fleet(tmp_path_factory.mktemp("f")) as shared:
        shared.start_master()
        shared.start_minion("web-1", kill_after_seconds=0.5, grains={"roles": ["web", "edge"], "site": "berlin"})
        shared.start_minion("web-2", grains={"roles": ["web"], "site": "oslo"})
        shared.start_minion("db-1", grains={"roles": ["db"], "site": "berlin"})
        shared.accept_all()
        yield shared
