"""What tests that share a running fleet owe each other: they find it running, and whole."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from support.fleet import Fleet, Setting
from support.wait import wait_until


def put_right(fleet: Fleet) -> None:
    """Start again, or let go on, what a test ended or paused, and wait until every minion answers.

    Raises:
        AssertionError: a daemon ended by itself, or does not come back.
    """
    check_that_none_has_crashed(fleet)
    if not fleet.master.is_running:
        fleet.restart_master()
    for daemon in fleet.minions.values():
        if daemon.is_running:
            daemon.resume()
        else:
            daemon.start()
    if fleet.minions:
        wait_until(lambda: states_of(fleet) == dict.fromkeys(fleet.minions, "up"), 30, "every minion to be up")
        wait_until(lambda: do_answer(fleet, "*"), 30, "every minion to answer")


@contextmanager
def added(
    fleet: Fleet, *minions: str, variables: Mapping[str, str] | None = None, **settings: Setting
) -> Iterator[None]:
    """Have these minions as well, for a time, where others go on with the fleet."""
    try:
        for minion in minions:
            fleet.start_minion(minion, variables, **settings)
        fleet.accept(*minions)
        yield
    finally:
        remove_minions(fleet, *(minion for minion in minions if minion in fleet.minions))


def remove_minions(fleet: Fleet, *minions: str) -> None:
    """End these minions and take away everything of theirs: keys, folders and logs.

    Raises:
        AssertionError: one of them ended by itself, does not end when asked to, or logged a traceback.
    """
    problems = []
    daemons = [fleet.minions.pop(minion) for minion in minions]
    for daemon in daemons:
        if daemon.has_crashed():
            problems.append(f"{daemon.name} has ended although nobody ended it:\n{daemon.log()}")
        daemon.ask_to_end()
    for daemon in daemons:
        try:
            daemon.stop()
        except AssertionError as problem:
            problems.append(str(problem))
        if b"Traceback" in daemon.whole_log():
            problems.append(daemon.log())
        daemon.log_file.unlink()
    fleet.change_keys("delete", *minions)
    for minion in minions:
        shutil.rmtree(fleet.minion_root(minion))
    assert not problems, "\n".join(problems)


def check_that_none_has_crashed(fleet: Fleet) -> None:
    """Say which daemon ended by itself, before anybody starts it again.

    Raises:
        AssertionError: one did.
    """
    crashed = [daemon.name for daemon in (fleet.master, *fleet.minions.values()) if daemon.has_crashed()]
    assert not crashed, f"{crashed} ended although nobody ended them\n{fleet.logs()}"


def states_of(fleet: Fleet) -> dict[str, str]:
    """Return the state of each accepted minion, as the master sees it."""
    return {str(row.minion): row.state for row in fleet.client().minions()}


def do_answer(fleet: Fleet, target: str, seconds: float = 5) -> bool:
    """Tell whether every minion that a glob selects answers within so long."""
    results = fleet.client().run(target, "test.ping", timeout_seconds=seconds)
    return all(result.has_succeeded for result in results.values())
