"""The jobs of the stream: what is run, on which minions, under which terms, and what each is to print. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

#: The program of most jobs. It writes what it does and prints into files of its own, outside of the product: first there, then to
#: its output, so that one that is killed has printed at most a line less than it has written down.
SCRIPT = """\
# token kind count pause code
token=$1 kind=$2 count=$3 pause=$4 code=$5
out=$FLEET_ROOT/outside/$token
echo "$token $$" >> "$out.ran"
say() { printf '%s\\n' "$1" >> "$out.stdout"; printf '%s\\n' "$1"; }
warn() { printf '%s\\n' "$1" >> "$out.stderr"; printf '%s\\n' "$1" >&2; }
i=0
while [ $i -lt $count ]; do
  case $kind in
    large) yes "$token $i" | head -c 150000 >> "$out.stdout.part"
           cat "$out.stdout.part" >> "$out.stdout"; cat "$out.stdout.part"; rm "$out.stdout.part" ;;
    *) say "$token says $i"; [ $((i % 2)) = 0 ] || warn "$token warns $i" ;;
  esac
  i=$((i + 1))
  [ "$pause" = 0 ] || sleep "$pause"
done
echo "$code" > "$out.code"
exit "$code"
"""


class OrderKind(StrEnum):
    """What a job does."""

    QUICK = "quick"
    SLOW = "slow"
    LONG = "long"
    LARGE = "large"
    FAILING = "failing"
    OVERRUN = "overrun"
    SLEEP = "sleep"
    ECHO = "echo"


#: Those of which files outside tell whether and when they ran, and what they printed.
PROGRAMS = frozenset(set(OrderKind) - {OrderKind.SLEEP, OrderKind.ECHO})
#: How often each is drawn. Most of them run for a while, or no fault would ever strike one that runs.
_WEIGHTS = {
    OrderKind.QUICK: 4,
    OrderKind.SLOW: 5,
    OrderKind.LONG: 3,
    OrderKind.LARGE: 1,
    OrderKind.FAILING: 3,
    OrderKind.OVERRUN: 1,
    OrderKind.SLEEP: 2,
    OrderKind.ECHO: 2,
}
#: How many lines, or blocks, they print: least and most.
_COUNTS = {
    OrderKind.QUICK: (0, 3),
    OrderKind.LONG: (10, 20),
    # Beyond seven they come to more than 1 MiB, which the master keeps part by part.
    OrderKind.LARGE: (1, 14),
    OrderKind.OVERRUN: (8, 8),
}
#: 0 is what the master's settings say. The short ones are to pass while a minion is stopped or away.
_TTLS_SECONDS = (0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 600.0)


@dataclass(frozen=True, slots=True)
class Mix:
    """What jobs there are in the stream.

    Attributes:
        cancelled_of_ten: how many of ten jobs are cancelled.
        all_of_ten: how many of ten are for all minions; a third of the others are for some.
    """

    cancelled_of_ten: int = 1
    all_of_ten: int = 2


#: The mix of a usual run.
USUAL = Mix()


@dataclass(frozen=True, slots=True)
class Order:
    """One job that is to be submitted.

    Attributes:
        token: names it everywhere; no other order has the same.
        target: a glob.
        count: of lines, or of blocks of 150 kB.
        pause_seconds: after each.
        code: with which it exits.
        ttl_seconds: 0 for the master's default.
        timeout_seconds: its own limit; 0 for none.
        cancel_after_seconds: after which it is cancelled; None when it is not.
        is_watched: its results are streamed to whoever submitted it.
        is_typed: it goes through the ``fleet`` command.
    """

    token: str
    kind: OrderKind
    target: str
    count: int
    pause_seconds: float
    code: int
    ttl_seconds: float
    timeout_seconds: float
    cancel_after_seconds: float | None
    is_watched: bool
    is_typed: bool

    @property
    def runs_seconds(self) -> float:
        """How long it takes at the least."""
        return self.count * self.pause_seconds

    def call(self, script: str) -> tuple[str, tuple[str | float, ...]]:
        """The function that is called, and its arguments; ``script`` is the file that holds ``SCRIPT``."""
        if self.kind is OrderKind.ECHO:
            return "test.echo", (self.token,)
        if self.kind is OrderKind.SLEEP:
            return "test.sleep", (self.runs_seconds,)
        words = f"{self.token} {self.kind} {self.count} {self.pause_seconds:.2f} {self.code}"
        return "cmd.run", (f"exec /bin/sh {script} {words.replace(' 0.00 ', ' 0 ')}",)


def orders(
    seed: int, submitter: int, minions: Sequence[str], mix: Mix = USUAL, *, is_typed: bool = False
) -> Iterator[Order]:
    """Draw the jobs of one submitter, without end.

    Args:
        seed: of the run.
        submitter: its number; another one draws other jobs.
        minions: their ids; they share a beginning, so that a glob selects some.
        mix: what jobs there are.
        is_typed: all of them go through the ``fleet`` command.
    """
    dice = Random(f"{seed} orders {submitter}")
    kinds = [kind for kind, weight in _WEIGHTS.items() for _ in range(weight)]
    number = 0
    while True:
        number += 1
        kind = dice.choice(kinds)
        least, most = _COUNTS.get(kind, (2, 6))
        pause = dice.uniform(0.2, 0.5) if kind not in {OrderKind.QUICK, OrderKind.LARGE} else 0.0
        count = dice.randint(least, most)
        is_cancelled = dice.randrange(10) < mix.cancelled_of_ten
        yield Order(
            token=f"s{submitter}-{number:05}",
            kind=kind,
            target=_target(dice, minions, mix),
            count=count,
            pause_seconds=round(pause, 2),
            code=dice.choice((1, 3, 42, 255)) if kind is OrderKind.FAILING else 0,
            ttl_seconds=dice.choice(_TTLS_SECONDS),
            timeout_seconds=0.6 if kind is OrderKind.OVERRUN else 0.0,
            # At once, too: then the cancel and its job are under way together.
            cancel_after_seconds=dice.choice((0.0, 0.0, 0.3, 1.0)) if is_cancelled else None,
            is_watched=dice.randrange(3) == 0,
            is_typed=is_typed,
        )


def _target(dice: Random, minions: Sequence[str], mix: Mix) -> str:
    """One minion, two that a glob selects, or all."""
    if dice.randrange(10) < mix.all_of_ten:
        return "*"
    if dice.randrange(4):
        return dice.choice(minions)
    return f"{minions[0][:-1]}[{dice.choice(minions)[-1]}{dice.choice(minions)[-1]}]"
