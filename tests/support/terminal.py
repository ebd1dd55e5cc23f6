"""A terminal for commands under test: what they draw can be waited for, and keys can be pressed."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from typing import Self

from support.wait import wait_until


class Terminal:
    """A command on a terminal of its own, which is all three of its streams unless ``stdout`` is given.

    Attributes:
        process: the command.
    """

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], *, columns: int = 100, stdout: int | None = None
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self._drawn = b""
        self.process = subprocess.Popen(
            words,
            env={"TERM": "xterm-256color", **environment},
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
            start_new_session=True,
            # The terminal becomes the one that a Ctrl-C of its user ends the command through.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 -- the child is run at once
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._master, 65_536):
                self._drawn += data
        except OSError:  # EIO: nobody has the other end open any more
            pass

    @property
    def drawn(self) -> str:
        """Everything that was drawn so far."""
        return self._drawn.decode("utf-8", "replace")

    def wait_for(self, text: str, seconds: float = 30) -> None:
        """Wait until a text was drawn."""
        try:
            wait_until(lambda: text in self.drawn, seconds, f"{text!r} on the terminal")
        except AssertionError as problem:
            raise AssertionError(f"{problem}: {self.drawn!r}") from None

    def press(self, keys: str) -> None:
        """Press keys; ``"\\x03"`` is Ctrl-C."""
        os.write(self._master, keys.encode())

    def end(self, seconds: float = 30) -> tuple[int, str]:
        """Wait for the end of the command; returns its exit code and everything that was drawn."""
        code = self.process.wait(seconds)
        self._reader.join(seconds)
        return code, self.drawn

    def __enter__(self) -> Self:
        """Be there for the time of a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End with the block, and the command with it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(10)
        os.close(self._master)
