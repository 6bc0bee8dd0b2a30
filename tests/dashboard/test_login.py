"""Logging in and out over a socket, and everything that must not get by without it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import update

from metlo_otel.collector.dashboard.access import Access
from metlo_otel.collector.dashboard.app import Options
from metlo_otel.collector.dashboard.attempts import PER_PLACE
from metlo_otel.collector.dashboard.guard import POLICY
from metlo_otel.collector.schema_people import SESSIONS
from metlo_otel.collector.server import RunningCollector
from tests.collector.client import KEY, Client, make_trace
from tests.collector.kept import started_before
from tests.dashboard.browser import PASSWORD, Browser


def test_the_way_in_and_out(stranger: Browser, agent: Client) -> None:
    """The root leads to the login, the login to the page that was asked for, the logout ends the session for good."""
    agent.post([make_trace("/secret-path")])
    asked = stranger.get("/dashboard/traces?status=200")
    assert asked.url.endswith("/dashboard/login?next=%2Fdashboard%2Ftraces%3Fstatus%3D200")
    assert "secret-path" not in asked.text
    entered = stranger.post("/dashboard/login", name="ada", password=PASSWORD, next="/dashboard/traces?status=200")
    assert entered.url.endswith("/dashboard/traces?status=200")
    assert "secret-path" in entered.text
    value = stranger.cookie()
    assert stranger.post("/dashboard/logout").url.endswith("/dashboard/login")
    for cookie in stranger.session.cookies:
        cookie.value = value
    assert "secret-path" not in stranger.get("/dashboard/traces").text


def test_the_cookie(stranger: Browser) -> None:
    """Scripts cannot read it, other sites cannot send it, it ends, and under https it stays there."""
    sent = stranger.log_in().headers["Set-Cookie"].lower()
    assert "httponly" in sent
    assert "samesite=lax" in sent
    assert "max-age=43200" in sent
    assert "secure" not in sent
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": "https://dashboard.example"}
    proxied = stranger.post("/dashboard/login", follow=False, headers=headers, password=PASSWORD)
    assert "; secure" in proxied.headers["Set-Cookie"].lower()


def test_the_cookie_of_a_collector_behind_tls(tmp_path: Path) -> None:
    """Where the public address is https, cookies stay there, whatever a request says."""
    with RunningCollector(started_before(tmp_path), KEY, options=Options("https://metlo.example")) as collector:
        sent = Browser(collector.url).log_in().headers["Set-Cookie"].lower()
    assert sent.count("; secure") == sent.count("httponly") == 2  # the session's, and the known browser's


def test_a_stolen_expired_session(collector: RunningCollector, browser: Browser) -> None:
    """A session that has expired is none."""
    assert browser.get("/dashboard/traces", follow=False).status_code == 200
    over = update(SESSIONS).values(ends=int(time.time() * 1000) - 1)
    collector.store.change(lambda connection: connection.execute(over).rowcount).result()
    assert browser.get("/dashboard/traces").url.endswith("next=%2Fdashboard%2Ftraces")


def test_a_new_password_ends_all_sessions(collector: RunningCollector, browser: Browser) -> None:
    """The same password again changes nothing; another one logs everybody out."""
    assert Access(collector.store).ensure_password(PASSWORD) is None
    assert browser.get("/dashboard/traces", follow=False).status_code == 200
    Access(collector.store).ensure_password("another password")
    assert Access(collector.store).session(browser.cookie()) is None


def test_wrong_passwords(stranger: Browser) -> None:
    """They are refused, and after a few nobody from there may try, not even with the right one."""
    answers = [stranger.log_in("guess").status_code for _ in range(PER_PLACE)]
    assert answers == [403] * PER_PLACE
    limited = stranger.log_in()
    assert limited.status_code == 429
    assert int(limited.headers["Retry-After"]) > 0
    assert not stranger.session.cookies


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/dashboard/\\evil",
        "javascript:alert(1)",
        "/dashboard//evil.example",
        "/dashboard/login",
        "/dashboard/\r\nX: y",
    ],
)
def test_the_login_leads_nowhere_else(reader: Browser, wanted: str) -> None:
    """What is no page of ours is not where the login leads to."""
    answer = reader.post("/dashboard/login", follow=False, password=PASSWORD, next=wanted)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard/")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "own"},
    ],
)
@pytest.mark.parametrize("path", ["/dashboard/logout", "/dashboard/theme", "/dashboard/login"])
def test_changes_asked_for_elsewhere(reader: Browser, path: str, headers: dict[str, str]) -> None:
    """A form that another site sends, or nobody says where from, changes nothing."""
    sent = {name: reader.url if value == "own" else value for name, value in headers.items()}
    answer = reader.post(path, follow=False, headers=sent, theme="dark", password=PASSWORD)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers
    assert reader.get("/dashboard/traces", follow=False).status_code == 200


def test_changes_asked_for_by_origin(reader: Browser) -> None:
    """Where a browser sends no Sec-Fetch-Site, an Origin that names the host itself is enough."""
    answer = reader.post("/dashboard/theme", follow=False, headers={"Origin": reader.url}, theme="dark")
    assert answer.status_code == 303
    assert 'data-theme="dark"' in reader.get("/dashboard/traces").text


@pytest.mark.parametrize(
    "path",
    ["/dashboard/login", "/dashboard/traces", "/dashboard/traces/999", "/dashboard/nothing", "/dashboard/static/none"],
)
def test_headers_of_every_answer(reader: Browser, path: str) -> None:
    """Pages, errors and what is not found have the policy and are not kept by caches."""
    headers = reader.get(path).headers
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


def test_nothing_without_a_login(stranger: Browser, collector: RunningCollector) -> None:
    """Every route but the login and the static files answers a stranger with the way to the login."""
    paths = ["/dashboard/", "/dashboard/traces/1", "/dashboard/nothing", "/dashboard/login/x", "/dashboard/static"]
    answers = [stranger.get(path, follow=False) for path in paths]
    assert [answer.status_code for answer in answers] == [303, 303, 303, 404, 303]
    assert stranger.post("/dashboard/logout", follow=False).headers["Location"] == "/dashboard/login"
