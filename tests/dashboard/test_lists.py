"""What all lists have: the time shown, chips, totals, saved searches, and files of what is shown."""

from __future__ import annotations

import csv
import html
import io
import re
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import update
from starlette.requests import Request

from metlo_otel.collector import queries
from metlo_otel.collector.dashboard.export import as_file
from metlo_otel.collector.dashboard.times import read_moment, read_span
from metlo_otel.collector.schema import TRACES
from metlo_otel.collector.server import RunningCollector
from tests.collector.client import Client, make_trace
from tests.dashboard.browser import Browser
from tests.dashboard.test_pages import attack, text_of

LISTS = ("endpoints", "services", "traces", "attacks", "actors", "alerts", "audit")


def _asked(**parameters: str) -> Request:
    return Request({"type": "http", "query_string": urlencode(parameters).encode(), "headers": []})


def test_spans() -> None:
    """A span is up to now, or between two moments in UTC; links take with them what was chosen, and only that."""
    now = time.time() * 1000
    hour = read_span(_asked(range="1h"))
    assert abs(now - (hour.since or 0) - 59 * 60_000) < 5_000
    assert (hour.until, hour.carried) == (None, {"range": "1h"})
    usual = read_span(_asked(), "24h")
    assert (usual.preset, usual.carried, usual.linked) == ("24h", {}, {"range": "24h"})
    assert read_span(_asked()).bounds == {}
    between = read_span(_asked(**{"from": "1970-01-01T00:00:01", "to": "1970-01-01T02:00+01:00"}))
    assert (between.since, between.until) == (1_000, 3_600_000)
    assert between.carried == {"from": "1000", "to": "3600000"}
    assert between.drawn() == (1_000, 3_599_999)
    assert read_span(_asked(since="5")).bounds == {"since": "5"}
    assert read_moment("2026-05-01T00:00:00.000Z") == 1_777_593_600_000


@pytest.mark.parametrize(
    "asked", [{"range": "2y"}, {"from": "soon"}, {"from": "9", "to": "9"}, {"to": "0001-01-01T00:00+14:00"}]
)
def test_wrong_spans(reader: Browser, asked: dict[str, str]) -> None:
    """A time that there is none of is told on the page, which shows its usual one."""
    found = read_span(_asked(**asked), "1h")
    wrong = asked != {"to": "0001-01-01T00:00+14:00"}
    assert bool(found.problem) == wrong or found.until == 0
    page = reader.get("/dashboard/traces?" + urlencode(asked))
    assert (page.status_code == 400) == bool(found.problem)


@pytest.mark.parametrize("page", LISTS)
def test_every_list(reader: Browser, page: str) -> None:
    """Each has the picker, a search with what can be asked for, a total, saved searches, and its rows as files."""
    text = reader.get(f"/dashboard/{page}?q=x&range=7d").text
    assert 'aria-label="Time shown"' in text
    assert re.search(r'name="q"[^>]*value="x"', text)
    assert "Saved searches" in text
    assert re.search(r'id="total"[^>]*>0 ', text)
    assert re.search(r"Remove the filter </span>Search <strong>x", text)
    assert re.search(r"Remove the filter </span>Time <strong>the last 7d", text)
    for form in ("csv", "json"):
        answer = reader.get(html.unescape(re.findall(rf'href="([^"]*as={form})"', text)[0]))
        assert answer.status_code == 200
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{page}.{form}"'
    assert reader.get(f"/dashboard/{page}?as=xls").status_code == 404
    assert reader.get(f"/dashboard/{page}?q=nothing:1&as=csv").status_code == 400


def test_links_keep_the_time(browser: Browser, agent: Client) -> None:
    """From the overview over an endpoint to a trace and back, every link has the time that was chosen."""
    agent.post([make_trace(), attack()])
    number = agent.items("endpoints")[0]["id"]
    trace = agent.items("traces")[0]["id"]
    for path in ("", "endpoints", f"endpoints/{number}", "traces", f"traces/{trace}", "attacks", "actors", "actors/1"):
        text = browser.get(f"/dashboard/{path}?range=6h").text
        links = [html.unescape(each) for each in re.findall(r'href="(/dashboard/(?!static)[^"]*)"', text)]
        lost = [link for link in links if "range=" not in link and "rules/" not in link]
        picked = {f"/dashboard/{path}"} | {f"/dashboard/{name}" for name in LISTS}  # Clear, and the chip of the time
        assert [link for link in lost if link.partition("?")[0] not in picked and link != "/dashboard/"] == [], path


def test_the_time_is_kept_to(collector: RunningCollector, browser: Browser, agent: Client) -> None:
    """What happened before or after the time shown is not there."""
    agent.post([make_trace("/old"), make_trace("/new")])
    old = update(TRACES).where(TRACES.c.path == "/old").values(received=86_400_000)
    collector.store.change(lambda connection: connection.execute(old)).result()
    for asked, paths in (
        ("range=1h", {"/new"}),
        ("from=1970-01-01&to=1970-01-03", {"/old"}),
        ("", {"/old", "/new"}),
        ("to=1970-01-01", set()),
    ):
        text = browser.get(f"/dashboard/traces?{asked}").text
        assert {path for path in ("/old", "/new") if f"</span> {path}" in text} == paths, asked


def test_chips_take_filters_away(browser: Browser, agent: Client) -> None:
    """Each filter in force has a chip that leads to the page without it, and keeps the others."""
    agent.post([make_trace()])
    text = browser.get("/dashboard/traces?status=2xx&method=GET&q=items&range=1h").text
    assert "1 traces" in text_of(text)
    chips = {
        label: html.unescape(link)
        for link, label in re.findall(r'class="chip" href="([^"]*)"><span[^>]*>[^<]*</span>([\w ]+) <strong>', text)
    }
    assert chips["Status"] == "/dashboard/traces?method=GET&q=items&range=1h"
    assert chips["Search"] == "/dashboard/traces?status=2xx&method=GET&range=1h"
    assert chips["Time"] == "/dashboard/traces?status=2xx&method=GET&q=items"


def test_saved_searches(collector: RunningCollector, browser: Browser) -> None:
    """A search is saved under a name, found again, replaced and removed; what its page does not know is left out."""
    asked = "status=5xx&range=24h&evil=1&before=9&as=csv"
    saved = browser.post("/dashboard/views", follow=False, page="traces", name="Failures", query=asked)
    assert saved.headers["Location"] == "/dashboard/traces?status=5xx&range=24h"
    browser.post("/dashboard/views", page="traces", name="Failures", query="status=503")
    text = browser.get("/dashboard/traces").text
    assert re.findall(r'href="(/dashboard/traces\?status=[^"]*)">Failures', text) == ["/dashboard/traces?status=503"]
    assert "Failures" not in browser.get("/dashboard/attacks").text
    number = re.findall(r"views/(\d+)/remove", text)[0]
    browser.post(f"/dashboard/views/{number}/remove")
    assert "Failures" not in browser.get("/dashboard/traces").text
    assert browser.post(f"/dashboard/views/{number}/remove").status_code == 404
    assert browser.post("/dashboard/views", page="rules", name="x", query="").status_code == 404
    assert browser.post("/dashboard/views", page="traces", name=" ", query="").status_code == 400
    audited = collector.store.read(lambda connection: queries.find_audit(connection, {})).items
    assert [item["action"] for item in audited[:3]] == ["views.remove", "views.save", "views.save"]


def test_files_have_all_pages(browser: Browser, agent: Client) -> None:
    """A file has what the filters find, on all pages, and no cell that a spreadsheet would take for a formula."""
    traces = [make_trace(f"/items/{number}", 200 if number % 2 else 500) for number in range(120)]
    for trace in traces:
        trace["request"]["user"] = "=HYPERLINK(1)"
    agent.post(traces)
    rows = list(csv.DictReader(io.StringIO(browser.get("/dashboard/traces?status=5xx&as=csv").text)))
    items = browser.get("/dashboard/traces?status=5xx&as=json").json()
    assert len(rows) == len(items) == 60
    assert {row["status"] for row in rows} == {"500"}
    assert {row["user"] for row in rows} == {"'=HYPERLINK(1)"}
    assert {item["user"] for item in items} == {"=HYPERLINK(1)"}


def test_cells() -> None:
    """Lists, objects, nothing, truth and numbers as text; only text is made harmless."""
    item: dict[str, Any] = {"a": ["x", "y"], "b": {"c": 1}, "d": None, "e": True, "f": -1, "g": "@sum", "h": [1]}
    body = bytes(as_file([item, {"z": 1}], "x", "csv").body).decode().splitlines()
    assert body == ["a,b,d,e,f,g,h,z", 'x y,"{""c"":1}",,true,-1,\'@sum,[1],', ",,,,,,,1"]


def test_the_zone(browser: Browser) -> None:
    """In which zone times are told is remembered, and the form leads back to its page."""
    answer = browser.post("/dashboard/zone", follow=False, zone="utc", back="/dashboard/traces?status=5xx")
    assert answer.headers["Location"] == "/dashboard/traces?status=5xx"
    assert 'data-zone="utc"' in browser.get("/dashboard/traces").text
    assert (
        browser.post("/dashboard/zone", follow=False, zone="moon", back="//evil.example").headers["Location"]
        == "/dashboard/"
    )
    assert 'data-zone="utc"' in browser.get("/dashboard/traces").text
