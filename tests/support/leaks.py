"""A guard around each unit test: threads, descriptors and children that it leaves behind are its failure.

A ZeroMQ context that was used and not ended shows as well: its own threads and eventfds are counted.
"""

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.wait import wait_until


@dataclass(frozen=True, slots=True)
class _Holdings:
    threads: frozenset[threading.Thread]
    descriptors: frozenset[tuple[int, str]]
    children: frozenset[int]
    native_threads: int

    def beyond(self, before: "_Holdings") -> str:
        """Name what is held now and was not before; empty when there is nothing."""
        parts = [f"thread {thread.name}" for thread in self.threads - before.threads]
        parts += [f"descriptor {number} ({target})" for number, target in self.descriptors - before.descriptors]
        parts += [f"child {pid}" for pid in self.children - before.children]
        if self.native_threads > before.native_threads:
            parts.append(f"{self.native_threads - before.native_threads} threads of libraries")
        return ", ".join(sorted(parts))


@contextmanager
def no_leaks() -> Iterator[None]:
    """Fail when the block leaves something behind that was not there before it."""
    before = _holdings()
    yield
    left = _holdings().beyond(before)
    if left:
        gc.collect()
        try:
            # What is closed on another thread, such as ZeroMQ's, may take a moment.
            wait_until(lambda: not _holdings().beyond(before), 2, "everything to be given back")
        except AssertionError:
            raise AssertionError(f"the test left behind: {_holdings().beyond(before)}") from None


def _holdings() -> _Holdings:
    return _Holdings(
        frozenset(thread for thread in threading.enumerate() if thread.is_alive()),
        frozenset(_descriptors()),
        frozenset(_children()),
        len(os.listdir("/proc/self/task")) - threading.active_count(),
    )


def _descriptors() -> Iterator[tuple[int, str]]:
    for name in os.listdir("/proc/self/fd"):
        try:
            yield int(name), os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue


def _children() -> Iterator[int]:
    for task in Path("/proc/self/task").iterdir():
        try:
            yield from map(int, (task / "children").read_text().split())
        except FileNotFoundError:
            continue
