"""An OpenID Connect provider that people log in at: what is set of it, and what it says of who comes back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from metlo_otel.collector.accounts import ROLES, check_role

_TIMEOUT = 10.0  # seconds for each answer of the provider
_KEPT = 3600.0  # seconds for which its addresses and keys are believed
_AGAIN = 60.0  # seconds before its keys are asked for again because of a token that none of them signed
_LEEWAY = 60  # seconds that clocks may differ
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class ProviderError(Exception):
    """The provider cannot be asked, or what came back cannot be believed; the text says why and holds no secret."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """What is set of a provider. `roles` has the values of the claim `role_claim` that make an analyst, say, by role;
    who has none of them is `default_role`, or may not come in where that is empty.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    role_claim: str = "groups"
    roles: Mapping[str, Sequence[str]] = field(default_factory=dict)
    default_role: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.issuer)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if not parts.hostname or not (parts.scheme == "https" or (local and parts.scheme == "http")):
            raise ValueError(f"the issuer is an https URL, not {self.issuer[:200]!r}")
        if not self.client_id:
            raise ValueError("a client id is needed, as the provider gave it")
        for role in (*self.roles, *([self.default_role] if self.default_role else [])):
            check_role(role)

    @property
    def host(self) -> str:
        """What the login calls it."""
        return urlsplit(self.issuer).netloc

    def role_of(self, claims: Mapping[str, Any]) -> str:
        """The highest role that the claims give; empty for none."""
        told = claims.get(self.role_claim)
        held = {str(value) for value in told} if isinstance(told, list) else {str(told)} if told is not None else set()
        given = [role for role in ROLES if held.intersection(self.roles.get(role, ()))]
        return given[-1] if given else self.default_role


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning of a login: where the browser is sent to, and what must be remembered until it comes back."""

    url: str
    state: str
    nonce: str
    verifier: str


class Provider:
    """Asks the provider; its methods wait for the network. Remembers its addresses and keys for an hour."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        self._metadata: dict[str, Any] = {}
        self._read = float("-inf")
        self._keys: KeySet | None = None
        self._keys_read = float("-inf")

    def start(self, redirect: str, state: str, nonce: str, verifier: str) -> Start:
        """Where a browser logs in (authorization code with PKCE, RFC 7636). Raises ProviderError."""
        found = self._known()
        with self._session(redirect) as session:
            url, _ = session.create_authorization_url(
                found["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
            )
        return Start(url, state, nonce, verifier)

    def finish(self, redirect: str, code: str, nonce: str, verifier: str) -> dict[str, Any]:
        """What the provider says of who came back with `code`: the claims of its ID token, checked as OpenID
        Connect Core, 3.1.3.7 says, and of its userinfo. Raises ProviderError.
        """
        found = self._known()
        try:
            with self._session(redirect) as session:
                token = session.fetch_token(found["token_endpoint"], code=code, code_verifier=verifier)
                claims = self._claims(str(token.get("id_token", "")), nonce)
                return {**self._userinfo(session, claims), **claims}
        except (AuthlibBaseError, requests.RequestException, ValueError) as problem:
            raise ProviderError(f"{self.settings.host} gave no token: {_said(problem)}") from problem

    def _session(self, redirect: str) -> Any:
        return OAuth2Session(
            self.settings.client_id,
            self.settings.client_secret or None,
            token_endpoint_auth_method="client_secret_basic" if self.settings.client_secret else "none",
            scope="openid profile email",
            redirect_uri=redirect,
            code_challenge_method="S256",
            default_timeout=_TIMEOUT,
            leeway=0,  # a token of a minute is good enough for the one question that follows
        )

    def _known(self) -> dict[str, Any]:
        """The provider's addresses (OpenID Connect Discovery), of the very issuer that was set."""
        if time.monotonic() - self._read >= _KEPT:
            found = self._get(self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration")
            if found.get("issuer") != self.settings.issuer:
                raise ProviderError(f"{self.settings.host} says that its issuer is {str(found.get('issuer'))[:200]!r}")
            if missing := [name for name in _NEEDED if not isinstance(found.get(name), str)]:
                raise ProviderError(f"{self.settings.host} does not tell its {', '.join(missing)}")
            self._metadata, self._read = found, time.monotonic()
        return self._metadata

    def _get(self, url: str) -> dict[str, Any]:
        try:
            with requests.get(url, timeout=_TIMEOUT, allow_redirects=False) as answer:
                answer.raise_for_status()
                found = answer.json()
        except (requests.RequestException, ValueError) as problem:
            raise ProviderError(f"{self.settings.host} cannot be asked: {_said(problem)}") from problem
        if not isinstance(found, dict):
            raise ProviderError(f"{self.settings.host} answered no JSON object at {url}")
        return found

    def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        try:
            claims = self._verified(token)
            required: dict[str, Any] = {
                "iss": {"essential": True, "value": self.settings.issuer},
                "aud": {"essential": True, "value": self.settings.client_id},
                "nonce": {"essential": True, "value": nonce},
                "exp": {"essential": True},
                "iat": {"essential": True},
                "sub": {"essential": True},
            }
            jwt.JWTClaimsRegistry(leeway=_LEEWAY, **required).validate(claims)
        except (JoseError, ValueError) as problem:
            raise ProviderError(f"the ID token of {self.settings.host} does not hold: {_said(problem)}") from problem
        if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != self.settings.client_id:
            raise ProviderError(f"the ID token of {self.settings.host} was made for somebody else")
        return claims

    def _verified(self, token: str) -> dict[str, Any]:
        """The claims of a token that one of the provider's keys signed; they may have changed since they were read."""
        age = time.monotonic() - self._keys_read
        if self._keys is None or age >= _KEPT:
            self._read_keys()
        elif age >= _AGAIN:
            try:
                return dict(jwt.decode(token, self._keys, algorithms=_ALGORITHMS).claims)
            except (JoseError, ValueError):
                self._read_keys()
        assert self._keys is not None  # noqa: S101 - tells the type checker what was done above
        return dict(jwt.decode(token, self._keys, algorithms=_ALGORITHMS).claims)

    def _read_keys(self) -> None:
        self._keys = KeySet.import_key_set(self._get(self._known()["jwks_uri"]))  # type: ignore[arg-type]  # as it came
        self._keys_read = time.monotonic()

    def _userinfo(self, session: Any, claims: Mapping[str, Any]) -> dict[str, Any]:
        """What only userinfo tells, where it is of the same subject (OpenID Connect Core, 5.3.2)."""
        address = self._metadata.get("userinfo_endpoint")
        if not address or (self.settings.role_claim in claims and "email" in claims):
            return {}
        with session.get(address, timeout=_TIMEOUT) as answer:
            answer.raise_for_status()
            found = answer.json()
        same = isinstance(found, dict) and found.get("sub") == claims["sub"]
        return dict(found) if same else {}


def _said(problem: Exception) -> str:
    """What went wrong, without what was sent: errors of OAuth have no secrets, those of requests have URLs."""
    if isinstance(problem, requests.HTTPError) and problem.response is not None:
        return f"status {problem.response.status_code}"
    if isinstance(problem, requests.RequestException):
        return type(problem).__name__
    return f"{type(problem).__name__}: {problem}"[:300]
