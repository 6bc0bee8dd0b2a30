"""Sessions as signed values for a cookie: nothing is kept of one but that it was ended."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass

LASTS = 12 * 3600  # seconds


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in: `name` as given at the login, `ends` in seconds since the epoch."""

    id: str
    name: str
    ends: int


def open_session(name: str, now: float) -> Session:
    """A new session that begins `now` (seconds since the epoch)."""
    return Session(secrets.token_hex(12), name, int(now) + LASTS)


def sign(session: Session, secret: bytes) -> str:
    """The session as a cookie's value."""
    content = json.dumps([session.id, session.name, session.ends]).encode()
    return f"{_encode(content)}.{_encode(_tag(content, secret))}"


def read_session(value: str, secret: bytes, now: float) -> Session | None:
    """The session that `value` is, None where it is none of ours or has expired."""
    content, _, tag = value.partition(".")
    try:
        raw = _decode(content)
        if not hmac.compare_digest(_decode(tag), _tag(raw, secret)):
            return None
    except (binascii.Error, ValueError):
        return None
    session = Session(*json.loads(raw))
    return session if session.ends > now else None


def _tag(content: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, b"metlo-otel session " + content, hashlib.sha256).digest()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
