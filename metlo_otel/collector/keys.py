"""The API keys of agents and of who reads: made here or given by the user, stored as digests."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, insert, or_, select, update

from metlo_otel.collector.audit import note
from metlo_otel.collector.schema import KEYS
from metlo_otel.collector.schema_people import USERS

GIVEN = "given at the start"
MADE = "made at the first start"
READING = "for reading, given at the start"

SHORTEST = 20  # characters of a key where others can reach the collector
_HOST = re.compile(r"(\*\.)?[a-z0-9._-]+(:\d{1,5})?|\[[0-9a-f:]+\](:\d{1,5})?")
_MOST_HOSTS = 50
_LONGEST_SERVICE = 255  # characters, as the inventory keeps
_FRESH = 2.0  # seconds for which the keys that were read are believed


SCOPES = ("traces", "endpoints", "attacks", "actors", "alerts", "metrics")
"""What tokens for reading may be for."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key is good for: the `scopes` that it may read, and whose traces an agent may send with it: of `hosts`, as
    names or `*.name` for all below one, and of `services` by their names; None for all.
    """

    scopes: frozenset[str] | None = None
    hosts: tuple[str, ...] | None = None
    services: tuple[str, ...] | None = None

    def reads(self, scope: str) -> bool:
        """Whether this may be read."""
        return self.scopes is None or scope in self.scopes

    def sends(self, host: str) -> bool:
        """Whether traces of a host may be sent; `*` are calls that no endpoint comes from."""
        if self.hosts is None:
            return True
        name = host.lower()
        return name == "*" or any(name == each or (each[:2] == "*." and name.endswith(each[1:])) for each in self.hosts)

    def foreign(self, host: str, service: str | None) -> tuple[str, str] | None:
        """Why a trace may not be sent: the field, and what is wrong with it."""
        if not self.sends(host):
            return "request.url.host", f"this key is for {', '.join(self.hosts or ())}, not for {host[:100]!r}"
        return None if self.serves(service) else ("meta.service", self.other_service(service))

    def serves(self, service: str | None) -> bool:
        """Whether a service, None for one that nobody named, may send."""
        return self.services is None or service in self.services

    def other_service(self, service: str | None) -> str:
        """What is wrong with a service that may not."""
        sent = f"not for {service[:100]!r}" if service else "and no service was named; set SERVICE_NAME"
        return f"this key is for the service {' or '.join(self.services or ())}, {sent}"


ALL = Grant()


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the database knows it; `hint` is its beginning, times are in milliseconds. One that
    `reads` is not an agent's; `user` is whose token it is.
    """

    id: int
    name: str
    hint: str
    digest: bytes
    made: int
    last_used: int | None
    reads: bool
    user: str | None = None
    grant: Grant = ALL


def make_key() -> str:
    """A new key of 256 random bits, which is why a plain SHA-256 is enough to keep of it."""
    return "metlo-" + secrets.token_urlsafe(32)


def check_key(key: str) -> str:
    """`key` as a header can carry it. Raises ValueError, whose text does not tell the key."""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or len(key) > 512:
        raise ValueError("an API key is 1 to 512 printable ASCII characters")
    return key


def check_hosts(hosts: Sequence[str]) -> tuple[str, ...] | None:
    """The hosts that a key is bound to, in one spelling; None for none. Raises ValueError."""
    found = tuple(dict.fromkeys(text for host in hosts if (text := host.strip().lower())))
    for host in found:
        if _HOST.fullmatch(host) is None:
            raise ValueError(f"a host is a name such as shop.example or *.shop.example, not {host[:100]!r}")
    if len(found) > _MOST_HOSTS:
        raise ValueError(f"a key is bound to at most {_MOST_HOSTS} hosts; *.shop.example stands for all below one")
    return found or None


def check_services(text: str) -> tuple[str, ...] | None:
    """The services that a key is bound to, by commas; None for none. Raises ValueError."""
    found = tuple(dict.fromkeys(name for each in text.split(",") if (name := each.strip())))
    if any("\0" in name or len(name) > _LONGEST_SERVICE for name in found):
        raise ValueError(f"the name of a service has at most {_LONGEST_SERVICE} characters")
    if len(found) > _MOST_HOSTS:
        raise ValueError(f"a key is bound to at most {_MOST_HOSTS} services")
    return found or None


def store_key(connection: Connection, name: str, key: str, reads: bool = False) -> None:
    """Keep `key` under `name`, as it is where it is kept so already; another that had this name is no longer valid."""
    kept = select(KEYS.c.id).where(KEYS.c.name == name, KEYS.c.digest == _digest(key), KEYS.c.reads == reads)
    if connection.execute(kept).scalar() is not None:
        return
    row = {"name": name, "digest": _digest(key), "hint": _hint(key), "made": int(time.time() * 1000), "reads": reads}
    connection.execute(delete(KEYS).where(KEYS.c.name == name))
    connection.execute(insert(KEYS), row)


def add_key(
    connection: Connection, name: str, who: str, reads: bool = False, grant: Grant = ALL, user: int | None = None
) -> str:
    """Make a key, valid from now on, and return it: it can be shown only now. It is a token of the account `user`, if
    one is given. Raises ValueError for a name that is taken, empty, or longer than 64 characters.
    """
    name = name.strip()
    if not name or len(name) > 64 or "\0" in name:
        raise ValueError("the name of a key has 1 to 64 characters")
    if connection.execute(select(KEYS.c.id).where(KEYS.c.name == name)).scalar() is not None:
        raise ValueError(f"there is a key called {name!r} already")
    key = make_key()
    store_key(connection, name, key, reads)
    scopes = None if grant.scopes is None else sorted(grant.scopes)
    told = {"scopes": scopes, "hosts": grant.hosts, "services": grant.services}
    bounds = {name: json.dumps(value) for name, value in told.items() if value}
    connection.execute(update(KEYS).where(KEYS.c.name == name).values(user_id=user, **bounds))
    note(connection, who, "keys.add", {"name": name, "reads": reads, **{key: told[key] for key in bounds}})
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
    """All valid keys, oldest first: tokens of those whose account is enabled."""
    table = KEYS.c
    columns = (table.id, table.name, table.hint, table.digest, table.made, table.last_used, table.reads, USERS.c.name)
    rows = (
        select(*columns, table.scopes, table.hosts, table.services)
        .outerjoin(USERS, USERS.c.id == table.user_id)
        .where(or_(table.user_id.is_(None), USERS.c.enabled))
        .order_by(table.id)
    )
    return [Key(*row[:8], _grant(*row[8:])) for row in connection.execute(rows)]


class KeyRing:
    """Answers whether a key is valid, out of memory; the database is asked again after two seconds."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._read = float("-inf")
        self._valid: dict[bool, dict[bytes, Grant]] = {}
        self._used: dict[bytes, int] = {}

    @property
    def is_fresh(self) -> bool:
        """Whether what is known may still be believed."""
        return time.monotonic() - self._read < _FRESH

    def refresh(self) -> None:
        """Read the keys (this waits for the database)."""
        with self._engine.connect() as connection:
            keys = list_keys(connection)
        self._valid = {kind: {key.digest: key.grant for key in keys if key.reads is kind} for kind in (False, True)}
        self._read = time.monotonic()

    def holds(self, key: str, reads: bool = False) -> bool:
        """Whether `key` is valid, for an agent or for who reads."""
        return self.find(key, reads) is not None

    def find(self, key: str, reads: bool = False) -> Grant | None:
        """What `key` is good for, None where it is not valid. Digests are compared, so the time that it takes tells
        nothing about a key.
        """
        digest = _digest(key)
        found = self._valid.get(reads, {}).get(digest) if key else None
        if found is not None:
            self._used[digest] = int(time.time() * 1000)
        return found

    def take_used(self) -> dict[bytes, int]:
        """When keys were used last, by digest, since this was asked before."""
        used, self._used = self._used, {}
        return used

    def note_used(self, connection: Connection, used: Mapping[bytes, int]) -> None:
        """Write down when keys were used."""
        for digest, moment in sorted(used.items()):
            connection.execute(update(KEYS).where(KEYS.c.digest == digest).values(last_used=moment))


def _grant(scopes: str | None, hosts: str | None, services: str | None) -> Grant:
    if scopes is hosts is services is None:
        return ALL
    bounds = [None if names is None else tuple(json.loads(names)) for names in (hosts, services)]
    return Grant(None if scopes is None else frozenset(json.loads(scopes)), *bounds)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _hint(key: str) -> str:
    return key[:10] if len(key) >= 24 else key[:2]
