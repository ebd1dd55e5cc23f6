"""A master that the tests of a file share, where each brings minions of its own."""

from collections.abc import Iterator

import pytest

from support.fleet import Fleet
from support.sharing import remove_minions


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
