"""Accounts: who may use the dashboard, and as what."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from metlo_otel.collector.audit import note
from metlo_otel.collector.configuration import get_setting, put_setting
from metlo_otel.collector.schema import KEYS
from metlo_otel.collector.schema_people import SESSIONS, USERS

VIEWER, ANALYST, ADMIN = "viewer", "analyst", "admin"
ROLES = (VIEWER, ANALYST, ADMIN)
"""What people may do, each all that those before may: look; change rules, alerts and specs; and everything else."""

_ALONE = "accounts"  # the setting that says that only accounts open the dashboard, from the first admin on
_LONGEST = 64


@dataclass(frozen=True, slots=True)
class User:
    """An account as the database knows it; times are in milliseconds."""

    id: int
    name: str
    role: str
    password: str | None = field(repr=False)
    issuer: str | None
    subject: str | None
    enabled: bool
    made: int
    last_login: int | None


def may(role: str, needed: str) -> bool:
    """Whether a role is enough where another one is needed."""
    return ROLES.index(role) >= ROLES.index(needed)


def check_role(role: str) -> str:
    """`role` where it is one. Raises ValueError."""
    if role not in ROLES:
        raise ValueError(f"a role is {', '.join(ROLES)}, not {role[:60]!r}")
    return role


def are_alone(connection: Connection) -> bool:
    """Whether only accounts open the dashboard: since there is an admin, the password for everybody is none."""
    return get_setting(connection, _ALONE) is True


def add_user(connection: Connection, name: str, role: str, who: str, password: str | None = None) -> int:
    """Make an account, with the hash of a password or for a provider's logins alone; its id. The first admin ends the
    password that everybody shared, and its sessions. Raises ValueError.
    """
    name = name.strip()
    if not name or len(name) > _LONGEST or not name.isprintable():
        raise ValueError(f"the name of an account has 1 to {_LONGEST} printable characters")
    if find_user(connection, name) is not None:
        raise ValueError(f"there is an account called {name!r} already")
    row = {"name": name, "role": check_role(role), "password": password, "enabled": True, "made": _now()}
    number: int = connection.execute(insert(USERS).returning(USERS.c.id), row).scalar_one()
    note(connection, who, "users.add", {"name": name, "role": role})
    if role == ADMIN:
        _leave_alone(connection)
    return number


def set_role(connection: Connection, name: str, role: str, who: str, by_provider: bool = False) -> None:
    """Give an account another role, from its next request on. Only a provider's word takes the last admin's. Raises
    ValueError.
    """
    user = _required(connection, name)
    if check_role(role) == user.role:
        return
    if not by_provider:
        _keep_an_admin(connection, user)
    connection.execute(update(USERS).where(USERS.c.id == user.id).values(role=role))
    note(connection, who, "users.role", {"name": name, "role": role})
    if role == ADMIN:
        _leave_alone(connection)


def set_enabled(connection: Connection, name: str, enabled: bool, who: str) -> None:
    """Let somebody in again, or not any more: sessions end and tokens are not valid. Raises ValueError."""
    user = _required(connection, name)
    if not enabled:
        _keep_an_admin(connection, user)
        connection.execute(delete(SESSIONS).where(SESSIONS.c.user_id == user.id))
    connection.execute(update(USERS).where(USERS.c.id == user.id).values(enabled=enabled))
    note(connection, who, "users.enabled" if enabled else "users.disabled", {"name": name})


def set_password(connection: Connection, name: str, password: str, who: str, keep: int | None = None) -> None:
    """Keep the hash of another password; all sessions of the account end but the one with the id `keep`. Raises
    ValueError.
    """
    user = _required(connection, name)
    connection.execute(update(USERS).where(USERS.c.id == user.id).values(password=password))
    connection.execute(delete(SESSIONS).where(SESSIONS.c.user_id == user.id, SESSIONS.c.id != (keep or 0)))
    note(connection, who, "users.password", {"name": name})


def remove_user(connection: Connection, name: str, who: str) -> None:
    """Forget an account, its sessions and its tokens; the audit log keeps its name. Raises ValueError."""
    user = _required(connection, name)
    _keep_an_admin(connection, user)
    connection.execute(delete(KEYS).where(KEYS.c.user_id == user.id))
    connection.execute(delete(SESSIONS).where(SESSIONS.c.user_id == user.id))
    connection.execute(delete(USERS).where(USERS.c.id == user.id))
    note(connection, who, "users.remove", {"name": name})


def bind(connection: Connection, number: int, issuer: str, subject: str) -> None:
    """Know an account by what its provider calls it, from now on."""
    connection.execute(update(USERS).where(USERS.c.id == number).values(issuer=issuer, subject=subject))


def list_users(connection: Connection) -> list[User]:
    """All accounts by name."""
    return [User(*row) for row in connection.execute(select(USERS).order_by(USERS.c.name))]


def find_user(connection: Connection, name: str) -> User | None:
    """The account of a name."""
    return _one(connection, USERS.c.name == name)


def find_subject(connection: Connection, issuer: str, subject: str) -> User | None:
    """The account that a provider calls `subject`."""
    return _one(connection, (USERS.c.issuer == issuer) & (USERS.c.subject == subject))


def _one(connection: Connection, condition: ColumnElement[bool]) -> User | None:
    found: Any = connection.execute(select(USERS).where(condition)).first()
    return None if found is None else User(*found)


def _required(connection: Connection, name: str) -> User:
    found = find_user(connection, name)
    if found is None:
        raise ValueError(f"there is no account called {name[:_LONGEST]!r}")
    return found


def _keep_an_admin(connection: Connection, user: User) -> None:
    """Raise ValueError where nobody could administer any more."""
    others = select(func.count()).where(USERS.c.role == ADMIN, USERS.c.enabled, USERS.c.id != user.id)
    if user.role == ADMIN and user.enabled and not connection.execute(others).scalar_one():
        raise ValueError(f"{user.name!r} is the only admin; make another one first")


def _leave_alone(connection: Connection) -> None:
    put_setting(connection, _ALONE, True)
    connection.execute(delete(SESSIONS).where(SESSIONS.c.user_id.is_(None)))


def _now() -> int:
    return int(time.time() * 1000)
