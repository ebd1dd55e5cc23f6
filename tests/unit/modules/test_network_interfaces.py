import pytest

from fleet.core.functions import CommandFailedError
from fleet.modules.network_interfaces import (
    Family,
    Inet6Address,
    InetAddress,
    Interface,
    inet6_address,
    read_interfaces,
    select_addresses,
)

TABLE = {
    "lo": Interface(
        True,
        "00:00:00:00:00:00",
        (InetAddress("127.0.0.1", "255.0.0.0", ""),),
        (Inet6Address("::1", 128, "host"),),
    ),
    "eth0": Interface(
        True,
        "02:00:00:00:00:01",
        (InetAddress("10.0.0.20", "255.0.0.0", ""), InetAddress("10.0.0.3", "255.0.0.0", "")),
        (Inet6Address("2001:db8::10", 64, "global"), Inet6Address("fe80::1", 64, "link")),
    ),
    "eth1": Interface(False, "", (InetAddress("192.0.2.7", "255.255.255.0", "192.0.2.255"),), ()),
}


def select(family: Family, interface: str = "", include_loopback: bool = False, cidr: str = "") -> list[str]:
    return select_addresses(TABLE, family, interface=interface, include_loopback=include_loopback, cidr=cidr)


def test_addresses_are_sorted_by_number_and_loopback_is_left_out() -> None:
    assert select("inet") == ["10.0.0.3", "10.0.0.20", "192.0.2.7"]
    assert select("inet6") == ["2001:db8::10", "fe80::1"]


def test_loopback_is_there_when_asked_for() -> None:
    assert select("inet", include_loopback=True)[2] == "127.0.0.1"
    assert select("inet6", include_loopback=True)[0] == "::1"


def test_addresses_are_chosen_by_interface_and_network() -> None:
    assert select("inet", interface="eth1") == ["192.0.2.7"]
    assert select("inet", cidr="10.0.0.0/28") == ["10.0.0.3"]
    assert select("inet6", cidr="2001:db8::/32") == ["2001:db8::10"]


@pytest.mark.parametrize("cidr", ["10.0.0.0/33", "all", "2001:db8::/32"])
def test_what_is_no_network_of_the_family_is_refused(cidr: str) -> None:
    with pytest.raises(CommandFailedError, match="no network"):
        select("inet", cidr=cidr)


def test_an_interface_that_is_not_there_is_a_failure_that_lists_those_that_are() -> None:
    with pytest.raises(CommandFailedError, match="eth0, eth1, lo"):
        select("inet", interface="wlan0")


def test_an_address_with_a_zone_is_read() -> None:
    assert inet6_address("fe80::fc:ff:fe00:1%eth0", "ffff:ffff:ffff:ffff::") == Inet6Address(
        "fe80::fc:ff:fe00:1", 64, "link"
    )
    assert inet6_address("2001:db8::1", "") == Inet6Address("2001:db8::1", 128, "global")


def test_the_loopback_of_this_machine_is_found() -> None:
    found = [one for one in read_interfaces().values() if "127.0.0.1" in one.addresses("inet")]
    assert len(found) == 1
    assert found[0].up
    assert found[0].inet[0].netmask == "255.0.0.0"
