"""Functions that try the way to a minion and back: nothing here changes the machine."""

from .. import __version__
from ..core.functions import CommandFailedError, function
from ..core.values import Value

_SLEEP_LIMIT_SECONDS = 366 * 24 * 3600.0
_FIBONACCI_LIMIT = 92
_RANDOM_LIMIT_BYTES = 64 * 1024 * 1024
_RANDOM_BLOCK_BYTES = 1024 * 1024
#: What the minion is built on, as the Python Package Index calls it.
_DISTRIBUTIONS = ("distro", "google-re2", "msgpack", "psutil", "pynacl", "pyyaml", "pyzmq", "rich", "tornado")


@function(instant=True)
def ping() -> bool:
    """Answer with true: the minion is there and takes jobs. No ICMP is involved."""
    return True


@function(instant=True)
def echo(text: str) -> str:
    """Return the text as it arrived.

    Args:
        text: anything; nothing in it is interpreted.
    """
    return text


@function(instant=True)
def version() -> str:
    """Return the version of fleet that the minion runs."""
    return __version__


@function(reads=True)
def versions_report() -> dict[str, str]:
    """Return the versions of fleet, of Python, of the kernel and of the libraries that the minion is built on."""
    import os
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed_version

    report = {"fleet": __version__, "python": platform.python_version(), "kernel": os.uname().release}
    for distribution in _DISTRIBUTIONS:
        try:
            report[distribution] = installed_version(distribution)
        except PackageNotFoundError:
            report[distribution] = "not installed"
    return report


@function(instant=True)
def arg(*arguments: str) -> list[str]:
    """Return the arguments as they arrived, to see how a shell and the command line split them.

    Args:
        arguments: any number of words.
    """
    return list(arguments)


@function(instant=True)
def kwarg(
    *,
    text: str | None = None,
    integer: int | None = None,
    number: float | None = None,
    flag: bool | None = None,
    words: list[str] | None = None,
    mapping: dict[str, str] | None = None,
    value: Value = None,
) -> dict[str, Value]:
    """Return the keyword arguments that were given, to see what a word on the command line becomes for each type.

    Args:
        text: stays as it is.
        integer: a whole number.
        number: a number.
        flag: true or false.
        words: a list of texts.
        mapping: texts by text.
        value: anything that can travel.
    """
    given: dict[str, Value] = {
        "text": text,
        "integer": integer,
        "number": number,
        "flag": flag,
        "words": words,
        "mapping": mapping,
        "value": value,
    }
    return {name: what for name, what in given.items() if what is not None}


@function(reads=True)
def sleep(seconds: float) -> bool:
    """Wait, then answer with true.

    Args:
        seconds: how long; a year at most.
    """
    import time

    time.sleep(_checked_seconds(seconds))
    return True


@function(reads=True)
def rand_sleep(maximum_seconds: float = 60.0) -> float:
    """Wait for a random time, then return how many seconds it was.

    Args:
        maximum_seconds: the longest it may take; a year at most.
    """
    import random
    import time

    seconds = random.SystemRandom().uniform(0.0, _checked_seconds(maximum_seconds))
    time.sleep(seconds)
    return seconds


def _checked_seconds(seconds: float) -> float:
    if not 0.0 <= seconds <= _SLEEP_LIMIT_SECONDS:  # also refuses what is no number
        raise CommandFailedError(f"cannot wait for {seconds} seconds: it must be between 0 and a year")
    return seconds


@function(reads=True)
def retcode(code: int = 42) -> bool:
    """Fail with an exit code, to see how a failure is shown; with 0, succeed.

    Args:
        code: the exit code, 0 to 255.
    """
    if not 0 <= code <= 255:
        raise CommandFailedError(f"{code} is no exit code: those go from 0 to 255")
    if code:
        raise CommandFailedError(f"failed with exit code {code}, as it was asked to", retcode=code)
    return True


@function(reads=True)
def exception(message: str = "this is a test") -> None:
    """Raise an exception that nobody expects, to see how a bug is shown: with its traceback.

    Args:
        message: the text of the exception.
    """
    raise RuntimeError(message)


@function(instant=True)
def true() -> bool:
    """Return true."""
    return True


@function(instant=True)
def false() -> bool:
    """Return false, which is a value and no failure."""
    return False


@function(reads=True)
def fib(number: int) -> int:
    """Return a Fibonacci number.

    Args:
        number: which one, from 0 to 92 (the last that fits 64 bits).
    """
    if not 0 <= number <= _FIBONACCI_LIMIT:
        raise CommandFailedError(f"{number} is out of range: 0 to {_FIBONACCI_LIMIT}")
    current, following = 0, 1
    for _ in range(number):
        current, following = following, current + following
    return current


@function(reads=True)
def random_hash(size_bytes: int = 8192) -> str:
    """Return the SHA-256 of random bytes in hexadecimal digits.

    Args:
        size_bytes: of how many, 1 to 64 MiB.
    """
    import hashlib
    import os

    if not 1 <= size_bytes <= _RANDOM_LIMIT_BYTES:
        raise CommandFailedError(f"{size_bytes} bytes are out of range: 1 to {_RANDOM_LIMIT_BYTES}")
    digest = hashlib.sha256()
    while size_bytes:
        block = min(size_bytes, _RANDOM_BLOCK_BYTES)
        digest.update(os.urandom(block))
        size_bytes -= block
    return digest.hexdigest()
