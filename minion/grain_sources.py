"""Where the grains of a machine come from: a function a group of facts, each taking the root of the file system.

Files of the kernel and of ``/etc``, psutil and distro; no name look-up, no program (an ``lspci`` or a dead name server
must not hold up a minion). What a machine does not have is simply not among its grains.
"""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ..core.values import Value
from ..modules.network_interfaces import Family, read_interfaces
from ..modules.status import parse_cpuinfo
from .virtual_machine import detect_virtual_machine

_FILE_LIMIT_CHARACTERS = 1024 * 1024
_MEBIBYTE = 1024 * 1024

#: os-release's ID → Salt's names of the system and of its family.
_SYSTEMS: Mapping[str, tuple[str, str]] = {
    "almalinux": ("AlmaLinux", "RedHat"),
    "alpine": ("Alpine", "Alpine"),
    "amazon": ("Amazon", "RedHat"),
    "amzn": ("Amazon", "RedHat"),
    "arch": ("Arch", "Arch"),
    "centos": ("CentOS", "RedHat"),
    "debian": ("Debian", "Debian"),
    "devuan": ("Devuan", "Debian"),
    "fedora": ("Fedora", "RedHat"),
    "gentoo": ("Gentoo", "Gentoo"),
    "kali": ("Kali", "Debian"),
    "linuxmint": ("Mint", "Debian"),
    "manjaro": ("Manjaro", "Arch"),
    "opensuse": ("openSUSE", "Suse"),
    "opensuse-tumbleweed": ("openSUSE", "Suse"),
    "oracle": ("OEL", "RedHat"),
    "raspbian": ("Raspbian", "Debian"),
    "rhel": ("RedHat", "RedHat"),
    "rocky": ("Rocky", "RedHat"),
    "sles": ("SUSE", "Suse"),
    "suse": ("SUSE", "Suse"),
    "ubuntu": ("Ubuntu", "Debian"),
}
#: The kernel's name of an architecture → Debian's.
_DEBIAN_ARCHITECTURES = {
    "aarch64": "arm64",
    "armv6l": "armhf",
    "armv7l": "armhf",
    "i586": "i386",
    "i686": "i386",
    "loongarch64": "loong64",
    "ppc64le": "ppc64el",
    "x86_64": "amd64",
}


def names(root: Path) -> dict[str, Value]:
    """Find ``host``, ``localhost``, ``nodename``, ``fqdn``, ``domain`` and ``machine_id``, from files alone."""
    nodename = os.uname().nodename
    fqdn = find_fqdn(
        nodename,
        etc_hostname=read_text(root / "etc/hostname"),
        etc_hosts=read_text(root / "etc/hosts"),
        resolv_conf=read_text(root / "etc/resolv.conf"),
    )
    found: dict[str, Value] = {
        "host": nodename.partition(".")[0],
        "localhost": nodename,
        "nodename": nodename,
        "fqdn": fqdn,
        "domain": fqdn.partition(".")[2],
    }
    machine_id = read_text(root / "etc/machine-id") or read_text(root / "var/lib/dbus/machine-id")
    return found | ({"machine_id": machine_id} if machine_id else {})


def find_fqdn(nodename: str, *, etc_hostname: str, etc_hosts: str, resolv_conf: str) -> str:
    """Find the full name of a host without asking anybody; its own name where no file says more.

    In this order: the kernel's name if it is a full one, ``/etc/hostname``, a name of the same line of ``/etc/hosts``,
    and the ``domain`` of ``/etc/resolv.conf``. Its ``search`` is no source: that is where names are looked for, which
    in a cluster or at a cloud is not where this host is.
    """
    if "." in nodename:
        return nodename.rstrip(".")
    if etc_hostname.startswith(f"{nodename}."):
        return etc_hostname.rstrip(".")
    for line in etc_hosts.splitlines():
        words = line.partition("#")[0].split()[1:]
        if nodename in words:
            for word in words:
                if word.startswith(f"{nodename}."):
                    return word.rstrip(".")
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "domain":
            return f"{nodename}.{words[1].strip('.')}".rstrip(".")
    return nodename


def operating_system(root: Path) -> dict[str, Value]:
    """Find ``os``, ``os_family``, ``osfullname``, ``osrelease``, ``osmajorrelease``, ``oscodename``, ``osfinger`` and ``osarch``.

    ``osarch`` is derived from the kernel's architecture, so a 32-bit system on a 64-bit kernel is called 64-bit.
    """
    from distro import LinuxDistribution

    # Without these, distro runs lsb_release and uname.
    system = LinuxDistribution(include_lsb=False, include_uname=False, include_oslevel=False, root_dir=str(root))
    full_name = system.name() or os.uname().sysname
    name, family = name_system(system.id(), system.like().split(), full_name)
    release, machine = system.version(), os.uname().machine
    major = release.partition(".")[0]
    found: dict[str, Value] = {
        "os": name,
        "os_family": family,
        "osfullname": full_name,
        "osarch": _DEBIAN_ARCHITECTURES.get(machine, machine) if family == "Debian" else machine,
    }
    if release:  # systems that roll have none
        short_name = name if name in {"Debian", "Raspbian"} else full_name
        found["osrelease"] = release
        found["osfinger"] = f"{short_name}-{release if name == 'Ubuntu' else major}"
    if major.isdecimal():
        found["osmajorrelease"] = int(major)
    if system.codename():
        found["oscodename"] = system.codename()
    return found


def name_system(identifier: str, like: list[str], full_name: str) -> tuple[str, str]:
    """Return Salt's names of a system and of its family, or its own name and the family of what it says it is like."""
    if identifier in _SYSTEMS:
        return _SYSTEMS[identifier]
    family = next((_SYSTEMS[other][1] for other in like if other in _SYSTEMS), full_name)
    return full_name, family


def kernel(root: Path) -> dict[str, Value]:  # noqa: ARG001 - the kernel is the running one
    """Find ``kernel``, ``kernelrelease``, ``kernelversion`` and ``cpuarch``."""
    uname = os.uname()
    return {
        "kernel": uname.sysname,
        "kernelrelease": uname.release,
        "kernelversion": uname.version,
        "cpuarch": uname.machine,
    }


def processors(root: Path) -> dict[str, Value]:
    """Find ``num_cpus`` and ``cpu_model``."""
    found: dict[str, Value] = {"num_cpus": os.cpu_count() or 1}
    fields = parse_cpuinfo(read_text(root / "proc/cpuinfo"))
    for name in ("model name", "Model", "Hardware", "cpu model", "cpu", "Processor"):
        if name in fields:
            return found | {"cpu_model": fields[name]}
    return found


def memory(root: Path) -> dict[str, Value]:  # noqa: ARG001 - psutil asks the running kernel
    """Find ``mem_total`` and ``swap_total``, in MiB."""
    import psutil

    return {
        "mem_total": psutil.virtual_memory().total // _MEBIBYTE,
        "swap_total": psutil.swap_memory().total // _MEBIBYTE,
    }


def addresses(root: Path) -> dict[str, Value]:  # noqa: ARG001 - psutil asks the running kernel
    """Find ``ipv4``, ``ipv6``, ``ip4_interfaces``, ``ip6_interfaces`` and ``hwaddr_interfaces``, loopback included."""
    interfaces = read_interfaces()
    found: dict[str, Value] = {
        "hwaddr_interfaces": {name: one.hwaddr for name, one in interfaces.items() if one.hwaddr}
    }
    families: tuple[tuple[str, Family], ...] = (("4", "inet"), ("6", "inet6"))
    for version, family in families:
        by_interface = {name: list(one.addresses(family)) for name, one in interfaces.items()}
        found[f"ip{version}_interfaces"] = by_interface
        found[f"ipv{version}"] = sorted({address for listed in by_interface.values() for address in listed})
    return found


def hardware(root: Path) -> dict[str, Value]:
    """Find ``manufacturer`` and ``productname``, ``virtual`` and ``virtual_subtype``."""
    manufacturer = read_text(root / "sys/class/dmi/id/sys_vendor")
    product = read_text(root / "sys/class/dmi/id/product_name") or read_text(root / "proc/device-tree/model").rstrip(
        "\0"
    )
    virtual, subtype = detect_virtual_machine(root)
    found = {
        "manufacturer": manufacturer,
        "productname": product,
        "virtual": virtual,
        "virtual_subtype": subtype,
    }
    return {name: text for name, text in found.items() if text}


def init_system(root: Path) -> dict[str, Value]:
    """Find ``init``: what process 1 is."""
    if (root / "run/systemd/system").is_dir():
        return {"init": "systemd"}
    first_process = read_text(root / "proc/1/comm")
    return {"init": first_process} if first_process else {}


def own_process(root: Path) -> dict[str, Value]:  # noqa: ARG001 - this process is the running one
    """Find ``pythonversion``, ``pid``, ``path`` and, where it is set, ``shell``: of the minion itself."""
    found: dict[str, Value] = {
        "pythonversion": ".".join(map(str, sys.version_info[:3])),
        "pid": os.getpid(),
        "path": os.environ.get("PATH", ""),
    }
    shell = os.environ.get("SHELL", "")
    return found | ({"shell": shell} if shell else {})


def read_text(path: Path) -> str:
    """Read a small file of the machine without the white space around it; ``""`` when there is none to be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_FILE_LIMIT_CHARACTERS).strip()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ""


SOURCES: tuple[Callable[[Path], Mapping[str, Value]], ...] = (
    names,
    operating_system,
    kernel,
    processors,
    memory,
    addresses,
    hardware,
    init_system,
    own_process,
)
