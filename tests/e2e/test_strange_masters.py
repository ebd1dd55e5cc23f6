"""Masters that cannot be reached, are none, or have no descriptors left; and fleets over IPv6."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support.fleet import MASTER_READY, Fleet, open_descriptors
from support.proxy import PROXY_ADDRESS, TcpProxy
from support.wait import wait_until


@contextmanager
def something_listens(port: int, behave: Callable[[socket.socket], None]) -> Iterator[None]:
    """Listen in the place of a master, at the address of the proxies, and do something else than a master does."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((PROXY_ADDRESS, port)))

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    behave(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@contextmanager
def the_true_one_listens(fleet: Fleet) -> Iterator[None]:
    """Let the master, which other tests have too, be reached in that place."""
    with ExitStack() as stack:
        for port in (fleet.publish_port, fleet.request_port, fleet.enrol_port):
            stack.enter_context(TcpProxy(port))
        yield


def answer_as_a_web_server(connection: socket.socket) -> None:
    connection.settimeout(5)
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n")


def greet_as_ssh(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")


def say_nothing(connection: socket.socket) -> None:
    connection.settimeout(15)
    while connection.recv(1000):
        pass


def hang_up(connection: socket.socket) -> None:
    connection.settimeout(5)
    connection.recv(1000)


@pytest.mark.parametrize(
    ("behave", "expected"),
    [
        (answer_as_a_web_server, "what answers there is no fleet master: it says 'HTTP/1.1 400 Bad Request"),
        (greet_as_ssh, "what answers there is no fleet master: it says 'SSH-2.0-OpenSSH_9.2p1"),
        (say_nothing, "the master did not answer in time"),
        (hang_up, "the master closed the connection"),
    ],
)
def test_what_listens_in_the_place_of_a_master_is_shown_and_the_true_one_is_found_later(
    one_master: Fleet, behave: Callable[[socket.socket], None], expected: str
) -> None:
    with something_listens(one_master.enrol_port, behave):
        minion = one_master.start_minion("web-1", master=f"{PROXY_ADDRESS}:{one_master.enrol_port}")
        minion.wait_for_log(expected, 30)
        assert "(`master` in minion.yaml names the master's enrolment port" in minion.log()
        assert "trying again" in minion.log()
    with the_true_one_listens(one_master):
        one_master.accept("web-1")
        assert one_master.json("fleet", "*", "test.ping") == {"web-1": True}


def test_each_reason_why_a_master_cannot_be_reached_is_told_once_with_a_hint(fleet: Fleet) -> None:
    places = {
        "refused": (f"127.0.0.1:{fleet.enrol_port}", "Connection refused (is fleet-master running there"),
        "unknown": ("no-such-master.invalid", "(see `master` in minion.yaml)"),
    }
    for name, (place, expected) in places.items():
        minion = fleet.start_minion(name, master=place)
        minion.wait_for_log(expected, 30)
        assert minion.log().count(expected) == 1
    assert all(minion.is_running for minion in fleet.minions.values())


def test_a_backlog_that_is_full_is_given_up_and_tried_again(one_master: Fleet) -> None:
    """A listener that accepts nothing: the kernel drops what comes, as a firewall does."""
    place = PROXY_ADDRESS, one_master.enrol_port
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(place)
        minion = one_master.start_minion("web-1", master=f"{PROXY_ADDRESS}:{one_master.enrol_port}")
        minion.wait_for_log("no enrolment at", 30)
        assert "is fleet-master running there" in minion.log()
    with the_true_one_listens(one_master):
        one_master.accept("web-1")


# Descriptors


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_soft_limit_is_raised_to_the_hard_one_and_both_are_said(fleet: Fleet) -> None:
    fleet.master.words = ("sh", "-c", f"ulimit -Sn 100 && exec {fleet.master.words[0]}")
    fleet.start_master()
    limits = Path(f"/proc/{fleet.master.pid}/limits").read_text()
    hard = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[4]
    assert f"open files: limit 100, raised to the hard limit {hard}" in fleet.master.log()
    assert f"Max open files {hard} {hard}" in " ".join(limits.split())


def test_without_descriptors_the_master_turns_away_who_proved_nothing_and_serves_its_fleet(fleet: Fleet) -> None:
    fleet.master.words = ("sh", "-c", f"ulimit -n 60 && exec {fleet.master.words[0]}")
    fleet.start_master()
    warning = next(line for line in fleet.master.log().splitlines() if " warning " in line)
    assert "the limit of 60 open files is too low" in warning
    assert "raise LimitNOFILE of the unit, or ulimit -n" in warning
    fleet.grow("web-1", "web-2")
    both = {"web-1": True, "web-2": True}
    said = "this process has no descriptors left"
    with ExitStack() as stack:

        def press(port: int) -> None:
            stranger = stack.enter_context(socket.socket())
            stranger.settimeout(2)
            stranger.connect(("127.0.0.1", port))

        def has_run_out() -> bool:
            for port in (fleet.request_port, fleet.publish_port, fleet.enrol_port):
                press(port)
            return said in fleet.master.log()

        for _ in range(30):
            for port in (fleet.request_port, fleet.publish_port):
                press(port)
        wait_until(has_run_out, 20, "the descriptors to run out")
        assert fleet.json("fleet", "*", "test.ping") == both
        # Connections that wait and cannot be accepted keep libzmq's thread at work without a pause.
        ticks, began = cpu_ticks(fleet.master.pid), time.monotonic()
        wait_until(lambda: time.monotonic() - began > 2, 10, "two seconds to pass")
        used = (cpu_ticks(fleet.master.pid) - ticks) / os.sysconf("SC_CLK_TCK")
        assert used < 0.25 * (time.monotonic() - began), "it spins"
    wait_until(lambda: open_descriptors(fleet.master.pid) < 55, 20, "the strangers to be gone")
    assert fleet.json("fleet", "*", "test.ping") == both
    assert fleet.master.log().count(said) == 1, "at most once a minute"


# IPv6


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("interface", ["::", "::1"])
def test_a_fleet_over_ipv6_shows_its_addresses(fleet: Fleet, interface: str) -> None:
    fleet.start_master(interface=interface)
    for port in (fleet.publish_port, fleet.request_port, fleet.enrol_port):
        assert f"tcp://[{interface}]:{port}" in fleet.master.log()
    listener = fleet.events("*", "--out", "jsonl", "--after", "0")
    fleet.start_minion("six", master=f"[::1]:{fleet.enrol_port}")
    ids = ["six"]
    if interface == "::":
        fleet.start_minion("four")  # at 127.0.0.1
        ids.append("four")
    else:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", fleet.enrol_port), 5)
    fleet.accept(*ids)
    assert f"[::1]:{fleet.request_port}" in fleet.minions["six"].log()
    assert fleet.json("fleet", "*", "test.ping") == dict.fromkeys(ids, True)
    assert fleet.json("fleet", "six", "cmd.run", "echo over six") == {"six": "over six"}
    minions = fleet.json("fleet", "minions")
    assert minions["six"]["address"] == "::1"
    assert interface == "::1" or minions["four"]["address"] == "127.0.0.1", "not ::ffff:127.0.0.1"
    assert all(key.address == minions[key.minion]["address"] for key in fleet.client().keys().keys)
    assert fleet.job()["returns"]["six"]["address"] == "::1"
    listener.wait_for_log("fleet/minion/six/start")
    start = next(line for line in listener.log().splitlines() if "fleet/minion/six/start" in line)
    assert '"address": "::1"' in start
    listener.stop()
    # Down and up again: the kept document leads back without the enrolment port.
    fleet.minions["six"].stop()
    fleet.restart_minion("six")
    assert fleet.json("fleet", "six", "test.ping") == {"six": True}


# A network of its own


@pytest.mark.system
def test_a_black_hole_is_a_reason_too_and_the_minion_joins_when_it_is_gone(fleet: Fleet) -> None:
    """A route that swallows every packet, in a network namespace of the minion's."""
    fleet.start_minion("web-1", master=f"192.0.2.1:{fleet.enrol_port}").stop()
    minion = fleet.minions["web-1"]
    setup = (
        "ip link set lo up && ip link add hole type veth peer name end && ip addr add 192.0.2.2/24 dev hole && "
        "ip link set hole up && ip link set end up && ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev hole"
    )
    probe = subprocess.run(["unshare", "-n", "sh", "-c", setup], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no such network can be made: {probe.stderr}")
    minion.words = ("unshare", "-n", "sh", "-c", f"{setup} && exec {minion.words[0]}")
    minion.start()
    minion.wait_for_log("no enrolment at 192.0.2.1", 40)
    assert "is fleet-master running there" in minion.log()
    assert MASTER_READY not in minion.log()
    assert minion.is_running
