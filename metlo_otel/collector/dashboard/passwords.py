"""Passwords as they are kept: scrypt (RFC 7914) with a salt of its own for each."""

from __future__ import annotations

import hashlib
import hmac
import secrets

SHORTEST, LONGEST = 8, 1024  # characters

# 32 MB and some 180 ms a guess, OWASP's advice for scrypt. Argon2id is no better than that (same advice), and would
# need a compiled package; scrypt is Python's own, and OpenSSL keeps it.
_COST, _BLOCK, _PARALLEL = 2**15, 8, 3
NOBODYS = f"scrypt${_COST}${_BLOCK}${_PARALLEL}${'00' * 16}${'00' * 32}"
"""What no password fits, which takes as long to find out as with one that somebody has."""

_MEMORY = 64 * 1024 * 1024
_WORDS = 4


def make_password() -> str:
    """A new password of 80 random bits in four groups that can be typed."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 characters, none that is taken for another
    groups = ["".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(_WORDS)]
    return "-".join(groups)


def check_password(password: str) -> str:
    """`password` where it is good enough to be one. Raises ValueError, whose text does not tell it."""
    if not SHORTEST <= len(password) <= LONGEST or not password.isprintable():
        raise ValueError(f"the dashboard's password is {SHORTEST} to {LONGEST} printable characters")
    return password


def hash_password(password: str) -> str:
    """What to keep of a password: `scrypt$cost$block$parallel$salt$hash`, the last two in hexadecimal."""
    salt = secrets.token_bytes(16)
    digest = _scrypt(password, salt, _COST, _BLOCK, _PARALLEL)
    return f"scrypt${_COST}${_BLOCK}${_PARALLEL}${salt.hex()}${digest.hex()}"


def is_password(password: str, kept: str) -> bool:
    """Whether `password` is the one that `kept` was made of; takes the same time whatever the answer."""
    _, cost, block, parallel, salt, digest = kept.split("$")
    found = _scrypt(password[:LONGEST], bytes.fromhex(salt), int(cost), int(block), int(parallel))
    return hmac.compare_digest(found, bytes.fromhex(digest))


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    raw = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(raw, salt=salt, n=cost, r=block, p=parallel, maxmem=_MEMORY, dklen=32)
