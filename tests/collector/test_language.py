"""The language of searches: what it finds, and how it says what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.collector import queries
from metlo_otel.collector.queries.filters import ask
from metlo_otel.collector.queries.language import offered, read_terms
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import read_trace
from tests.collector.client import make_trace

TABLES = (
    queries.TRACE_FILTERS,
    queries.ENDPOINT_FILTERS,
    queries.ATTACK_FILTERS,
    queries.ACTOR_FILTERS,
    queries.ALERT_FILTERS,
    queries.AUDIT_FILTERS,
    queries.SERVICE_FILTERS,
)


def _trace(path: str, status: int, user: str | None, took: int, source: str, *attacks: str) -> dict[str, Any]:
    trace = make_trace(path, status)
    trace["request"]["user"] = user
    trace["meta"].update(source=source, durationMicroseconds=took)
    trace["processedTraceData"]["attackDetections"] = {"reqQuery.q": list(attacks)} if attacks else {}
    return trace


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path: Path = tmp_path_factory.mktemp("language")
    store = Store(str(path / "x.db"), duties=False)
    traces = [
        _trace("/api/a", 200, "anna", 900, "192.0.2.1"),
        _trace("/api/b_c", 404, "bert b", 600_000, "192.0.2.2"),
        _trace("/web/c", 503, None, 2_500_000, "198.51.100.3", "SQLI"),
        _trace("/web/d%", 401, "anna", 1_000, "192.0.2.4", "SQLI", "XSS"),
    ]
    store.add([read_trace(trace, 2) for trace in traces]).result()
    yield store
    store.close()


@pytest.mark.parametrize(
    ("search", "paths"),
    [
        ("", "/api/a /api/b_c /web/c /web/d%"),
        ("status:5xx", "/web/c"),
        ("status:>=401 status:<500", "/api/b_c /web/d%"),
        ("-status:2xx", "/api/b_c /web/c /web/d%"),
        ("path:/api/*", "/api/a /api/b_c"),
        ("path:*_c", "/api/b_c"),
        ("path:/web/d%", "/web/d%"),
        ("path:%", "/web/d%"),
        ("api", "/api/a /api/b_c"),
        ("-api", "/web/c /web/d%"),
        ("user:anna", "/api/a /web/d%"),
        ("-user:anna", "/api/b_c /web/c"),
        ('user:"bert b"', "/api/b_c"),
        ("user:B*", "/api/b_c"),
        ('user:"b*"', ""),
        ("attack:XSS", "/web/d%"),
        ("attack:SQLI -attack:XSS", "/web/c"),
        ("took:>500ms", "/api/b_c /web/c"),
        ("took:<=1ms", "/api/a /web/d%"),
        ("took:>2s", "/web/c"),
        ("source:192.0.2.*", "/api/a /api/b_c /web/d%"),
        ("ip:192.0.2.1", "/api/a"),
        ("blocked:false STATUS:200", "/api/a"),
        ("status:5xx path:/web/* attack:SQLI took:>500ms", "/web/c"),
    ],
)
def test_what_is_found(store: Store, search: str, paths: str) -> None:
    """All parts hold: values, classes, comparisons, patterns, several words, and what must not be."""
    found = store.read(partial(queries.find_traces, parameters={"q": search, "total": "true"}))
    assert sorted(item["path"] for item in found.items) == paths.split()
    assert found.total == len(paths.split())


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("stauts:5xx", "there is no 'stauts'; did you mean status? there are status, method, path"),
        ("zzz:1", "there is no 'zzz'; there are status"),
        ("status:6xx", "status: is '6xx', but a status such as 404, a class such as 5xx or a comparison such as >=400"),
        ("took:500", "took: is '500', but a comparison with a unit is expected, such as >500ms"),
        ("blocked:maybe", "true or false is expected"),
        ("status:", "status: has no value; write for example status:2xx"),
        ('user:"anna', "a quotation mark is not closed in 'user:\"anna'"),
        ('"a"b', "a quotation mark is not closed"),
        (" ".join(["a"] * 21), "at most 20 parts, not 21"),
    ],
)
def test_what_would_be_right(search: str, told: str) -> None:
    """What cannot be understood is named, with what would be right."""
    with pytest.raises(queries.FilterError) as raised:
        ask({"q": search}, queries.TRACE_FILTERS)
    assert told in str(raised.value)


@pytest.mark.parametrize("filters", TABLES)
def test_what_is_offered_is_understood(filters: queries.Filters) -> None:
    """Everything that is offered, and every value of a host, can be asked for."""
    texts = offered(filters, {"host": ['a "b" c', "x*y"]} if "host" in filters else {})
    assert len(texts) == len(set(texts))
    for text in texts:
        ask({"q": text + "1" if text.endswith(":") and text not in _CHOSEN else text.rstrip(":")}, filters)


_CHOSEN = {
    f"{name}:"
    for filters in TABLES
    for name in filters
    if name in ("status", "took", "p95", "kind", "severity", "confidence")
} | {"blocked:", "inferred:", "interesting:"}


@given(st.text(max_size=60))
def test_any_text(search: str) -> None:
    """Any text is a search or is refused in words."""
    with suppress(queries.FilterError):
        terms = read_terms(search)
        assert len(terms) <= 20
        ask({"q": search}, queries.TRACE_FILTERS)


def test_totals_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A total is of all pages, whichever is shown, and of very many it is not counted on."""
    find = partial(queries.find_traces, parameters={"limit": "2", "total": "true"})
    first = store.read(find)
    second = store.read(
        partial(queries.find_traces, parameters={"limit": "2", "total": "1", "before": str(first.next)})
    )
    assert (first.total, second.total, second.next) == (4, 4, None)
    monkeypatch.setattr("metlo_otel.collector.queries.filters.MOST_COUNTED", 2)
    assert store.read(find).total == 3
    assert store.read(partial(queries.find_traces, parameters={})).total is None
