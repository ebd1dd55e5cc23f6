import pytest

from fleet.core.control_requests import ListJobs
from fleet.core.errors import ArgumentError
from fleet.master.store_pages import JOB_STATES, filter_of


def test_of_several_states_any_is_meant_and_other_filters_hold_for_all_of_them() -> None:
    condition, parameters = filter_of(ListJobs(0, "", user="ada", state="failed,running,failed"))
    assert condition == "user = ? AND (failed > 0 OR finished_us IS NULL)"
    assert parameters == ("ada",)


def test_every_state_may_be_named_alone_and_together() -> None:
    for states in (*JOB_STATES, ",".join(JOB_STATES)):
        assert filter_of(ListJobs(0, "", state=states))[0]


@pytest.mark.parametrize(
    "states", [",", "failed,", "failed, lost", "1=1", "failed) OR (1=1", "failed,x; DROP TABLE jobs"]
)
def test_nothing_but_the_names_of_states_gets_into_the_statement(states: str) -> None:
    with pytest.raises(ArgumentError, match="is no state of a job"):
        filter_of(ListJobs(0, "", state=states))
