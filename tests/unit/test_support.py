"""The guards of the tests can fail: each finds what it is there to find."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support.leaks import no_leaks
from support.ports import free_ports
from support.processes import MARK, end_marked_processes, marked_processes
from support.wait import wait_until


def test_a_thread_that_stays_is_found() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="stays")
    with pytest.raises(AssertionError, match="thread stays"), no_leaks():
        thread.start()
    end.set()
    thread.join()


def test_a_descriptor_that_stays_open_is_found() -> None:
    descriptors: list[int] = []
    with pytest.raises(AssertionError, match="descriptor"), no_leaks():
        descriptors += os.pipe()
    for descriptor in descriptors:
        os.close(descriptor)


def test_a_child_that_stays_is_found() -> None:
    children = []
    with pytest.raises(AssertionError, match="child"), no_leaks():
        children.append(subprocess.Popen(["sleep", "60"]))
    for child in children:
        child.kill()
        child.wait()


def test_a_wait_that_ends_says_what_it_saw_last() -> None:
    with pytest.raises(AssertionError, match=r"for a wonder; last state: 0"):
        wait_until(lambda: 0, 0.01, "a wonder")


def test_marked_processes_are_found_below_others_and_ended(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("f")
    with subprocess.Popen(
        ["sh", "-c", "sleep 60 & sleep 60"], env={"PATH": os.defpath, MARK: str(folder)}, start_new_session=True
    ) as shell:
        wait_until(lambda: len(marked_processes(folder)) == 3, 5, "the shell and its two children")
        assert len(end_marked_processes(folder)) == 3
        assert shell.wait(5) == -9
    assert marked_processes(folder) == {}


def test_free_ports_differ_and_are_no_ports_of_outgoing_connections() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    lowest_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports) < max(lowest_outgoing, 12_000)


def test_the_python_of_the_tests_does_not_look_into_the_folder_it_was_started_in() -> None:
    assert "" not in sys.path
    assert os.getcwd() not in sys.path
