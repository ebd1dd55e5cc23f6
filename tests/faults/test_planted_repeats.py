"""A minion that runs an order once more when it comes once more is found out."""

import pytest

from faults.planted import PLANTED_TIMEOUT_SECONDS, check_that_it_is_found

pytestmark = pytest.mark.timeout(PLANTED_TIMEOUT_SECONDS)


def test_a_planted_bug_is_found(tmp_path_factory: pytest.TempPathFactory) -> None:
    check_that_it_is_found("no-deduplication", lambda: tmp_path_factory.mktemp("f"))
