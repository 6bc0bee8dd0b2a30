"""OTLP as real SDKs send it: Python's exporters over HTTP and gRPC, and Node's with an Express app."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("grpc", reason="the extra otlp is not installed")
pytest.importorskip("opentelemetry.proto", reason="the extra otlp is not installed")

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind

from metlo_otel.collector.otlp.grpc_server import grpc_server
from metlo_otel.collector.server import RunningCollector
from tests.collector.client import KEY, Client, make_trace
from tests.collector.otlp import document, server

pytestmark = pytest.mark.live  # they mostly wait for others, beside what does not

_PROTOBUF = {"Content-Type": "application/x-protobuf"}
_PACKAGES = ("express@5", "@opentelemetry/sdk-node@0", "@opentelemetry/auto-instrumentations-node@0")
_STARTED = """
const { NodeSDK } = require('@opentelemetry/sdk-node');
const { getNodeAutoInstrumentations } = require('@opentelemetry/auto-instrumentations-node');
const http = { headersToSpanAttributes: { server: { requestHeaders: ['x-note'] } } };
const instrumentations = [getNodeAutoInstrumentations({ '@opentelemetry/instrumentation-http': http })];
const sdk = new NodeSDK({ instrumentations });
sdk.start();
module.exports = sdk;
"""
_APP = """
const sdk = require('./started.js');
const express = require('express');
const http = require('http');
const app = express();
const router = express.Router();
const get = (options, then) => http.get(options, answer => { answer.resume(); answer.on('end', then); });
router.get('/items/:item', (request, response) => {
  get({ host: 'localhost', port: process.env.CALLED, path: '/api/v1' },
      () => response.json({ item: request.params.item }));
});
app.use('/api', router);
const server = app.listen(0, '127.0.0.1', () => {
  const where = { port: server.address().port, host: '127.0.0.1', path: '/api/items/77?q=1' };
  get({ ...where, headers: { 'x-note': "1' OR '1'='1' --" } }, () => sdk.shutdown().then(() => process.exit(0)));
});
"""


@pytest.fixture
def over_grpc(collector: RunningCollector) -> Iterator[str]:
    """The address of the same collector's gRPC server."""
    with grpc_server(collector.store, "127.0.0.1", 0) as port:
        yield f"127.0.0.1:{port}"


def _message(sent: dict[str, Any]) -> ExportTraceServiceRequest:
    """A document in protobuf; its ids are bytes there."""
    message = ExportTraceServiceRequest()
    for group in sent["resourceSpans"]:
        resource = message.resource_spans.add()
        _add(resource.resource.attributes, group["resource"]["attributes"])
        scope = resource.scope_spans.add()
        for each in group["scopeSpans"][0]["spans"]:
            span = scope.spans.add(name=each["name"], kind=each["kind"], trace_id=bytes.fromhex(each["traceId"]))
            span.span_id = bytes.fromhex(each["spanId"])
            span.start_time_unix_nano, span.end_time_unix_nano = 1, 20_000_001
            _add(span.attributes, each["attributes"])
    return message


def _add(pairs: Any, given: list[dict[str, Any]]) -> None:
    for each in given:
        ((kind, item),) = each["value"].items()
        pair = pairs.add(key=each["key"])
        if kind == "intValue":
            pair.value.int_value = int(item)
        else:
            pair.value.string_value = item


def _exported(exporter: SpanExporter) -> None:
    """One request of a Python service, through the SDK."""
    resource = Resource({"service.name": "prices", "deployment.environment.name": "staging"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    attributes = {"http.request.method": "GET", "url.path": "/prices/3", "http.route": "/prices/{id}"}
    attributes |= {"server.address": "prices.example", "user.id": "ann"}
    with provider.get_tracer("t").start_as_current_span("GET", kind=SpanKind.SERVER, attributes=attributes) as span:
        span.set_attribute("http.response.status_code", 200)
        span.set_attribute("http.request.header.x-note", ["1' OR '1'='1' --"])
    provider.shutdown()


@pytest.mark.parametrize("headers", [{"authorization": f"Bearer {KEY}"}, {"api-key": KEY}])
@pytest.mark.parametrize("way", ["http", "http gzip", "grpc", "grpc gzip"])
def test_exporters_of_python(
    way: str, headers: dict[str, str], collector: RunningCollector, over_grpc: str, client: Client
) -> None:
    """What they send is in the inventory: route, status, latency, service, actor and attack."""
    if way.startswith("http"):
        compression = Compression.Gzip if "gzip" in way else Compression.NoCompression
        _exported(HttpExporter(f"{collector.url}/v1/traces", headers=headers, compression=compression))
    else:
        packed = grpc.Compression.Gzip if "gzip" in way else grpc.Compression.NoCompression
        _exported(GrpcExporter(over_grpc, insecure=True, headers=headers, compression=packed))
    (endpoint,) = client.items("endpoints")
    assert (endpoint["host"], endpoint["path"], endpoint["calls"]) == ("prices.example", "/prices/{id}", 1)
    assert (endpoint["statuses"], endpoint["services"]) == ({"200": 1}, ["prices"])
    assert endpoint["latency"]["calls"] == 1
    assert client.items("attacks")[0]["field"] == "reqHeaders.x-note"
    assert client.items("actors", kind="user")[0]["value"] == "ann"
    assert client.items("services")[0]["language"] is None


def test_both_encodings_tell_the_same(client: Client) -> None:
    """A document in protobuf is the same request as in JSON, and the answer is in protobuf."""
    sent = document(server())
    answer = client.session.post(
        client.url + "/v1/traces", data=_message(sent).SerializeToString(), headers=_PROTOBUF, timeout=10
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/x-protobuf")
    assert not ExportTraceServiceResponse.FromString(answer.content).partial_success.rejected_spans
    assert client.session.post(client.url + "/v1/traces", json=sent, timeout=10).json() == {}
    one, two = (client.read(f"/api/v1/traces/{number}").json()["trace"] for number in (1, 2))
    assert one["meta"].pop("startedAt") == 0
    assert two["meta"].pop("startedAt") == 1_700_000_000_000
    assert one == two


def test_spans_that_are_not_taken(client: Client) -> None:
    """Their number and the first reason are in the answer; the others are stored."""
    message = _message(document(server(), server(), server()))
    spans = message.resource_spans[0].scope_spans[0].spans
    spans[0].trace_id = b"short"
    for number in range(1_001):
        spans[1].attributes.add(key=str(number))
    answer = client.session.post(
        client.url + "/v1/traces", data=message.SerializeToString(), headers=_PROTOBUF, timeout=10
    )
    partly = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partly.rejected_spans) == (200, 2)
    assert "trace_id has 16 bytes" in partly.error_message
    assert client.items("endpoints")[0]["calls"] == 1


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff", {}, 400),
        (b"\x0a" * 100_000, {}, 400),
        (gzip.compress(bytes(50_000_000)), {"Content-Encoding": "gzip"}, 413),
        (b"", {"Authorization": "guess"}, 401),
    ],
)
def test_refusals_in_protobuf(client: Client, body: bytes, headers: dict[str, str], status: int) -> None:
    """A google.rpc.Status says what is wrong."""
    from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

    answer = client.session.post(client.url + "/v1/traces", data=body, headers={**_PROTOBUF, **headers}, timeout=20)
    assert answer.status_code == status
    assert Status.FromString(answer.content).message
    assert client.items("endpoints") == []


def _call(address: str, message: ExportTraceServiceRequest, key: str, packed: bool = False) -> Any:
    with grpc.insecure_channel(address, options=(("grpc.max_send_message_length", -1),)) as channel:
        compression = grpc.Compression.Gzip if packed else grpc.Compression.NoCompression
        export = TraceServiceStub(channel).Export  # type: ignore[no-untyped-call]  # generated code
        return export(message, metadata=(("authorization", key),), timeout=20, compression=compression)


@pytest.mark.parametrize(
    ("change", "key", "code"),
    [
        (lambda message: None, "guess", grpc.StatusCode.UNAUTHENTICATED),
        (lambda message: _grow(message, 5_000_000), KEY, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (lambda message: _repeat(message, 20_001), KEY, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_refusals_over_grpc(
    over_grpc: str, client: Client, change: Callable[[Any], None], key: str, code: grpc.StatusCode, packed: bool
) -> None:
    """A wrong key, a message (unpacked) over 4 MiB and too many spans are refused, and the next call is answered."""
    message = _message(document(server()))
    change(message)
    with pytest.raises(grpc.RpcError) as refused:
        _call(over_grpc, message, key, packed)
    assert refused.value.code() is code
    assert client.items("endpoints") == []
    assert not _call(over_grpc, _message(document(server())), KEY).partial_success.rejected_spans


def _grow(message: ExportTraceServiceRequest, size: int) -> None:
    message.resource_spans[0].resource.attributes[0].value.string_value = "a" * size


def _repeat(message: ExportTraceServiceRequest, count: int) -> None:
    spans = message.resource_spans[0].scope_spans[0].spans
    for _ in range(count):
        spans.add(kind=1)


def test_a_busy_collector_over_grpc(over_grpc: str, collector: RunningCollector) -> None:
    """UNAVAILABLE, after which exporters try again."""
    collector.store._writer._limit = 0
    with pytest.raises(grpc.RpcError) as refused:
        _call(over_grpc, _message(document(server())), KEY)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an Express app and OpenTelemetry's SDK; skipped where they cannot be installed."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("Node is not installed: apt-get install nodejs npm")
    folder = tmp_path_factory.mktemp("node")
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", *_PACKAGES]
    try:
        installed = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("Express and OpenTelemetry's SDK for Node could not be installed within four minutes")
    if installed.returncode:
        pytest.skip(f"OpenTelemetry's SDK for Node cannot be installed here: {installed.stderr.strip()[-300:]}")
    (folder / "started.js").write_text(_STARTED, "utf-8")
    (folder / "app.js").write_text(_APP, "utf-8")
    return folder


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json", "grpc"])
def test_an_express_app(protocol: str, node: Path, collector: RunningCollector, over_grpc: str, client: Client) -> None:
    """With nothing but OpenTelemetry's SDK it is in the inventory beside an app with our agent, which it calls: right
    route, count and latency, a line of the service map, and the attack in a captured header.
    """
    reported, port = make_trace(), collector.url.rpartition(":")[2]
    reported["request"]["url"]["host"] = f"localhost:{port}"
    client.post([reported])
    given = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_SERVICE_NAME": "express",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{over_grpc}" if protocol == "grpc" else collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{KEY}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "CALLED": port,
    }
    ran = subprocess.run(
        ["node", "app.js"],
        cwd=node,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    ours, theirs = sorted(client.items("endpoints"), key=lambda each: bool(each["services"]))
    assert (ours["path"], ours["calls"]) == ("/items/{param1}", 1)
    assert (theirs["path"], theirs["calls"], theirs["statuses"]) == ("/api/items/{item}", 1, {"200": 1})
    assert (theirs["services"], theirs["latency"]["calls"]) == (["express"], 1)
    called = {(each["caller"], each["callee"], each["kind"]) for each in client.items("service-calls")}
    assert ("express", f"localhost:{port}", "host") in called
    found = {(each["category"], each["field"]) for each in client.items("attacks")}
    assert ("SQLI", "reqHeaders.x-note") in found


def test_json_is_taken_without_the_extra(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protobuf is then refused with what to install."""
    import sys

    monkeypatch.setitem(sys.modules, "metlo_otel.collector.otlp.from_protobuf", None)
    assert client.session.post(client.url + "/v1/traces", json=document(server()), timeout=10).json() == {}
    answer = client.session.post(client.url + "/v1/traces", data=b"", headers=_PROTOBUF, timeout=10)
    assert answer.status_code == 415
    assert b"metlo-otel[otlp]" in answer.content
    assert json.loads(client.read("/api/v1/endpoints").content)["items"]
