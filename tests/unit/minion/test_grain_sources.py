import os
from pathlib import Path

import pytest

from fleet.minion import grain_sources


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nVERSION="12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n'
UBUNTU = 'NAME="Ubuntu"\nVERSION_ID="22.04"\nVERSION_CODENAME=jammy\nID=ubuntu\nID_LIKE=debian\n'
ROCKY = 'NAME="Rocky Linux"\nVERSION_ID="9.3"\nID="rocky"\nID_LIKE="rhel centos fedora"\n'
ARCH = 'NAME="Arch Linux"\nID=arch\n'
DERIVED = 'NAME="Our Linux"\nID=ours\nID_LIKE="ours-base ubuntu"\nVERSION_ID="7"\n'


@pytest.mark.parametrize(
    ("os_release", "expected"),
    [
        (
            DEBIAN,
            {
                "os": "Debian",
                "os_family": "Debian",
                "osfullname": "Debian GNU/Linux",
                "osrelease": "12",
                "osmajorrelease": 12,
                "oscodename": "bookworm",
                "osfinger": "Debian-12",
            },
        ),
        (
            UBUNTU,
            {
                "os": "Ubuntu",
                "os_family": "Debian",
                "osrelease": "22.04",
                "osmajorrelease": 22,
                "osfinger": "Ubuntu-22.04",
            },
        ),
        (ROCKY, {"os": "Rocky", "os_family": "RedHat", "osrelease": "9.3", "osfinger": "Rocky Linux-9"}),
        (DERIVED, {"os": "Our Linux", "os_family": "Debian", "osmajorrelease": 7}),
    ],
)
def test_the_system_is_named_as_salt_names_it(tmp_path: Path, os_release: str, expected: dict[str, object]) -> None:
    found = grain_sources.operating_system(put(tmp_path, {"etc/os-release": os_release}))
    assert {name: found.get(name) for name in expected} == expected


def test_a_system_that_rolls_has_no_release(tmp_path: Path) -> None:
    found = grain_sources.operating_system(put(tmp_path, {"etc/os-release": ARCH}))
    assert found["os"] == found["os_family"] == "Arch"
    assert not found.keys() & {"osrelease", "osmajorrelease", "osfinger", "oscodename"}


def test_a_system_that_says_nothing_about_itself_has_the_name_of_its_kernel(tmp_path: Path) -> None:
    assert grain_sources.operating_system(tmp_path)["os"] == os.uname().sysname


def test_the_architecture_has_debians_name_on_debian_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uname = os.uname_result(("Linux", "web-1", "6.1", "#1", "aarch64"))
    monkeypatch.setattr(os, "uname", lambda: uname)
    assert grain_sources.operating_system(put(tmp_path, {"etc/os-release": DEBIAN}))["osarch"] == "arm64"
    assert grain_sources.operating_system(put(tmp_path, {"etc/os-release": ROCKY}))["osarch"] == "aarch64"
    assert grain_sources.kernel(tmp_path)["cpuarch"] == "aarch64"


@pytest.mark.parametrize(
    ("nodename", "etc_hostname", "etc_hosts", "resolv_conf", "fqdn"),
    [
        ("web-1.example.net", "other.example.org", "", "domain example.com", "web-1.example.net"),
        ("web-1", "web-1.example.net", "127.0.1.1 web-1.example.org web-1", "", "web-1.example.net"),
        ("web-1", "web-1", "127.0.0.1 localhost\n127.0.1.1\tweb-1.example.org web-1", "", "web-1.example.org"),
        ("web-1", "", "# 127.0.1.1 web-1.example.org web-1\n", "", "web-1"),
        (
            "web-1",
            "",
            "10.0.0.2 db-1.example.org db-1",
            "nameserver 10.0.0.1\ndomain example.com.\n",
            "web-1.example.com",
        ),
        ("web-1", "", "", "search default.svc.cluster.local\n", "web-1"),
        ("web-1", "web-10.example.net", "127.0.1.1 web-10.example.net web-1", "", "web-1"),
    ],
)
def test_the_full_name_comes_from_files(
    nodename: str, etc_hostname: str, etc_hosts: str, resolv_conf: str, fqdn: str
) -> None:
    found = grain_sources.find_fqdn(nodename, etc_hostname=etc_hostname, etc_hosts=etc_hosts, resolv_conf=resolv_conf)
    assert found == fqdn


def test_names_are_found_without_any_file(tmp_path: Path) -> None:
    found = grain_sources.names(tmp_path)
    assert found["nodename"] == os.uname().nodename
    assert "machine_id" not in found


def test_the_machine_id_is_found_in_its_old_place_too(tmp_path: Path) -> None:
    put(tmp_path, {"var/lib/dbus/machine-id": "0123\n"})
    assert grain_sources.names(tmp_path)["machine_id"] == "0123"
    put(tmp_path, {"etc/machine-id": "4567\n"})
    assert grain_sources.names(tmp_path)["machine_id"] == "4567"


@pytest.mark.parametrize(
    ("cpuinfo", "model"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC\n", "AMD EPYC"),
        ("processor\t: 0\n\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi 4\n", "Raspberry Pi 4"),
        ("processor\t: 0\ncpu\t\t: POWER9\n", "POWER9"),
        ("", None),
    ],
)
def test_the_model_of_the_processor_is_found_where_the_kernel_tells_it(
    tmp_path: Path, cpuinfo: str, model: str | None
) -> None:
    found = grain_sources.processors(put(tmp_path, {"proc/cpuinfo": cpuinfo}))
    assert found.get("cpu_model") == model
    assert found["num_cpus"] == os.cpu_count()


def test_memory_is_in_mebibytes() -> None:
    kib = int(Path("/proc/meminfo").read_text().split()[1])
    assert grain_sources.memory(Path("/"))["mem_total"] == kib // 1024


def test_addresses_are_listed_by_interface_and_together() -> None:
    found = grain_sources.addresses(Path("/"))
    by_interface = found["ip4_interfaces"]
    assert isinstance(by_interface, dict)
    assert found["ipv4"] == sorted({address for listed in by_interface.values() for address in listed})


def test_hardware_is_what_the_firmware_says(tmp_path: Path) -> None:
    put(tmp_path, {"sys/class/dmi/id/sys_vendor": "Dell Inc.\n", "sys/class/dmi/id/product_name": "PowerEdge R740\n"})
    assert grain_sources.hardware(tmp_path) == {
        "manufacturer": "Dell Inc.",
        "productname": "PowerEdge R740",
        "virtual": "physical",
    }


def test_a_board_without_such_firmware_has_the_name_in_its_device_tree(tmp_path: Path) -> None:
    put(tmp_path, {"proc/device-tree/model": "Raspberry Pi 4 Model B\0"})
    assert grain_sources.hardware(tmp_path)["productname"] == "Raspberry Pi 4 Model B"


def test_the_first_process_is_the_init_system(tmp_path: Path) -> None:
    assert grain_sources.init_system(tmp_path) == {}
    put(tmp_path, {"proc/1/comm": "runit\n"})
    assert grain_sources.init_system(tmp_path) == {"init": "runit"}
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert grain_sources.init_system(tmp_path) == {"init": "systemd"}


def test_the_shell_is_there_only_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/zsh")
    assert grain_sources.own_process(Path("/"))["shell"] == "/bin/zsh"
    monkeypatch.delenv("SHELL")
    found = grain_sources.own_process(Path("/"))
    assert "shell" not in found
    assert found["pid"] == os.getpid()


def test_a_file_that_is_no_file_is_a_fault_and_one_that_is_missing_is_not(tmp_path: Path) -> None:
    assert grain_sources.read_text(tmp_path / "nothing/at/all") == ""
    with pytest.raises(IsADirectoryError):
        grain_sources.read_text(tmp_path)
