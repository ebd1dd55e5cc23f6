"""T10: a link that dies in any way is noticed and made anew, and nothing sent after `ready` is ever lost."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from support.fleet import MINION_READY, Fleet
from support.proxy import PROXY_ADDRESS, TcpProxy
from support.wait import wait_until

STARTS = 16


@pytest.fixture(scope="module")
def relayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, dict[str, TcpProxy]]]:
    """A fleet of two; web-1 reaches its master through three relays."""
    with ExitStack() as stack:
        fleet = stack.enter_context(Fleet(tmp_path_factory.mktemp("f")))
        fleet.start_master(heartbeat_seconds=0.3)
        names = ("publish_port", "request_port", "enrol_port")
        proxies = {name: stack.enter_context(TcpProxy(getattr(fleet, name))) for name in names}
        fleet.grow("web-1", master=f"{PROXY_ADDRESS}:{fleet.enrol_port}")
        fleet.grow("web-2")
        yield fleet, proxies
        fleet.stop_minions()


def answers(fleet: Fleet) -> bool:
    return fleet.exit_code("web-1", "test.ping", seconds=2) == 0


def readies(fleet: Fleet) -> int:
    return fleet.minions["web-1"].log().count(MINION_READY)


def wait_until_ready_again(fleet: Fleet, before: int) -> None:
    wait_until(lambda: readies(fleet) > before, 15, "the minion to be ready again")


@pytest.mark.parametrize("port", ["publish_port", "request_port"])
def test_the_loss_of_one_of_the_two_connections_replaces_both(
    relayed: tuple[Fleet, dict[str, TcpProxy]], port: str
) -> None:
    fleet, proxies = relayed
    before = readies(fleet)
    proxies[port].cut()
    wait_until(lambda: readies(fleet) > before, 10, "the minion to be ready again")
    assert answers(fleet)


@contextmanager
def swallowed(proxy: TcpProxy) -> Iterator[None]:
    """Stop relaying without closing anything, as a cable that was pulled does."""
    proxy.hold()
    try:
        yield
    finally:
        proxy.release()


@pytest.mark.parametrize("port", ["publish_port", "request_port"])
def test_a_half_open_link_is_given_up_and_made_anew(relayed: tuple[Fleet, dict[str, TcpProxy]], port: str) -> None:
    fleet, proxies = relayed
    wait_until(lambda: answers(fleet), 10, "the link to stand")
    before = readies(fleet)
    if port == "request_port":
        with swallowed(proxies[port]):
            log = fleet.minions["web-1"]
            wait_until(lambda: "heartbeats are not answered" in log.log(), 10, "the silence to be noticed")
        wait_until(lambda: readies(fleet) > before, 15, "the minion to be ready again")
        assert answers(fleet)
    else:
        with swallowed(proxies[port]):
            jid = fleet.submit("web-1", "test.echo", "alone")
            fleet.wait_for_state(jid, "web-1", "succeeded")


def test_a_master_that_is_started_again_is_met_at_once(fleet: Fleet) -> None:
    """With heartbeats of five minutes: the loss of the connection itself must be the sign."""
    fleet.start_master(heartbeat_seconds=300)
    fleet.grow("web-1")
    for end in (fleet.master.kill, fleet.master.stop):
        before = readies(fleet)
        end()
        fleet.restart_master()
        wait_until_ready_again(fleet, before)
        assert fleet.answers("web-1", "test.ping") == {"web-1": True}


def test_nothing_that_is_sent_right_after_ready_is_lost(relayed: tuple[Fleet, dict[str, TcpProxy]]) -> None:
    """Lost once is lost here: the time to live is over before the master repeats an order."""
    fleet, proxies = relayed
    lost = []
    for number in range(STARTS):
        before = readies(fleet)
        proxies["request_port" if number % 2 else "publish_port"].cut()
        wait_until_ready_again(fleet, before)
        # Not by a command: until one has started, "right after" is over.
        with fleet.client() as client:
            done = client.run("*", "test.ping", ttl_seconds=0.9, timeout_seconds=3)
        if done.exit_code != 0:
            lost.append(str(dict(done)))
    assert lost == []
