"""Who may see the dashboard: the password's hash, the key that signs sessions, and the sessions that were ended."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import Connection, delete, insert, select

from metlo_otel.collector.dashboard.passwords import check_password, hash_password, is_password, make_password
from metlo_otel.collector.dashboard.sessions import Session, read_session, sign
from metlo_otel.collector.schema import SETTINGS
from metlo_otel.collector.store import Store

_NAME = "dashboardAccess"  # its row in the settings
_FRESH = 2.0  # seconds for which what was read is believed


@dataclass(frozen=True, slots=True)
class Keyring:
    """What is kept; `ended` has the ids of sessions that were logged out, and when they would have expired."""

    password: str = field(repr=False)
    secret: str = field(repr=False)
    ended: Mapping[str, int] = field(default_factory=dict)

    @property
    def cookie(self) -> str:
        """The session cookie's name: browsers do not tell ports apart, so two collectors must not share one."""
        return "metlo_session_" + hashlib.sha256(b"cookie " + self.secret.encode()).hexdigest()[:8]


class Access:
    """Reads and changes the keyring of one store; remembers it for two seconds."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._known: Keyring | None = None
        self._read = float("-inf")

    def ensure_password(self, given: str | None = None) -> str | None:
        """Make sure that there is a password: the `given` one, whose change ends all sessions, else the one before,
        else one that is made and returned, for it can be shown only now. Raises ValueError for a bad one.
        """
        if given is not None:
            check_password(given)
        known = self._store.read(read_keyring)
        if known is not None and (given is None or is_password(given, known.password)):
            return None
        made = make_password() if given is None else None
        self.set_password(made or given or "")
        return made

    def set_password(self, password: str) -> None:
        """Keep a new password; all sessions end. Raises ValueError for a bad one."""
        ring = Keyring(hash_password(check_password(password)), secrets.token_hex(32))
        self._store.change(partial(write_keyring, ring=ring)).result()
        self._read = float("-inf")

    def keyring(self) -> Keyring | None:
        """The keyring, None where no password was ever set, so that nobody may log in. Waits for the database."""
        if time.monotonic() - self._read >= _FRESH:
            self._known = self._store.read(read_keyring)
            self._read = time.monotonic()
        return self._known

    def session(self, ring: Keyring, cookie: str) -> Session | None:
        """The session of a cookie's value, None where there is none that holds."""
        session = read_session(cookie, ring.secret.encode(), self._clock())
        return None if session is None or session.id in ring.ended else session

    def cookie_value(self, ring: Keyring, session: Session) -> str:
        """The value that `session` is recognised by."""
        return sign(session, ring.secret.encode())

    def end(self, session: Session) -> None:
        """Log a session out, in every process."""
        self._store.change(partial(_end, session=session, now=int(self._clock()))).result()
        self._read = float("-inf")


def read_keyring(connection: Connection) -> Keyring | None:
    """What is kept, None before the first password."""
    found = connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == _NAME)).scalar_one_or_none()
    return None if found is None else Keyring(**json.loads(found))


def write_keyring(connection: Connection, ring: Keyring) -> None:
    """Keep `ring` instead of what was kept."""
    value = json.dumps({"password": ring.password, "secret": ring.secret, "ended": dict(ring.ended)})
    connection.execute(delete(SETTINGS).where(SETTINGS.c.name == _NAME))
    connection.execute(insert(SETTINGS), {"name": _NAME, "value": value, "changed": int(time.time() * 1000)})


def _end(connection: Connection, session: Session, now: int) -> None:
    ring = read_keyring(connection)
    if ring is not None:
        ended = {name: ends for name, ends in ring.ended.items() if ends > now}
        write_keyring(connection, replace(ring, ended={**ended, session.id: session.ends}))
