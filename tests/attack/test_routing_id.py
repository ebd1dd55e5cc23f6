"""The routing id trap of libzmq 4.3.5: a peer that chooses the ROUTER's next automatic id as its own aborts the process."""

import ctypes
import struct
from collections.abc import Iterator

import zmq

from support.evil import EvilMinion, Socket
from support.fleet import Fleet
from support.wait import wait_until

from .conftest import MakeEvil


def guesses() -> Iterator[bytes]:
    """What the next automatic id would be: a zero byte and a counter that starts at the process's first ``rand()``."""
    libc = ctypes.CDLL(None)
    starts = [0, 1, 1804289383]
    for seed in (0, 1):
        libc.srand(seed)
        starts += [libc.rand() for _ in range(3)]
    for start in starts:
        for step in range(6):
            yield b"\0" + struct.pack(">I", (start + step) % 2**32)
            yield struct.pack(">I", (start + step) % 2**32)


def dial(minion: EvilMinion, routing_id: bytes) -> Socket:
    assert minion.document is not None
    one = minion.context.socket(zmq.DEALER)
    one.linger = 0
    one.curve_publickey, one.curve_secretkey = minion.secret.public.raw, minion.secret.reveal()
    one.curve_serverkey = minion.document.curve
    one.setsockopt(zmq.RECONNECT_IVL, -1)
    # libzmq's own client refuses to set an id that begins with a zero byte; the attacker's would not.
    one.setsockopt(zmq.ROUTING_ID, routing_id if routing_id[0] else b"\x01" + routing_id[1:])
    one.connect(f"tcp://127.0.0.1:{minion.document.request_port}")
    return one


def test_chosen_routing_ids_bring_the_master_down_neither_with_an_accepted_key_nor_without(
    attacked: Fleet, evil: MakeEvil
) -> None:
    pid = attacked.client().status().pid
    with EvilMinion("unknown", attacked.enrol_port) as stranger:
        stranger.enrol()
        for minion in (stranger, evil("accepted")):
            sockets = [dial(minion, routing_id) for routing_id in guesses()]

            def has_judged() -> bool:
                counters = attacked.counters()
                names = ("handshakes_admitted", "handshakes_refused", "handshakes_throttled")
                return bool(sum(counters[name] for name in names) >= 20)

            wait_until(has_judged, 10, "handshakes to be judged")
            assert attacked.exit_code("web-*", "test.ping") == 0
            for one in sockets:
                one.close(0)
    assert attacked.client().status().pid == pid
    assert attacked.answers("web-*", "test.ping") == {"web-1": True, "web-2": True}
