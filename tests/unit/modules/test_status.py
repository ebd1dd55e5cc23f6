import os
import re
from pathlib import Path

import pytest

from fleet.core.functions import CommandFailedError, UnavailableError
from fleet.core.values import plain
from fleet.modules import status

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) CPU @ 2.20GHz
flags\t\t: fpu vme hypervisor
power management:

processor\t: 1
model name\t: another
"""
ARM = """\
processor\t: 0
Features\t: fp asimd

Hardware\t: BCM2835
Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""


def test_the_fields_of_the_first_processor_are_read() -> None:
    assert status.parse_cpuinfo(X86) == {
        "processor": "0",
        "vendor_id": "GenuineIntel",
        "model name": "Intel(R) Xeon(R) CPU @ 2.20GHz",
        "flags": ["fpu", "vme", "hypervisor"],
        "power management": "",
    }


def test_fields_after_the_last_processor_are_read_too() -> None:
    fields = status.parse_cpuinfo(ARM)
    assert fields["Model"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert fields["Features"] == ["fp", "asimd"]


def test_a_kernel_that_tells_nothing_of_its_processors_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_CPUINFO", tmp_path / "cpuinfo")
    with pytest.raises(UnavailableError):
        status.cpuinfo()


def test_an_uptime_is_written_as_people_read_it() -> None:
    assert status.uptime_from(86_400 * 3 + 3600 * 4 + 65, 1_795_000_000, 2) == status.Uptime(
        273_665, "2026-11-15T07:05:35Z", 1_794_726_335, 3, "3 days, 04:01", 2
    )


def test_the_uptime_of_this_machine_is_the_kernels() -> None:
    told = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(status.uptime().seconds - told) < 5


def test_the_load_has_three_numbers() -> None:
    assert list(status.loadavg()) == ["1-min", "5-min", "15-min"]


def test_a_kernel_that_tells_no_load_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> tuple[float, float, float]:
        raise OSError

    monkeypatch.setattr(os, "getloadavg", refuse)
    with pytest.raises(UnavailableError):
        status.loadavg()


def test_memory_is_in_bytes() -> None:
    kib = int(re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())[1])  # type: ignore[index]
    memory = status.meminfo()
    assert memory.total_bytes == kib * 1024
    assert 0 < memory.available_bytes <= memory.total_bytes


def test_processors_are_counted() -> None:
    assert status.nproc() == os.cpu_count()


def test_disk_usage_is_of_the_paths_that_were_asked_for(tmp_path: Path) -> None:
    usage = status.diskusage(str(tmp_path))
    assert list(usage) == [str(tmp_path)]
    assert usage[str(tmp_path)].total >= usage[str(tmp_path)].available > 0


def test_a_path_that_is_not_there_fails_and_the_others_are_kept(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match="No such file") as failed:
        status.diskusage(str(tmp_path), str(tmp_path / "nothing"), "\0")
    assert isinstance(failed.value.value, dict)
    assert list(failed.value.value) == [str(tmp_path)]


def test_own_process_is_among_the_processes() -> None:
    assert "python" in status.procs()[str(os.getpid())].cmd


@pytest.mark.parametrize(
    ("facts", "row"),
    [
        ({"username": "root", "cmdline": ["sh", "-c", "a b"], "name": "sh"}, status.ProcessRow("root", "sh -c a b")),
        ({"username": "root", "cmdline": [], "name": "kthreadd"}, status.ProcessRow("root", "[kthreadd]")),
        ({"username": None, "cmdline": None, "name": None}, status.ProcessRow("", "[]")),
    ],
)
def test_a_process_without_a_command_line_shows_its_name(facts: dict[str, object], row: status.ProcessRow) -> None:
    assert status.process_row(facts) == row


def test_logins_and_interfaces_travel_as_plain_values() -> None:
    assert isinstance(plain(status.w()), list)
    counters = plain(status.netdev())
    assert isinstance(counters, dict)
    assert "lo" in counters


def test_the_time_is_rfc_3339_in_utc() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", status.current_time())
