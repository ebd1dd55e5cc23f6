import os
import threading

import pytest

from fleet.master.process_figures import load_average, machine_figures, number_after, process_figures
from support.reference import MACHINE, PROCESS

STATUS = "Name:\tfleet\nVmRSS:\t  62148 kB\nThreads:\t5\nPss_Anon: 7 kB\nPss:  \nPss:\tx kB\n"


@pytest.mark.parametrize(
    ("name", "factor", "number"),
    [("VmRSS:", 1024, 62_148 * 1024), ("Threads:", 1, 5), ("Pss:", 1024, None), ("Vm", 1, None), ("", 1, None)],
)
def test_a_number_is_found_behind_its_name(name: str, factor: int, number: int | None) -> None:
    assert number_after(STATUS, name, factor) == number


def test_this_process_has_figures_and_each_is_explained() -> None:
    figures = process_figures()
    assert set(figures) == set(PROCESS)
    assert 0 < figures["pss_bytes"] <= figures["rss_bytes"]
    assert figures["threads"] >= threading.active_count()
    assert 3 <= figures["descriptors"] <= figures["descriptors_limit"]


def test_the_machine_has_figures_and_each_is_explained() -> None:
    figures = machine_figures()
    assert set(figures) == set(MACHINE)
    assert figures["cpus"] == os.cpu_count()
    assert 0 < figures["memory_available_bytes"] <= figures["memory_bytes"]
    assert len(load_average()) == 3
