"""What somebody does with the pages, in a real browser: the time shown, searches, alerts; for everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from metlo_otel.collector.server import RunningCollector
from tests.collector.client import KEY, READ_KEY, Client, make_trace
from tests.dashboard.axe import axe_core, problems
from tests.dashboard.browser import PASSWORD
from tests.dashboard.chromium import chromium, quiet
from tests.dashboard.test_pages import attack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.live  # they mostly wait for others, beside what does not

PAGES = (
    *(
        "",
        "endpoints",
        "endpoints/1",
        "services",
        "traces",
        "traces/1",
        "attacks",
        "actors",
        "actors/1",
        "alerts",
        "alerts/1",
    ),
    *("alerts?kind=attack", "traces?q=items&range=1h&status=2xx", "rules", "rules/new", "specs", "settings", "audit"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A collector with some requests, attacks and a description that they differ from."""
    where = str(tmp_path_factory.mktemp("stories") / "x.db")
    with RunningCollector(where, KEY, PASSWORD, READ_KEY) as running:
        client = Client(running.url)
        with client.session:
            client.post([_trace(number) for number in range(60)] + [attack(f"/items/{n}") for n in range(3)])
            client.post([attack("/items/4", block=True)])
        yield running.url


def _trace(number: int) -> dict[str, Any]:
    trace = make_trace(f"/items/{number}", 500 if number % 10 == 0 else 200)
    trace["meta"]["durationMicroseconds"] = 1000 * (number + 1)
    trace["request"]["user"] = "anna" if number % 2 else None
    trace["response"]["body"] = '{"price": "3.50"}'
    found = {"dataTypes": {"resBody.price": ["string"]}, "validationErrors": {"resBody.price": ["type: number"]}}
    trace["processedTraceData"] |= found
    return trace


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A page on the overview, by somebody who logged in."""
    with quiet(browser, url, viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        _log_in(page, url)
        yield page


def _log_in(page: Page, url: str) -> None:
    page.goto(f"{url}/dashboard/")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Overview").wait_for()


def test_the_time_is_kept(page: Page, url: str) -> None:
    """What was chosen on the overview is shown on the endpoint and on its traces, and still known on a trace's page."""
    times = page.get_by_role("navigation", name="Time shown")
    times.get_by_role("link", name="6h").click()
    page.get_by_role("link", name=re.compile("GET .items")).first.click()
    page.get_by_role("heading", name="GET /items/").wait_for()
    assert times.locator("[aria-current]").inner_text() == "6h"
    page.get_by_role("region", name="Latest traces").get_by_role("link", name="All of them").click()
    page.get_by_role("heading", name="Traces").wait_for()
    assert times.locator("[aria-current]").inner_text() == "6h"
    page.get_by_role("link", name=re.compile("GET .items")).first.click()
    page.get_by_text("Received").wait_for()
    assert "range=6h" in page.url
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("heading", name="Overview").wait_for()
    assert times.locator("[aria-current]").inner_text() == "6h"


def test_a_brush(page: Page) -> None:
    """A stretch of a chart becomes the time shown; columns tell what they are, also by keyboard."""
    plot = page.get_by_role("img", name="Requests over time")
    plot.focus()
    page.keyboard.press("ArrowRight")
    assert "all" in plot.locator(".tip").inner_text()
    frame = plot.bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + frame["width"] * 0.5, frame["y"] + 20)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.8, frame["y"] + 20, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile(r"from=\d+&to=\d+"))
    first, last = (int(number) for number in re.findall(r"=(\d+)", page.url))
    assert 16 * 60_000 <= last - first <= 20 * 60_000


def test_from_one_moment_to_another(browser: Browser, url: str) -> None:
    """Moments are given and told in the reader's own zone, and kept in UTC."""
    with quiet(browser, url, timezone_id="Asia/Tokyo") as context:
        page = context.new_page()
        _log_in(page, url)
        page.get_by_text("From … to …").click()
        page.get_by_label("From (Asia/Tokyo)").fill("2026-05-01T09:00")
        page.get_by_role("button", name="Show").click()
        page.wait_for_url(re.compile("from="))
        assert "from=2026-05-01T00%3A00%3A00.000Z" in page.url
        page.locator("summary.chosen").click()
        assert page.get_by_label("From (Asia/Tokyo)").input_value() == "2026-05-01T09:00"
        page.get_by_role("button", name="Tell times in UTC").click()
        page.locator("summary.chosen").click()
        assert page.get_by_label("From (UTC)").input_value() == "2026-05-01T00:00"


def test_a_saved_search(page: Page, url: str) -> None:
    """A search is written with what is offered, saved, and found again."""
    page.goto(f"{url}/dashboard/traces")
    search = page.get_by_role("combobox", name="Search")
    search.press_sequentially("sta")
    page.get_by_role("option", name="status:").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("option", name="status:5xx").click()
    assert search.input_value() == "status:5xx "
    page.keyboard.type("took:>1ms")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Remove the filter Search").wait_for()
    shown = page.locator("#total").inner_text()
    page.get_by_text("Saved searches").click()
    page.get_by_label("Save this search as").fill("Slow failures")
    page.get_by_role("button", name="Save search").click()
    page.goto(f"{url}/dashboard/traces")
    page.get_by_text("Saved searches (1)").click()
    page.get_by_role("link", name="Slow failures").click()
    page.wait_for_url(re.compile("q=status"))
    assert page.locator("#total").inner_text() == shown == "5 traces"


def test_what_would_be_right(browser: Browser, url: str) -> None:
    """A search that cannot be understood says what would be right."""
    page = browser.new_page()  # whose console may tell of a 400
    _log_in(page, url)
    page.goto(f"{url}/dashboard/traces?q=stauts:5xx")
    assert "did you mean status?" in page.get_by_role("alert").inner_text()
    page.close()


def test_an_alert_is_looked_after(page: Page, url: str) -> None:
    """It says why it was raised; it is assigned, commented on and snoozed, and is away until then."""
    page.get_by_role("link", name="Alerts").first.click()
    page.get_by_role("link", name="Differs from the specification").first.click()
    page.get_by_text("field price is a string, the description says number").wait_for()
    page.get_by_role("button", name="Assign", exact=True).click()
    page.get_by_role("status").filter(has_text="Assigned.").wait_for()
    assert page.get_by_label("Name").input_value() == "admin"
    page.get_by_label("Say something").fill("The price is a text since May.")
    page.get_by_role("button", name="Comment").click()
    assert "The price is a text since May." in page.get_by_role("region", name="Comments").inner_text()
    page.get_by_label("Snooze for").select_option("24h")
    page.get_by_role("button", name="Snooze").click()
    page.get_by_text("snoozed until").wait_for()
    page.goto(f"{url}/dashboard/alerts")
    page.get_by_role("heading", name="Attack").first.wait_for()
    assert page.get_by_role("link", name="Differs from the specification").count() == 0
    page.get_by_label("Are").select_option("snoozed")
    page.get_by_role("button", name="Search").click()
    row = page.get_by_role("row").filter(has_text="Differs from the specification")
    assert "admin" in row.inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_for_everybody(browser: Browser, url: str, tmp_path: Path, width: int, scheme: Any) -> None:
    """WCAG 2.2 AA as far as a program can tell: nothing serious on any page, wide and on a phone, light and dark."""
    script = axe_core(tmp_path)
    options: dict[str, Any] = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    context = browser.new_context(**options, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{url}/dashboard/login")
    found = {"login": problems(page, script)}
    _log_in(page, url)
    for path in PAGES:
        page.goto(f"{url}/dashboard/{path}")
        found[path] = problems(page, script)
    page.goto(f"{url}/dashboard/traces")
    for summary in page.locator("main summary").all():
        summary.click()
    page.get_by_role("combobox", name="Search").click()
    found["opened"] = problems(page, script)
    context.close()
    assert {path: told for path, told in found.items() if told} == {}


def test_popovers_are_not_clipped(browser: Browser, url: str) -> None:
    """What opens lies within the window and is cut by nothing, in a table and on a phone too."""
    for width in (1280, 390):
        with quiet(browser, url, viewport={"width": width, "height": 800}) as context:
            page = context.new_page()
            _log_in(page, url)
            for path in ("traces", "alerts", "settings"):
                page.goto(f"{url}/dashboard/{path}")
                for menu in page.locator("details.menu").all():
                    menu.locator("summary").click()
                    menu.locator(".pop").scroll_into_view_if_needed()
                    assert menu.locator(".pop").evaluate(_IS_WHOLE), (width, path)
                    menu.locator("summary").press("Escape")


# Whether the element is what is seen at its own corners.
_IS_WHOLE = """element => {
  const box = element.getBoundingClientRect();
  const corners = [box.left + 4, box.right - 4].flatMap((x) => [[x, box.top + 4], [x, box.bottom - 4]]);
  return corners.every(([x, y]) => element.contains(document.elementFromPoint(x, y)));
}"""


def test_every_row_says_where(browser: Browser, url: str) -> None:
    """On a phone each row of alerts, attacks, traces and endpoints names the endpoint that it is about."""
    with quiet(browser, url, viewport={"width": 360, "height": 700}) as context:
        page = context.new_page()
        _log_in(page, url)
        for path in ("alerts?kind=attack", "attacks", "traces", "endpoints"):
            page.goto(f"{url}/dashboard/{path}")
            rows = page.locator("tbody tr")
            assert rows.count() > 0
            for row in rows.all()[:10]:
                assert "/items/" in row.inner_text(), path
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_without_javascript(browser: Browser, url: str) -> None:
    """The picker, a search, its chips and an alert work where no script runs."""
    with quiet(browser, url, java_script_enabled=False) as context:
        page = context.new_page()
        _log_in(page, url)
        page.get_by_role("link", name="24h").click()
        page.get_by_role("link", name="Traces").first.click()
        page.get_by_label("Search", exact=True).fill("status:5xx")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="Remove the filter Search").wait_for()
        assert "range=24h" in page.url
        page.get_by_text("From … to …").click()
        page.get_by_label("From (UTC)").fill("2026-05-01T09:00")
        page.get_by_role("button", name="Show").click()
        page.wait_for_url(re.compile("from=2026-05-01T09%3A00"))
        assert page.get_by_label("Search", exact=True).input_value() == "status:5xx"
