from pathlib import Path

import pytest

from fleet.minion.virtual_machine import detect_virtual_machine

VENDOR = "sys/class/dmi/id/sys_vendor"
PRODUCT = "sys/class/dmi/id/product_name"
QEMU = {VENDOR: "QEMU\n", PRODUCT: "Standard PC (Q35 + ICH9, 2009)\n"}
GUEST_FLAGS = {"proc/cpuinfo": "processor : 0\nflags\t\t: fpu hypervisor vme\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ("physical", "")),
        ({VENDOR: "Dell Inc.", PRODUCT: "PowerEdge R740", "proc/cpuinfo": "flags : fpu vme\n"}, ("physical", "")),
        (QEMU, ("kvm", "")),
        ({VENDOR: "VMware, Inc.", PRODUCT: "VMware Virtual Platform"}, ("VMware", "")),
        ({VENDOR: "innotek GmbH", PRODUCT: "VirtualBox"}, ("VirtualBox", "")),
        ({VENDOR: "Microsoft Corporation", PRODUCT: "Virtual Machine"}, ("HyperV", "")),
        ({VENDOR: "Microsoft Corporation", PRODUCT: "Surface Pro 7"}, ("physical", "")),
        ({VENDOR: "Amazon EC2", PRODUCT: "m5.large"}, ("kvm", "")),
        ({VENDOR: "Amazon EC2", PRODUCT: "i3.metal"}, ("physical", "")),
        ({VENDOR: "Google", PRODUCT: "Google Compute Engine"}, ("kvm", "")),
        ({"sys/hypervisor/type": "xen\n"}, ("xen", "")),
        (GUEST_FLAGS, ("vm", "")),
        ({"proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2"}, ("wsl", "")),
        (QEMU | {".dockerenv": ""}, ("container", "docker")),
        ({"run/.containerenv": ""}, ("container", "podman")),
        ({"run/systemd/container": "systemd-nspawn\n"}, ("container", "systemd-nspawn")),
        ({"proc/1/environ": "PATH=/bin\0container=lxc\0TERM=x"}, ("container", "lxc")),
        ({"proc/1/environ": "PATH=/bin\0container=\0"}, ("physical", "")),
        ({"proc/1/cgroup": "11:cpu:/kubepods/besteffort/pod1\n"}, ("container", "kubernetes")),
        ({"proc/1/cgroup": "0::/init.scope\n"}, ("physical", "")),
        ({"proc/vz/version": "1"}, ("openvz", "")),
        (QEMU | {"proc/vz/version": "1", "proc/bc/resources": "1"}, ("kvm", "")),
    ],
)
def test_a_machine_is_told_by_its_files(tmp_path: Path, files: dict[str, str], expected: tuple[str, str]) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert detect_virtual_machine(tmp_path) == expected
