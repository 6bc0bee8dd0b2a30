"""The API keys of agents and of who reads: made here or given by the user, stored as digests."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, insert, select, update

from metlo_otel.collector.audit import note
from metlo_otel.collector.schema import KEYS

GIVEN = "given at the start"
MADE = "made at the first start"
READING = "for reading, given at the start"

_FRESH = 2.0  # seconds for which the keys that were read are believed


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the database knows it; `hint` is its beginning, times are in milliseconds. One that
    `reads` is not an agent's.
    """

    id: int
    name: str
    hint: str
    digest: bytes
    made: int
    last_used: int | None
    reads: bool


def make_key() -> str:
    """A new key of 256 random bits, which is why a plain SHA-256 is enough to keep of it."""
    return "metlo-" + secrets.token_urlsafe(32)


def check_key(key: str) -> str:
    """`key` as a header can carry it. Raises ValueError, whose text does not tell the key."""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or len(key) > 512:
        raise ValueError("an API key is 1 to 512 printable ASCII characters")
    return key


def store_key(connection: Connection, name: str, key: str, reads: bool = False) -> None:
    """Keep `key` under `name`, as it is where it is kept so already; another that had this name is no longer valid."""
    kept = select(KEYS.c.id).where(KEYS.c.name == name, KEYS.c.digest == _digest(key), KEYS.c.reads == reads)
    if connection.execute(kept).scalar() is not None:
        return
    row = {"name": name, "digest": _digest(key), "hint": _hint(key), "made": int(time.time() * 1000), "reads": reads}
    connection.execute(delete(KEYS).where(KEYS.c.name == name))
    connection.execute(insert(KEYS), row)


def add_key(connection: Connection, name: str, who: str, reads: bool = False) -> str:
    """Make a key, valid from now on, and return it: it can be shown only now. Raises ValueError for a name that is
    taken, empty, or longer than 64 characters.
    """
    name = name.strip()
    if not name or len(name) > 64 or "\0" in name:
        raise ValueError("the name of a key has 1 to 64 characters")
    if connection.execute(select(KEYS.c.id).where(KEYS.c.name == name)).scalar() is not None:
        raise ValueError(f"there is a key called {name!r} already")
    key = make_key()
    store_key(connection, name, key, reads)
    note(connection, who, "keys.add", {"name": name, "reads": reads})
    return key


def revoke_key(connection: Connection, number: int, who: str) -> bool:
    """Make a key invalid, everywhere within two seconds; whether there was one with this id."""
    name = connection.execute(select(KEYS.c.name).where(KEYS.c.id == number)).scalar()
    if name is None:
        return False
    connection.execute(delete(KEYS).where(KEYS.c.id == number))
    note(connection, who, "keys.revoke", {"name": name})
    return True


def list_keys(connection: Connection) -> list[Key]:
    """All valid keys, oldest first."""
    columns = (KEYS.c.id, KEYS.c.name, KEYS.c.hint, KEYS.c.digest, KEYS.c.made, KEYS.c.last_used, KEYS.c.reads)
    return [Key(*row) for row in connection.execute(select(*columns).order_by(KEYS.c.id))]


class KeyRing:
    """Answers whether a key is valid, out of memory; the database is asked again after two seconds."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._read = float("-inf")
        self._valid: dict[bool, frozenset[bytes]] = {}
        self._used: dict[bytes, int] = {}

    @property
    def is_fresh(self) -> bool:
        """Whether what is known may still be believed."""
        return time.monotonic() - self._read < _FRESH

    def refresh(self) -> None:
        """Read the keys (this waits for the database)."""
        with self._engine.connect() as connection:
            keys = list_keys(connection)
        self._valid = {kind: frozenset(key.digest for key in keys if key.reads is kind) for kind in (False, True)}
        self._read = time.monotonic()

    def holds(self, key: str, reads: bool = False) -> bool:
        """Whether `key` is valid, for an agent or for who reads. Digests are compared, so the time that it takes tells
        nothing about a key.
        """
        digest = _digest(key)
        if not key or digest not in self._valid.get(reads, ()):
            return False
        self._used[digest] = int(time.time() * 1000)
        return True

    def take_used(self) -> dict[bytes, int]:
        """When keys were used last, by digest, since this was asked before."""
        used, self._used = self._used, {}
        return used

    def note_used(self, connection: Connection, used: Mapping[bytes, int]) -> None:
        """Write down when keys were used."""
        for digest, moment in sorted(used.items()):
            connection.execute(update(KEYS).where(KEYS.c.digest == digest).values(last_used=moment))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _hint(key: str) -> str:
    return key[:10] if len(key) >= 24 else key[:2]
