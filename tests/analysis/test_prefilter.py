"""The signs of attacks: whatever is found of a request has one, and ordinary requests have none."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from benchmarks.detection import CORPUS, from_folder, from_headers
from metlo_otel.analysis.attacks import detect
from metlo_otel.analysis.prefilter import SIGNS, suspicious
from metlo_otel.analysis.suspicion import Suspicion
from metlo_otel.core.categories import ATTACKS as CATEGORIES
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.request import EnvironRequest, ScopeRequest
from tests.analysis.attack_samples import ATTACKS
from tests.shared import SHARED

pytest.importorskip("re2")

FOLDERS = (CORPUS, CORPUS / "later", CORPUS / "third")
DATA = None if SHARED is None else SHARED / "data" / "detection"
Sent = tuple[bytes, bytes, str]
WAYS: dict[str, Callable[[str], Sent]] = {
    "query": lambda value: (b"/a\nq=" + _quoted(value), b"", "reqQuery.q"),
    "form": lambda value: (b"/a\n", b"x=1&q=" + _quoted(value), "reqBody.q"),
    "json": lambda value: (b"/a\n", _json({"id": 3, "q": value}), "reqBody.q"),
    "escaped json": lambda value: (b"/a\n", json.dumps([value]).encode(), "reqBody"),
    "path": lambda value: (value.encode("utf-8", "replace") + b"\n", b"", "reqPath"),
}  # fmt: skip


def _quoted(value: str) -> bytes:
    return quote(value, safe="", errors="replace").encode()


def _json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


def _attacks() -> list[str]:
    found = {value for values in ATTACKS.values() for value in values}
    found |= {value for folder in FOLDERS for kind, value in from_folder(folder) if kind != "benign"}
    if DATA is not None:
        with gzip.open(DATA / "attack_values.json.gz") as file:
            found |= {value for listed in json.load(file).values() for value in listed["values"][::4]}
    return sorted(found)


def _exchange(headers: list[tuple[bytes, bytes]]) -> Exchange:
    return Exchange(ScopeRequest({"path": "/", "headers": headers}), 0)


@pytest.mark.parametrize("way", WAYS)
def test_no_finding_is_without_a_sign(way: str) -> None:
    """Whatever detection finds in a value has a sign, wherever the value stands and however it is written there."""
    missed: dict[str, list[str]] = {"high": [], "low": []}
    found = 0
    for value in _attacks():
        target, body, key = WAYS[way](value)
        findings = [finding for place in detect([(key, value)]).values() for finding in place]
        if findings:
            found += 1
            if not suspicious(target, body):
                missed[findings[0].confidence].append(value)
    assert found > 1000
    assert missed["high"] == []
    assert len(missed["low"]) <= found / 1000, missed["low"]


def _asked(target: bytes, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Exchange:
    path, _, query = target.decode("utf-8", "replace").partition("\n")
    scope = {"path": path, "query_string": query.encode(), "headers": [(b"host", b"shop.example"), *headers]}
    exchange = Exchange(ScopeRequest(scope), 10_000)
    exchange.request_body.add(body)
    return exchange


ORDINARY = [
    _asked(b"/items/42\npage=2&sort=name", _json({"items": [{"id": 1, "name": "shoe", "note": "it is new"}]})),
    _asked(b"/search\nq=red+shoes", b""),
    _asked(b"/form\n", b"name=Bob&city=Bonn", ((b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64)"),)),
]


@pytest.mark.parametrize("way", [*WAYS, "header"])
def test_none_is_missed_among_others(way: str) -> None:
    """Whatever is suspicious alone is so between ordinary requests that are searched with it, wherever it stands."""
    suspicion, found = Suspicion(True), 0
    for number, value in enumerate(_attacks()):
        if way == "header":
            attack = _asked(b"/a\n", b"", ((b"x-id", value.encode("utf-8", "replace")),))
        else:
            attack = _asked(*WAYS[way](value)[:2])
        if suspicion(attack, False):
            found += 1
            several = list(ORDINARY)
            several.insert(number % 4, attack)
            assert suspicion.among(several), value
    assert found > 1000


def test_ordinary_requests_make_no_signs_of_each_other() -> None:
    """Where one request ends and the next begins nothing is found that is in neither."""
    suspicion = Suspicion(True)
    for exchange in ORDINARY:
        assert not suspicion(exchange, False)
    assert not suspicion.among(ORDINARY * 5)


def test_no_header_is_without_a_sign() -> None:
    """The same of what is certain in a header, among others; what is ordinary in one is looked at once."""
    suspicion = Suspicion(True)
    missed = []
    for value in _attacks():
        raw = value.encode("utf-8", "replace")
        exchange = _exchange([(b"accept", b"*/*"), (b"x-id", raw), (b"accept-encoding", b"gzip, br")])
        told = value.isprintable() and detect([("reqHeaders.X-Id", value)])
        if told and not suspicion(exchange, False):
            missed.append(value)
    assert missed == []


def test_no_credentials_are_without_a_sign() -> None:
    """The same of the name and password in Basic credentials."""
    suspicion = Suspicion(True)
    missed = []
    for value in _attacks():
        given = "Basic " + base64.b64encode(f"u:{value}".encode("utf-8", "replace")).decode()
        told = detect([("reqHeaders.Authorization", given)])
        if told and not suspicion(_exchange([(b"authorization", given.encode())]), False):
            missed.append(value)
    assert missed == []


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_packed_bodies_are_looked_into(pack: Callable[[bytes], bytes]) -> None:
    """A Content-Encoding hides nothing, and is no sign by itself; what cannot be undone, or not all of it, is one."""
    headers = [(b"content-encoding", b"gzip" if pack is gzip.compress else b"deflate")]
    suspicion = Suspicion(True)
    ordinary, attack, long = pack(b'{"name": "shoe"}'), pack(b'{"name": "x\' or 1=1--"}'), pack(b" " * 100_000)
    asked = [(ordinary, False), (attack, True), (long, True), (ordinary[:10], True), (b"nothing packed", True)]
    for body, expected in asked:
        exchange = Exchange(ScopeRequest({"path": "/", "headers": headers}), 1000)
        exchange.request_body.add(body)
        assert suspicion(exchange, exchange.request.outline()[4]) == expected, body[:30]


@pytest.mark.parametrize("times", [1, 2, 3])
def test_known_headers_hide_no_others(times: int) -> None:
    """A value that is ordinary for all its signs is left out from then on, in both spellings; others are looked at."""
    known = '"Chromium";v="130", "Not?A_Brand";v="99"'
    suspicion = Suspicion(True)
    for _ in range(times):
        assert not suspicion(_exchange([(b"x-a", known.encode())]), False)
        assert not suspicion(Exchange(EnvironRequest({"HTTP_X_A": known, "HTTP_X_B": "b"}), 0), False)
    attack = "1' or '1'='1"
    assert suspicion(_exchange([(b"x-a", known.encode()), (b"x-b", attack.encode())]), False)
    assert suspicion(Exchange(EnvironRequest({"HTTP_X_A": known, "HTTP_X_B": attack}), 0), False)
    assert suspicion(Exchange(EnvironRequest({"HTTP_X_A": attack}), 0), False)


def test_ordinary_headers_have_none() -> None:
    """What browsers, apps, tools and proxies send is not suspicious."""
    suspicion = Suspicion(True)
    sent = [(name, value) for name, value in from_headers(CORPUS / "headers.txt")]
    found = [(name, value) for name, value in sent if suspicion(_exchange([(name.encode(), value.encode())]), False)]
    assert len(found) <= len(sent) / 100, found


def _benign(name: str) -> Iterator[tuple[bytes, bytes]]:
    import base64

    assert DATA is not None
    with gzip.open(DATA / "benign_requests.json.gz") as file:
        listed: dict[str, list[dict[str, Any]]] = json.load(file)
    for request in listed[name][::5]:
        yield request["target"].replace("?", "\n").encode(), base64.b64decode(request["body"])


@pytest.mark.skipif(DATA is None, reason="the data for detection is not there")
@pytest.mark.parametrize(
    ("name", "most"), [("openapi_example_bodies", 0.05), ("forms_prose", 0.02), ("user_agents", 0)]
)
def test_ordinary_requests_have_none(name: str, most: float) -> None:
    """Of ordinary requests at most a few in a hundred are suspicious."""
    found = [suspicious(target, body) for target, body in _benign(name)]
    assert sum(found) <= len(found) * most


@pytest.mark.parametrize("way", ["query", "json"])
def test_with_and_without_re2(way: str) -> None:
    """Where RE2 is not installed the answers are the same."""
    ordinary = [value for folder in FOLDERS for kind, value in from_folder(folder) if kind == "benign"]
    for value in [*ordinary, *_attacks()[::7]]:
        target, body, _ = WAYS[way](value)
        assert suspicious(target, body, True) == suspicious(target, body, False), value


def test_each_category_has_signs() -> None:
    """A category that is detected and has no signs would never be found where requests are only counted."""
    assert set(CATEGORIES) == set(SIGNS)


@pytest.mark.parametrize(
    "hidden", ["%2527%2520or%25201=1--", "\\u0027 or 1=1--", "&#39; or 1=1--", "JyBvciAxPTEgLS0gYWFh"]
)
def test_encodings_hide_no_sign(hidden: str) -> None:
    """One level of escapes more than the format has does not hide a sign."""
    assert suspicious(b"/a\nq=" + hidden.encode(), b"")
    assert suspicious(b"/a\n", b'{"a": "' + hidden.encode() + b'"}')


def test_switched_off_nothing_is_suspicious() -> None:
    """Where DETECTION is off nobody looks."""
    exchange = _exchange([(b"x-id", b"' or 1=1--")])
    assert not Suspicion(False)(exchange, False)
    assert not Suspicion(False).among([exchange, exchange])
