"""Secrets are types that do not print: a log line, a traceback or a dump of a structure shows that there is one, not which."""

from typing import NoReturn


class Secret:
    """Text that must not be shown, such as a password or a token.

    ``repr``, ``str`` and formatting give a mask of one length; it cannot be pickled, copied deeply or hashed (the hash of a short text gives it away).
    Comparing takes the same time wherever two secrets differ, so that nobody can guess one letter by letter.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself; the one way to it, easy to search for."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac

        return hmac.compare_digest(_bytes(self), _bytes(other))

    def __hash__(self) -> NoReturn:
        raise TypeError("a secret has no hash")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied deeply")


def _bytes(secret: Secret) -> bytes:
    # Words of a command line may hold bytes that are no UTF-8, as surrogates.
    return secret.reveal().encode("utf-8", "surrogatepass")
