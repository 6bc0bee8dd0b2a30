"""Sessions: who sent a request, told apart by a keyed hash, without the secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.analysis.sessions import jwt_user, session_key, session_meta
from metlo_otel.core.agent_config import Authentication
from metlo_otel.core.record import Message
from tests.analysis.records import record

KEY = b"key"


def meta(authentication: Authentication | None, *headers: tuple[str, str], **more: Any) -> dict[str, Any]:
    show = more.pop("show_user", True)
    return session_meta(record(Message(headers), **more), authentication, KEY, show_user=show)


def token(payload: Any) -> str:
    parts: list[Any] = [{}, payload]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "signature"])


BASIC = Authentication("h", "basic")
HEADER = Authentication("h", "header", header_key="X-Api-Key")
JWT = Authentication("h", "jwt", header_key="Authorization", jwt_user_path="user.id")
COOKIE = Authentication("h", "session_cookie", cookie_name="sid", user_cookie_name="uid")


def test_session_key() -> None:
    """The hash is base64 of HMAC-SHA256 under the key."""
    wanted = base64.b64encode(hmac.new(KEY, b"s", hashlib.sha256).digest()).decode()
    assert session_key("s", KEY) == wanted


def test_no_configuration() -> None:
    """Without configuration the client's address is the session, and authentication is unknown."""
    assert meta(None, ("User-Agent", "ua"), user="bob", source=("9.9.9.9", 1)) == {
        "authenticationProvided": None,
        "authenticationSuccessful": None,
        "authType": None,
        "uniqueSessionKey": session_key("9.9.9.9", KEY),
        "user": "bob",
        "userAgent": "ua",
    }


@pytest.mark.parametrize(
    ("authentication", "header", "secret"),
    [
        (BASIC, ("Authorization", "Basic Ym9iOnB3"), " Ym9iOnB3"),
        (BASIC, ("authorization", "basic Ym9iOnB3"), " Ym9iOnB3"),
        (HEADER, ("x-api-key", "abc"), "abc"),
        (JWT, ("Authorization", "Bearer t"), "Bearer t"),
        (COOKIE, ("Cookie", "a=b; sid=s3; sid=other; uid=u7"), "s3"),
        (COOKIE, ("Cookie", 'sid="s3"'), "s3"),
    ],
)
def test_secrets(authentication: Authentication, header: tuple[str, str], secret: str) -> None:
    """Each way's secret is found, hashed, and in no other form part of the answer."""
    found = meta(authentication, header)
    assert found["uniqueSessionKey"] == session_key(secret, KEY)
    assert (found["authenticationProvided"], found["authType"]) == (True, authentication.kind)
    assert secret not in json.dumps(found)


@pytest.mark.parametrize("authentication", [BASIC, HEADER, JWT, COOKIE])
def test_no_secret(authentication: Authentication) -> None:
    """A request without the secret has no session, whatever its address."""
    found = meta(
        authentication, ("Authorization", "Digest x") if authentication.kind == "basic" else ("A", "b"), status=401
    )
    assert (found["uniqueSessionKey"], found["authenticationProvided"]) == (None, False)


@pytest.mark.parametrize(("status", "accepted"), [(200, True), (404, True), (500, True), (401, False), (403, False)])
def test_success(status: int, accepted: bool) -> None:
    """Authentication was accepted unless the answer is 401 or 403."""
    assert meta(HEADER, status=status)["authenticationSuccessful"] is accepted


def test_users() -> None:
    """The user is what the app said, else the cookie's or the token's; and left out where it must not be shown."""
    bearer = ("Authorization", "Bearer " + token({"user": {"id": 7}}))
    assert meta(JWT, bearer)["user"] == "7"
    assert meta(JWT, bearer, user="app")["user"] == "app"
    assert meta(COOKIE, ("Cookie", "sid=1; uid=u7"))["user"] == "u7"
    assert meta(COOKIE, ("Cookie", "sid=1; uid=u7"), show_user=False)["user"] is None
    assert meta(JWT, bearer, user="app", show_user=False)["user"] is None


@pytest.mark.parametrize(
    ("payload", "path", "user"),
    [
        ({"sub": "u42"}, "sub", "u42"),
        ({"a": {"b": [{"c": "x"}]}}, "a.b.0.c", "x"),
        ({"https://shop.example/user": "u"}, "https://shop.example/user", "u"),
        ({"sub": True}, "sub", None),
        ({"sub": {"deep": 1}}, "sub", None),
        ({"sub": None}, "sub", None),
        ([1], "sub", None),
        ({"sub": "x" * 9999}, "sub", "x" * 256),
        ({"a": ["x"]}, "a.7", None),
        ({"a": ["x"]}, "a.99999999999999", None),
    ],
)
def test_token_users(payload: Any, path: str, user: str | None) -> None:
    """jwtUserPath leads through objects and arrays to a text or number."""
    assert jwt_user("Bearer " + token(payload), path) == user


@given(st.text(max_size=60), st.text(max_size=6))
def test_any_token_is_read(value: str, path: str) -> None:
    """No header value raises."""
    assert jwt_user(value, path) is None or "." in value
    assert jwt_user(f"a.{value}.b", path) is None or value
