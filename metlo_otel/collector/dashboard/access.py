"""What opens the dashboard beside accounts: the hash of a password that all share, and the key that signs cookies."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection

from metlo_otel.collector.accounts import are_alone
from metlo_otel.collector.configuration import get_setting, put_setting
from metlo_otel.collector.dashboard.passwords import check_password, hash_password, is_password, make_password
from metlo_otel.collector.dashboard.sessions import SEEN_EVERY, Session, end_shared, find_session, note_seen
from metlo_otel.collector.store import Store
from metlo_otel.collector.writer import BusyError

_NAME = "dashboardAccess"  # its row in the settings
_FRESH = 2.0  # seconds for which what was read is believed


@dataclass(frozen=True, slots=True)
class Keyring:
    """What is kept: the hash of the password that all share (empty: none) and the key that signs cookies; `alone` says
    that only accounts open the dashboard.
    """

    password: str = field(repr=False)
    secret: str = field(repr=False)
    alone: bool = False

    @property
    def cookie(self) -> str:
        """The session cookie's name: browsers do not tell ports apart, so two collectors must not share one."""
        return "metlo_session_" + hashlib.sha256(b"cookie " + self.secret.encode()).hexdigest()[:8]

    def sign(self, purpose: str, content: str) -> str:
        """A tag that only this collector makes, for one purpose."""
        signed = json.dumps([purpose, content]).encode()
        return hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest()

    def is_signed(self, purpose: str, content: str, tag: str) -> bool:
        """Whether the tag is ours."""
        return hmac.compare_digest(self.sign(purpose, content).encode(), tag.encode("utf-8", "surrogatepass"))


class Access:
    """Reads and changes the keyring of one store; remembers it for two seconds."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._known: Keyring | None = None
        self._read = float("-inf")

    def ensure_password(self, given: str | None = None) -> str | None:
        """Make sure that somebody can log in: with an account where there are any, else with the `given` password,
        whose change ends all sessions, else the one before, else one that is made and returned, for it can be shown
        only now. Raises ValueError for a bad one.
        """
        if given is not None:
            check_password(given)
        known = self._store.read(read_keyring)
        if self._store.read(are_alone):
            if known is None:
                self._store.change(partial(write_keyring, ring=Keyring("", secrets.token_hex(32)))).result()
            return None
        if known is not None and known.password and (given is None or is_password(given, known.password)):
            return None
        made = make_password() if given is None else None
        self.set_password(made or given or "")
        return made

    def set_password(self, password: str) -> None:
        """Keep a new password for all; who came with the one before has to log in again. Raises ValueError for a bad
        one.
        """
        hashed = hash_password(check_password(password))
        self._store.change(partial(_set_password, hashed=hashed)).result()
        self.forget()

    def keyring(self) -> Keyring | None:
        """The keyring, None where there was no start yet, so that nobody may log in. Waits for the database."""
        if time.monotonic() - self._read >= _FRESH:
            self._known = self._store.read(read_keyring)
            self._read = time.monotonic()
        return self._known

    def forget(self) -> None:
        """Believe nothing of what was read."""
        self._read = float("-inf")

    def session(self, cookie: str) -> Session | None:
        """The session of a cookie's value, None where there is none that holds. Waits for the database."""
        now = self._clock()
        session = self._store.read(partial(find_session, token=cookie, now=now))
        if session is not None and now * 1000 - session.seen >= SEEN_EVERY:
            with suppress(BusyError):  # nobody waits for it, and it does not matter much
                self._store.change(partial(note_seen, number=session.id, now=now))
        return session


def read_keyring(connection: Connection) -> Keyring | None:
    """What is kept, None before the first start."""
    found = get_setting(connection, _NAME)
    return None if found is None else Keyring(found["password"], found["secret"], are_alone(connection))


def write_keyring(connection: Connection, ring: Keyring) -> None:
    """Keep `ring` instead of what was kept."""
    put_setting(connection, _NAME, {"password": ring.password, "secret": ring.secret})


def _set_password(connection: Connection, hashed: str) -> None:
    write_keyring(connection, Keyring(hashed, secrets.token_hex(32)))
    end_shared(connection)
