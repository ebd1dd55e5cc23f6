"""What two people compare: a fingerprint of one key, or one pairing code over both.

Both are 160 bits in 8 groups of 4 letters and digits (base32 of RFC 4648, lower case)::

    z46p-4cc3-q5ii-yds2-kq4m-dvmd-jref-6sa4

160 and not 80 because whoever stands between master and minion may choose a key on either side and look for any two that
give the same pairing code: a birthday search, 2^80 steps.
"""

import base64
import hashlib
import re
from functools import lru_cache

from ..core.errors import CryptoError

_KEY_BYTES = 32
_CODE_BYTES = 20
_CODE = re.compile(r"[a-z2-7]{32}", re.ASCII)
# Blanks and every dash: text from a chat or a web page has its hyphens made typographic.
_DECORATION = re.compile(r"[\s\-\u00ad\u2010-\u2015\u2212]+")


@lru_cache(16)
def fingerprint(public: bytes) -> str:
    """Return the fingerprint of a public key of 32 bytes: a master's identity, or a minion's CURVE key.

    Raises:
        CryptoError: it has not 32 bytes.
    """
    return _code(b"fleet fingerprint 1\0", public)


def pairing_code(master_identity: bytes, minion_key: bytes) -> str:
    """Return the code over the identity of a master and the key of a minion, each 32 bytes.

    Each side computes it from its own key and the one that it was shown: when both show the same code, nobody stands
    between them, so one comparison authenticates both directions.

    Raises:
        CryptoError: one of them has not 32 bytes.
    """
    return _code(b"fleet pairing 1\0", master_identity, minion_key)


def _code(label: bytes, *keys: bytes) -> str:
    # Of fixed length, so that no two lists of keys are the same bytes.
    if any(len(key) != _KEY_BYTES for key in keys):
        raise CryptoError(f"a public key has {_KEY_BYTES} bytes, not {[len(key) for key in keys]}")
    code = hashlib.sha256(label + b"".join(keys)).digest()[:_CODE_BYTES]
    text = base64.b32encode(code).decode("ascii").lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def normalise(text: str) -> str:
    """Return what a person typed or pasted without blanks and dashes, in lower case."""
    return _DECORATION.sub("", text).lower()


def is_fingerprint(text: str) -> bool:
    """Tell whether ``text`` is a whole fingerprint or pairing code, however it is grouped."""
    return _CODE.fullmatch(normalise(text)) is not None


def same_fingerprint(one: str, other: str) -> bool:
    """Tell whether both are the same whole code, however they are grouped; what is none equals nothing."""
    return is_fingerprint(one) and normalise(one) == normalise(other)
