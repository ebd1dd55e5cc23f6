"""T7: whoever forwards the bytes can drop, delay and count them; what arrives is what was sent, or nothing does."""

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from support.fleet import Fleet
from support.proxy import PROXY_ADDRESS, TcpProxy
from support.wait import wait_until

PORTS = ("publish_port", "request_port", "enrol_port")


class Meddler:
    """Alters what passes a relay, once it is armed; what it did is counted."""

    def __init__(self) -> None:
        self.how: Callable[[bytes], bytes] = bytes
        self.done = 0
        self._recorded = bytearray()
        self._armed = threading.Event()

    def arm(self, how: Callable[[bytes], bytes]) -> None:
        """Do it once, to the next piece that is long enough."""
        self.how = how
        self._armed.set()

    def __call__(self, data: bytes) -> bytes:
        self._recorded += data[:10_000] if len(self._recorded) < 100_000 else b""
        if not self._armed.is_set() or len(data) < 60:
            return data
        self._armed.clear()
        self.done += 1
        return self.how(data)

    def recorded(self) -> bytes:
        """What has passed."""
        return bytes(self._recorded)


@pytest.fixture(scope="module")
def relayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, dict[str, Meddler]]]:
    """A fleet with a meddler on each port of its one minion."""
    with ExitStack() as stack:
        fleet = stack.enter_context(Fleet(tmp_path_factory.mktemp("f")))
        fleet.start_master(heartbeat_seconds=0.3)
        meddlers = {name: Meddler() for name in PORTS}
        for name in PORTS:
            stack.enter_context(TcpProxy(getattr(fleet, name), meddlers[name]))
        fleet.grow("web-1", master=f"{PROXY_ADDRESS}:{fleet.enrol_port}")
        yield fleet, meddlers
        fleet.stop_minions()


def flipped(data: bytes) -> bytes:
    at = random.Random(7).randrange(20, len(data))
    return data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :]


def repeated(data: bytes) -> bytes:
    return data + data


def torn(data: bytes) -> bytes:
    return data[: len(data) // 2]


def reordered(data: bytes) -> bytes:
    half = len(data) // 2
    return data[half:] + data[:half]


def injected(data: bytes) -> bytes:
    return bytes((0, len(data[:200]))) + data[:200] + data


@pytest.mark.parametrize("port", ["publish_port", "request_port"])
@pytest.mark.parametrize("how", [flipped, repeated, torn, reordered, injected])
def test_a_job_whose_bytes_were_meddled_with_runs_once_as_written(
    relayed: tuple[Fleet, dict[str, Meddler]], port: str, how: Callable[[bytes], bytes]
) -> None:
    fleet, meddlers = relayed
    wait_until(lambda: fleet.exit_code("web-1", "test.ping", seconds=2) == 0, 20, "the link to stand")
    meddler = meddlers[port]
    before = meddler.done
    meddler.arm(how)
    ran = fleet.minion_root("web-1") / f"ran-{port}-{how.__name__}"
    jid = fleet.submit("web-1", "cmd.run", f"echo unaltered >> {ran}; echo right")
    found = fleet.wait_for_state(jid, "web-1", "succeeded", 20)
    assert found["value"] == "right"
    assert ran.read_text() == "unaltered\n"
    if port == "request_port":
        assert meddler.done == before + 1
    assert fleet.minions["web-1"].is_running
    assert fleet.master.is_running


def test_what_was_recorded_of_a_session_opens_nothing_later(relayed: tuple[Fleet, dict[str, Meddler]]) -> None:
    """The whole of both directions, to either side: no handshake can be repeated."""
    fleet, meddlers = relayed
    before = fleet.counters()
    for port in PORTS:
        recording = meddlers[port].recorded()
        assert recording
        with socket.create_connection(("127.0.0.1", getattr(fleet, port)), 5) as connection:
            connection.settimeout(0.3)
            try:
                connection.sendall(recording)
                while connection.recv(4096):
                    continue
            except OSError:
                continue
    after = fleet.counters()
    assert after["handshakes_admitted"] == before["handshakes_admitted"]
    assert fleet.answers("web-1", "test.ping") == {"web-1": True}
