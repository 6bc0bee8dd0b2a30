"""Sessions: rows of a table, found by the digest of a random cookie, listed and ended at once everywhere."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, or_, select, update

from metlo_otel.collector.accounts import ADMIN, User, are_alone, may
from metlo_otel.collector.endpoints import storable
from metlo_otel.collector.schema_people import SESSIONS, USERS

LASTS = 12 * 3600  # seconds
SEEN_EVERY = 60_000  # milliseconds after which it is written down again that a session was used


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in; `user` is the account's id, None for the password that all share, `way` is password
    or oidc, times are in milliseconds since the epoch.
    """

    id: int
    user: int | None
    name: str
    role: str
    way: str
    address: str
    browser: str
    made: int
    seen: int
    ends: int

    def may(self, needed: str) -> bool:
        """Whether this role is enough where `needed` is."""
        return may(self.role, needed)


@dataclass(frozen=True, slots=True)
class Visit:
    """What is known of a login: how, from which address, and with which browser, as its User-Agent says."""

    way: str
    address: str
    browser: str


def open_session(connection: Connection, user: User | None, name: str, visit: Visit, now: float) -> str | None:
    """Log an account in at `now` (seconds since the epoch), or `name` with the password that all share; the cookie's
    value. None where accounts alone may, or the account has been disabled or removed since it was found.
    """
    if user is None and are_alone(connection):
        return None
    if user is not None:
        known = update(USERS).where(USERS.c.id == user.id, USERS.c.enabled).values(last_login=int(now * 1000))
        if not connection.execute(known).rowcount:
            return None
    connection.execute(delete(SESSIONS).where(SESSIONS.c.ends <= int(now * 1000)))
    token, moment = secrets.token_urlsafe(32), int(now * 1000)
    row = {
        "digest": _digest(token),
        "user_id": None if user is None else user.id,
        "name": storable(name if user is None else user.name, 64),
        "way": visit.way,
        "address": storable(visit.address, 64),
        "browser": storable(visit.browser, 255),
        "made": moment,
        "seen": moment,
        "ends": moment + LASTS * 1000,
    }
    connection.execute(insert(SESSIONS), row)
    return token


def find_session(connection: Connection, token: str, now: float) -> Session | None:
    """The session of a cookie's value, None where there is none that holds at `now` (seconds since the epoch)."""
    found = _sessions(connection, SESSIONS.c.digest == _digest(token), now)
    return found[0] if found else None


def list_sessions(connection: Connection, now: float | None = None) -> list[Session]:
    """All sessions that hold, those that were used last first."""
    return _sessions(connection, SESSIONS.c.id > 0, time.time() if now is None else now)


def end_session(connection: Connection, number: int) -> bool:
    """Log a session out, everywhere at once; whether there was one."""
    return connection.execute(delete(SESSIONS).where(SESSIONS.c.id == number)).rowcount > 0


def end_shared(connection: Connection) -> None:
    """Log out everybody who came with the password that all share."""
    connection.execute(delete(SESSIONS).where(SESSIONS.c.user_id.is_(None)))


def note_seen(connection: Connection, number: int, now: float) -> None:
    """Write down that a session was used."""
    connection.execute(update(SESSIONS).where(SESSIONS.c.id == number).values(seen=int(now * 1000)))


def _sessions(connection: Connection, condition: object, now: float) -> list[Session]:
    table = SESSIONS.c
    columns = (table.id, table.user_id, table.name, USERS.c.role, *(table[name] for name in _REST))
    rows = (
        select(*columns)
        .outerjoin(USERS, USERS.c.id == table.user_id)
        .where(condition, table.ends > int(now * 1000), or_(table.user_id.is_(None), USERS.c.enabled))  # type: ignore[arg-type]
        .order_by(table.seen.desc(), table.id.desc())
    )
    return [
        Session(number, user, name, role or ADMIN, *rest)
        for number, user, name, role, *rest in connection.execute(rows)
    ]


_REST = ("way", "address", "browser", "made", "seen", "ends")


def _digest(token: str) -> bytes:
    """A token has 256 random bits, which is why a plain SHA-256 is enough to keep of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
