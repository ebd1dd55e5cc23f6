"""What a minion reports of itself is read within limits, and kept under the digest that it has."""

import zlib

import pytest

from fleet.core.crypto import digest
from fleet.core.errors import ProtocolError
from fleet.core.from_minion import CatalogueReport, GrainsReport
from fleet.core.job_document import Catalogue
from fleet.core.names import MinionId
from fleet.core.packing import encode, encode_value
from fleet.master.minion_reports import (
    CATALOGUE_COST,
    CATALOGUE_LIMIT_BYTES,
    GRAINS_LIMIT_BYTES,
    REPORTS_BURST,
    ReportRates,
    read_catalogue,
    read_grains,
)

WEB = MinionId("web-1")
OTHER = b"\x07" * 32
EMPTY = encode(Catalogue(()))


def test_grains_are_kept_under_the_digest_that_they_have_and_not_under_the_one_that_was_named() -> None:
    kept = read_grains(GrainsReport(OTHER, {"os": "Debian"}))
    assert kept.digest == digest(encode_value({"os": "Debian"})) != OTHER
    assert kept.grains == {"os": "Debian"}


def test_grains_that_are_too_long_are_refused() -> None:
    with pytest.raises(ProtocolError, match="grains of"):
        read_grains(GrainsReport(OTHER, {"essay": "x" * GRAINS_LIMIT_BYTES}))


def test_a_catalogue_is_kept_under_the_digest_that_it_has() -> None:
    kept = read_catalogue(CatalogueReport(OTHER, zlib.compress(EMPTY)))
    assert kept.digest == digest(EMPTY) != OTHER
    assert kept.functions == ()


@pytest.mark.parametrize(
    ("deflated", "reason"),
    [
        (b"no stream of zlib", "does not inflate"),
        (zlib.compress(EMPTY * 100)[:-3], "cut off"),
        (zlib.compress(bytes(CATALOGUE_LIMIT_BYTES + 1)), "too long"),
    ],
)
def test_what_is_no_whole_catalogue_is_refused(deflated: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        read_catalogue(CatalogueReport(OTHER, deflated))


def test_a_minion_that_reports_without_end_is_held_back_and_the_others_are_not() -> None:
    rates = ReportRates()
    assert all(rates.may_report(WEB, 1.0, 0) for _ in range(int(REPORTS_BURST)))
    assert not rates.may_report(WEB, 1.0, 0)
    assert rates.may_report(MinionId("web-2"), CATALOGUE_COST, 0)
    assert rates.may_report(WEB, 1.0, 1_000_000)
