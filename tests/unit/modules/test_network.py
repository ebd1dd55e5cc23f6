import contextlib
import os
import socket
from pathlib import Path

import pytest

from fleet.core.functions import CommandFailedError, UnavailableError
from fleet.core.values import plain
from fleet.modules import network


def test_own_addresses_are_found_without_loopback() -> None:
    assert "127.0.0.1" not in network.ip_addrs()
    assert "127.0.0.1" in network.ip_addrs(include_loopback=True)
    assert "::1" not in network.ip_addrs6()
    assert network.ip_addrs(include_loopback=True, cidr="127.0.0.0/8") == ["127.0.0.1"]


def test_interfaces_travel_as_plain_values() -> None:
    shown = plain(network.interfaces())
    assert isinstance(shown, dict)
    assert any("127.0.0.1" in str(interface) for interface in shown.values())


def test_a_hardware_address_is_asked_of_an_interface_that_is_there() -> None:
    with pytest.raises(CommandFailedError, match="no interface 'nothing0'"):
        network.hw_addr("nothing0")


def test_the_host_name_is_the_kernels() -> None:
    assert network.get_hostname() == os.uname().nodename


def test_tables_that_the_kernel_does_not_have_are_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_KERNEL_TABLES", tmp_path)
    assert network.routes() == []
    assert network.default_route() == []
    assert network.arp() == []


def test_default_routes_are_sorted_by_metric_and_chosen_by_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = "eth{}\t00000000\t00000000\t0001\t0\t0\t{}\t00000000\t0\t0\t0\n"
    (tmp_path / "route").write_text("heading\n" + row.format(0, 200) + row.format(1, 100))
    monkeypatch.setattr(network, "_KERNEL_TABLES", tmp_path)
    assert [(route.interface, route.metric) for route in network.default_route()] == [("eth1", 100), ("eth0", 200)]
    assert network.default_route("inet6") == []


def test_a_listening_socket_and_a_connection_to_it_are_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), contextlib.closing(server.accept()[0]):
            listening = [row for row in network.netstat() if row.local_port == port and row.state == "LISTEN"]
            assert [(row.protocol, row.local_address, row.pid) for row in listening] == [
                ("tcp", "127.0.0.1", os.getpid())
            ]
            assert listening[0].program
            active = [row for row in network.active_tcp() if row.remote_port == port]
            assert [row.state for row in active] == ["ESTABLISHED"]


def test_a_port_that_is_open_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reached = network.connect("127.0.0.1", port)
    assert (reached.address, reached.port) == ("127.0.0.1", port)
    assert reached.duration_ms >= 0


def test_a_port_that_is_closed_is_a_failure_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(CommandFailedError, match=f"port {port}: .*refused"):
        network.connect("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "port", "timeout"),
    [
        ("127.0.0.1", 0, 1.0),
        ("127.0.0.1", 65536, 1.0),
        ("127.0.0.1", 1, 0.0),
        ("127.0.0.1", 1, float("nan")),
        ("." * 300, 1, 1.0),
    ],
)
def test_what_cannot_be_connected_to_is_refused(host: str, port: int, timeout: float) -> None:
    with pytest.raises(CommandFailedError):
        network.connect(host, port, timeout)


def install_ping(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "ping"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_ping_is_asked_plainly_and_its_counts_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_ping(
        tmp_path,
        f'echo "$LC_ALL $*" > {tmp_path}/words\n'
        'echo "2 packets transmitted, 2 received, 0% packet loss, time 1ms"\n'
        'echo "rtt min/avg/max/mdev = 0.5/1.5/2.5/0.1 ms"\n',
        monkeypatch,
    )
    result = network.ping("192.0.2.1", 1.5, 2)
    assert (result.sent, result.received, result.mean_ms) == (2, 2, 1.5)
    assert (tmp_path / "words").read_text() == "C -n -c 2 -W 2 192.0.2.1\n"


def test_no_echo_at_all_is_a_failure_with_the_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_ping(tmp_path, 'echo "3 packets transmitted, 0 received, 100% packet loss"\nexit 1\n', monkeypatch)
    with pytest.raises(CommandFailedError, match=r"no echo from 192\.0\.2\.1: 3 sent") as failed:
        network.ping("192.0.2.1")
    assert failed.value.value == {"sent": 3, "received": 0, "loss_percent": 100.0}
    assert failed.value.retcode == 1


def test_an_error_of_ping_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_ping(tmp_path, "echo 'ping: web-9: Name or service not known' >&2\nexit 2\n", monkeypatch)
    with pytest.raises(CommandFailedError, match="Name or service not known") as failed:
        network.ping("web-9")
    assert failed.value.retcode == 2


def test_a_machine_without_ping_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="no program 'ping'"):
        network.ping("192.0.2.1")


@pytest.mark.parametrize(
    ("host", "timeout", "count"),
    [("-f", 1.0, 1), ("", 1.0, 1), ("a\0b", 1.0, 1), ("a", 0.0, 1), ("a", 1.0, 0), ("a", 1.0, 101)],
)
def test_what_ping_must_not_be_given_is_refused(host: str, timeout: float, count: int) -> None:
    with pytest.raises(CommandFailedError):
        network.ping(host, timeout, count)
