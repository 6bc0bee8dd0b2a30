"""Everything that strangers can put into a page, as hostile as it gets: it is only ever text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest

from metlo_otel.collector.server import RunningCollector
from tests.collector.client import Client, make_trace
from tests.dashboard.browser import Browser
from tests.dashboard.chromium import chromium, quiet

MARK = "h0st1le"
EVIL = (
    f"\"'><img src=x onerror=alert(1)><script>{MARK}()</script><a href=javascript:{MARK}>{{{{7*7}}}}&lt;\u202e\x1b[31m"
)
FIELD = f"x-<b>{MARK}"
PAGES = (
    "",
    "endpoints?sort=calls",
    "traces",
    "attacks",
    "actors",
    "alerts?status=open",
    "rules",
    "specs",
    "settings",
    "audit",
    "hosts",
    "notifications",
    "users",
    "account",
)
_ELEMENTS = frozenset(
    "html head meta title link script body a div span nav ul li form input button main p h1 h2 h3 section header small "
    "strong em code pre mark table thead tbody tr th td time label select option textarea fieldset legend dl dt dd "
    "details summary datalist svg g rect br img".split()
)


class Reader(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []
        self.text: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self._in_script = tag == "script"
        if tag not in _ELEMENTS:
            self.wrong.append(f"<{tag}>")
        if tag == "script" and not (named.get("src") or "").startswith("/dashboard/static/"):
            self.wrong.append("a script of somebody else's")
        if tag == "img" and not (named.get("src") or "").startswith("/dashboard/static/"):
            self.wrong.append(f"<img src={named.get('src')}>")
        for name, value in attributes:
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.wrong.append(f"{tag} {name}={value}")
            if name in ("href", "src", "action", "formaction") and not re.match(r"(/dashboard/|\?|#|/$)", value or ""):
                self.wrong.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.wrong.append(f"script: {data}")
        self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def hostile_trace(**more: Any) -> dict[str, Any]:
    trace = make_trace(f"/{EVIL}")
    request = trace["request"]
    request["url"].update(host=f"{MARK}.<i>.example", endpointPath=f"/{EVIL}/{{id}}")
    request["url"]["parameters"] = [{"name": FIELD, "value": EVIL}]
    request["headers"] = [{"name": FIELD, "value": EVIL}, {"name": "Content-Type", "value": "application/json"}]
    request["body"] = json.dumps({FIELD: [EVIL, {EVIL: 1.50}]})
    request["user"] = EVIL
    trace["response"].update(headers=[{"name": FIELD, "value": EVIL}], body=EVIL, status=200)
    trace["meta"].update(source=EVIL, environment=EVIL, traceId="ab" * 16, spanId=EVIL, durationMicroseconds=7)
    trace["processedTraceData"] = {
        "block": True,
        "ruleId": EVIL,
        "requestTags": [EVIL],
        "attackDetections": {f"reqQuery.{FIELD}": [EVIL, "XSS"], f"reqBody.{FIELD}": ["XSS"], "reqPath": ["SQLI"]},
        "sensitiveDataDetected": {f"reqBody.{FIELD}": [EVIL], f"resHeaders.{FIELD}": [EVIL]},
        "dataTypes": {f"reqQuery.{FIELD}": ["string"], f"reqBody.{FIELD}": ["string"]},
        "graphQlData": [{"operationName": EVIL}],
    }
    trace["sessionMeta"] = {"uniqueSessionKey": EVIL, "user": EVIL, "userAgent": EVIL, "authType": EVIL}
    return {**trace, **more}


@pytest.fixture
def attacked(collector: RunningCollector, browser: Browser, agent: Client) -> Browser:
    """A dashboard of which an attacker has filled all that can be filled, and the user has used odd names too."""
    passed = hostile_trace()  # descriptions are made of what was answered
    passed["processedTraceData"]["block"] = False
    answer = agent.post([hostile_trace(), passed, make_trace("/plain")])
    assert answer.status_code == 200, answer.text
    rule = {
        "name": EVIL,
        "mode": "monitor",
        "block": True,
        "path": {"is": f"/{EVIL}"},
        "header": {FIELD: {"contains": EVIL}},
    }
    assert browser.post("/dashboard/rules", text=json.dumps(rule), enabled="on").status_code == 200
    spec = {"openapi": "3.1.0", "info": {"title": EVIL, "version": "1"}, "paths": {f"/{EVIL}": {"get": {}}}}
    host = f"{MARK}.<i>.example"
    assert browser.post("/dashboard/specs", name=EVIL, host=host, text=json.dumps(spec)).status_code == 200
    assert browser.post("/dashboard/settings/keys", name=EVIL[:60]).status_code == 200
    plain = EVIL.partition("\u202e")[0]
    added = browser.post("/dashboard/notifications", name=plain[:60], url=f"http://127.0.0.1:1/{plain}")
    assert added.status_code == 200
    assert browser.post("/dashboard/rules/block", kind="user", value=EVIL).status_code == 200
    return browser


def all_pages(attacked: Browser, agent: Client) -> list[str]:
    """The addresses of all pages, those of single things included, and of searches for hostile words."""
    numbers = [trace["id"] for trace in agent.items("traces")]
    endpoints = [endpoint["id"] for endpoint in agent.items("endpoints")]
    actors = sorted(set(re.findall(r"/dashboard/(actors/\d+)", attacked.get("/dashboard/actors").text)))
    rules = sorted(set(re.findall(r'href="/dashboard/(rules/[^"]+)"', attacked.get("/dashboard/rules").text)))
    found = [*PAGES, *(f"traces/{number}" for number in numbers), *(f"endpoints/{number}" for number in endpoints)]
    alerts = sorted(set(re.findall(r'href="/dashboard/(alerts/\d+)"', attacked.get("/dashboard/alerts").text)))
    assert alerts
    found += [*actors, *rules, *alerts, f"specs/diff?name={quote(EVIL)}"]
    searches = (
        *("traces?path=", "traces?user=", "traces?attack=", "traces?before=", "endpoints?host=", "endpoints?sort="),
        *("attacks?category=", "actors?value=", "actors?kind=", "alerts?status=", "audit?who=", "alerts?done="),
    )
    return [*found, *(search + quote(EVIL) for search in searches)]


def test_strangers_text_is_only_text(attacked: Browser, agent: Client) -> None:
    """No page has an element, attribute or link that is not ours, and the hostile text is there to be read."""
    shown = 0
    for path in all_pages(attacked, agent):
        answer = attacked.get(f"/dashboard/{path}")
        assert answer.status_code in (200, 400), path
        reader = read(answer.text)
        assert reader.wrong == [], path
        text = "".join(reader.text)
        assert not {"\u202e", "\x1b"} & set(text), path
        shown += f"<script>{MARK}()</script>" in text
    assert shown >= 20


def test_in_a_browser(attacked: Browser, agent: Client) -> None:
    """A real browser runs nothing of it, asks nobody else for anything, and has nothing to complain of."""
    with chromium() as browser, quiet(browser, attacked.url) as context:
        cookies = [{"name": each.name, "value": each.value, "url": attacked.url} for each in attacked.session.cookies]
        context.add_cookies(cookies)  # type: ignore[arg-type]  # the values are text
        page = context.new_page()
        for path in all_pages(attacked, agent):
            if attacked.get(f"/dashboard/{path}").status_code == 200:  # a browser complains of any other by itself
                page.goto(f"{attacked.url}/dashboard/{path}")
                assert page.locator("main").count() == 1
                assert page.locator("main img, main script").count() == 0


def test_the_check_itself() -> None:
    """What is looked for would be found."""
    for evil in (EVIL, "<b onclick=x>", "<script>x</script>", '<a href="javascript:x">', "<p style=x>", "<iframe>"):
        assert read(f"<p>{evil}</p>").wrong


def test_a_login_page_with_hostile_words(stranger: Browser) -> None:
    """The login's page repeats what was typed, and where it leads to, as text."""
    answer = stranger.post("/dashboard/login", name=EVIL, password="wrong", next=EVIL)
    assert answer.status_code == 403
    assert read(answer.text).wrong == []
    assert read(stranger.get(f"/dashboard/login?next={quote(EVIL)}").text).wrong == []


def test_a_download_with_a_hostile_name(attacked: Browser) -> None:
    """A host's name makes no header and no type that a browser would run."""
    answer = attacked.get(f"/dashboard/specs/observed?host={quote(f'{MARK}.<i>.example')}&as=json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{MARK}.-i-.example.openapi.json"'
    json.loads(answer.text)


@pytest.mark.parametrize(
    "template", ["javascript:alert({traceId})", "https://evil.example", "//x/{traceId}", "x" * 2000]
)
def test_a_tracing_link_is_one(reader: Browser, template: str) -> None:
    """A template that is no link of http or https is refused."""
    answer = reader.post("/dashboard/settings/tracing", template=template)
    assert answer.status_code == 400
    assert "begins with https:// or http://" in answer.text
