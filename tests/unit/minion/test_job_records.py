"""Requests and statuses survive being written and read, and damage is an error that names the file."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.errors import FleetError, StateError
from fleet.core.functions import RunningJob
from fleet.core.outcome import Outcome, OutcomeKind
from fleet.minion.job_records import JobStatus, read_request, read_status, write_request, write_status
from fleet.minion.process import ProcessIdentity
from support.jobs import request_for

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

IDENTITY = ProcessIdentity("boot", 12, 345)


@given(st.lists(PLAIN, max_size=4), st.dictionaries(st.text(), PLAIN, max_size=4))
def test_any_plain_arguments_come_back_as_they_were(arguments: list[object], options: dict[str, object]) -> None:
    running = RunningJob("20261120221012000042", "cmd.run", ("a", b"\0"), "root", "running", 7, "now")
    request = request_for("cmd.run", options=options, arguments=tuple(arguments), running=(running,))
    assert read_request(write_request(request), "job") == request


def test_a_map_that_looks_like_tagged_bytes_stays_a_map() -> None:
    request = request_for("cmd.run", {"bytes": "AAAA"}, {"map": {"x": b"\xff"}})
    assert read_request(write_request(request), "job").arguments == ({"bytes": "AAAA"}, {"map": {"x": b"\xff"}})


def test_a_status_comes_back_as_it_was() -> None:
    early = JobStatus(IDENTITY)
    late = replace(
        early,
        process=ProcessIdentity("boot", 13, 346),
        account="nobody",
        started_us=1,
        ended_us=2,
        duration_us=1,
        outcome=Outcome(OutcomeKind.FAILED, "exit code 3", True, None, "text", 3, "trace"),
        stdout_bytes=10,
        stderr_bytes=11,
        force_stopped=True,
    )
    assert read_status(write_status(early), "status") == early
    assert read_status(write_status(late), "status") == late


@given(st.binary(max_size=60))
def test_bytes_that_are_no_status_are_a_state_error(data: bytes) -> None:
    with pytest.raises(StateError, match="the file is damaged"):
        read_status(data, "the file")


@pytest.mark.parametrize("name", sorted(json.loads(write_status(JobStatus(IDENTITY)))))
def test_a_status_with_a_field_of_another_type_is_a_state_error(name: str) -> None:
    fields = json.loads(write_status(JobStatus(IDENTITY, IDENTITY, outcome=Outcome(OutcomeKind.OK))))
    with pytest.raises(StateError, match=name):
        read_status(json.dumps({**fields, name: [1]}).encode(), "the file")


def test_a_request_that_names_no_jid_is_refused() -> None:
    fields = json.loads(write_request(request_for()))
    with pytest.raises(FleetError, match="no jid"):
        read_request(json.dumps({**fields, "jid": "../../etc"}).encode(), "job")
