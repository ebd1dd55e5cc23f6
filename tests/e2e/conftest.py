"""What the tests of a file share: a master, where each brings minions of its own, and daemons that are loaded to be refused."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from support.fleet import Fleet
from support.loaded import DAEMONS, Loaded
from support.sharing import remove_minions


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Loaded]]:
    """The daemons' commands, loaded: what they refuse they are asked dozens of times."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("f")
        environment = stack.enter_context(Fleet(folder)).environment()
        yield {command: stack.enter_context(Loaded(command, environment, folder)) for command in DAEMONS}


@pytest.fixture(scope="module")
def lasting_master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A master without minions, for ``one_master``."""
    with Fleet(tmp_path_factory.mktemp("f")) as shared:
        shared.start_master()
        yield shared


@pytest.fixture
def one_master(lasting_master: Fleet) -> Iterator[Fleet]:
    """A running master that has no key of any minion; what a test starts or leaves ends with it, but for events and jobs."""
    yield lasting_master
    try:
        remove_minions(lasting_master, *lasting_master.minions)
    finally:
        lasting_master.change_keys("delete", *(key.minion for key in lasting_master.client().keys().keys))
