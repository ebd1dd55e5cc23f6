"""At most one log line in a while for each peer: what keeps a flood of rubbish out of the log.

A peer that is kept quiet is not forgotten: its next line says how many were kept back. The number of peers remembered is
bounded too; those beyond it share one line, so a thousand addresses write no thousand lines.
"""

from .dataclass import dataclass

LINE_SECONDS = 60.0
_KEYS_LIMIT = 64


@dataclass(slots=True)
class _Quiet:
    until_us: int = 0
    kept_back: int = 0


class LineLimiter:
    """Decides which lines are written; pure, so the time comes in."""

    def __init__(self, seconds: float = LINE_SECONDS, keys_limit: int = _KEYS_LIMIT) -> None:
        """Remember at most ``keys_limit`` peers, each for ``seconds`` after its last line."""
        self._quiet_us = int(seconds * 1_000_000)
        self._keys_limit = keys_limit
        # In the order of their last line, hence also of ``until_us``: what has run out stands at the front.
        self._quiet: dict[str, _Quiet] = {}
        self._everybody_else = _Quiet()

    def __len__(self) -> int:
        """Count the peers that are remembered."""
        return len(self._quiet)

    def allow(self, key: str, now_us: int) -> int | None:
        """Ask whether a line about ``key`` may be written now.

        Returns:
            None when it is kept back; else the number of lines that were kept back since its last one. Zero is a yes:
            compare with ``is not None``.
        """
        if key not in self._quiet and len(self._quiet) >= self._keys_limit:
            self._forget_expired(now_us)
        if key not in self._quiet and len(self._quiet) >= self._keys_limit:
            quiet = self._everybody_else
        else:
            quiet = self._quiet.get(key) or _Quiet()
        if now_us < quiet.until_us:
            quiet.kept_back += 1
            return None
        if quiet is not self._everybody_else:
            self._quiet.pop(key, None)
            self._quiet[key] = quiet
        kept_back, quiet.kept_back = quiet.kept_back, 0
        quiet.until_us = now_us + self._quiet_us
        return kept_back

    def _forget_expired(self, now_us: int) -> None:
        """Make room: a peer whose time has run out and who is no longer heard of loses the count of its lines."""
        while self._quiet:
            key, oldest = next(iter(self._quiet.items()))
            if now_us < oldest.until_us:
                return
            del self._quiet[key]
