"""The pages over a socket: what they show, find and refuse, and that every change is asked for, done and noted."""

from __future__ import annotations

import html
import json
import re
import time
from typing import Any

import pytest

from metlo_otel.collector import queries
from metlo_otel.collector.configuration import is_watching
from metlo_otel.collector.dashboard.service_map import MOST_NODES, draw
from metlo_otel.collector.rules import list_rules
from metlo_otel.collector.server import RunningCollector
from tests.collector.client import Client, make_trace
from tests.collector.otlp import document, server, span
from tests.collector.sums import make_document, make_key
from tests.dashboard.browser import PASSWORD, Browser

PAGES = (
    "",
    "endpoints",
    "services",
    "traces",
    "attacks",
    "actors",
    "rules",
    "rules/new",
    "alerts",
    "specs",
    "settings",
    "audit",
    "hosts",
    "notifications",
    "users",
    "account",
)


def attack(path: str = "/items/1", source: str = "192.0.2.66", **processed: Any) -> dict[str, Any]:
    """A trace of an attack in the parameter `q`."""
    trace = make_trace(path, status=404)
    trace["request"]["url"]["parameters"] = [{"name": "q", "value": "x' OR 1=1 --"}]
    trace["meta"].update(source=source, traceId="ab" * 16, spanId="cd" * 8, durationMicroseconds=1500)
    trace["processedTraceData"] = {"block": False, "attackDetections": {"reqQuery.q": ["SQLI"]}, **processed}
    return trace


def text_of(page: str) -> str:
    """A page's words, with one space between them."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def done(browser: Browser, path: str, **fields: Any) -> str:
    """The words of the page that follows a change."""
    answer = browser.post(f"/dashboard/{path}", **fields)
    assert answer.status_code == 200, text_of(answer.text)
    return text_of(answer.text)


def enforced(browser: Browser, **fields: Any) -> str:
    """The words of the page after a rule is saved that the collector asks for first."""
    asked = browser.post("/dashboard/rules", **fields).text
    assert "would have blocked" in text_of(asked)
    code = re.search(r'name="confirmed" value="([^"]+)"', asked)
    assert code is not None
    return done(browser, "rules", **fields, confirmed=code[1])


def audited(collector: RunningCollector) -> list[tuple[str, str]]:
    """Who did what, newest first."""
    found = collector.store.read(lambda connection: queries.find_audit(connection, {}))
    return [(item["who"], item["action"]) for item in found.items]


@pytest.mark.parametrize("path", PAGES)
def test_with_nothing_stored(reader: Browser, path: str) -> None:
    """Every page says what it will show."""
    answer = reader.get(f"/dashboard/{path}", follow=False)
    assert answer.status_code == 200
    assert "<main" in answer.text


def test_latencies_and_true_counts(browser: Browser, agent: Client) -> None:
    """Percentiles and counts of all requests are on the pages of all endpoints and of one, and on the overview; lists
    of traces say of how many requests they are a sample.
    """
    sent = make_trace("/items/1")
    sent["request"]["url"]["endpointPath"] = "/items/{id}"
    sent["meta"]["counted"] = True
    agent.post([sent] * 3)
    times = [1_000.0] * 900 + [50_000.0] * 90 + [3e6] * 10
    agent.post(make_document([make_key()], times), "v1/aggregates")
    agent.post(make_document([make_key("/quick")], [70.0]), "v1/aggregates")
    (page, overview, listed, traces) = (
        text_of(browser.get(f"/dashboard/{path}").text) for path in ("endpoints/1", "", "endpoints?sort=p95", "traces")
    )
    assert "3 of 1,000 requests have a trace of their own" in page
    assert re.search(r"p50 (1\.0 ms|9\d\d µs), p95 (4|5)\d\.\d ms, p99 (4|5)\d\.\d ms", page)
    assert "100 B in, 2,000 B out on average" in page
    assert re.search(r"p50 \S+ \S+ · p95 (4|5)\d\.\d ms · p99 \S+ ms", overview)
    assert re.search(r"0 errors · p95 (4|5)\d\.\d ms", overview)
    assert listed.index("/items/{id}") < listed.index("/quick") < listed.index("70 µs")
    assert "3 of 1,001 requests have a trace of their own" in traces
    one = text_of(browser.get("/dashboard/traces?endpoint=1").text)
    assert "3 of 1,000 requests have a trace of their own" in one
    for odd in ("endpoint=7", "endpoint=x", "endpoint=" + "9" * 30):
        assert browser.get(f"/dashboard/traces?{odd}").status_code in (200, 400)


def test_nothing_is_known_of_latencies(browser: Browser, agent: Client) -> None:
    """Where no agent tells how long calls took, pages have a dash and no number."""
    agent.post([make_trace("/items/1")])
    for path in ("", "endpoints", "endpoints/1"):
        assert "–" in text_of(browser.get(f"/dashboard/{path}").text)
    assert "1 of 1 request has a trace of its own" in text_of(browser.get("/dashboard/endpoints/1").text)


@pytest.mark.parametrize("path", ["endpoints/7", "traces/7", "actors/7", "rules/none", "specs/diff?name=none", "none"])
def test_what_is_not_there(reader: Browser, path: str) -> None:
    """What does not exist is told on a page, with 404."""
    answer = reader.get(f"/dashboard/{path}")
    assert answer.status_code == 404
    assert "Not Found" in text_of(answer.text)


@pytest.mark.parametrize(
    "path",
    [
        "traces?status=teapot",
        "traces?since=yesterday",
        "traces?before=" + "9" * 30,
        "endpoints?sort=beauty",
        "endpoints?risk=-1",
        "actors?kind=animal",
        "alerts?severity=mild",
        "attacks?confidence=some",
        "endpoints?offset=99999999",
    ],
)
def test_wrong_questions(reader: Browser, path: str) -> None:
    """A filter that makes no sense is named, with what would."""
    answer = reader.get(f"/dashboard/{path}")
    assert answer.status_code == 400
    assert re.search(r"is '.*', but|expected", text_of(answer.text))


@pytest.mark.parametrize("path", ["?range=1000y", "endpoints?unknown=1", "traces?path=%00", "audit?before="])
def test_what_does_not_matter(reader: Browser, path: str) -> None:
    """Parameters that nobody knows are left alone."""
    assert reader.get(f"/dashboard/{path}").status_code == 200


def test_the_overview_counts(browser: Browser, agent: Client) -> None:
    """The charts' numbers are those of the traces that came, and lead to them."""
    agent.post([make_trace(), make_trace(status=500), attack(), attack(block=True)])
    page = browser.get("/dashboard/").text
    words = text_of(page)
    assert "Errors 5xx 1 25.0 % 4xx 2 50.0 %" in words
    assert 'aria-label="Requests over time: 4 in all"' in page
    assert 'aria-label="Attacks over time: 2 attacked, 1 blocked"' in page
    link = re.search(r'href="(/dashboard/traces\?range=1h&amp;status=5xx)"', page)
    assert link is not None
    assert browser.get(html.unescape(link[1])).text.count('class="path full"') == 1


def test_an_endpoints_page(browser: Browser, agent: Client) -> None:
    """Fields with types and classes, statuses, traces, attacks, alerts and the schema of one endpoint."""
    processed = {
        "block": False,
        "dataTypes": {"reqQuery.q": ["string"], "resBody.mail": ["string"]},
        "sensitiveDataDetected": {"resBody.mail": ["Email"]},
    }
    agent.post([make_trace(processedTraceData=processed), make_trace("/items/2"), attack("/items/3")])
    number = agent.items("endpoints", path="items")[0]["id"]
    words = text_of(browser.get(f"/dashboard/endpoints/{number}").text)
    assert "mail string Email" in words
    assert "Response body, 200" in words
    assert "SQLI ' OR 1=1 in reqQuery.q from 192.0.2.66" in words or "SQLI" in words
    assert '"get"' in words
    assert "200 × 2" in words
    assert "Sensitive data" in words


def test_a_traces_page(browser: Browser, agent: Client) -> None:
    """The attack is marked where it stands, and the user's tracing is one link away."""
    assert browser.post("/dashboard/settings/tracing", template="https://t.example/{traceId}?s={spanId}").ok
    agent.post([attack()])
    number = agent.items("traces")[0]["id"]
    page = browser.get(f"/dashboard/traces/{number}").text
    assert re.search(r"<mark>[^<]*OR 1=1", html.unescape(page))
    assert f'href="https://t.example/{"ab" * 16}?s={"cd" * 8}"' in page
    assert "1.5 ms" in page


def test_this_is_fine_here(browser: Browser, agent: Client) -> None:
    """One click on a trace says that such a finding is fine in that field of that endpoint, and agents are told."""
    own = {"reqQuery.q": ["NOSQLI"]}
    agent.post([attack(attackCategories=own)])
    number = agent.items("traces")[0]["id"]
    page = browser.get(f"/dashboard/traces/{number}").text
    assert "NOSQLI: this is fine here" in page
    fields = re.findall(r'name="(endpoint|field|category)" value="([^"]*)"', page)
    done = browser.post(f"/dashboard/traces/{number}/fine", **dict(fields))
    assert "do not count there any more" in done.text
    browser.post(f"/dashboard/traces/{number}/fine", **dict(fields))
    assert browser.get("/dashboard/settings").text.count("NOSQLI") == 1
    wrong = browser.post(f"/dashboard/traces/{number}/fine", endpoint="*", field="*", category="XSS")
    assert wrong.status_code == 400


QUESTIONS: tuple[tuple[str, set[str]], ...] = (
    ("path=item", {"/items/1"}),
    ("status=4xx", {"/items/1"}),
    ("status=200", {"/b"}),
    ("user=ada", {"/b"}),
    ("source=192.0.2.66", {"/items/1"}),
    ("attack=SQLI", {"/items/1"}),
    ("blocked=true", set()),
    (f"trace={'AB' * 16}", {"/items/1"}),
    ("method=get", {"/items/1", "/b"}),
    ("session=abc%3D", {"/items/1", "/b"}),
)


def test_searching_traces(browser: Browser, agent: Client) -> None:
    """Traces are found by what they are."""
    trace = make_trace("/b")
    trace["request"]["user"] = "ada"
    agent.post([attack(), trace])
    for question, paths in QUESTIONS:
        page = browser.get(f"/dashboard/traces?{question}").text
        found = re.findall(r'<td class="path full"><a[^>]*>(?:<[^>]*>|GET| )*([^<]*)</a>', page)
        assert set(found) == paths, question


def test_one_click_blocks(collector: RunningCollector, browser: Browser, agent: Client) -> None:
    """The button beside a trace makes a rule that blocks its sender; again, it stays one rule, and it is noted."""
    agent.post([attack()])
    number = agent.items("traces")[0]["id"]
    back = f"/dashboard/traces/{number}"
    for _ in range(2):
        assert "192.0.2.66 is blocked" in done(browser, "rules/block", kind="address", value="192.0.2.66", back=back)
    rules = collector.store.read(list_rules)
    assert [(rule.kind, rule.mode, rule.enabled) for rule in rules] == [("block", "block", True)]
    assert ("ada (127.0.0.1)", "rules.put") in audited(collector)
    assert "is blocked" in text_of(browser.get("/dashboard/actors").text)
    assert "is blocked" in text_of(browser.get("/dashboard/attacks").text)


@pytest.mark.parametrize(("chosen", "hours"), [("", 1), ("1h", 1), ("24h", 24), ("ever", None)])
def test_one_click_blocks_for_a_time(
    collector: RunningCollector, browser: Browser, chosen: str, hours: int | None
) -> None:
    """An hour unless chosen otherwise; a click takes it back, and only what a click made is offered to be undone."""
    before = time.time() * 1000
    fields: dict[str, Any] = {"kind": "address", "value": "192.0.2.66", "back": "/dashboard/actors", "for": chosen}
    answer = browser.post("/dashboard/rules/block", **fields)
    (rule,) = collector.store.read(list_rules)
    assert rule.is_on
    assert rule.ends is None if hours is None else 0 <= (rule.ends or 0) - before - hours * 3_600_000 < 60_000
    assert f"/dashboard/rules/{rule.id}/remove" in answer.text
    assert "removed" in done(browser, f"rules/{rule.id}/remove?back=/dashboard/actors")
    assert collector.store.read(list_rules) == []
    assert ">Undo<" not in browser.get("/dashboard/actors?done=blocked&undo=office").text
    assert browser.post("/dashboard/rules/block", **{**fields, "for": "5y"}).status_code == 400


@pytest.mark.parametrize("value", ["127.0.0.1", "10.1.2.3", "::ffff:192.168.0.1", "fd00::1", "203.0.113.9"])
def test_one_click_warns(collector: RunningCollector, browser: Browser, agent: Client, value: str) -> None:
    """One's own address, private ones and the one from which most requests come are blocked after a second yes."""
    agent.post([attack(f"/items/{number}", "203.0.113.9") for number in range(25)])
    fields: dict[str, Any] = {"kind": "address", "value": value, "back": "/dashboard/actors", "for": "24h"}
    assert "Block all the same" in done(browser, "rules/block", **fields)
    assert collector.store.read(list_rules) == []
    done(browser, "rules/block", **fields, sure="on")
    assert len(collector.store.read(list_rules)) == 1


def test_until_in_the_form(collector: RunningCollector, browser: Browser) -> None:
    """A rule ends when its form says, in UTC, and the form shows it again."""
    done(browser, "rules", **{**RULE, "mode": "monitor", "until": "2001-02-03T04:05"})
    (rule,) = collector.store.read(list_rules)
    assert rule.ends == 981_173_100_000
    assert not rule.is_on
    assert 'value="2001-02-03T04:05:00.000"' in browser.get(f"/dashboard/rules/{rule.id}").text
    assert "ended" in text_of(browser.get("/dashboard/rules").text)


def test_one_click_goes_back_to_us(browser: Browser) -> None:
    """The page to go back to after the click is one of ours."""
    answer = browser.post("/dashboard/rules/block", follow=False, kind="user", value="eve", back="//evil.example/x")
    assert answer.headers["Location"].startswith("/dashboard/rules/")


@pytest.mark.parametrize(
    ("path", "conditions"),
    [
        ("/items", [("method", "eq", "GET"), ("path", "eq", "/items")]),
        ("/items/{id}", [("method", "eq", "GET"), ("path", "startswith", "/items/")]),
        (
            "/items/{id}/parts",
            [("method", "eq", "GET"), ("path", "startswith", "/items/"), ("path", "endswith", "/parts")],
        ),
    ],
)
def test_blocking_an_endpoint(
    collector: RunningCollector, browser: Browser, agent: Client, path: str, conditions: list[tuple[str, str, str]]
) -> None:
    """One click blocks all requests to an endpoint."""
    trace = make_trace(path.replace("{id}", "1"))
    trace["request"]["url"]["endpointPath"] = path
    agent.post([trace])
    done(browser, "rules/endpoint", endpoint=agent.items("endpoints")[0]["id"])
    (rule,) = collector.store.read(list_rules)
    found = rule.document["conditionGroups"][0]["conditions"]
    assert [(each["field"], each["operator"], each["value"]) for each in found] == conditions


RULE: dict[str, Any] = {
    "name": "No admins",
    "kind": "block",
    "mode": "block",
    "match": "all",
    "field": "path",
    "key": "",
}
RULE |= {"operator": "startswith", "value": "/admin", "enabled": "on"}


def test_the_life_of_a_rule(collector: RunningCollector, browser: Browser) -> None:
    """Written, changed, switched off and on, and removed; each is in the audit log."""
    assert "The rule is stored" in enforced(browser, **RULE)
    (rule,) = collector.store.read(list_rules)
    page = f"rules/{rule.id}"
    assert 'value="/admin"' in browser.get(f"/dashboard/{page}").text
    done(browser, "rules", **{**RULE, "uuid": rule.id, "mode": "monitor"})
    assert "watches" in text_of(browser.get("/dashboard/rules").text)
    assert "switched off" in done(browser, f"{page}/enabled", enabled="")
    assert "switched on" in done(browser, f"{page}/enabled", enabled="on")
    assert "removed" in done(browser, f"{page}/remove")
    assert collector.store.read(list_rules) == []
    changes = [action for _, action in audited(collector)]
    assert changes[:5] == ["rules.remove", "rules.change", "rules.change", "rules.put", "rules.put"]


def test_nothing_is_enforced_unasked(collector: RunningCollector, browser: Browser, agent: Client) -> None:
    """The dry run comes before a rule is enforced, saved or switched on; a yes is for the rule that was shown."""
    agent.post([attack()])
    first = browser.post("/dashboard/rules", **RULE).text
    code = re.findall(r'name="confirmed" value="([^"]+)"', first)[0]
    assert "Dry run: would have blocked 0 of 1" in text_of(first)
    other = {**RULE, "value": "/", "confirmed": code}
    assert "would have blocked 1 of 1, of these" in text_of(browser.post("/dashboard/rules", **other).text)
    assert collector.store.read(list_rules) == []
    code = re.findall(r'name="confirmed" value="([^"]+)"', browser.post("/dashboard/rules", **other).text)[0]
    assert "Yes, every request" in done(browser, "rules", **{**other, "confirmed": code})
    assert collector.store.read(list_rules) == []
    done(browser, "rules", **{**other, "confirmed": code, "every": "on"})
    (rule,) = collector.store.read(list_rules)
    done(browser, f"rules/{rule.id}/enabled", enabled="")
    assert "Yes, every request" in done(browser, f"rules/{rule.id}/enabled", enabled="on")
    assert not collector.store.read(list_rules)[0].enabled


def test_everything_is_watched(collector: RunningCollector, browser: Browser) -> None:
    """One switch has no rule enforced; every page says so until it is switched back, and the audit log who did it."""
    assert "only watched" in done(browser, "rules/watch", watching="on")
    assert "only watched" in text_of(browser.get("/dashboard/traces").text)
    assert collector.store.read(is_watching)
    assert "only watched" not in done(browser, "rules/watch", watching="")
    assert [action for _, action in audited(collector)][:2] == ["rules.watch", "rules.watch"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({**RULE, "operator": "resembles"}, "operator"),
        ({**RULE, "field": "weather"}, "field"),
        ({**RULE, "field": "ip_address", "operator": "eq", "value": "10.0.0.0/99"}, "address or a range"),
        ({**RULE, "kind": "rate_limit", "threshold": "many"}, "whole number"),
        ({**RULE, "kind": "tag", "tag": ""}, "tagName"),
        ({"text": "{"}, "not JSON"),
        ({"text": "[" * 100_000}, "not JSON"),
        ({"text": '{"block": true}'}, "needs one of"),
    ],
)
def test_wrong_rules(still: RunningCollector, reader: Browser, fields: dict[str, Any], told: str) -> None:
    """A rule that cannot be is told with what is wrong, the form keeps what was written, and nothing is stored."""
    for path in ("/dashboard/rules", "/dashboard/rules/try"):
        answer = reader.post(path, **fields)
        assert answer.status_code == 400
        assert told in text_of(answer.text)
        assert "/admin" in answer.text or "text" in fields or "value" in fields
    assert still.store.read(list_rules) == []


def test_capture_of_an_endpoint(browser: Browser, agent: Client) -> None:
    """Agents are told to send an endpoint's content, and not to any more."""
    agent.post([make_trace()])
    number = agent.items("endpoints")[0]["id"]
    assert "send the content" in done(browser, f"endpoints/{number}/capture", capture="on")
    assert agent.get("/api/v1/agent-config").json()["endpoints"][0]["fullTraceCaptureEnabled"]
    assert "no more content" in done(browser, f"endpoints/{number}/capture", capture="")
    assert not agent.get("/api/v1/agent-config").json()["endpoints"]


def test_alerts_are_decided(browser: Browser, agent: Client) -> None:
    """Those that are selected are resolved, ignored or opened again; others stay."""
    agent.post([make_trace(), attack()])
    page = browser.get("/dashboard/alerts").text
    ids = re.findall(r'name="id" value="(\d+)"', page)
    assert len(ids) == 2
    assert "Resolved." in done(browser, "alerts", id=ids[0], status="resolved", shown="open")
    assert re.findall(r'name="id" value="(\d+)"', browser.get("/dashboard/alerts").text) == ids[1:]
    assert "Opened again." in done(browser, "alerts", id=ids[0], status="open", shown="resolved")
    assert browser.post("/dashboard/alerts", id="x", status="gone").status_code == 400


SPEC = """
openapi: 3.0.3
info: {title: Shop, version: "1"}
paths:
  /written: {get: {responses: {"200": {description: OK}}}}
"""


def test_specifications(browser: Browser, agent: Client) -> None:
    """One is uploaded, compared with what was observed, which is downloadable too, and removed."""
    agent.post([make_trace("/observed")])
    told = done(browser, "specs", host="shop.example", name="shop", text=SPEC)
    assert "GET /observed was called, but is not described" in told
    assert "GET /written is described, but was never called" in told
    assert agent.get("/api/v1/agent-config").json()["specs"][0]["name"] == "shop"
    for form, kind in (("json", "application/json"), ("yaml", "application/yaml")):
        answer = browser.get(f"/dashboard/specs/observed?host=shop.example&as={form}")
        assert answer.headers["Content-Type"].partition(";")[0] == kind
        assert "/observed" in answer.text
    assert "removed" in done(browser, "specs/remove", name="shop")
    assert browser.post("/dashboard/specs", host="shop.example", text="openapi: 2").status_code == 400


def test_keys_are_shown_once(browser: Browser, agent: Client) -> None:
    """A new key works and is shown this once; a revoked one does not work."""
    told = done(browser, "settings/keys", name="billing")
    key = re.search(r"shown this once: (\S+)", told)
    assert key is not None
    assert key[1] not in browser.get("/dashboard/settings").text
    agent.session.headers["Authorization"] = key[1]
    number = re.findall(r"settings/keys/(\d+)/revoke", browser.get("/dashboard/settings").text)[-1]
    assert "not valid any more" in done(browser, f"settings/keys/{number}/revoke")
    assert browser.post("/dashboard/settings/keys", name="").status_code == 400


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("sensitiveDataList", '[{"className": 1}]', '[{"className": "A", "severity": "low", "regex": "^a$"}]'),
        ("authenticationConfig", "{", '[{"host": "h", "authType": "jwt", "headerKey": "Authorization"}]'),
        ("hostMap", '[{"host": "h", "pattern": "("}]', '[{"host": "h", "pattern": "^x"}]'),
        ("hostBlockList", '["("]', '["^localhost"]'),
        ("pathBlockList", '[{"host": "h", "paths": ["("]}]', '[{"host": "h", "paths": ["^/x$"]}]'),
        ("encryptionPublicKey", "no key", ""),
    ],
)
def test_configuring_agents(browser: Browser, name: str, wrong: str, right: str) -> None:
    """What agents could not read is refused and stays in its field; what they can is stored."""
    answer = browser.post("/dashboard/settings/part", name=name, value=wrong)
    assert answer.status_code == 400
    assert html.escape(wrong).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in answer.text
    assert "Saved." in done(browser, "settings/part", name=name, value=right)


def test_changing_the_password(collector: RunningCollector, browser: Browser) -> None:
    """Only who knows the password before changes it, and everybody logs in again."""
    assert browser.post("/dashboard/settings/password", old="wrong", new="another one").status_code == 400
    assert browser.post("/dashboard/settings/password", old=PASSWORD, new="short").status_code == 400
    changed = browser.post("/dashboard/settings/password", follow=False, old=PASSWORD, new="another one")
    assert changed.headers["Location"] == "/dashboard/login"
    assert browser.get("/dashboard/traces").url.endswith("next=%2Fdashboard%2Ftraces")
    assert browser.log_in("another one").status_code == 303
    assert ("ada (127.0.0.1)", "password") in audited(collector)
    assert "another one" not in browser.get("/dashboard/audit").text


CHANGES = (
    *(
        "rules",
        "rules/try",
        "rules/block",
        "rules/endpoint",
        "rules/watch",
        "rules/x/enabled",
        "rules/x/remove",
        "alerts",
    ),
    *("endpoints/1/capture", "specs", "specs/remove", "settings/keys", "settings/keys/1/revoke", "settings/part"),
    *(
        "settings/capture",
        "notifications",
        "notifications/1/remove",
        "notifications/1/test",
        "settings/tracing",
        "settings/password",
    ),
)


@pytest.mark.parametrize("path", CHANGES)
def test_every_change_is_our_pages_own(still: RunningCollector, reader: Browser, path: str) -> None:
    """Asked for by another site, or by who is not logged in, nothing is changed."""
    before = audited(still)
    assert reader.post(f"/dashboard/{path}", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    reader.session.cookies.clear()
    answer = reader.post(f"/dashboard/{path}", follow=False)
    assert answer.headers["Location"] == "/dashboard/login"
    assert audited(still) == before


def test_forms_are_bounded(reader: Browser) -> None:
    """A form beyond its bounds is refused while it is read."""
    assert reader.post("/dashboard/specs", text="x" * 5_000_000).status_code == 413
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "text/plain"}
    assert reader.post("/dashboard/rules", headers=headers).status_code == 415
    many: dict[str, Any] = {f"f{number}": "x" for number in range(1100)}
    assert reader.post("/dashboard/rules", **many).status_code == 400


def test_the_form_means_what_the_rule_does(collector: RunningCollector, browser: Browser) -> None:
    """A rule of several groups is a form where all must hold, and JSON where not; saving it changes nothing of it."""
    path, header = {"field": "path", "operator": "eq", "value": "/a"}, {"field": "user", "operator": "eq", "value": "b"}
    simple = [{"rule": "one", "conditions": [path]}, {"rule": "all", "conditions": [header]}]
    for uuid, groups in (("1", simple), ("2", [*simple, {"rule": "one", "conditions": [path, header]}])):
        rule = {"uuid": uuid, "ruleType": "block", "conditionGroups": groups}
        enforced(browser, text=json.dumps(rule), enabled="on")
    form = browser.get("/dashboard/rules/1").text
    assert re.findall(r'<input name="value" value="([^"]*)">', form) == ["/a", "b", ""]
    assert 'name="text"' not in form
    assert 'name="text"' in browser.get("/dashboard/rules/2").text


def test_a_dry_run_counts_as_agents_do(browser: Browser, agent: Client) -> None:
    """Blocks, limits over time and ranges of addresses hit what they would have hit; blind spots are told."""
    traces = [attack(f"/items/{number}", f"10.0.0.{number}") for number in range(8)]
    agent.post([*traces, make_trace("/items/1"), make_trace("/items/2", redacted=True)])
    limit = {"kind": "rate_limit", "threshold": "3", "interval": "minute_1", "second": "10"}
    parameter = {"field": "request_parameter", "key": "q", "operator": "contains"}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"operator": "startswith", "value": "/items/"}, "would have blocked 10 of 10"),
        ({"field": "ip_address", "operator": "eq", "value": "10.0.0.0/30"}, "would have blocked 4 of 10"),
        ({**parameter, "value": "OR 1=1"}, "would have blocked 8 of 10"),
        ({**parameter, "value": "OR 1=1"}, "Of 1 the collector has no content"),
        ({**limit, "operator": "startswith", "value": "/"}, "would have blocked 7 of 10, of these"),
        ({**limit, "operator": "startswith", "value": "/"}, "with status 2xx Only the stored"),
        ({**limit, "operator": "startswith", "value": "/", "identifiers": "ip"}, "would have blocked 0 of 10"),
        ({**limit, "field": "status_code", "operator": "eq", "value": "404"}, "would have blocked 7 of 10"),
        ({"kind": "tag", "tag": "x", "mode": "monitor", "value": "/items"}, "would have tagged 10 of 10"),
    ]
    for fields, told in cases:
        assert told in done(browser, "rules/try", **{**RULE, **fields}), fields


def test_the_map_of_services(browser: Browser, agent: Client) -> None:
    """Each service is a box, each pair a line that says how many calls there were; names are nothing but text."""
    calls = [
        span(3, {"http.request.method": "GET", "url.full": "http://shop.example/a", "http.response.status_code": 500})
    ]
    for sent in (document(server()), document(*calls, service="<b>web</b>"), document(*calls, service="checkout")):
        assert agent.session.post(agent.url + "/v1/traces", json=sent, timeout=10).status_code == 200
    page = browser.get("/dashboard/services").text
    assert page.count("<rect") == 2
    assert page.count('class="failed"') == 2
    assert "<b>" not in page
    assert "<b>web</b> calls checkout: 1 times, 1 failed" in html.unescape(page)
    assert 'href="/dashboard/endpoints?service=checkout"' in page
    assert "/users/{id}" in browser.get("/dashboard/endpoints?service=checkout").text
    assert "No endpoint is like this" in browser.get("/dashboard/endpoints?service=web").text
    assert "checkout" in text_of(browser.get("/dashboard/endpoints/1").text)


def test_a_map_of_very_many_services() -> None:
    """It draws those with most calls, and circles end."""
    circle = [
        {"caller": str(n), "callee": str((n + 1) % 500), "kind": "service", "calls": 1, "errors": 0} for n in range(500)
    ]
    drawn = draw(circle)
    assert len(drawn.nodes) == MOST_NODES
    assert len({(node.x, node.y) for node in drawn.nodes}) == MOST_NODES
    assert draw([]).nodes == ()
