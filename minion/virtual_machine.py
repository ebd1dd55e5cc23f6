"""Is this machine a container, a virtual machine or hardware? Told by files alone: no dmidecode, no root needed."""

from pathlib import Path

#: What the firmware says (vendor, product and BIOS, in small letters) → Salt's word for the hypervisor. First match wins.
_BY_FIRMWARE = (
    ("vmware", "VMware"),
    ("virtualbox", "VirtualBox"),
    ("innotek", "VirtualBox"),
    ("microsoft corporation virtual machine", "HyperV"),
    ("xen", "xen"),
    ("parallels", "Parallels"),
    ("bhyve", "bhyve"),
    ("qemu", "kvm"),
    ("kvm", "kvm"),
    ("bochs", "kvm"),
    ("openstack", "kvm"),
    ("google compute engine", "kvm"),
    ("amazon ec2", "kvm"),
    ("digitalocean droplet", "kvm"),
    ("alibaba cloud", "kvm"),
    ("hetzner vserver", "kvm"),
)
#: What a path of process 1's control group may contain → the software behind it.
_BY_CONTROL_GROUP = (("kubepods", "kubernetes"), ("docker", "docker"), ("libpod", "podman"), ("/lxc", "lxc"))
_READ_LIMIT_BYTES = 256 * 1024


def detect_virtual_machine(root: Path) -> tuple[str, str]:
    """Tell what the machine is, as the grains ``virtual`` and ``virtual_subtype``.

    ``("container", software)``; or the hypervisor (``kvm``, ``VMware``, ``VirtualBox``, ``HyperV``, ``xen`` …), ``wsl``,
    or ``vm`` where the processor says that there is one and nothing says which; else ``physical``. A container in a
    virtual machine is a container.
    """
    container = _detect_container(root)
    if container:
        return "container", container
    if (root / "proc/vz").is_dir() and not (root / "proc/bc").is_dir():
        return "openvz", ""
    if "microsoft" in _read(root / "proc/sys/kernel/osrelease"):
        return "wsl", ""
    return _detect_hypervisor(root), ""


def _detect_container(root: Path) -> str:
    """Name the software that this container runs under, or ``""``."""
    told = _read(root / "run/systemd/container")
    if told:
        return told
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    for variable in _read(root / "proc/1/environ").split("\0"):  # root alone can read it
        if variable.startswith("container=") and variable != "container=":
            return variable.partition("=")[2]
    groups = _read(root / "proc/1/cgroup")
    return next((software for mark, software in _BY_CONTROL_GROUP if mark in groups), "")


def _detect_hypervisor(root: Path) -> str:
    folder = root / "sys/class/dmi/id"
    firmware = " ".join(_read(folder / name) for name in ("sys_vendor", "product_name", "bios_vendor", "bios_version"))
    if ".metal" in firmware:  # Amazon's, which are hardware although the vendor is the same
        return "physical"
    for mark, hypervisor in _BY_FIRMWARE:
        if mark in firmware:
            return hypervisor
    if _read(root / "sys/hypervisor/type") == "xen":
        return "xen"
    flags = _read(root / "proc/cpuinfo").partition("flags")[2].partition("\n")[0]
    return "vm" if "hypervisor" in flags.split() else "physical"


def _read(path: Path) -> str:
    """Read a small file in small letters; ``""`` when there is none to be read."""
    try:
        with path.open("rb") as file:
            return file.read(_READ_LIMIT_BYTES).decode("utf-8", "replace").strip().lower()
    except OSError:
        return ""
