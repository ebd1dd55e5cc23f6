import sys

import pytest

from fleet.modules.network_tables import (
    Neighbour,
    PingResult,
    Route,
    parse_ipv6_routes,
    parse_neighbours,
    parse_ping,
    parse_routes,
)

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
*\t0000000A\t00000000\t0201\t0\t0\t0\t000000FF\t0\t0\t0
eth1\t000200C0\t00000000\t0000\t0\t0\t0\t00FFFFFF\t0\t0\t0
torn line
"""

IPV6_ROUTES = """\
20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000002 00000000 00000003     eth0
00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000003 00000000 80200001       lo
ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000003 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
"""

NEIGHBOURS = """\
IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0
192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0
"""

IPUTILS = """\
PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.
64 bytes from 192.0.2.1: icmp_seq=1 ttl=64 time=0.026 ms

--- 192.0.2.1 ping statistics ---
3 packets transmitted, 2 received, +1 errors, 33.3333% packet loss, time 2003ms
rtt min/avg/max/mdev = 0.026/0.030/0.036/0.004 ms
"""

BUSYBOX = """\
--- 192.0.2.1 ping statistics ---
3 packets transmitted, 3 packets received, 0% packet loss
round-trip min/avg/max = 0.059/0.098/0.137 ms
"""


@pytest.mark.skipif(sys.byteorder != "little", reason="the text was taken from a little-endian machine")
def test_ipv4_routes_that_lead_somewhere_are_read() -> None:
    assert parse_routes(ROUTES) == [
        Route("inet", "0.0.0.0/0", "192.0.2.1", "eth0", 100),
        Route("inet", "192.0.2.0/24", "", "eth0", 0),
    ]


def test_ipv6_routes_are_read_without_own_addresses_multicast_and_refusals() -> None:
    assert parse_ipv6_routes(IPV6_ROUTES) == [
        Route("inet6", "2001:db8::/64", "", "eth0", 256),
        Route("inet6", "::/0", "fe80::1", "eth0", 1024),
    ]


def test_a_default_route_is_the_one_to_everywhere() -> None:
    assert [route.is_default for route in parse_ipv6_routes(IPV6_ROUTES)] == [False, True]


def test_neighbours_that_have_not_answered_are_left_out() -> None:
    assert parse_neighbours(NEIGHBOURS) == [Neighbour("192.0.2.1", "02:fc:00:00:00:05", "eth0")]


def test_empty_tables_have_no_rows() -> None:
    assert parse_routes("") == []
    assert parse_ipv6_routes("") == []
    assert parse_neighbours("") == []


def test_what_two_kinds_of_ping_print_is_read() -> None:
    assert parse_ping(IPUTILS) == PingResult(3, 2, 33.3333, 0.026, 0.030, 0.036)
    assert parse_ping(BUSYBOX) == PingResult(3, 3, 0.0, 0.059, 0.098, 0.137)


def test_no_echo_leaves_the_times_open() -> None:
    text = "1 packets transmitted, 0 received, 100% packet loss, time 0ms\n"
    assert parse_ping(text) == PingResult(1, 0, 100.0)


def test_text_without_counts_is_no_result() -> None:
    assert parse_ping("ping: unknown host\n") is None
