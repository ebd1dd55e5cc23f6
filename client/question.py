"""Asks the person before something is done that cannot be taken back."""

import sys

from ..core.errors import UsageError

#: How long a program at the other end of a pipe may take to answer.
_ANSWER_SECONDS = 5.0


def ask(question: str, *, is_yes: bool) -> bool:
    """Ask on stderr and read the answer from stdin. Whoever pipes one in is heard; without one, nothing is guessed.

    Args:
        question: without the answers that are possible.
        is_yes: what an empty line means.

    Raises:
        UsageError: stdin is no terminal and holds no answer.
    """
    if sys.stdin is None or not (sys.stdin.isatty() or _has_input()):
        raise _unanswered()
    print(f"{question} [{'n/Y' if is_yes else 'y/N'}] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        print(file=sys.stderr)
        raise _unanswered()
    word = answer.strip().lower()
    return word in {"y", "yes"} or (is_yes and not word)


def _has_input() -> bool:
    """Whether a pipe or file has something to read soon; a pipe that nobody writes to must not hang a script."""
    from select import select as wait_for

    return bool(wait_for([sys.stdin], [], [], _ANSWER_SECONDS)[0])


def _unanswered() -> UsageError:
    return UsageError(
        "nobody answers here: stdin is no terminal; nothing was changed", "add -y to go ahead without asking"
    )
