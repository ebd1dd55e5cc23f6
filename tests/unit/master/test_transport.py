"""The order of what two monitors saw, and that nothing waits for it to be read; the sockets are attacked in tests/attack."""

import os
import socket
from types import SimpleNamespace

import zmq

from fleet.master.transport import Accepted, Closed, FleetPorts, in_order
from support.ports import free_ports


def test_the_end_of_a_connection_comes_before_the_next_one_of_its_number_on_the_other_port() -> None:
    request = [Accepted(20, "b")]
    publish = [Closed(20)]

    assert in_order(request, publish) == [Closed(20), Accepted(20, "b")]


def test_a_connection_that_came_and_went_lies_before_the_one_that_is_still_there() -> None:
    request: list[Accepted | Closed] = [Accepted(20, "still there")]
    publish: list[Accepted | Closed] = [Accepted(20, "gone"), Closed(20)]

    assert in_order(request, publish) == [Accepted(20, "gone"), Closed(20), Accepted(20, "still there")]


def test_one_port_keeps_its_own_order_for_each_descriptor() -> None:
    events: list[Accepted | Closed] = [
        Closed(7),
        Accepted(7, "a"),
        Closed(7),
        Accepted(7, "b"),
        Accepted(8, "c"),
        Closed(8),
    ]

    ordered = in_order(events)
    assert [event for event in ordered if event.descriptor == 7] == events[:4]
    assert [event for event in ordered if event.descriptor == 8] == events[4:]


def test_a_connection_that_is_not_read_is_told_from_one_that_is_gone() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        for each in (router, dealer):
            each.set_hwm(2)
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        dealer.setsockopt(zmq.ROUTING_ID, b"minion")
        router.bind("inproc://request")
        dealer.connect("inproc://request")
        ports = FleetPorts(context, "127.0.0.1", 0, 0, b"", lambda *_: True)
        ports._request = SimpleNamespace(socket=router)  # type: ignore[assignment]
        assert not ports.send(b"gone", b"frame")
        assert (ports.unsendable, ports.unread) == (1, 0)
        taken = 0
        while ports.send(b"minion", b"frame"):
            taken += 1
            assert taken < 100
        assert (ports.unsendable, ports.unread) == (2, 1)
    finally:
        context.destroy(0)


def test_connections_are_served_and_ports_closed_although_nobody_reads_what_the_monitors_saw() -> None:
    """libzmq's thread waits for who has no room for an event: with the limit that it sets by itself, from the 2,000th on."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    request_port, publish_port = free_ports(2)
    ports = FleetPorts(context, "127.0.0.1", request_port, publish_port, os.urandom(32), lambda _minion, _key: True)
    ports.open()
    for _ in range(2_500):
        with socket.create_connection(("127.0.0.1", request_port), timeout=20) as stranger:
            assert stranger.recv(1) == b"\xff"  # The greeting of ZMTP.
    ports.close()
    context.term()
