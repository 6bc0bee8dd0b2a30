"""The demo in a real browser: from the overview to a request that is blocked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import requests

from tests.dashboard.chromium import chromium, quiet

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.live  # they mostly wait for others, beside what does not

ATTACKER = "203.0.113.66"


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that runs: where its dashboard and its shop are."""

    dashboard: str
    password: str
    shop: str

    @property
    def origin(self) -> str:
        return self.dashboard.partition("/dashboard")[0]

    def attack(self) -> int:
        """A request by the attacker; the status of the answer."""
        headers = {"X-Forwarded-For": ATTACKER, "Host": "shop.example"}
        wanted = {"file": "../../../../etc/passwd"}
        return requests.get(f"{self.shop}/api/manuals", params=wanted, headers=headers, timeout=10).status_code


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def demo(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo as a user starts it; it ends with 0."""
    environment = {**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("demo")), "METLO_DISABLED": "true"}
    command = [sys.executable, "-m", "metlo_otel.cli", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        said = dict(re.split(r"\s+", process.stdout.readline().strip(), maxsplit=1) for _ in range(3))
        yield Demo(said["Dashboard"], said["Password"], said["Shop"])
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.fixture
def page(browser: Browser, demo: Demo) -> Iterator[Page]:
    """A page on the overview, by somebody who logged in."""
    with quiet(browser, demo.origin) as context:
        page = context.new_page()
        page.goto(demo.dashboard)
        page.get_by_label("Password").fill(demo.password)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Overview").wait_for()
        yield page


def test_from_the_overview_to_a_blocked_request(page: Page, demo: Demo) -> None:
    """Overview, endpoint, trace, one click, and the attacker's next requests are blocked, which the attacks show."""
    assert demo.attack() == 404
    page.get_by_role("link", name="GET /api/manuals").first.click()
    page.get_by_role("heading", name="GET /api/manuals").wait_for()
    assert "file" in page.get_by_role("region", name="Fields").inner_text()
    row = page.get_by_role("region", name="Latest traces").get_by_role("row").filter(has_text=ATTACKER).first
    row.get_by_role("link", name="/api/manuals").click()
    page.locator("mark").first.wait_for()
    page.get_by_role("button", name=f"Block {ATTACKER}").click()
    page.get_by_text(f"{ATTACKER} is blocked").wait_for()
    until = time.monotonic() + 5
    while (status := demo.attack()) != 403 and time.monotonic() < until:
        page.wait_for_timeout(100)  # of a flood the collector keeps a sample
    assert status == 403
    page.get_by_role("link", name="Attacks").click()
    page.get_by_role("row").filter(has_text=ATTACKER).filter(has_text="403").filter(has_text="blocked").first.wait_for()


def test_what_is_live(page: Page, demo: Demo) -> None:
    """New requests appear by themselves, until that is paused."""
    page.goto(f"{demo.origin}/dashboard/traces?path=/api/orders-of-the-day")
    page.get_by_text("No trace is like this").wait_for()
    requests.get(f"{demo.shop}/api/orders-of-the-day", timeout=10)
    page.get_by_role("link", name="/api/orders-of-the-day").wait_for()
    page.get_by_role("button", name="Live").click()
    page.get_by_role("button", name="Paused").wait_for()


def test_a_rule_is_tried_first(page: Page, demo: Demo) -> None:
    """What a rule would have blocked is told before it does anything; nothing is stored by that."""
    page.get_by_role("link", name="Rules").click()
    page.get_by_role("link", name="No climbing out of the manuals").click()
    page.get_by_role("button", name="Try on stored requests").click()
    told = page.get_by_role("heading", name="would have blocked").inner_text()
    hit, tried = (int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", told)[:2])
    assert 0 < hit < tried
    page.get_by_role("link", name="Rules").first.click()
    assert "off" in page.get_by_role("row").filter(has_text="No climbing out").inner_text()


def test_block_for_an_hour_and_undo(page: Page, demo: Demo) -> None:
    """A visitor is blocked for an hour unless one chooses otherwise, and one click takes it back."""
    page.get_by_role("link", name="Actors").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("button", name="Block")).first
    assert row.get_by_label("For how long").input_value() == "1h"
    row.get_by_role("button", name="Block").click()
    if page.get_by_role("button", name="Block all the same").count():
        page.get_by_role("button", name="Block all the same").click()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("The rule is removed").wait_for()


def test_an_untouched_form_is_refused(browser: Browser, demo: Demo) -> None:
    """A new rule only watches, and without a condition there is none."""
    page = browser.new_page()  # whose console may tell of a 400
    page.goto(demo.dashboard)
    page.get_by_label("Password").fill(demo.password)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Rules").click()
    page.get_by_role("link", name="New rule").click()
    assert page.get_by_label("Mode").input_value() == "monitor"
    page.get_by_role("button", name="Save").click()
    assert "path: '*' means every request" in page.get_by_role("alert").inner_text()
    page.close()


def test_by_keyboard(page: Page, demo: Demo) -> None:
    """The first key leads to the content, a slash to the search, and a menu opens and closes without a mouse."""
    page.goto(f"{demo.origin}/dashboard/endpoints")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("/")
    page.keyboard.type("checkout")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=checkout"))
    assert page.get_by_role("table").get_by_role("row").count() == 2
    page.goto(f"{demo.origin}/dashboard/settings")
    menu = page.get_by_text("Revoke …").first
    menu.focus()
    page.keyboard.press("Enter")
    page.get_by_text("report no more").first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("report no more").first.wait_for(state="hidden")


def test_light_and_dark(browser: Browser, demo: Demo) -> None:
    """Pages follow the system, and the button wins over it, also on the next page."""
    with quiet(browser, demo.origin, color_scheme="dark") as context:
        page = context.new_page()
        page.goto(demo.dashboard)
        ground = "getComputedStyle(document.body).backgroundColor"
        dark = page.evaluate(ground)
        page.get_by_label("Password").fill(demo.password)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Overview").wait_for()
        with page.expect_response(lambda answer: answer.url.endswith("/dashboard/theme")):
            page.get_by_role("button", name="Theme").click()
        assert page.evaluate(ground) != dark
        page.get_by_role("link", name="Traces").click()
        page.get_by_role("heading", name="Traces").wait_for()
        assert page.evaluate(ground) != dark


PAGES = (
    *("", "endpoints", "endpoints/1", "traces", "traces/1", "attacks", "actors", "alerts"),
    *("rules", "rules/new", "specs", "settings", "audit"),
    *("hosts", "alerts/1", "notifications", "users", "account"),
)


def test_on_a_phone(page: Page, demo: Demo) -> None:
    """No page is wider than a phone."""
    page.set_viewport_size({"width": 360, "height": 700})
    for path in PAGES:
        page.goto(f"{demo.origin}/dashboard/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
