import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from fleet.core.from_minion import GrainsReport
from fleet.core.messages import REQUEST_FRAME_LIMIT_BYTES
from fleet.core.names import MinionId
from fleet.core.packing import encode
from fleet.core.values import Value
from fleet.minion.grain_limits import GRAINS_LIMIT_BYTES
from fleet.minion.grains import collect_grains

WEB_1 = MinionId("web-1")
EXPECTED = {
    "id", "host", "localhost", "nodename", "fqdn", "domain", "os", "os_family", "osfullname", "osarch",
    "kernel", "kernelrelease", "kernelversion", "cpuarch", "num_cpus", "mem_total", "swap_total",
    "ipv4", "ipv6", "ip4_interfaces", "ip6_interfaces", "hwaddr_interfaces", "virtual",
    "pythonversion", "fleetversion", "pid", "path",
}  # fmt: skip


def one_fact(root: Path) -> Mapping[str, Value]:
    return {"fact": "found", "root": str(root)}


def broken(root: Path) -> Mapping[str, Value]:
    raise RuntimeError("no such luck")


def test_this_machine_has_every_grain_that_every_machine_has() -> None:
    grains = collect_grains(WEB_1, {}, "1.2.3")
    assert set(grains.values) >= EXPECTED
    assert grains.warnings == ()
    assert grains.values["id"] == "web-1"
    assert grains.values["fleetversion"] == "1.2.3"
    assert "127.0.0.1" in str(grains.values["ipv4"])
    assert len(encode(GrainsReport(b"", grains.values))) < 16_384


def test_static_grains_win_over_what_was_found_but_not_over_the_id(tmp_path: Path) -> None:
    grains = collect_grains(WEB_1, {"fact": "told", "roles": ["web"], "id": "db-1"}, "1", tmp_path, (one_fact,))
    assert grains.values == {
        "fact": "told",
        "fleetversion": "1",
        "id": "web-1",
        "roles": ["web"],
        "root": str(tmp_path),
    }
    assert grains.warnings == ("the static grain 'id' is left out: it is the minion's own name",)


def test_a_source_that_breaks_is_left_out_and_told_once(tmp_path: Path) -> None:
    grains = collect_grains(WEB_1, {}, "1", tmp_path, (broken, one_fact))
    assert grains.values["fact"] == "found"
    assert grains.warnings == ("the grains of 'broken' are left out: RuntimeError('no such luck')",)


def test_what_cannot_travel_is_left_out_and_told(tmp_path: Path) -> None:
    nowhere_utf_8 = b"/opt/\xff".decode("utf-8", "surrogateescape")
    grains = collect_grains(WEB_1, {"huge": 2**70, "path": nowhere_utf_8, "good": 1}, "1", tmp_path, ())
    assert set(grains.values) == {"id", "fleetversion", "good", "path"}
    assert grains.values["path"] == "/opt/\ufffd"
    assert [warning.partition(" is ")[0] for warning in grains.warnings] == ["the grain 'huge'"]


def test_grains_that_are_too_many_for_one_message_lose_the_largest_and_keep_the_rest(tmp_path: Path) -> None:
    addresses = [f"10.{number >> 8}.{number & 255}.1" for number in range(6000)]
    static: dict[str, Value] = {"ipv4": addresses, "ip4_interfaces": {"kube-ipvs0": addresses}, "role": "balancer"}
    grains = collect_grains(WEB_1, static, "1", tmp_path, ())
    assert set(grains.values) == {"id", "fleetversion", "role"}
    assert [warning.partition(":")[0] for warning in grains.warnings] == [
        "the grain 'ip4_interfaces' is left out",
        "the grain 'ipv4' is left out",
    ]
    assert GRAINS_LIMIT_BYTES * 2 <= REQUEST_FRAME_LIMIT_BYTES


def test_importing_the_collector_loads_neither_library() -> None:
    code = "import sys, json, fleet.minion.grains, fleet.minion.static_grains; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert not set(json.loads(ended.stdout)) & {"psutil", "distro", "yaml", "zmq", "nacl", "asyncio", "subprocess"}


def test_collecting_runs_no_program_and_looks_up_no_name() -> None:
    code = """
import sys
forbidden = []
def watch(event, arguments):
    if event.startswith(("subprocess.", "os.exec", "os.posix_spawn", "os.system", "os.fork")) or event in {
        "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo", "socket.connect"}:
        forbidden.append(event)
sys.addaudithook(watch)
from fleet.core.names import MinionId
from fleet.minion.grains import collect_grains
assert collect_grains(MinionId("web-1"), {}, "1").warnings == ()
print(forbidden)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == "[]\n"
