"""Returns that a master acknowledges before they are stored, and that a minion drops at its restart, are missed."""

import pytest

from faults.planted import PLANTED_TIMEOUT_SECONDS, check_that_it_is_found

pytestmark = pytest.mark.timeout(PLANTED_TIMEOUT_SECONDS)


@pytest.mark.parametrize("bug", ["acknowledge-before-commit", "spool-dropped-at-restart"])
def test_a_planted_bug_is_found(bug: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    check_that_it_is_found(bug, lambda: tmp_path_factory.mktemp("f"))
