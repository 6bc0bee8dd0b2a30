"""Stories of people in a real browser: logging in elsewhere, and what one may not do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from metlo_otel.collector.dashboard.app import Options
from metlo_otel.collector.dashboard.provider import ProviderSettings
from metlo_otel.collector.server import RunningCollector
from tests.collector.client import KEY, Client, make_trace
from tests.collector.hook import Hook, running_hook
from tests.collector.kept import started_before
from tests.dashboard.browser import PASSWORD
from tests.dashboard.chromium import PATIENCE, chromium, quiet
from tests.dashboard.oidc_provider import CLIENT, SECRET, Provider, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.live  # they mostly wait for others, beside what does not

PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running({"vera": {"email": "vera@example.com", "email_verified": True, "groups": ["dev"]}}) as found:
        yield found


@pytest.fixture
def collector(provider: Provider, tmp_path: Path) -> Iterator[RunningCollector]:
    """A collector with one trace, at which the developers of a provider are viewers."""
    settings = ProviderSettings(provider.url, CLIENT, SECRET, roles={"viewer": ["dev"]})
    with RunningCollector(started_before(tmp_path), KEY, options=Options(provider=settings)) as started:
        provider.redirects.append(f"{started.url}/dashboard/oidc/callback")
        agent = Client(started.url)
        agent.post([make_trace()])
        agent.session.close()
        yield started


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_a_viewer_from_elsewhere_cannot_write(
    browser: Browser, collector: RunningCollector, provider: Provider, script: bool
) -> None:
    """Sent to the provider and back to the page that was wanted, on a phone; there is nothing to press, and a form that
    is sent all the same changes nothing.
    """
    context = browser.new_context(viewport=PHONE, java_script_enabled=script)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(f"{collector.url}/dashboard/traces/1")
    page.get_by_role("link", name="Log in with 127.0.0.1").click()
    page.get_by_label("User").fill("vera")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="GET /items/1").wait_for()
    assert page.url == f"{collector.url}/dashboard/traces/1"
    for path in ("rules", "actors", "endpoints/1", "alerts", "specs", "traces/1"):
        page.goto(f"{collector.url}/dashboard/{path}")
        assert page.get_by_role("button", name=re.compile("Block|Save|Resolve|Upload|Watch|Remove")).count() == 0
    assert page.get_by_role("link", name="Settings").count() == 0
    origin = {"Origin": collector.url, "Sec-Fetch-Site": "same-origin"}
    answer = context.request.post(f"{collector.url}/dashboard/rules/watch", form={"watching": "on"}, headers=origin)
    assert (answer.status, "This is for the role analyst; yours is viewer." in answer.text()) == (403, True)
    assert page.goto(f"{collector.url}/dashboard/settings").status == 403  # type: ignore[union-attr]
    context.close()


def _enter(page: Page, collector: RunningCollector) -> None:
    page.goto(f"{collector.url}/dashboard/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.get_by_role("heading", name="Overview").wait_for()


def test_the_first_admin(browser: Browser, collector: RunningCollector) -> None:
    """From the one password for all to an account, with the keyboard alone; then the account ends its other session."""
    with quiet(browser, collector.url) as context:
        page = context.new_page()
        _enter(page, collector)
        page.get_by_role("link", name="Users").focus()
        page.keyboard.press("Enter")
        page.get_by_text("There is no admin yet").wait_for()
        page.get_by_label("Name of a new account").focus()
        page.keyboard.type("ada")
        page.keyboard.press("Enter")
        password = page.get_by_role("status").locator("code").inner_text()
        for _ in range(2):
            page.goto(f"{collector.url}/dashboard/account")
            if "/login" not in page.url:
                page.get_by_role("button", name="Log out").click()
            page.get_by_label("Name").fill("ada")
            page.get_by_label("Password").fill(password)
            page.keyboard.press("Enter")
            page.get_by_role("navigation", name="Pages").wait_for()
        page.goto(f"{collector.url}/dashboard/users")
        sessions = page.get_by_role("region", name="Sessions").get_by_role("listitem")
        assert (sessions.count(), "ada" in sessions.first.inner_text()) == (1, True)
        sessions.first.get_by_role("button", name="End the session of ada").click()
        page.get_by_role("heading", name="metlo-otel").wait_for()


def test_one_dead_webhook_one_healthy(
    browser: Browser, collector: RunningCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are added and tried; each alert reaches each once: the healthy one at once, the other when it lives again.
    The link that was sent leads to the alert, which tells who was told.
    """
    monkeypatch.setattr("metlo_otel.collector.watching.LEARNING", -60_000)  # three new endpoints are three alerts
    monkeypatch.setattr("metlo_otel.collector.notify.WAITS", (1,))
    with running_hook() as dead, running_hook() as healthy, quiet(browser, collector.url) as context:
        dead.status, page = 503, context.new_page()
        _enter(page, collector)
        page.get_by_role("link", name="Notifications").click()
        for name, hook in (("dead", dead), ("healthy", healthy)):
            form = page.locator('form[action="/dashboard/notifications"]')
            form.get_by_label("Name").fill(name)
            form.get_by_label("URL", exact=True).fill(hook.url)
            form.get_by_role("button", name="Add").click()
            page.get_by_text("shown this once").wait_for()
        page.get_by_role("button", name="Test healthy").click()
        page.get_by_text("healthy took the test").wait_for()
        page.get_by_role("button", name="Test dead").click()
        page.get_by_text("dead did not take the test").wait_for()
        agent = Client(collector.url)
        agent.post([make_trace(f"/p/x{number}") for number in range(3)])
        agent.session.close()
        _wait_for(page, lambda: len(_new(healthy)) == 3)
        page.goto(f"{collector.url}/dashboard/notifications")
        region = page.get_by_role("region", name="Destinations")
        shown = region.get_by_role("listitem").filter(has_text="dead").inner_text()
        assert re.search(r"[34] waiting", shown), shown  # what was found before may not have been told yet
        dead.status = 200
        _wait_for(page, lambda: len(_new(dead)) == 3)
        page.wait_for_timeout(2_500)  # one more look of the collector for what is due
        assert sorted(each["id"] for each in dead.alerts()) == sorted(each["id"] for each in healthy.alerts())
        assert len(_new(healthy)) == 3
        page.goto(_new(healthy)[0]["url"])
        page.get_by_role("heading", name="New endpoint").wait_for()
        told = page.get_by_role("region", name="Who was told").get_by_role("listitem").all_inner_texts()
        assert ["told" in text for text in told] == [True, True]
        page.get_by_role("button", name="Resolve").click()
        page.get_by_text("Resolved.").wait_for()


def _new(hook: Hook) -> list[dict[str, Any]]:
    """The alerts of new endpoints that a hook was told."""
    return [alert for alert in hook.alerts() if alert["kind"] == "new_endpoint"]


def _wait_for(page: Page, condition: Callable[[], bool]) -> None:
    for _ in range(150):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not happen")
