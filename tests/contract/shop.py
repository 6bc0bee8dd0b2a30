"""A shop with the agent, the same one without it, and what arrives at the collector."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

import pytest

from metlo_otel.agent import Agent
from metlo_otel.testing import MemoryCollector
from tests.contract import wire_rules
from tests.contract.apps.script import SCRIPT
from tests.contract.http import Answer, Call
from tests.contract.ways import Way

Trace = dict[str, Any]
FLUSH = 10.0  # seconds, so that a slow machine is no failure

_OF_THE_MOMENT = ("exchangeId", "traceId", "spanId", "startedAt", "durationMicroseconds")


class Shop:
    """The shop on one way in."""

    def __init__(self, way: Way, collector: MemoryCollector, **options: Any) -> None:
        self.way = way
        self.collector = collector
        given = {"METLO_HOST": collector.url, "API_KEY": collector.api_key, "MASKED_FIELDS": [], **options}
        self.app, self._agent = way.build(given)
        self.plain, _ = way.build(None)

    @property
    def agent(self) -> Agent:
        """The shop's agent."""
        assert self._agent is not None
        return self._agent

    def serve(self, call: Call) -> Answer:
        """What the client gets."""
        return self.way.serve(self.app, call)

    def same(self, call: Call) -> Answer:
        """What the client gets, which is what it gets without the agent, while the app does what it does without."""
        alone, events = self._noted(self.plain, call)
        answer, events_here = self._noted(self.app, call)
        assert answer == alone
        assert events_here == events
        return answer

    def _noted(self, app: Any, call: Call) -> tuple[Answer, list[str]]:
        SCRIPT.events.clear()
        return self.way.serve(app, call), SCRIPT.events.copy()

    def sent(self) -> list[Trace]:
        """All traces so far, each of them one that a backend can take."""
        assert self.agent.flush(FLUSH), self.agent.stats()
        for trace in self.collector.traces:
            wire_rules.check(trace)
        return list(self.collector.traces)

    def exchange(self, call: Call) -> tuple[Answer, Trace]:
        """Serve a call as without the agent; the answer, and the one trace that was sent of it."""
        self.collector.clear()
        answer = self.same(call)
        (trace,) = self.sent()
        return answer, trace

    def tells(self, call: Call, **about: Any) -> Answer:
        """Serve a call as without the agent, and see that its trace tells all of it, as `told` says."""
        answer, trace = self.exchange(call)
        assert essence(trace) == told(self.way, call, answer, **about)
        return answer

    def close(self) -> None:
        """End the agent."""
        if self._agent is not None:
            self._agent.shutdown(1.0)


def essence(trace: Trace) -> Trace:
    """A trace without its moment and its findings; pairs in the order of their names."""
    request, response = trace["request"], trace["response"]
    return {
        "request": {**request, "headers": _sorted(request["headers"])},
        "response": {**response, "headers": _sorted(response["headers"])},
        "meta": {name: value for name, value in trace["meta"].items() if name not in _OF_THE_MOMENT},
        "redacted": trace["redacted"],
    }


def _sorted(pairs: list[dict[str, str]]) -> list[tuple[str, str]]:
    return sorted((pair["name"], pair["value"]) for pair in pairs)


def told(
    way: Way,
    call: Call,
    answer: Answer,
    route: str | None = None,
    user: str | None = None,
    read: bytes | None = None,
    request_body: str | None = None,
    response_body: str | None = None,
    request_headers: list[tuple[str, str]] | None = None,
    response_headers: list[tuple[str, str]] | None = None,
    **meta: Any,
) -> Trace:
    """The essence of the trace that a call and its answer should give.

    `read` is what the app read of the body (all of it when not told); bodies are told where they are not simply the
    text of what passed; `meta` holds what differs from the plain case there.
    """
    read = call.body if read is None else read
    body = read.decode() if request_body is None else request_body
    answered = answer.body.decode() if response_body is None else response_body
    declared = 0 if call.chunked else len(call.body)
    url: Trace = {"host": "shop.example", "path": call.path.decode(), "parameters": parameters(call.query)}
    if route is not None and way.routes:
        url["endpointPath"] = route
    sizes = {"requestBodySize": max(len(read), declared), "responseBodySize": len(answer.body)}
    return {
        "request": {
            "method": call.method,
            "url": url,
            "headers": sorted(given_headers(way, call) if request_headers is None else request_headers),
            "body": body,
            "user": user,
        },
        "response": {
            "status": answer.status,
            "headers": sorted(stripped(answer) if response_headers is None else response_headers),
            "body": answered,
        },
        "meta": {
            "environment": "production",
            "incoming": True,
            "source": call.client[0],
            "sourcePort": call.client[1],
            "destination": call.server[0],
            "destinationPort": call.server[1],
            "originalSource": None,
            "scheme": "http",
            "ruleId": None,
            "requestBodyTruncated": len(read) < sizes["requestBodySize"],
            "requestBodyBinary": False,
            "responseBodyTruncated": False,
            "responseBodyBinary": False,
            **sizes,
            **meta,
        },
        "redacted": False,
    }


def parameters(query: str) -> list[dict[str, str]]:
    """The decoded parameters of a query, in their order."""
    pairs = [piece.partition("=") for piece in query.split("&") if piece]
    return [{"name": unquote_plus(name), "value": unquote_plus(value)} for name, _, value in pairs]


def given_headers(way: Way, call: Call) -> list[tuple[str, str]]:
    """The call's headers as a server of this kind gives them to an app."""
    if way.is_async:
        return [(name.lower(), value) for name, value in call.all_headers()]
    joined: dict[str, str] = {}
    for name, value in call.all_headers():
        joined[name.title()] = f"{joined[name.title()]},{value}" if name.title() in joined else value
    return list(joined.items())


def stripped(answer: Answer) -> list[tuple[str, str]]:
    """The answer's headers, without the space that some put before a value."""
    return [(name, value.strip()) for name, value in answer.headers]


def skip_unless(condition: bool, reason: str) -> None:
    """Skip what makes no sense on a way in."""
    if not condition:
        pytest.skip(reason)
