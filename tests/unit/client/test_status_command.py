import json

import pytest

from fleet import __version__
from fleet.client.fleet_command import main
from fleet.client.status_command import figure_text, name_of
from fleet.core.control_answers import MasterStatus, QueueFigure
from fleet.core.control_requests import AskStatus
from support.fake_master import MOMENT_US, Start

Captured = pytest.CaptureFixture[str]

STATUS = MasterStatus(
    __version__,
    "ozmg-3c4f",
    42,
    MOMENT_US,
    MOMENT_US + 5_000_000,
    "root",
    {"publish": "0.0.0.0:4605"},
    {"up": 3},
    {"pending": 1},
    {"garbage": 1234},
    1_795_000_000_000_007,
    (QueueFigure("store_changes", 3, 50_000), QueueFigure("store_bytes", 0, 2**26), QueueFigure("free", 1, 0)),
    {"file_bytes": 4096, "jobs": 1200},
    {"rss_bytes": 2**25, "cpu_user_ms": 1_500},
    {"cpus": 2},
    (0.5, 0.25, 0.125),
)


def test_the_status_is_groups_with_units(start: Start, capsys: Captured) -> None:
    start({AskStatus: [STATUS]})
    assert main(["status"]) == 0
    assert (
        capsys.readouterr().out
        == f"""\
MASTER
  version      {__version__}
  fingerprint  ozmg-3c4f
  user         root
  pid          42
  started      2026-11-20 22:10:12 UTC, 5.0 s ago

SOCKETS
  publish  0.0.0.0:4605

MINIONS
  up  3

KEYS
  pending  1

QUEUES, now and at the most
  store changes  3 / 50,000
  store          0 B / 64.0 MiB
  free           1 / no limit

JOB CACHE
  file  4.0 KiB
  jobs  1,200

PROCESS
  rss       32.0 MiB
  cpu user  1.5 s

MACHINE
  cpus  2
  load  0.50  0.25  0.12

COUNTERS, since the start
  garbage  1,234
"""
    )


def test_the_document_has_the_names_that_scripts_rely_on(start: Start, capsys: Captured) -> None:
    start({AskStatus: [STATUS]})
    assert main(["stat", "--out", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["pid"], document["minions"], document["counters"]) == (42, {"up": 3}, {"garbage": 1234})
    assert document["newest_event"] == 1_795_000_000_000_007
    assert document["queues"]["store_changes"] == {"now": 3, "limit": 50_000}
    assert document["job_cache"] == {"file_bytes": 4096, "jobs": 1200}
    assert document["process"] == {"rss_bytes": 2**25, "cpu_user_ms": 1_500}
    assert (document["machine"], document["load"]) == ({"cpus": 2}, [0.5, 0.25, 0.125])


@pytest.mark.parametrize(
    ("name", "number", "text"),
    [
        ("x_bytes", 1023, "1023 B"),
        ("x_bytes", 1024, "1.0 KiB"),
        ("x_bytes", 5 * 2**50, "5120.0 TiB"),
        ("x_ms", 200_000, "3 min"),
        ("x", 1_000_000, "1,000,000"),
    ],
)
def test_the_end_of_a_name_says_the_unit(name: str, number: int, text: str) -> None:
    assert figure_text(name, number) == text
    assert name_of("a_b_bytes") == "a b"
