"""The two sockets of a minion, opened and closed as often as a bad network wants it."""

import os

import zmq

from fleet.core.crypto import CurveSecret
from fleet.minion.transport import LinkKeys, MinionLink
from support.ports import free_ports


def test_a_link_may_be_opened_at_once_after_the_last_one_was_closed() -> None:
    """libzmq closes later, in a thread of its own, and gives no name of a monitor back before."""
    keys = LinkKeys(*(CurveSecret.generate(os.urandom(32)).public.raw for _ in range(3)))
    endpoints = [f"tcp://127.0.0.1:{port}" for port in free_ports(2)]
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        for _ in range(200):
            link = MinionLink(context, endpoints[0], endpoints[1], keys)
            sockets = link.sockets
            assert not any(socket.closed for socket in sockets)
            link.close()
            assert all(socket.closed for socket in sockets)
            del link, sockets
    finally:
        context.destroy(0)
