"""A small OpenID Connect provider over HTTP: discovery, a login form, codes with PKCE, ID tokens, userinfo, keys."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import flask
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

CLIENT, SECRET = "metlo", "the-secret-of-the-client"
_FORM = '<form method="post"><label>User <input name="user"></label><button>Sign in</button></form>'


@dataclass
class Provider:
    """What it knows, and how it may misbehave: `claims` replace those of ID tokens, `sign_with` is another key."""

    users: dict[str, dict[str, Any]]
    redirects: list[str] = field(default_factory=list)
    claims: dict[str, Any] = field(default_factory=dict)
    in_userinfo: tuple[str, ...] = ()
    url: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}))
    sign_with: RSAKey | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def metadata(self) -> dict[str, Any]:
        """OpenID Connect Discovery."""
        places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
        found = {name: f"{self.url}/{place}" for name, place in places.items()}
        return {"issuer": self.url, "userinfo_endpoint": f"{self.url}/userinfo", **found}

    def authorize(self, asked: dict[str, str], user: str) -> str:
        """Where a browser goes after the login."""
        if asked["client_id"] != CLIENT or asked["redirect_uri"] not in self.redirects:
            flask.abort(400, "this client may not send people there")
        if asked["response_type"] != "code" or asked["code_challenge_method"] != "S256":
            flask.abort(400, "a code with PKCE is expected")
        if user not in self.users:
            return f"{asked['redirect_uri']}?{urlencode({'state': asked['state'], 'error': 'access_denied'})}"
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**asked, "user": user}
        return f"{asked['redirect_uri']}?{urlencode({'state': asked['state'], 'code': code})}"

    def token(self, sent: dict[str, str], authorization: tuple[str | None, str | None]) -> dict[str, Any]:
        """A code's tokens, once, for who has the client's secret and began the login."""
        if authorization != (CLIENT, SECRET):
            flask.abort(401)
        known = self.codes.pop(sent["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(sent["code_verifier"].encode()).digest()).decode()
        if known is None or known["redirect_uri"] != sent["redirect_uri"]:
            flask.abort(400)
        if known["code_challenge"] != challenge.rstrip("="):
            flask.abort(400)
        access = secrets.token_urlsafe(16)
        self.tokens[access] = known["user"]
        id_token = self.id_token(known["user"], known["nonce"])
        return {"access_token": access, "token_type": "Bearer", "expires_in": 60, "id_token": id_token}

    def id_token(self, user: str, nonce: str) -> str:
        """A signed ID token."""
        now = int(time.time())
        told = {name: value for name, value in self.users[user].items() if name not in self.in_userinfo}
        base = {"iss": self.url, "aud": CLIENT, "sub": f"id-of-{user}", "iat": now, "exp": now + 60, "nonce": nonce}
        return jwt.encode({"alg": "RS256", "kid": "one"}, {**base, **told, **self.claims}, self.sign_with or self.key)


def _make_app(provider: Provider) -> flask.Flask:
    app = flask.Flask("provider")

    @app.get("/.well-known/openid-configuration")
    def discovery() -> dict[str, Any]:
        return provider.metadata()

    @app.get("/jwks")
    def keys() -> dict[str, Any]:
        return {"keys": [provider.key.as_dict(private=False)]}

    @app.route("/authorize", methods=["GET", "POST"])
    def authorize() -> Any:
        if flask.request.method == "GET":
            return _FORM
        return flask.redirect(provider.authorize(flask.request.args.to_dict(), flask.request.form["user"]), 302)

    @app.post("/token")
    def token() -> dict[str, Any]:
        given = flask.request.authorization
        return provider.token(flask.request.form.to_dict(), (given.username, given.password) if given else ("", ""))

    @app.get("/userinfo")
    def userinfo() -> dict[str, Any]:
        user = provider.tokens[flask.request.headers["Authorization"].removeprefix("Bearer ")]
        return {"sub": f"id-of-{user}", **provider.users[user]}

    return app


@contextmanager
def running(users: dict[str, dict[str, Any]]) -> Iterator[Provider]:
    """A provider on any free port of the loopback, which knows `users` and their claims."""
    provider = Provider(users)
    server = make_server("127.0.0.1", 0, _make_app(provider), threaded=True)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
