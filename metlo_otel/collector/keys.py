"""The API keys of agents: made here or given by the user, stored as digests."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, insert, select

from metlo_otel.collector.schema import KEYS

GIVEN = "given at the start"
MADE = "made at the first start"

_FRESH = 2.0  # seconds for which the keys that were read are believed


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the database knows it; `hint` is its beginning."""

    id: int
    name: str
    hint: str
    digest: bytes


def make_key() -> str:
    """A new key of 256 random bits, which is why a plain SHA-256 is enough to keep of it."""
    return "metlo-" + secrets.token_urlsafe(32)


def check_key(key: str) -> str:
    """`key` as a header can carry it. Raises ValueError, whose text does not tell the key."""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or len(key) > 512:
        raise ValueError("an API key is 1 to 512 printable ASCII characters")
    return key


def store_key(connection: Connection, name: str, key: str) -> None:
    """Keep `key` under `name`; a key that had this name is no longer valid."""
    row = {"name": name, "digest": _digest(key), "hint": _hint(key), "made": int(time.time() * 1000)}
    connection.execute(delete(KEYS).where(KEYS.c.name == name))
    connection.execute(insert(KEYS), row)


def list_keys(connection: Connection) -> list[Key]:
    """All valid keys, oldest first."""
    columns = (KEYS.c.id, KEYS.c.name, KEYS.c.hint, KEYS.c.digest)
    return [Key(*row) for row in connection.execute(select(*columns).order_by(KEYS.c.id))]


class KeyRing:
    """Answers whether a key is valid, out of memory; the database is asked again after two seconds."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._read = float("-inf")
        self._valid: frozenset[bytes] = frozenset()

    @property
    def is_fresh(self) -> bool:
        """Whether what is known may still be believed."""
        return time.monotonic() - self._read < _FRESH

    def refresh(self) -> None:
        """Read the keys (this waits for the database)."""
        with self._engine.connect() as connection:
            self._valid = frozenset(key.digest for key in list_keys(connection))
        self._read = time.monotonic()

    def holds(self, key: str) -> bool:
        """Whether `key` is valid. Digests are compared, so the time that it takes tells nothing about a key."""
        return bool(key) and _digest(key) in self._valid


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _hint(key: str) -> str:
    return key[:10] if len(key) >= 24 else key[:2]
