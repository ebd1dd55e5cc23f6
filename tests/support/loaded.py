"""A command that is loaded once and run many times: four fifths of the processor time of a run are Python importing what it needs.

For tests that run one command over and over, each time with other files: what it reads and says is looked at. How it starts, and all that has
to do with its process, is tested with the command as it is installed.
"""

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from support.processes import Completed

#: What the entry points of ``setup.cfg`` call, and what that imports only when it goes on.
DAEMONS = {
    "fleet-master": ("fleet.master.command", "fleet.master.daemon"),
    "fleet-minion": ("fleet.minion.command", "fleet.minion.daemon"),
}


class Loaded:
    """A process that waits with a command loaded, and forks for each run of it; a context manager.

    Args:
        command: which one, of ``DAEMONS``.
        environment: of the process itself; each run has its own.
        folder: where it may keep what a run writes.
    """

    def __init__(self, command: str, environment: Mapping[str, str], folder: Path) -> None:
        self._command = command
        self._folder = folder
        self._process = subprocess.Popen(
            (sys.executable, "-P", "-m", "support.loaded", command),
            env={**environment, "PYTHONPATH": str(Path(__file__).parent.parent)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, environment: Mapping[str, str], *words: str, seconds: float = 20) -> Completed:
        """Run the command to its end.

        Raises:
            AssertionError: it did not end in time.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        began = time.monotonic()
        outputs = [str(self._folder / f"{self._command}.{name}") for name in ("stdout", "stderr")]
        self._process.stdin.write(json.dumps([words, dict(environment), outputs]) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        if not ready:
            os.killpg(self._process.pid, signal.SIGKILL)
            said = Path(outputs[1]).read_text(encoding="utf-8")
            raise AssertionError(f"{self._command} {words} did not end within {seconds} s:\n{said}")
        code = int(self._process.stdout.readline())
        stdout, stderr = (Path(output).read_text(encoding="utf-8") for output in outputs)
        return Completed(code, stdout, stderr, time.monotonic() - began)

    def close(self) -> None:
        """End the process, which runs nothing now."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def __enter__(self) -> Self:
        """Be there for the time of a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End with the block."""
        self.close()


def serve(command: str) -> int:
    """Run a command each time that a line asks for it, in a child, and answer with its exit code; return that in the child."""
    entry, *_ = (importlib.import_module(name) for name in DAEMONS[command])
    for line in sys.stdin:
        words, environment, outputs = json.loads(line)
        pid = os.fork()
        if pid == 0:
            nothing = os.open(os.devnull, os.O_RDONLY)
            files = (nothing, *(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) for output in outputs))
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            os.environ.clear()
            os.environ.update(environment)
            sys.argv = [command, *words]
            code: int = entry.main()
            return code
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1]))
