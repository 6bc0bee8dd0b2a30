"""What a user asks for on top: server spans by ourselves, content on spans, and what decisions leave there."""

from __future__ import annotations

import json

import pytest

from tests.otel import apps
from tests.otel.driver import CALLER
from tests.otel.test_combinations import REQUESTS, UNSEEN_BY_HOOKS, outcome

WATCHED = json.dumps([{"id": "streams", "name": "streams", "block": True, "mode": "monitor", "path": "*"}])
PLAIN = ("wsgi", "asgi")


@pytest.mark.parametrize("framework", apps.FRAMEWORKS)
def test_one_line_gives_server_spans_too(framework: str) -> None:
    """TRACING="instrument": one server span a request, the caller's child, by its route, which the trace joins."""
    seen = outcome("sampled", "facade", METLO_TRACING="instrument", METLO_RULES=WATCHED)
    for name in REQUESTS:
        cell = f"{framework}.facade"
        meta = seen.trace(cell, name)["meta"]
        (span,) = seen.server_spans(cell, name)
        assert span["context"]["trace_id"] == "0x" + meta["traceId"]
        assert span["context"]["span_id"] == "0x" + meta["spanId"]
        assert span["parent_id"] == ("0x" + CALLER[1] if name == "post" else None)
        assert span["attributes"]["metlo.exchange.id"] == meta["exchangeId"]
        assert framework in PLAIN or span["attributes"]["http.route"].startswith(("/", "items", "stream", "async"))
        (event,) = span["events"]
        assert (event["name"], event["attributes"]["metlo.rule.id"]) == ("metlo.would_block", "streams")


def test_one_line_gives_metrics_too() -> None:
    """OpenTelemetry's of the server, and ours: what was captured, sent, decided, and how long it took."""
    found = outcome("sampled", "facade", METLO_TRACING="instrument", METLO_RULES=WATCHED).metrics
    requests = len(REQUESTS) * len(apps.FRAMEWORKS)
    assert found["http.server.duration"] + found.get("http.server.request.duration", 0) == requests
    ours = {name.removeprefix("metlo."): value for name, value in found.items() if name.startswith("metlo.")}
    assert ours.pop("worker.cpu_time") > 0
    assert ours == {
        "exchange.captured": requests,
        "exchange.sent": requests,
        "exchange.counted": 0,  # this collector takes no aggregates
        "exchange.blocked": 0,
        "batch.retried": 0,
        "queue.size": 0,
        "queue.bytes": 0,
        "decide.duration": requests,
    }


@pytest.mark.parametrize("framework", apps.FRAMEWORKS)
@pytest.mark.parametrize("mode", ["contrib-facade", "hooks"])
def test_content_on_spans_where_it_was_asked_for(mode: str, framework: str) -> None:
    """SPAN_ATTRIBUTES="bodies" puts headers, sizes and bodies on the app's span, as far as this way sees them."""
    seen = outcome("sampled", "contrib-facade", "hooks", METLO_SPAN_ATTRIBUTES="bodies")
    for name in REQUESTS:
        (span,) = seen.server_spans(f"{framework}.{mode}", name)
        found = span["attributes"]
        assert found["http.request.header.x-probe"] == [apps.HEADERS["X-Probe"]]
        if name != "stream":
            assert found["http.response.header.x-answer"] == [apps.ANSWER_HEADER[1]]
        if name == "post":
            assert found["http.request.body.content"] == apps.BODY.decode()
            assert found["http.request.body.size"] == len(apps.BODY)
        if name != "stream" and not (mode == "hooks" and name in UNSEEN_BY_HOOKS.get(framework, ())):
            assert found["http.response.body.content"] == apps.ANSWER.decode()


def test_headers_alone_where_only_they_were_asked_for() -> None:
    """SPAN_ATTRIBUTES="headers" puts no body on a span."""
    seen = outcome("sampled", "contrib-facade", METLO_SPAN_ATTRIBUTES="headers")
    told = json.dumps(seen.spans)
    assert "secret-of-header" in told
    assert [secret for secret in ("secret-of-body", "secret-of-response", "secret-of-stream") if secret in told] == []
