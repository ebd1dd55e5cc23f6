"""What every group of figures uses: whole commands timed by turns beside their floor, and a line for each figure."""

import statistics
import sys
from collections.abc import Mapping, Sequence

from bench.figures import Figure, Machine, in_turn
from support.fleet import BIN, Fleet
from support.processes import run_command

#: The floor of every command: a Python that does nothing.
FLOOR = ("python", "-c", "pass")
PING = ("fleet", "*", "test.ping")
ECHO = ("fleet", "*", "cmd.run", "echo hi")


class Bench:
    """Measures, and prints each figure when it is known.

    Attributes:
        runs: how often each command is timed; what takes long is done less often.
    """

    def __init__(self, machine: Machine, runs: int) -> None:
        """Print with each figure what machine this is."""
        self._machine = machine
        self.runs = runs

    def tell(self, name: str, unit: str, values: Sequence[float], floor: float | None = None) -> None:
        """Print one figure."""
        print(Figure(name, unit, tuple(values), floor).line(self._machine), flush=True)

    def commands(self, fleet: Fleet, commands: Mapping[str, tuple[str, ...]], beside: str = "") -> None:
        """Time whole commands by turns, and the floor with them, after one run each that does not count.

        Args:
            fleet: which is asked.
            commands: by name, the words.
            beside: what else runs on the machine, for the name of the floor.
        """
        timed = {f"python -c pass{beside}": FLOOR, **commands}
        names = list(timed)
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for place, number in enumerate(in_turn(len(names), self.runs + 1)):
            command, *words = timed[names[number]]
            done = run_command((str(BIN / command), *words), fleet.environment())
            assert done.code == 0, done
            if place >= len(names):
                seconds[names[number]].append(done.seconds)
        floor = statistics.median(seconds[names[0]])
        self.tell(names[0], "s", seconds[names[0]])
        for name in commands:
            self.tell(name, "s", seconds[name], floor)


def note(what: str) -> None:
    """Say on stderr what is being measured."""
    print(f"bench: {what}", file=sys.stderr, flush=True)
