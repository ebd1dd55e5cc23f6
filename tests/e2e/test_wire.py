"""What others can read, alter or disturb on the wire: nothing; attacked on real sockets while the fleet works."""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message
from zmq.utils.z85 import encode as encode_z85

from fleet.client import Client
from fleet.keys.identity import read_master_public
from support.fleet import Fleet, open_descriptors, resident_kibibytes
from support.proxy import PROXY_ADDRESS, TcpProxy
from support.sharing import added
from support.wait import wait_until

_ZMTP_NULL = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_ZMTP_CURVE = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)

#: One of every shape: nothing, noise, other protocols, broken and oversized frames, a handshake that lies.
SHAPES = (
    b"",
    b"\0",
    os.urandom(200),
    b"GET / HTTP/1.1\r\nHost: fleet\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(100),
    b"SSH-2.0-OpenSSH_9.2\r\n",
    struct.pack(">I", 0xFFFFFFFF) + b"x" * 100,
    struct.pack(">I", 100) + os.urandom(100),
    struct.pack(">IBB", 2, 1, 1),
    b"\xff" * 64,
    _ZMTP_NULL + b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x06DEALER",
    _ZMTP_NULL + b"\x02" + struct.pack(">Q", 2**62) + b"x" * 100,
    _ZMTP_CURVE + b"\x04\xc8\x05HELLO\x01\x00" + bytes(72) + os.urandom(120),
    _ZMTP_CURVE + b"\x06" + struct.pack(">Q", 2**40) + b"\x08INITIATE" + os.urandom(64),
)
GARBAGE_COUNT = 10_000
MUTE_COUNT = 100


def send_garbage(port: int, count: int) -> None:
    """Send ``count`` messages that are none, one of each shape in turn, each over a connection of its own."""
    for number in range(count):
        with socket.socket() as connection, suppress(OSError):
            # A reset instead of an orderly end: no port of ours stays in TIME_WAIT.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.settimeout(5)
            connection.connect(("127.0.0.1", port))
            connection.sendall(SHAPES[number % len(SHAPES)])


@contextmanager
def mute_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Open connections that say nothing."""
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for _ in range(count)]


def is_closed(connection: socket.socket) -> bool:
    """Tell whether the other side has closed the connection."""
    connection.setblocking(False)
    try:
        while data := connection.recv(4096):
            assert data
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def complaints(fleet: Fleet) -> list[str]:
    """Return what the master has logged, without the line that each job has."""
    return [line for line in fleet.master.log().splitlines() if "runs test.ping" not in line]


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet that the tests of this file share: web-1, web-2 and db-1, and what each adds for its own time."""
    with Fleet(tmp_path_factory.mktemp("f")) as shared:
        # As it comes the enrolment port serves 200 a second and leaves the rest to the kernel; here it must look at each.
        shared.start_master(enrol_rate_per_second=10_000)
        shared.start_minion("web-1")
        shared.start_minion("web-2")
        shared.start_minion("db-1")
        shared.accept_all()
        yield shared


def test_nothing_of_a_command_or_its_result_can_be_read_on_the_wire(wired: Fleet) -> None:
    with ExitStack() as stack:
        ports = (wired.publish_port, wired.request_port, wired.enrol_port)
        proxies = [stack.enter_context(TcpProxy(port)) for port in ports]
        command = "echo CANARY-in-the-command; echo CANARY | tr A-Z a-z; echo CANARY >&2"
        with added(wired, "far-1", "far-2", master=f"{PROXY_ADDRESS}:{wired.enrol_port}"):
            for target, count in (("*", len(wired.minions)), ("far-1", 1)):
                answers = wired.answers(target, "cmd.run", command)
                assert list(answers.values()) == ["CANARY-in-the-command\ncanary\nCANARY"] * count
        for proxy in proxies:
            assert proxy.connections >= 2
            both_ways = bytes(proxy.to_upstream + proxy.from_upstream)
            assert len(proxy.to_upstream) > 64
            assert len(proxy.from_upstream) > 64
            assert b"canary" not in both_ways.lower()


def test_a_job_that_a_relay_altered_by_one_byte_is_not_obeyed(wired: Fleet) -> None:
    is_armed = threading.Event()
    altered: list[int] = []

    def alter(data: bytes) -> bytes:
        if not is_armed.is_set() or len(data) < 100:
            return data
        is_armed.clear()
        altered.append(len(data))
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]

    with ExitStack() as stack:
        for port in (wired.publish_port, wired.request_port):
            stack.enter_context(TcpProxy(port, alter))
        stack.enter_context(TcpProxy(wired.enrol_port))
        stack.enter_context(added(wired, "far-1", master=f"{PROXY_ADDRESS}:{wired.enrol_port}"))
        is_armed.set()
        jid = wired.submit("*", "cmd.run", "echo unaltered >> $FLEET_ROOT/ran")
        result = wired.wait_for_state(jid, "far-1", "succeeded")
        assert altered, "the relay altered something"
        assert result["retcode"] == 0
        assert (wired.minion_root("far-1") / "ran").read_text() == "unaltered\n"


def test_garbage_on_every_port_and_mute_connections_disturb_no_job(wired: Fleet) -> None:
    ports = (wired.publish_port, wired.request_port, wired.enrol_port)
    for port in ports:
        send_garbage(port, 10 * len(SHAPES))
    kibibytes, descriptors = resident_kibibytes(wired.master.pid), open_descriptors(wired.master.pid)
    lines_before = len(complaints(wired))

    senders = [threading.Thread(target=send_garbage, args=(port, GARBAGE_COUNT)) for port in ports]
    pings = 0
    with ExitStack() as stack:
        mute = [one for port in ports for one in stack.enter_context(mute_connections(port, MUTE_COUNT))]
        for sender in senders:
            sender.start()
        while any(sender.is_alive() for sender in senders) or pings < 5:
            # The client in this process: otherwise the test would mostly start command lines.
            with Client(wired.master_root) as client:
                answers = client.run("*", "test.ping", timeout_seconds=30)
            assert {minion: answer.value for minion, answer in answers.items()} == dict.fromkeys(wired.minions, True)
            pings += 1
            senders[0].join(0.1)  # Garbage is to come between the pings as well.
        for sender in senders:
            sender.join()
        wait_until(lambda: all(map(is_closed, mute)), 30, "the mute connections to be closed")

    assert wired.master.is_running
    assert resident_kibibytes(wired.master.pid) - kibibytes < 16 * 1024
    wait_until(lambda: open_descriptors(wired.master.pid) <= descriptors + 3, 15, "the descriptors to be given back")
    assert len(complaints(wired)) - lines_before < 100


def test_a_stranger_gets_no_handshake_on_the_ports_of_the_fleet(wired: Fleet) -> None:
    """It knows all that is public, the master's key included; only its own key is not accepted."""
    public = read_master_public(wired.master_root / "var/lib/fleet/master")
    assert public is not None
    outcomes = []
    with zmq.Context() as context:
        for port, kind in ((wired.request_port, zmq.DEALER), (wired.publish_port, zmq.SUB)):
            with context.socket(kind) as stranger:
                stranger.linger = 0
                stranger.curve_publickey, stranger.curve_secretkey = zmq.curve_keypair()
                stranger.curve_serverkey = encode_z85(public.curve)
                monitor = stranger.get_monitor_socket(
                    zmq.EVENT_HANDSHAKE_SUCCEEDED
                    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
                    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
                )
                stranger.connect(f"tcp://127.0.0.1:{port}")
                assert monitor.poll(10_000)
                outcomes.append(recv_monitor_message(monitor)["event"])
                stranger.disable_monitor()
                monitor.close(0)
    assert outcomes == [zmq.EVENT_HANDSHAKE_FAILED_AUTH] * 2


def test_one_start_of_a_minion_is_one_session(wired: Fleet) -> None:
    before, minions = wired.counters()["messages_hellos"], ("new-1", "new-2", "new-3")
    with added(wired, *minions):
        for minion in minions:
            assert wired.answers(minion, "test.ping") == {minion: True}
            connected = [line for line in wired.master.log().splitlines() if minion in line and "connected" in line]
            assert len(connected) == 1, connected
        assert wired.counters()["messages_hellos"] == before + len(minions)


@pytest.mark.parametrize("starts", [5])
def test_a_job_sent_right_after_the_ready_line_is_never_lost(wired: Fleet, starts: int) -> None:
    """Not asked by a command: until one has started, "right after" is over."""
    for _ in range(starts):
        wired.minions["web-1"].stop()
        wired.restart_minion("web-1")
        assert wired.answers("*", "test.ping") == dict.fromkeys(wired.minions, True)


def test_a_minion_dials_out_and_listens_nowhere(wired: Fleet) -> None:
    import psutil

    for daemon in wired.minions.values():
        sockets = psutil.Process(daemon.pid).net_connections("all")
        assert [one for one in sockets if one.status == psutil.CONN_LISTEN] == []
        towards = {one.raddr.port for one in sockets if one.status == psutil.CONN_ESTABLISHED and one.raddr}
        assert {wired.publish_port, wired.request_port} <= towards
    for minion in wired.minions:
        run = wired.minion_root(minion) / "run"
        assert [file for file in run.rglob("*") if file.is_socket()] == []
