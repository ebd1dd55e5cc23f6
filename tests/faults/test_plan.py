"""A seed names a run: the same faults and the same jobs."""

import subprocess
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from faults.history import OUTSIDE, Ran, read_outside
from faults.orders import SCRIPT, Mix, Order, OrderKind, orders
from faults.plan import MASTER, OF_MASTER, OF_MINION, SECONDS, FaultKind, deal

EVERY = tuple(FaultKind)
MINIONS = ("m1", "m2", "m3")


def test_the_same_seed_deals_the_same_faults_and_another_one_deals_others() -> None:
    first, again, other = (list(islice(deal(seed, "m1", EVERY), 60)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first != list(islice(deal(1, "m2", EVERY), 60))


@pytest.mark.parametrize(("lane", "kinds"), [(MASTER, OF_MASTER), ("m1", OF_MINION)])
def test_every_kind_is_dealt_as_often_as_every_other(lane: str, kinds: tuple[FaultKind, ...]) -> None:
    dealt = list(islice(deal(7, lane, EVERY), 10 * len(kinds)))
    assert Counter(fault.kind for fault in dealt) == dict.fromkeys(kinds, 10)
    assert all(SECONDS[fault.kind][0] <= fault.seconds <= SECONDS[fault.kind][1] for fault in dealt)
    assert sum(fault.is_inside for fault in dealt) > len(dealt) / 2


def test_a_lane_without_a_fault_of_its_own_is_dealt_none() -> None:
    assert list(deal(1, MASTER, [FaultKind.CUT])) == []


def test_the_same_seed_draws_the_same_jobs_each_with_a_token_of_its_own() -> None:
    first, again = (list(islice(orders(1, 0, MINIONS), 200)) for _ in range(2))
    assert first == again
    assert {order.kind for order in first} == set(OrderKind)
    assert len({order.token for order in (*first, *islice(orders(1, 1, MINIONS), 200))}) == 400


def test_a_mix_says_how_many_are_cancelled_and_how_many_are_for_all() -> None:
    drawn = list(islice(orders(1, 0, MINIONS, Mix(cancelled_of_ten=10, all_of_ten=10)), 50))
    assert all(order.cancel_after_seconds is not None and order.target == "*" for order in drawn)


def ran(tmp_path: Path, kind: OrderKind, count: int, code: int) -> tuple[subprocess.CompletedProcess[bytes], Ran]:
    order = Order("s0-00001", kind, "m1", count, 0.0, code, 0.0, 0.0, None, is_watched=False, is_typed=False)
    (tmp_path / "job.sh").write_text(SCRIPT)
    (tmp_path / OUTSIDE).mkdir(exist_ok=True)
    _, (command,) = order.call(str(tmp_path / "job.sh"))
    done = subprocess.run(
        ["/bin/sh", "-c", str(command)],
        env={"FLEET_ROOT": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    return done, read_outside(tmp_path)[order.token]


@pytest.mark.parametrize("kind", [OrderKind.QUICK, OrderKind.LARGE])
def test_a_program_writes_down_outside_what_it_prints(tmp_path: Path, kind: OrderKind) -> None:
    done, seen = ran(tmp_path, kind, 3, 42)
    assert (done.returncode, seen.code, seen.starts) == (42, 42, 1)
    assert (done.stdout, done.stderr) == (seen.stdout, seen.stderr)
    assert done.stdout
    assert len(done.stdout) == 450_000 or kind is not OrderKind.LARGE


def test_a_second_start_of_the_same_program_is_seen_from_outside(tmp_path: Path) -> None:
    ran(tmp_path, OrderKind.QUICK, 1, 0)
    assert ran(tmp_path, OrderKind.QUICK, 1, 0)[1].starts == 2
