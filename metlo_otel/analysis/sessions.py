"""Who sent a request: the session's keyed hash, the user, and whether authentication was given and accepted."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from metlo_otel.core.agent_config import AgentConfig, Authentication
from metlo_otel.core.record import Record
from metlo_otel.core.request import Request
from metlo_otel.reading.cookies import cookies
from metlo_otel.reading.nodes import clean

Header = Callable[[str], list[str]]
"""All values of a header by its name in lower case: of a raw request as of one that was read."""

_MAX_TOKEN = 16_384  # characters of a JSON Web Token's payload that are decoded
_MAX_USER = 256


class Sessions:
    """The sessions of one configuration."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._by_host = {each.host: each for each in reversed(config.authentication)}

    def authentication(self, host: str) -> Authentication | None:
        """How requests to a host authenticate, as configured for the name that the host map gives it."""
        return self._by_host.get(self._config.map_host(host)) if self._by_host else None

    def key_of(self, request: Request, address: str, key: bytes) -> str | None:
        """The session key of a raw request from `address`, equal to its trace's; None where it carries no secret."""
        secret = _secret(request.header, address, self.authentication(request.host))
        return None if secret is None else session_key(secret, key)


def session_meta(
    record: Record, authentication: Authentication | None, key: bytes, *, show_user: bool = True
) -> dict[str, Any]:
    """The trace's `sessionMeta`.

    `authentication` is what the backend configured for the request's (mapped) host, `key` the bytes of ENCRYPTION_KEY.
    With `show_user` False (a redacted or encrypted trace) the user is left out; the secret itself is never in it.
    """
    secret = _secret(record.request.header, record.source[0], authentication)
    user = find_user(record, authentication) if show_user else None
    agent = next(iter(record.request.header("user-agent")), None)
    provided = None if authentication is None else secret is not None
    return {
        "authenticationProvided": provided,
        "authenticationSuccessful": record.status not in (401, 403) if authentication and record.status else None,
        "authType": None if authentication is None else authentication.kind,
        "uniqueSessionKey": None if secret is None else session_key(secret, key),
        "user": None if user is None else clean(user),
        "userAgent": None if agent is None else clean(agent),
    }


def session_key(secret: str, key: bytes) -> str:
    """base64(HMAC-SHA256(key, secret)), by which sessions are told apart without their secret."""
    digest = hmac.new(key, secret.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return b64encode(digest).decode()


def find_user(record: Record, authentication: Authentication | None) -> str | None:
    """The user: as the app said, else by the user's cookie, else by a token's payload (which nobody has verified)."""
    if record.user is not None:
        return record.user
    if authentication is None:
        return None
    if authentication.kind == "session_cookie" and authentication.user_cookie_name:
        return cookies(record.request.header).get(authentication.user_cookie_name)
    if authentication.kind == "jwt" and authentication.jwt_user_path:
        secret = _secret(record.request.header, "", authentication)
        return None if secret is None else jwt_user(secret, authentication.jwt_user_path)
    return None


def _secret(header: Header, address: str, authentication: Authentication | None) -> str | None:
    """What identifies the session by the configured way, else the address; None where a request does not carry it."""
    if authentication is None:
        return address
    if authentication.kind == "session_cookie":
        return cookies(header).get(authentication.cookie_name or "")
    if authentication.kind == "basic":
        given = next(iter(header("authorization")), "")
        return given[5:] if given[:5].lower() == "basic" and given[5:].strip() else None
    return next(iter(header((authentication.header_key or "").lower())), None)


def jwt_user(value: str, path: str) -> str | None:
    """The user in a JSON Web Token (RFC 7519) by a dotted path into its payload; None where there is none.

    `value` is the whole header value, with or without `Bearer `. The signature is not checked.
    """
    pieces = value.rpartition(" ")[2].split(".")
    if len(pieces) < 2 or len(pieces[1]) > _MAX_TOKEN:
        return None
    try:
        found = orjson.loads(urlsafe_b64decode(pieces[1] + "=" * (-len(pieces[1]) % 4)))
    except ValueError:
        return None
    return _as_user(_at(found, path))


def _at(payload: Any, path: str) -> Any:
    if isinstance(payload, Mapping) and path in payload:
        return payload[path]  # claims with dots in their names, as URLs have them
    for name in path.split("."):
        if isinstance(payload, list) and name.isdecimal() and int(name[:6]) < len(payload):
            payload = payload[int(name[:6])]
        elif isinstance(payload, Mapping):
            payload = payload.get(name)
        else:
            return None
    return payload


def _as_user(found: Any) -> str | None:
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return None
    return str(found)[:_MAX_USER]
