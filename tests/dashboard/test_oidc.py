"""Logging in at an OpenID Connect provider, and all that must not get by with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc.jwk import RSAKey

from metlo_otel.collector.accounts import add_user, find_user, list_users, set_enabled
from metlo_otel.collector.dashboard.app import Options
from metlo_otel.collector.dashboard.provider import ProviderSettings
from metlo_otel.collector.server import RunningCollector
from tests.collector.client import KEY
from tests.collector.kept import started_before
from tests.dashboard.browser import Browser
from tests.dashboard.oidc_provider import CLIENT, SECRET, Provider, running

USERS: dict[str, dict[str, Any]] = {
    "anna": {"email": "anna@example.com", "email_verified": True, "groups": ["dev", "security"]},
    "ben": {"email": "ben@example.com", "email_verified": True, "groups": ["dev"]},
    "eve": {"email": "anna@example.com", "email_verified": False, "groups": []},
}
ROLES = {"admin": ["security"], "viewer": ["dev"]}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running({name: dict(claims) for name, claims in USERS.items()}) as found:
        yield found


Start = Callable[..., RunningCollector]


@pytest.fixture
def start(provider: Provider, tmp_path: Path) -> Iterator[Start]:
    """Starts a collector at which one logs in at the provider, with the settings that are given."""
    found: list[RunningCollector] = []

    def begin(**more: Any) -> RunningCollector:
        settings = ProviderSettings(provider.url, CLIENT, SECRET, **more)
        collector = RunningCollector(started_before(tmp_path), KEY, options=Options(provider=settings))
        provider.redirects.append(f"{collector.url}/dashboard/oidc/callback")
        found.append(collector.__enter__())
        return collector

    yield begin
    for collector in found:
        collector.__exit__(None, None, None)


def _log_in(collector: RunningCollector, user: str, browser: Browser | None = None, wanted: str = "") -> Any:
    """All the way to the provider and back, as a browser goes it; what the dashboard answered at the end."""
    browser = browser or Browser(collector.url)
    there = browser.get(f"/dashboard/oidc/start?next={wanted}", follow=False)
    assert there.status_code == 303, there.text
    back = requests.post(there.headers["Location"], data={"user": user}, allow_redirects=False, timeout=10)
    assert back.status_code == 302, back.text
    return browser.session.get(back.headers["Location"], allow_redirects=False, timeout=10)


def test_roles_by_claims(start: Start, provider: Provider) -> None:
    """Who comes for the first time gets an account with the role that the claims give, and another one when they give
    another one; the page that was wanted is shown.
    """
    collector = start(roles=ROLES)
    browser = Browser(collector.url)
    answer = _log_in(collector, "anna", browser, "/dashboard/traces")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard/traces")
    assert browser.get("/dashboard/users").status_code == 200
    assert _log_in(collector, "ben").status_code == 303
    assert {user.name: user.role for user in collector.store.read(list_users)} == {
        "anna@example.com": "admin",
        "ben@example.com": "viewer",
    }
    provider.users["anna"]["groups"] = ["dev"]
    _log_in(collector, "anna")
    assert {user.role for user in collector.store.read(list_users)} == {"viewer"}
    assert browser.get("/dashboard/users").status_code == 403  # the session of before, too
    assert Browser(collector.url).log_in().status_code == 403  # no way back to the password that all shared


def test_what_only_userinfo_tells(start: Start, provider: Provider) -> None:
    """Many providers tell groups there."""
    provider.in_userinfo = ("groups", "email", "email_verified")
    collector = start(roles=ROLES)
    assert _log_in(collector, "anna").status_code == 303
    (user,) = collector.store.read(list_users)
    assert (user.name, user.role) == ("anna@example.com", "admin")


def test_an_account_that_was_made_before(start: Start) -> None:
    """An admin makes an account under an address; only who has it verified comes in with it, and nobody else."""
    collector = start()
    add = partial(add_user, name="anna@example.com", role="analyst", who="test")
    collector.store.change(add).result()
    assert "there is no account" in _log_in(collector, "eve").text
    assert "there is no account" in _log_in(collector, "ben").text
    assert _log_in(collector, "anna").status_code == 303
    user = collector.store.read(partial(find_user, name="anna@example.com"))
    assert user is not None
    assert (user.subject, user.role) == ("id-of-anna", "analyst")


def test_an_account_with_a_password_is_nobody_elses(start: Start) -> None:
    """That the provider knows somebody of this name is no proof: it is another account."""
    collector = start(default_role="viewer")
    collector.store.change(
        partial(add_user, name="anna@example.com", role="admin", who="test", password="scrypt$…")
    ).result()
    assert _log_in(collector, "anna").status_code == 303
    accounts = {user.name: (user.role, user.subject) for user in collector.store.read(list_users)}
    assert accounts.pop("anna@example.com") == ("admin", None)
    assert list(accounts.values()) == [("viewer", "id-of-anna")]


def test_disabled(start: Start) -> None:
    """A disabled account stays out, whatever the provider says."""
    collector = start(roles=ROLES)
    _log_in(collector, "anna")
    _log_in(collector, "ben")
    collector.store.change(partial(set_enabled, name="ben@example.com", enabled=False, who="test")).result()
    answer = _log_in(collector, "ben")
    assert (answer.status_code, "is disabled" in answer.text) == (403, True)


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"aud": "somebody-else"},
        {"aud": [CLIENT, "somebody-else"]},
        {"iss": "https://evil.example"},
        {"exp": int(time.time()) - 3600},
        {"iat": int(time.time()) + 3600},
        {"sub": None},
    ],
    ids=lambda claims: "-".join(claims),
)
def test_tokens_that_do_not_hold(start: Start, provider: Provider, claims: dict[str, Any]) -> None:
    """An ID token for another login, client, issuer or time lets nobody in."""
    collector = start(roles=ROLES)
    provider.claims = claims
    answer = _log_in(collector, "anna")
    assert (answer.status_code, "metlo_session" in answer.headers.get("Set-Cookie", "")) == (403, False)
    assert collector.store.read(list_users) == []


def test_a_token_that_another_key_signed(start: Start, provider: Provider) -> None:
    """Only the provider's keys are believed."""
    collector = start(roles=ROLES)
    provider.sign_with = RSAKey.generate_key(2048, {"kid": "one"})
    assert _log_in(collector, "anna").status_code == 403
    assert collector.store.read(list_users) == []


def test_a_login_that_was_not_begun_here(start: Start) -> None:
    """Another browser's code or state, a code for the second time, and an error are all refused."""
    collector, browser = start(roles=ROLES), Browser("")
    browser.url = collector.url
    there = browser.get("/dashboard/oidc/start", follow=False).headers["Location"]
    back = requests.post(there, data={"user": "anna"}, allow_redirects=False, timeout=10).headers["Location"]
    assert requests.get(back, allow_redirects=False, timeout=10).status_code == 403
    wrong = back.replace(parse_qs(urlsplit(back).query)["state"][0], "another")
    assert browser.session.get(wrong, allow_redirects=False, timeout=10).status_code == 403
    kept = {cookie.name: cookie.value for cookie in browser.session.cookies}
    assert browser.session.get(back, allow_redirects=False, timeout=10).status_code == 303
    assert requests.get(back, cookies=kept, allow_redirects=False, timeout=10).status_code == 403  # type: ignore[arg-type]
    answer = _log_in(collector, "nobody")
    assert (answer.status_code, "access_denied" in answer.text) == (403, True)


def test_a_provider_that_is_away(start: Start, provider: Provider) -> None:
    """The login says so, and nothing else is the worse for it."""
    collector = start(roles=ROLES)
    provider.url = "http://127.0.0.1:1"  # it says of itself that it is another one
    answer = Browser(collector.url).get("/dashboard/oidc/start", follow=False)
    assert (answer.status_code, "says that its issuer is" in answer.text) == (403, True)
    assert SECRET not in answer.text
    assert Browser(collector.url).log_in().status_code == 303


@pytest.mark.parametrize(
    "settings",
    [("http://sso.example", "x", ""), ("sso.example", "x", ""), ("https://sso.example", "", "")],
)
def test_wrong_settings(settings: tuple[str, str, str]) -> None:
    """A provider without TLS elsewhere than here, or without a client id, is refused."""
    with pytest.raises(ValueError, match=r"is an https URL|client id is needed"):
        ProviderSettings(*settings)
    with pytest.raises(ValueError, match="a role is"):
        ProviderSettings("https://sso.example", "x", "", default_role="root")
    assert SECRET not in repr(ProviderSettings("https://sso.example", "x", SECRET))
