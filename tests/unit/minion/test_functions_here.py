"""Whether a job can be called on this minion."""

import zlib
from types import SimpleNamespace
from typing import cast

import pytest

from fleet.core.crypto import digest
from fleet.core.errors import FleetError
from fleet.core.functions import Context
from fleet.core.job_document import Catalogue, JobDocument
from fleet.core.names import FunctionName, Jid
from fleet.core.outcome import OutcomeKind
from fleet.core.packing import decode
from fleet.minion import functions_here
from fleet.minion.functions_here import FunctionsHere


def document(function: str, *words: str) -> JobDocument:
    return JobDocument(Jid("1" * 20), FunctionName(function), words, (), (), {}, "root", 0, 0, 0.0, 1)


@pytest.fixture
def here() -> FunctionsHere:
    def on_problem(problem: FleetError) -> None:
        raise problem

    return FunctionsHere(on_problem)


def test_what_fits_is_not_refused(here: FunctionsHere) -> None:
    assert here.refuse(document("test.echo", "1.10")) is None
    assert here.bind(document("test.echo", "1.10")).positional == ("1.10",)
    assert here.is_instant(document("test.ping"))
    assert not here.is_instant(document("cmd.run", "true"))


def test_a_function_is_made_ready_once_with_the_context_where_it_wants_one(
    here: FunctionsHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = cast("Context", SimpleNamespace(grains={"os": "Debian"}))
    for _ in range(2):
        assert here.ready(FunctionName("test.echo"), context)("said") == "said"
        assert here.ready(FunctionName("grains.get"), context)("os") == "Debian"
        monkeypatch.delattr(functions_here, "load_function", raising=False)
    with pytest.raises(NameError):
        here.ready(FunctionName("test.ping"), context)


@pytest.mark.parametrize(
    ("job", "kind"),
    [
        (document("no.such"), OutcomeKind.UNKNOWN_FUNCTION),
        (document("test.no_such"), OutcomeKind.UNKNOWN_FUNCTION),
        (document("test.echo"), OutcomeKind.BAD_ARGUMENT),
        (document("test.ping", "one", "too", "many"), OutcomeKind.BAD_ARGUMENT),
    ],
)
def test_what_does_not_fit_is_refused_with_a_reason(here: FunctionsHere, job: JobDocument, kind: OutcomeKind) -> None:
    refused = here.refuse(job)

    assert refused is not None
    assert refused[0] is kind
    assert refused[1]


def test_a_broken_module_refuses_and_breaks_nothing_else(here: FunctionsHere, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_name: FunctionName) -> None:
        raise FleetError("the module cannot be imported", "repair it")

    monkeypatch.setattr(functions_here, "load_function", load)

    assert here.refuse(document("other.thing")) == (
        OutcomeKind.UNAVAILABLE,
        "the module cannot be imported; repair it",
    )


def test_the_catalogue_goes_deflated_under_its_digest(here: FunctionsHere) -> None:
    report = here.report()
    raw = zlib.decompress(report.deflated)

    assert report.digest == digest(raw)
    assert {spec.name for spec in decode(Catalogue, raw).functions} == set(here.all())
