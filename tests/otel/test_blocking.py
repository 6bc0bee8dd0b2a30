"""A rejected request beside OpenTelemetry's own instrumentations: the span that they make, and ours within it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test.utils import override_settings
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

import metlo_otel.agent
import metlo_otel.django
from metlo_otel.testing import MemoryCollector
from tests.contract.apps import django_site
from tests.otel import apps

RULES = json.dumps(
    [
        {"name": "no bodies", "id": "no-attack", "block": True, "body": {"contains": "attack"}},
        {"name": "watched", "id": "watched", "block": True, "path": {"ends with": "/8"}, "mode": "monitor"},
        {"name": "slow", "id": "slow", "limit": "1 per hour", "path": {"ends with": "/9"}},
    ]
)
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

django_site.set_up()


class Site:
    """An app with the agent inside OpenTelemetry's instrumentation, and the server spans that came of it."""

    def __init__(self, framework: str, collector: MemoryCollector) -> None:
        self._memory = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._memory))
        given = {"metlo_host": collector.url, "api_key": collector.api_key, "rules": RULES}
        self._serve = apps.Set({**given, "rate_limit_storage": "memory"}, provider).make(framework, "contrib-facade")
        self._collector = collector

    def ask(self, target: str, body: bytes = b"") -> tuple[int, ReadableSpan, dict[str, Any]]:
        """The status of the answer, the one server span of the request, and its trace."""
        self._memory.clear()
        self._collector.clear()
        status, _ = self._serve("POST" if body else "GET", target, {**apps.HEADERS, "traceparent": CALLER}, body)
        (trace,) = self._collector.wait(1)
        spans = [span for span in self._memory.get_finished_spans() if span.kind is SpanKind.SERVER]
        (span,) = spans
        return status, span, trace


@pytest.fixture(params=apps.FRAMEWORKS)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Each framework; Django's settings are put back afterwards."""
    known = copy.copy(metlo_otel.django._AGENTS)
    with (
        MemoryCollector({"globalFullTraceCapture": True}) as collector,
        override_settings(ROOT_URLCONF="tests.otel.django_urls", MIDDLEWARE=[], METLO_CONFIG={}),
    ):
        yield Site(request.param, collector)
        for agent in list(metlo_otel.agent._AGENTS):
            if agent.settings.metlo_host == collector.url:
                agent.shutdown(1.0)
    metlo_otel.django._AGENTS.clear()
    metlo_otel.django._AGENTS.update(known)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def sent_status(span: ReadableSpan) -> object:
    found = attributes(span)
    return found.get("http.response.status_code", found.get("http.status_code"))


def test_a_rejected_request_has_its_span(site: Site) -> None:
    """One SERVER span, the caller's child, with the status that was sent and what decided; the trace names it."""
    status, span, trace = site.ask("/items/7", b'{"a": "attack"}')
    assert (status, sent_status(span)) == (403, 403)
    found = attributes(span)
    assert (found["metlo.blocked"], found["metlo.rule.id"]) == (True, "no-attack")
    assert "metlo.would_block" not in found
    assert [event.name for event in span.events] == ["metlo.blocked"]
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}" == CALLER[3:-3]
    assert trace["processedTraceData"]["block"] is True
    context = span.get_span_context()
    assert context is not None
    assert (trace["meta"]["traceId"], trace["meta"]["spanId"]) == (
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
    )
    assert (trace["response"]["status"], trace["request"]["body"]) == (403, '{"a": "attack"}')


def test_a_request_that_would_be_rejected(site: Site) -> None:
    """A rule in monitor mode lets pass, and says so on the span."""
    status, span, trace = site.ask("/items/8")
    assert (status, sent_status(span)) == (200, 200)
    found = attributes(span)
    told = found["metlo.blocked"], found["metlo.would_block"], found["metlo.rule.id"]
    assert told == (False, True, "watched")
    assert trace["processedTraceData"]["block"] is False


def test_a_limited_request(site: Site) -> None:
    """429 is told on the span as it was sent; what passed before is marked with nothing but the exchange."""
    _, span, _ = site.ask("/items/9")
    assert [name for name in attributes(span) if name.startswith("metlo.")] == ["metlo.exchange.id"]
    status, span, _ = site.ask("/items/9")
    assert (status, sent_status(span), attributes(span)["metlo.rule.id"]) == (429, 429, "slow")
