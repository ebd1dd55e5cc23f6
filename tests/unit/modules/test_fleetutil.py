import pytest

from fleet.core.functions import CommandFailedError, Context
from fleet.modules import fleetutil


def test_running_jobs_are_listed(context: Context) -> None:
    assert [job.function for job in fleetutil.running(context)] == ["cmd.run"]


def test_a_job_is_found_by_its_jid_and_another_is_not(context: Context) -> None:
    (job,) = context.running()
    assert fleetutil.find_job(context, job.jid) is job
    assert fleetutil.find_job(context, "20991231235959000000") is None


def test_a_running_job_is_stopped_once(context: Context) -> None:
    (job,) = context.running()
    assert fleetutil.kill_job(context, job.jid) is True
    assert context.running() == ()
    assert fleetutil.kill_job(context, job.jid) is False


@pytest.mark.parametrize("jid", ["", "42", "2026112022101200004x", "../../etc/passwd"])
def test_what_is_no_jid_is_refused(context: Context, jid: str) -> None:
    with pytest.raises(CommandFailedError, match="no jid"):
        fleetutil.kill_job(context, jid)
    with pytest.raises(CommandFailedError, match="no jid"):
        fleetutil.find_job(context, jid)
    assert len(context.running()) == 1
