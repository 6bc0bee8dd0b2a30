"""Spans that the collector takes in a second by OTLP, and what CPU one costs.

Usage: python -m benchmarks.otlp [seconds]; it starts a collector of its own. Four exporters send batches of 512, as
SDKs do by default: every second one a server span, bare or with ten captured headers and a body.
"""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.collector import KEY, collector, cpu_seconds

BATCH, SENDERS, ENDPOINTS = 512, 4, 40
BODY = '{"id": 7, "name": "Ann", "email": "ann@shop.example", "tags": ["a", "b"]}'


def batch(number: int, captured: bool) -> bytes:
    """One request of an exporter, compressed."""
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    for name, value in (("service.name", f"service{number % 7}"), ("telemetry.sdk.language", "nodejs")):
        group.resource.attributes.add(key=name).value.string_value = value
    scope = group.scope_spans.add()
    for index in range(BATCH):
        span = scope.spans.add(name="GET", kind=2 if index % 2 else 1, span_id=os.urandom(8), trace_id=os.urandom(16))
        span.start_time_unix_nano, span.end_time_unix_nano = 10**18, 10**18 + 20_000_000 + index
        texts = {
            "http.request.method": "GET",
            "url.path": f"/service{index % ENDPOINTS}/items/{index}",
            "url.query": f"page={index}&sort=name",
            "http.route": f"/service{index % ENDPOINTS}/items/:id",
            "server.address": "shop.example",
            "client.address": f"192.0.2.{index % 250}",
            "url.scheme": "https",
            "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        }
        if captured:
            texts |= {f"http.request.header.x-header-{name}": f"value {name} {index}" for name in range(10)}
            texts["http.response.body.content"] = (
                '{"id": 7, "name": "Ann", "email": "ann@shop.example", "tags": ["a", "b"]}'
            )
        for name, text in texts.items():
            span.attributes.add(key=name).value.string_value = text
        span.attributes.add(key="http.response.status_code").value.int_value = 200
    return gzip.compress(message.SerializeToString(), 1)


def send(url: str, bodies: list[bytes], until: float, counts: list[int]) -> None:
    """One exporter."""
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "Authorization": KEY}
    with requests.Session() as session:
        index = 0
        while time.monotonic() < until:
            answer = session.post(url + "/v1/traces", data=bodies[index % len(bodies)], headers=headers, timeout=60)
            counts.append(BATCH if answer.status_code == 200 else 0)
            index += 1


def measure(captured: bool, seconds: float) -> None:
    """Print the figures of one kind of spans."""
    bodies = [batch(number, captured) for number in range(8)]
    counts: list[int] = []
    with tempfile.TemporaryDirectory() as folder, collector(str(Path(folder) / "x.db")) as (url, process, _):
        until = time.monotonic() + seconds
        before, began = cpu_seconds(process), time.monotonic()
        senders = [threading.Thread(target=send, args=(url, bodies, until, counts)) for _ in range(SENDERS)]
        for each in senders:
            each.start()
        for each in senders:
            each.join()
        took, used = time.monotonic() - began, cpu_seconds(process) - before
    spans, name = sum(counts), "headers and body captured" if captured else "bare"
    print(f"{name:28}{spans / took:8.0f} spans/s, {used / spans * 1e6:5.0f} µs of CPU each; half of them are requests")


if __name__ == "__main__":
    for kind in (False, True):
        measure(kind, float(sys.argv[1]) if len(sys.argv) > 1 else 15.0)
